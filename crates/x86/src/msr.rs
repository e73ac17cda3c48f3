//! Model-specific register numbers (SDM Vol. 4, table 2-2) and their names for traces and reports.

macro_rules! msrs {
    ($($(#[$doc:meta])* $name:ident = $index:expr, $text:expr;)*) => {
        $($(#[$doc])* pub const $name: u32 = $index;)*

        /// The SDM's name of an MSR, where this table knows it.
        pub fn name(index: u32) -> Option<&'static str> {
            match index { $($index => Some($text),)* _ => None }
        }
    };
}

msrs! {
    /// Time-stamp counter.
    TSC = 0x10, "IA32_TIME_STAMP_COUNTER";
    /// Platform ID.
    PLATFORM_ID = 0x17, "IA32_PLATFORM_ID";
    /// Local APIC base and enable.
    APIC_BASE = 0x1b, "IA32_APIC_BASE";
    /// VMX lock and enable.
    FEATURE_CONTROL = 0x3a, "IA32_FEATURE_CONTROL";
    /// TSC adjustment.
    TSC_ADJUST = 0x3b, "IA32_TSC_ADJUST";
    /// Speculation control.
    SPEC_CTRL = 0x48, "IA32_SPEC_CTRL";
    /// Prediction command.
    PRED_CMD = 0x49, "IA32_PRED_CMD";
    /// Microcode revision.
    BIOS_SIGN_ID = 0x8b, "IA32_BIOS_SIGN_ID";
    /// MTRR capabilities.
    MTRR_CAP = 0xfe, "IA32_MTRRCAP";
    /// Which speculation faults the processor does not have.
    ARCH_CAPABILITIES = 0x10a, "IA32_ARCH_CAPABILITIES";
    /// SYSENTER code segment.
    SYSENTER_CS = 0x174, "IA32_SYSENTER_CS";
    /// SYSENTER stack pointer.
    SYSENTER_ESP = 0x175, "IA32_SYSENTER_ESP";
    /// SYSENTER entry point.
    SYSENTER_EIP = 0x176, "IA32_SYSENTER_EIP";
    /// Machine-check capabilities.
    MCG_CAP = 0x179, "IA32_MCG_CAP";
    /// Machine-check status.
    MCG_STATUS = 0x17a, "IA32_MCG_STATUS";
    /// Miscellaneous feature enables.
    MISC_ENABLE = 0x1a0, "IA32_MISC_ENABLE";
    /// Debug control.
    DEBUGCTL = 0x1d9, "IA32_DEBUGCTL";
    /// The first of the variable MTRRs; base and mask take turns.
    MTRR_PHYSBASE0 = 0x200, "IA32_MTRR_PHYSBASE0";
    /// Fixed MTRR of 00000h-7FFFFh.
    MTRR_FIX64K_00000 = 0x250, "IA32_MTRR_FIX64K_00000";
    /// Fixed MTRR of 80000h-9FFFFh.
    MTRR_FIX16K_80000 = 0x258, "IA32_MTRR_FIX16K_80000";
    /// Fixed MTRR of A0000h-BFFFFh.
    MTRR_FIX16K_A0000 = 0x259, "IA32_MTRR_FIX16K_A0000";
    /// The first of eight fixed MTRRs of 4 KiB pages, C0000h-FFFFFh.
    MTRR_FIX4K_C0000 = 0x268, "IA32_MTRR_FIX4K_C0000";
    /// Page attribute table.
    PAT = 0x277, "IA32_PAT";
    /// MTRR default type.
    MTRR_DEF_TYPE = 0x2ff, "IA32_MTRR_DEF_TYPE";
    /// TSC deadline of the local APIC timer.
    TSC_DEADLINE = 0x6e0, "IA32_TSC_DEADLINE";
    /// Rights to supervisor pages by their protection keys.
    PKRS = 0x6e1, "IA32_PKRS";
    /// Extended feature enables.
    EFER = 0xc000_0080, "IA32_EFER";
    /// SYSCALL segment selectors and 32-bit entry.
    STAR = 0xc000_0081, "IA32_STAR";
    /// SYSCALL 64-bit entry point.
    LSTAR = 0xc000_0082, "IA32_LSTAR";
    /// SYSCALL compatibility-mode entry point (AMD).
    CSTAR = 0xc000_0083, "IA32_CSTAR";
    /// SYSCALL flag mask.
    FMASK = 0xc000_0084, "IA32_FMASK";
    /// FS base.
    FS_BASE = 0xc000_0100, "IA32_FS_BASE";
    /// GS base.
    GS_BASE = 0xc000_0101, "IA32_GS_BASE";
    /// The base that SWAPGS exchanges with GS.
    KERNEL_GS_BASE = 0xc000_0102, "IA32_KERNEL_GS_BASE";
    /// What RDTSCP puts into ECX.
    TSC_AUX = 0xc000_0103, "IA32_TSC_AUX";
}
