//! The CPUID feature without which an instruction is #UD (SDM Vol. 2, "#UD If CPUID..." of each instruction).

use hako_x86::Features;

macro_rules! needs {
    ($($name:ident $feature:ident,)*) => {
        /// The feature that an opcode belongs to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)] // named as the features
        pub(crate) enum Need {
            /// None, or one that every x86 processor since the 80486 has.
            Nothing,
            $($name,)*
        }

        /// What each of them is called elsewhere.
        const FEATURES: &[(Need, Features)] = &[$((Need::$name, Features::$feature),)*];
    };
}

needs! {
    Fpu FPU,
    Tsc TSC,
    Msr MSR,
    Cx8 CX8,
    Cx16 CX16,
    Sep SEP,
    Cmov CMOV,
    Clfsh CLFSH,
    Mmx MMX,
    Fxsr FXSR,
    Sse SSE,
    Sse2 SSE2,
    Sse3 SSE3,
    Ssse3 SSSE3,
    Sse41 SSE41,
    Sse42 SSE42,
    Movbe MOVBE,
    Popcnt POPCNT,
    Aes AES,
    Pclmulqdq PCLMULQDQ,
    Xsave XSAVE,
    Xsaveopt XSAVEOPT,
    Rdrand RDRAND,
    Rdseed RDSEED,
    Fsgsbase FSGSBASE,
    Invpcid INVPCID,
    Smap SMAP,
    Clflushopt CLFLUSHOPT,
    Clwb CLWB,
    Pcommit PCOMMIT,
    Pku PKU,
    Rdpid RDPID,
    Syscall SYSCALL,
    Rdtscp RDTSCP,
    Lahf64 LAHF64,
}

impl Need {
    /// The need of an opcode that depends on more than the opcode: CMPXCHG8B with REX.W is CMPXCHG16B, and LAHF and SAHF
    /// are there outside 64-bit mode anyway.
    pub const fn refined(self, long: bool, wide: bool) -> Need {
        match self {
            Need::Cx8 if wide => Need::Cx16,
            Need::Lahf64 if !long => Need::Nothing,
            _ => self,
        }
    }
}

/// The needs that a CPU model does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Lacks(u64);

impl Lacks {
    /// Of the model with these features.
    pub fn of(features: &Features) -> Lacks {
        let lacking = FEATURES.iter().filter(|(_, feature)| !features.has(*feature));
        Lacks(lacking.fold(0, |all, (need, _)| all | 1 << *need as u8))
    }

    /// Whether that is one of them.
    #[inline(always)]
    pub const fn contains(self, need: Need) -> bool {
        self.0 >> (need as u8) & 1 != 0
    }
}
