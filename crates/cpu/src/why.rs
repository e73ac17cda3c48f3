//! Which check failed when an exception was raised: one plain sentence for each.

use core::fmt;

macro_rules! whys {
    ($($(#[$doc:meta])* $name:ident => $text:expr,)*) => {
        /// The architectural check that failed. Its text names the rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Why {
            $(#[doc = $text] $name,)*
        }

        impl fmt::Display for Why {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Why::$name => $text,)* })
            }
        }
    };
}

whys! {
    // Fetch and decode.
    UndefinedOpcode => "the opcode is not defined",
    NotYetImplemented => "the opcode belongs to x87, MMX or SSE, which this CPU does not offer",
    LockNotAllowed => "LOCK stands before an instruction or operand that cannot be locked",
    NeedsMemoryOperand => "the instruction takes a memory operand only",
    NeedsRegisterOperand => "the instruction takes a register operand only",
    NotIn64Bit => "the instruction does not exist in 64-bit mode",
    TooLong => "the instruction is longer than 15 bytes",
    FetchBeyondLimit => "the instruction lies beyond the limit of CS",
    FetchNotCanonical => "the instruction's address is not canonical",
    BadRegister => "the instruction names a register that does not exist",
    // Memory.
    NotCanonical => "the address is not canonical",
    StackNotCanonical => "the stack address is not canonical",
    BeyondLimit => "the access lies beyond the segment's limit",
    NullSegment => "the segment register holds a null selector",
    NotWritable => "the segment is not writable",
    NotReadable => "the segment is execute-only",
    Misaligned => "the address is misaligned while alignment checks are on",
    PageNotPresent => "a paging entry is not present",
    PageReadOnly => "the page is read-only",
    PageSupervisor => "the page belongs to the supervisor",
    PageNoExecute => "the page is marked no-execute",
    SupervisorExecutesUserPage => "CR4.SMEP keeps the supervisor from executing in user pages",
    SupervisorAccessesUserPage => "CR4.SMAP keeps the supervisor out of user pages while EFLAGS.AC is clear",
    ProtectionKey => "the rights to the page's protection key forbid the access",
    PageReservedBit => "a paging entry has a reserved bit set",
    PdpteReservedBit => "a page-directory-pointer entry has a reserved bit set",
    OperandMisaligned => "the 16-byte operand is not aligned",
    // Branches.
    TargetBeyondLimit => "the branch target lies beyond the limit of CS",
    TargetNotCanonical => "the branch target is not canonical",
    // Arithmetic.
    DivideByZero => "the divisor is zero",
    QuotientTooLarge => "the quotient does not fit",
    OutOfBounds => "the array index is out of bounds",
    // FPU.
    FpuUnavailable => "CR0 says that x87 instructions are to be emulated or that the task was switched",
    FpuException => "an x87 instruction before raised an exception that is not masked",
    XsaveDisabled => "CR4.OSXSAVE is clear",
    AreaMisaligned => "the save area is not aligned: to 16 bytes for FXSAVE, to 64 for XSAVE",
    MxcsrReservedBit => "a reserved bit of MXCSR would be set",
    XsaveHeader => "the XSAVE header names components that XCR0 has not, or is not of standard format",
    NoSuchXcr => "there is no such extended control register",
    Xcr0Value => "XCR0 takes x87, and with it what of SSE and PKRU there is",
    PkruDisabled => "CR4.PKE is clear",
    PkruOperand => "ECX has to be zero, and for WRPKRU EDX, too",
    MmxDisabled => "CR0.EM is set, and MMX instructions are not emulated",
    SseDisabled => "CR0.EM is set or CR4.OSFXSR is clear, and SSE instructions need the contrary",
    SimdException => "an SSE instruction met a floating-point exception that MXCSR does not mask",
    SimdExceptionUnexpected => "an SSE instruction met an unmasked exception while CR4.OSXMMEXCPT is clear",
    // Flags.
    IoplTooLow => "CPL is greater than IOPL",
    // Selectors and descriptors.
    SelectorBeyondTable => "the selector lies beyond the limit of its descriptor table",
    SelectorNotInGdt => "the selector names the LDT where only the GDT is allowed",
    SegmentNotPresent => "the descriptor is not present",
    UpperTypeNotZero => "the type field in the upper half of a 16-byte descriptor is not zero",
    NotDataOrReadableCode => "the descriptor is neither data nor readable code",
    DataDplTooLow => "the data segment's DPL is below CPL or RPL",
    NullStack => "the selector for SS is null",
    StackRplWrong => "the RPL of the selector for SS is not the stack's privilege level",
    StackDplWrong => "the DPL of the stack segment is not the stack's privilege level",
    StackNotWritable => "the descriptor for SS is not writable data",
    StackNotPresent => "the stack segment is not present",
    StackNoRoom => "the stack has no room for the frame within its limit",
    NullCode => "the selector for CS is null",
    NotCode => "the descriptor for CS is not code",
    CodeDplTooHigh => "the code segment's DPL is above CPL",
    CodeDplWrong => "the code segment's DPL does not fit CPL or RPL",
    CodeRplTooHigh => "the RPL of the selector for CS is above CPL",
    CodeLongAndBig => "the code segment has both L and D set",
    ReturnInward => "the return leads to a more privileged level",
    // Gates and tasks.
    NotATarget => "the descriptor is nothing that can be jumped to or called",
    GateDplTooLow => "the DPL of the gate or TSS is below CPL or RPL",
    GateNeeds64BitCode => "a gate in long mode leads to code that is not 64-bit",
    IdtLimit => "the IDT entry lies beyond the IDT limit",
    IdtNotAGate => "the IDT entry is no interrupt, trap or task gate",
    IdtDplTooLow => "the DPL of the IDT gate is below CPL",
    IdtNotPresent => "the IDT gate is not present",
    V86HandlerNotLevel0 => "the handler of an event in virtual-8086 mode does not run at level 0",
    TssTooShort => "the TSS is too short for what is needed of it",
    TssNotInGdt => "the selector of a TSS is null or names the LDT",
    NotAnAvailableTss => "the descriptor is not an available TSS",
    NotABusyTss => "the back link of the TSS does not name a busy TSS",
    NullTss => "the selector for TR is null",
    NoTasksInLongMode => "NT is set at IRET, and long mode has no task switching",
    LdtNotInGdt => "the selector of an LDT names the LDT",
    NotAnLdt => "the descriptor is not an LDT",
    DoubleFault => "an exception came while an earlier one was being delivered",
    // Privilege and modes.
    NotLevel0 => "the instruction needs CPL 0",
    NotInRealMode => "the instruction does not exist in this mode, or its mode's set-up is missing",
    NotOffered => "the instruction belongs to a feature that this CPU model does not have",
    FsGsBaseDisabled => "CR4.FSGSBASE is clear",
    InvpcidType => "there is no such type of INVPCID",
    InvpcidDescriptor => "the descriptor of INVPCID has reserved bits, or a PCID while CR4.PCIDE is clear",
    Only64Bit => "the instruction exists in 64-bit mode only",
    Umip => "CR4.UMIP keeps the instruction from CPL above 0",
    VirtualInterruptPending => "virtual interrupts would be enabled while one is pending, or TF set",
    NoIoMap => "CPL is above IOPL, and TR holds no TSS with an I/O permission map",
    IoMapTooShort => "the I/O permission map does not reach to the port",
    IoNotPermitted => "the I/O permission map forbids the port",
    NullSysenterCs => "IA32_SYSENTER_CS is null",
    SyscallDisabled => "EFER.SCE is clear",
    TimeStampDisabled => "CR4.TSD keeps the time-stamp counter from CPL above 0",
    PerformanceCountersDisabled => "CR4.PCE is clear and CPL is above 0",
    NoSuchCounter => "there is no such performance counter",
    // Control, debug and model-specific registers.
    CrReservedBit => "a reserved bit of a control register would be set",
    DrReservedBit => "a reserved bit of a debug register would be set",
    PagingWithoutProtection => "CR0.PG would be set without CR0.PE",
    NotWriteThroughWithCache => "CR0.NW would be set without CR0.CD",
    LongModeWithoutPae => "long mode needs CR4.PAE",
    PcidOutsideLongMode => "CR4.PCIDE would be set outside long mode, or with a PCID in CR3 already",
    PagingOffWithPcid => "paging would be switched off while CR4.PCIDE is set",
    LongModeFromLongCode => "CS.L is set while long mode is being activated",
    LongModeWith16BitTss => "TR holds a 16-bit TSS while long mode is being activated",
    PagingOffIn64BitMode => "paging would be switched off in 64-bit mode",
    LmeWhilePaging => "EFER.LME would change while paging is on",
    DebugRegisterAlias => "DR4 and DR5 do not exist while CR4.DE is set",
    GeneralDetect => "a debug register was named while DR7.GD is set",
    InstructionBreakpoint => "an instruction breakpoint was hit",
    UnknownMsr => "no such MSR exists",
    MsrReadOnly => "the MSR is read-only",
    MsrReservedBit => "the MSR does not take this value: reserved bits or types",
    MsrNotCanonical => "the MSR takes canonical addresses only",
}
