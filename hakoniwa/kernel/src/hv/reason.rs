//! Basic exit reasons (SDM Vol. 3D, appendix C), and how often each came up.

use core::fmt;

macro_rules! reasons {
    ($($name:ident = $number:literal $text:literal,)*) => {
        $(#[doc = $text] pub const $name: u64 = $number;)*

        /// The reasons that have a name here.
        const NAMES: &[(u64, &str)] = &[$(($number, $text),)*];
    };
}

reasons! {
    EXCEPTION = 0 "exception or NMI",
    EXTERNAL_INTERRUPT = 1 "external interrupt",
    TRIPLE_FAULT = 2 "triple fault",
    INIT = 3 "INIT",
    SIPI = 4 "SIPI",
    INTERRUPT_WINDOW = 7 "interrupt window",
    NMI_WINDOW = 8 "NMI window",
    TASK_SWITCH = 9 "task switch",
    CPUID = 10 "CPUID",
    GETSEC = 11 "GETSEC",
    HLT = 12 "HLT",
    INVD = 13 "INVD",
    INVLPG = 14 "INVLPG",
    RDPMC = 15 "RDPMC",
    RDTSC = 16 "RDTSC",
    VMCALL = 18 "VMCALL",
    VMXON = 27 "VMXON",
    CONTROL_REGISTER = 28 "control register",
    DEBUG_REGISTER = 29 "debug register",
    IO = 30 "port",
    RDMSR = 31 "RDMSR",
    WRMSR = 32 "WRMSR",
    INVALID_STATE = 33 "invalid guest state",
    INVALID_MSR = 34 "invalid MSR to load",
    MWAIT = 36 "MWAIT",
    MONITOR = 39 "MONITOR",
    PAUSE = 40 "PAUSE",
    MACHINE_CHECK = 41 "machine check at entry",
    EPT_VIOLATION = 48 "EPT violation",
    EPT_MISCONFIGURATION = 49 "EPT misconfiguration",
    INVEPT = 50 "INVEPT",
    RDTSCP = 51 "RDTSCP",
    PREEMPTION_TIMER = 52 "preemption timer",
    INVVPID = 53 "INVVPID",
    WBINVD = 54 "WBINVD",
    XSETBV = 55 "XSETBV",
    RDRAND = 57 "RDRAND",
    INVPCID = 58 "INVPCID",
    VMFUNC = 59 "VMFUNC",
    ENCLS = 60 "ENCLS",
    RDSEED = 61 "RDSEED",
    XSAVES = 63 "XSAVES",
    XRSTORS = 64 "XRSTORS",
}

/// How many reasons are counted one by one; later ones count together in the last place.
const KINDS: usize = 66;

/// How often a guest left, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts([u32; KINDS]);

impl Counts {
    /// None yet.
    pub const NONE: Counts = Counts([0; KINDS]);

    /// One more.
    #[inline]
    pub fn add(&mut self, reason: u64) {
        let place = (reason & 0xffff).min(KINDS as u64 - 1) as usize;
        self.0[place] = self.0[place].wrapping_add(1);
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|n| u64::from(*n)).sum()
    }
}

impl Counts {
    /// The reasons that came up, in lines short enough for the log.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let used = self.0.iter().filter(|count| **count != 0).count();
        (0..used).step_by(PER_LINE).map(|skip| Line { counts: self, skip })
    }
}

/// How many reasons are on a line.
const PER_LINE: usize = 4;

/// Some of the reasons.
pub struct Line<'a> {
    counts: &'a Counts,
    skip: usize,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let used = self.counts.0.iter().enumerate().filter(|(_, count)| **count != 0);
        for (place, (reason, count)) in used.skip(self.skip).take(PER_LINE).enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            match NAMES.iter().find(|(number, _)| *number == reason as u64) {
                Some((_, name)) => write!(f, "{comma}{count} {name}")?,
                None => write!(f, "{comma}{count} with reason {reason}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn text(counts: &Counts) -> Vec<String> {
        counts.lines().map(|line| line.to_string()).collect()
    }

    #[test]
    fn counts_are_told_by_name() {
        let mut counts = Counts::NONE;
        assert!(text(&counts).is_empty());
        for reason in [CPUID, 1 << 31 | INVALID_STATE, CPUID, 0x1234] {
            counts.add(reason);
        }
        assert_eq!(counts.total(), 4);
        assert_eq!(text(&counts), ["2 CPUID, 1 invalid guest state, 1 with reason 65"]);
    }

    #[test]
    fn a_line_holds_four_reasons() {
        let mut counts = Counts::NONE;
        (10..15).for_each(|reason| counts.add(reason));
        assert_eq!(text(&counts), ["1 CPUID, 1 GETSEC, 1 HLT, 1 INVD", "1 INVLPG"]);
    }
}
