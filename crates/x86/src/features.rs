//! CPUID feature bits with their names (SDM Vol. 2A, CPUID, tables 3-8 to 3-11 and 3-17).

use core::fmt;
use core::ops::{BitAnd, BitOr};

/// The CPUID output words that hold feature bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // named by leaf and register
pub enum Word {
    Leaf1Edx,
    Leaf1Ecx,
    Leaf7Ebx,
    Leaf7Ecx,
    Leaf7Edx,
    LeafDEax,
    Ext1Edx,
    Ext1Ecx,
    Ext7Edx,
}

const WORDS: usize = 9;

/// A result register of CPUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as in the SDM
pub enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

impl Word {
    /// All words.
    pub const ALL: [Word; WORDS] = [
        Word::Leaf1Edx,
        Word::Leaf1Ecx,
        Word::Leaf7Ebx,
        Word::Leaf7Ecx,
        Word::Leaf7Edx,
        Word::LeafDEax,
        Word::Ext1Edx,
        Word::Ext1Ecx,
        Word::Ext7Edx,
    ];

    /// Where CPUID has it: leaf, subleaf, register.
    pub const fn place(self) -> (u32, u32, Register) {
        match self {
            Word::Leaf1Edx => (1, 0, Register::Edx),
            Word::Leaf1Ecx => (1, 0, Register::Ecx),
            Word::Leaf7Ebx => (7, 0, Register::Ebx),
            Word::Leaf7Ecx => (7, 0, Register::Ecx),
            Word::Leaf7Edx => (7, 0, Register::Edx),
            Word::LeafDEax => (0xd, 1, Register::Eax),
            Word::Ext1Edx => (0x8000_0001, 0, Register::Edx),
            Word::Ext1Ecx => (0x8000_0001, 0, Register::Ecx),
            Word::Ext7Edx => (0x8000_0007, 0, Register::Edx),
        }
    }
}

/// A set of CPU features.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Features([u32; WORDS]);

impl Features {
    /// No feature.
    pub const NONE: Features = Features([0; WORDS]);

    const fn bit(word: Word, bit: u8) -> Features {
        let mut words = [0; WORDS];
        words[word as usize] = 1 << bit;
        Features(words)
    }

    /// The bits of one output word.
    pub const fn word(&self, word: Word) -> u32 {
        self.0[word as usize]
    }

    /// The set with the bits of one output word replaced.
    pub const fn with_word(mut self, word: Word, bits: u32) -> Features {
        self.0[word as usize] = bits;
        self
    }

    /// Whether all of `other` is in the set.
    pub const fn has(&self, other: Features) -> bool {
        let mut i = 0;
        while i < WORDS {
            if self.0[i] & other.0[i] != other.0[i] {
                return false;
            }
            i += 1;
        }
        true
    }

    /// Both sets together.
    pub const fn with(self, other: Features) -> Features {
        let mut words = self.0;
        let mut i = 0;
        while i < WORDS {
            words[i] |= other.0[i];
            i += 1;
        }
        Features(words)
    }

    /// The set in which a feature says how something is at the moment.
    pub const fn mirroring(self, feature: Features, on: bool) -> Features {
        if on { self.with(feature) } else { self.without(feature) }
    }

    /// What is in both.
    pub const fn and(self, other: Features) -> Features {
        let mut words = self.0;
        let mut i = 0;
        while i < WORDS {
            words[i] &= other.0[i];
            i += 1;
        }
        Features(words)
    }

    /// This set without `other`.
    pub const fn without(self, other: Features) -> Features {
        let mut words = self.0;
        let mut i = 0;
        while i < WORDS {
            words[i] &= !other.0[i];
            i += 1;
        }
        Features(words)
    }

    /// The feature with a name.
    pub fn named(name: &str) -> Option<Features> {
        TABLE.iter().find(|f| f.0 == name).map(|f| f.1)
    }

    /// The names of all features.
    pub fn all_names() -> impl Iterator<Item = &'static str> + Clone {
        TABLE.iter().map(|f| f.0)
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        *self == Features::NONE
    }

    /// The set with all that its features are built on.
    pub fn with_needs(self) -> Features {
        NEEDS.iter().fold(self, |set, &(f, needs)| if set.has(f) { set.with(needs) } else { set })
    }

    /// The set without `other` and without all that is built on it.
    pub fn without_dependents(self, other: Features) -> Features {
        let mut set = self.without(other);
        for &(f, needs) in NEEDS.iter().rev() {
            if !set.has(needs) {
                set = set.without(f);
            }
        }
        set
    }

    /// The names of the features in the set, in table order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        TABLE.iter().filter(move |f| self.has(f.1)).map(|f| f.0)
    }
}

impl BitOr for Features {
    type Output = Features;
    fn bitor(self, other: Features) -> Features {
        self.with(other)
    }
}

impl BitAnd for Features {
    type Output = Features;
    fn bitand(self, other: Features) -> Features {
        self.and(other)
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

macro_rules! features {
    ($($id:ident = $word:ident[$bit:expr], $name:literal, $doc:literal;)*) => {
        impl Features {
            $(#[doc = $doc] pub const $id: Features = Features::bit(Word::$word, $bit);)*
        }

        /// Every feature this crate has a name for.
        const TABLE: &[(&str, Features)] = &[$(($name, Features::$id)),*];
    };
}

features! {
    FPU = Leaf1Edx[0], "fpu", "x87 on the chip.";
    VME = Leaf1Edx[1], "vme", "Virtual-8086 mode extensions and protected-mode virtual interrupts.";
    DE = Leaf1Edx[2], "de", "I/O breakpoints, CR4.DE.";
    PSE = Leaf1Edx[3], "pse", "4 MiB pages.";
    TSC = Leaf1Edx[4], "tsc", "RDTSC.";
    MSR = Leaf1Edx[5], "msr", "RDMSR and WRMSR.";
    PAE = Leaf1Edx[6], "pae", "Physical address extension.";
    MCE = Leaf1Edx[7], "mce", "Machine-check exception.";
    CX8 = Leaf1Edx[8], "cx8", "CMPXCHG8B.";
    APIC = Leaf1Edx[9], "apic", "Local APIC.";
    SEP = Leaf1Edx[11], "sep", "SYSENTER and SYSEXIT.";
    MTRR = Leaf1Edx[12], "mtrr", "Memory type range registers.";
    PGE = Leaf1Edx[13], "pge", "Global pages.";
    MCA = Leaf1Edx[14], "mca", "Machine-check architecture.";
    CMOV = Leaf1Edx[15], "cmov", "CMOVcc.";
    PAT = Leaf1Edx[16], "pat", "Page attribute table.";
    PSE36 = Leaf1Edx[17], "pse36", "4 MiB pages above 4 GiB.";
    CLFSH = Leaf1Edx[19], "clflush", "CLFLUSH.";
    MMX = Leaf1Edx[23], "mmx", "MMX.";
    FXSR = Leaf1Edx[24], "fxsr", "FXSAVE and FXRSTOR.";
    SSE = Leaf1Edx[25], "sse", "SSE.";
    SSE2 = Leaf1Edx[26], "sse2", "SSE2.";
    SSE3 = Leaf1Ecx[0], "sse3", "SSE3.";
    PCLMULQDQ = Leaf1Ecx[1], "pclmulqdq", "Carry-less multiplication.";
    MONITOR = Leaf1Ecx[3], "monitor", "MONITOR and MWAIT.";
    VMX = Leaf1Ecx[5], "vmx", "Virtual-machine extensions.";
    SSSE3 = Leaf1Ecx[9], "ssse3", "SSSE3.";
    CX16 = Leaf1Ecx[13], "cx16", "CMPXCHG16B.";
    PCID = Leaf1Ecx[17], "pcid", "Process-context identifiers.";
    SSE41 = Leaf1Ecx[19], "sse4.1", "SSE4.1.";
    SSE42 = Leaf1Ecx[20], "sse4.2", "SSE4.2, CRC32 among it.";
    X2APIC = Leaf1Ecx[21], "x2apic", "Local APIC through MSRs.";
    MOVBE = Leaf1Ecx[22], "movbe", "MOVBE.";
    POPCNT = Leaf1Ecx[23], "popcnt", "POPCNT.";
    TSC_DEADLINE = Leaf1Ecx[24], "tsc-deadline", "Deadline mode of the APIC timer.";
    AES = Leaf1Ecx[25], "aes", "AESENC and its kin.";
    XSAVE = Leaf1Ecx[26], "xsave", "XSAVE and XCR0.";
    OSXSAVE = Leaf1Ecx[27], "osxsave", "The value of CR4.OSXSAVE.";
    RDRAND = Leaf1Ecx[30], "rdrand", "RDRAND.";
    HYPERVISOR = Leaf1Ecx[31], "hypervisor", "Runs under a hypervisor.";
    FSGSBASE = Leaf7Ebx[0], "fsgsbase", "RDFSBASE and its kin.";
    TSC_ADJUST = Leaf7Ebx[1], "tsc-adjust", "IA32_TSC_ADJUST.";
    BMI1 = Leaf7Ebx[3], "bmi1", "ANDN ... TZCNT.";
    SMEP = Leaf7Ebx[7], "smep", "Supervisor-mode execution prevention.";
    ERMS = Leaf7Ebx[9], "erms", "Fast REP MOVSB and STOSB.";
    INVPCID = Leaf7Ebx[10], "invpcid", "INVPCID.";
    RDSEED = Leaf7Ebx[18], "rdseed", "RDSEED.";
    SMAP = Leaf7Ebx[20], "smap", "Supervisor-mode access prevention.";
    PCOMMIT = Leaf7Ebx[22], "pcommit", "PCOMMIT.";
    CLFLUSHOPT = Leaf7Ebx[23], "clflushopt", "CLFLUSHOPT.";
    CLWB = Leaf7Ebx[24], "clwb", "CLWB.";
    UMIP = Leaf7Ecx[2], "umip", "User-mode instruction prevention.";
    PKU = Leaf7Ecx[3], "pku", "Protection keys of user pages.";
    OSPKE = Leaf7Ecx[4], "ospke", "The value of CR4.PKE.";
    RDPID = Leaf7Ecx[22], "rdpid", "RDPID.";
    PKS = Leaf7Ecx[31], "pks", "Protection keys of supervisor pages.";
    FSRM = Leaf7Edx[4], "fsrm", "Fast short REP MOVSB.";
    SPEC_CTRL = Leaf7Edx[26], "spec-ctrl", "IA32_SPEC_CTRL.IBRS and IA32_PRED_CMD.";
    STIBP = Leaf7Edx[27], "stibp", "IA32_SPEC_CTRL.STIBP.";
    ARCH_CAPABILITIES = Leaf7Edx[29], "arch-capabilities", "IA32_ARCH_CAPABILITIES.";
    SSBD = Leaf7Edx[31], "ssbd", "IA32_SPEC_CTRL.SSBD.";
    XSAVEOPT = LeafDEax[0], "xsaveopt", "XSAVEOPT.";
    SYSCALL = Ext1Edx[11], "syscall", "SYSCALL and SYSRET in 64-bit mode.";
    NX = Ext1Edx[20], "nx", "No-execute pages.";
    PDPE1GB = Ext1Edx[26], "pdpe1gb", "1 GiB pages.";
    RDTSCP = Ext1Edx[27], "rdtscp", "RDTSCP and IA32_TSC_AUX.";
    LM = Ext1Edx[29], "lm", "Long mode.";
    LAHF64 = Ext1Ecx[0], "lahf64", "LAHF and SAHF in 64-bit mode.";
    LZCNT = Ext1Ecx[5], "lzcnt", "LZCNT.";
    PREFETCHW = Ext1Ecx[8], "prefetchw", "PREFETCHW.";
    INVARIANT_TSC = Ext7Edx[8], "invtsc", "The TSC runs at a constant rate in every state.";
}

/// What a feature is built on; a feature stands before those it needs.
const NEEDS: &[(Features, Features)] = &[
    (Features::XSAVEOPT, Features::XSAVE),
    (Features::PKU, Features::XSAVE),
    (Features::PKU, Features::LM),
    (Features::PKS, Features::LM),
    (Features::AES, Features::SSE2),
    (Features::PCLMULQDQ, Features::SSE2),
    (Features::SSE42, Features::SSE41),
    (Features::SSE41, Features::SSSE3),
    (Features::SSSE3, Features::SSE3),
    (Features::SSE3, Features::SSE2),
    (Features::SSE2, Features::SSE),
    (Features::SSE, Features::FXSR),
    (Features::XSAVE, Features::FXSR),
    (Features::FXSR, Features::FPU),
    (Features::MMX, Features::FPU),
    (Features::INVPCID, Features::PCID),
    (Features::PCID, Features::LM),
    (Features::CX16, Features::LM),
    (Features::LAHF64, Features::LM),
    (Features::FSGSBASE, Features::LM),
    (Features::SYSCALL, Features::LM),
    (Features::PDPE1GB, Features::LM),
    (Features::LM, Features::NX),
    (Features::NX, Features::PAE),
    (Features::TSC_DEADLINE, Features::APIC),
    (Features::X2APIC, Features::APIC),
    (Features::RDTSCP, Features::TSC),
    (Features::TSC_ADJUST, Features::TSC),
    (Features::MCA, Features::MCE),
    (Features::PSE36, Features::PSE),
    (Features::STIBP, Features::SPEC_CTRL),
    (Features::SSBD, Features::SPEC_CTRL),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_combine() {
        let both = Features::TSC | Features::LM;
        assert!(both.has(Features::TSC) && !both.has(Features::NX));
        assert_eq!(both.without(Features::TSC), Features::LM);
        assert_eq!(both & Features::LM, Features::LM);
        assert!(both.names().eq(["tsc", "lm"]));
    }

    #[test]
    fn features_come_with_what_they_need_and_go_with_what_needs_them() {
        let sse41 = Features::SSE41.with_needs();
        for needed in [Features::SSSE3, Features::SSE2, Features::FXSR, Features::FPU] {
            assert!(sse41.has(needed), "{needed:?}");
        }
        assert!(!sse41.has(Features::SSE42));
        let left = (sse41 | Features::XSAVE | Features::TSC).without_dependents(Features::FXSR);
        assert_eq!(left, Features::FPU | Features::TSC);
        // So that one pass over the table is enough.
        for (i, (f, needs)) in NEEDS.iter().enumerate() {
            assert!(NEEDS.iter().take(i).all(|(g, _)| g != needs), "{f:?}");
        }
    }

    #[test]
    fn words_are_where_cpuid_has_them() {
        for (i, word) in Word::ALL.into_iter().enumerate() {
            assert_eq!(word as usize, i);
        }
        assert_eq!(Word::Leaf7Ebx.place(), (7, 0, Register::Ebx));
    }

    #[test]
    fn no_bit_has_two_names() {
        for (i, a) in TABLE.iter().enumerate() {
            assert!(TABLE.iter().skip(i + 1).all(|b| b.1 != a.1 && b.0 != a.0), "{}", a.0);
        }
    }
}
