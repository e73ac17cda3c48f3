//! Guests: the messages that a guest task's exits become, and the page by which the kernel and the server exchange its
//! state. The sender of these messages is the guest task; the kernel vouches for it.

/// Labels of a guest's exits and of their answers.
pub mod label {
    /// Port access: port, width, 1 if it reads, value written, 1 if it is a string instruction (then with state). The
    /// port that the policy names comes with state too. The
    /// answer's word 0 is the value read; the instruction is complete, but for strings.
    pub const IO: u64 = 0x10;
    /// Memory that is not mapped, or not for this access: guest-physical address, access (1 read, 2 write, 4 fetch),
    /// linear address, 1 if the state is whole; [`super::EVENT`]. With state. The answer retries the instruction.
    /// After a fault that was answered with [`RESUME_WITH_REGISTERS`] the next comes with a state that is not whole:
    /// registers, RIP, RFLAGS, control registers, bases, limits and rights of ES to GS, DR7 and pending debug exceptions
    /// are there. A server that needs more answers [`crate::label::RESUME`]; the instruction's next fault has it.
    pub const FAULT: u64 = 0x11;
    /// HLT, already complete: 1 if interrupts are on. The answer lets the guest go on.
    pub const HALT: u64 = 0x12;
    /// Triple fault. With state; the guest cannot go on as it is.
    pub const TRIPLE_FAULT: u64 = 0x13;
    /// CPUID: leaf, subleaf, CR4, XCR0. The answer's words 0 to 3 are EAX, EBX, ECX, EDX; the instruction is complete.
    pub const CPUID: u64 = 0x14;
    /// Any other exit: reason, qualification, RIP, instruction length; [`super::EVENT`]. With state.
    pub const OTHER: u64 = 0x15;
    /// RDMSR of an MSR that the kernel does not keep: index. The answer's word 0 is 1 and word 1 the value; the
    /// instruction is complete. Word 0 of 0 is #GP.
    pub const MSR_READ: u64 = 0x17;
    /// WRMSR of such an MSR: index, value. The answer's word 0 is 1 if it took it; 0 is #GP.
    pub const MSR_WRITE: u64 = 0x18;
    /// The guest can take an interrupt, as its server asked to be told. See [`super::CAN_TAKE`].
    pub const WINDOW: u64 = 0x19;
    /// Answer: go on with the state in the page instead of the processor's. [`crate::label::RESUME`] goes on without
    /// looking at the page.
    pub const RESUME_WITH_STATE: u64 = 0x16;
    /// Answer: go on with the general registers, RIP and RFLAGS of the page, all else being the processor's; what held
    /// interrupts off for one instruction has ended.
    pub const RESUME_WITH_REGISTERS: u64 = 0x1a;
}

/// The last word of every message of a guest is 1 if it can take an interrupt before its next instruction. The last word
/// of the answer may then be [`inject`] of the vector that it takes.
pub const CAN_TAKE: usize = 6;

/// The last word of an answer with which the guest takes an interrupt.
pub const fn inject(vector: u8) -> u64 {
    INJECT | vector as u64
}

/// The flag of [`inject`].
pub const INJECT: u64 = 0x100;

/// What `GuestInject` takes instead of a vector: the server wants to be told when the guest can take an interrupt.
pub const ASK: u64 = 0x100;

/// What `GuestInject` takes for an NMI, which waits while the guest handles another; several that wait are one.
pub const NMI: u64 = 0x200;

/// A segment register with its hidden part. Access rights are as in VMX: bit 16 is unusable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Segment {
    /// Selector.
    pub selector: u64,
    /// Base.
    pub base: u64,
    /// Limit.
    pub limit: u64,
    /// Access rights.
    pub access: u64,
}

/// A guest's state in its page: words only, so that each has a place by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct State {
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
    pub registers: [u64; 16],
    /// RIP.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// CR0, CR2, CR3, CR4.
    pub control: [u64; 4],
    /// EFER.
    pub efer: u64,
    /// Blocking by STI, MOV SS, SMI, NMI: bits 0 to 3.
    pub interruptibility: u64,
    /// ES, CS, SS, DS, FS, GS, LDTR, TR.
    pub segments: [Segment; 8],
    /// GDTR: base, limit.
    pub gdtr: [u64; 2],
    /// IDTR: base, limit.
    pub idtr: [u64; 2],
}

/// What the kernel may answer without the server: bits of `GuestCreate`'s policy.
pub mod policy {
    /// A guest that halts waits in the kernel until something is injected.
    pub const HALT: u64 = 1;
    /// CPUID is answered from the table in the state page; what is not in it reads as zero.
    pub const CPUID: u64 = 2;
    /// MSRs that the kernel does not keep are asked of the server; else they are #GP.
    pub const MSR: u64 = 4;
    /// Bits 16 to 31: a port, not 0, whose accesses come with state: for firmware that is answered by its server.
    pub const STATE_PORT: u64 = 0xffff << 16;
    /// All of them.
    pub const ALL: u64 = HALT | CPUID | MSR | STATE_PORT;

    /// The policy that names a port.
    pub const fn state_port(port: u16) -> u64 {
        (port as u64) << 16
    }
}

/// The word of the state page with the processor's time-stamp counter when the guest's time began; 0 before.
pub const TIME_ZERO: usize = 60;
/// The word with what the guest has added to its counter since: its counter is the processor's, less [`TIME_ZERO`], plus
/// this, modulo 2^64.
pub const TIME_ADDED: usize = 61;

/// The CPUID table in the state page, behind the state: how many entries, then for each leaf and subleaf, EAX and EBX,
/// ECX and EDX, the first of each pair in the low half.
pub const CPUID_COUNT: usize = 64;
/// The first entry's word.
pub const CPUID_TABLE: usize = 65;
/// Words of an entry.
pub const CPUID_ENTRY: usize = 3;
/// The most entries.
pub const CPUID_MOST: usize = (more::PRESENT - CPUID_TABLE) / CPUID_ENTRY;
/// The subleaf of an entry that stands for all of them.
pub const ANY_SUBLEAF: u64 = 0xffff_ffff;

/// Words of the state page with what a processor has beyond a [`State`]. They travel with every state; a server that
/// writes 0 to the first leaves them as they are, and what a guest could not have set is never taken from them.
pub mod more {
    /// Not 0: they are there.
    pub const PRESENT: usize = 416;
    /// XCR0.
    pub const XCR0: usize = 417;
    /// DR0 to DR3, DR6, DR7.
    pub const DEBUG: usize = 418;
    /// The MSRs of [`MSR_LIST`].
    pub const MSRS: usize = 424;
    /// IA32_DEBUGCTL, PAT, SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP, STAR, LSTAR, CSTAR, FMASK, KERNEL_GS_BASE, TSC_AUX.
    pub const MSR_LIST: [u32; 11] = [
        0x1d9,
        0x277,
        0x174,
        0x175,
        0x176,
        0xc000_0081,
        0xc000_0082,
        0xc000_0083,
        0xc000_0084,
        0xc000_0102,
        0xc000_0103,
    ];
    /// Debug exceptions that wait for the next instruction boundary, as in VMX: bits 0 to 3, 12 (enabled), 14 (BS).
    pub const PENDING_DEBUG: usize = 435;
}

/// The four words with the page-directory-pointer-table entries of PAE paging outside long mode. They travel with every
/// state.
pub const PDPTES: usize = 436;

/// The first word of x87 and SSE as XSAVE lays them out: 512 bytes, then the header. They travel with every state; a
/// server that writes 0 to the header's first word leaves them as they are.
pub const VECTORS: usize = 440;
/// The header's first word: the components that are there, 3 for both.
pub const VECTORS_PRESENT: usize = VECTORS + 64;

/// The words of a fault and of any other exit with the event (interrupt or exception) whose delivery the exit cut short:
/// its interruption information as in VMX, or 0, and its error code. [`label::RESUME_WITH_STATE`] and
/// [`label::RESUME_WITH_REGISTERS`] say that the server has delivered it; [`crate::label::RESUME`] delivers it again.
pub const EVENT: usize = 4;

/// Words of a [`State`].
pub const WORDS: usize = size_of::<State>() / 8;

impl State {
    /// A processor in real mode about to run at `cs:ip` with a flat view of the first 64 KiB.
    pub fn real_mode(cs: u64, ip: u64) -> State {
        let data = Segment { selector: 0, base: 0, limit: 0xffff, access: 0x93 };
        let mut segments = [data; 8];
        segments[1] = Segment { selector: cs, base: cs << 4, limit: 0xffff, access: 0x9b };
        segments[6] = Segment { access: 0x1_0000, ..Segment::default() };
        segments[7] = Segment { limit: 0xffff, access: 0x8b, ..Segment::default() };
        State {
            rip: ip,
            rflags: 2,
            control: [0x10, 0, 0, 0],
            segments,
            gdtr: [0, 0xffff],
            idtr: [0, 0x3ff],
            ..State::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_fits_in_its_page_and_is_words_only() {
        assert_eq!(WORDS, 16 + 2 + 4 + 2 + 32 + 4);
        assert_eq!(more::MSRS + more::MSR_LIST.len(), more::PENDING_DEBUG);
        assert_eq!(more::PENDING_DEBUG + 1, PDPTES);
    }
}
