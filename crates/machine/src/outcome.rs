//! How a run ended, and the exit status that says so.

use hako_engine::Time;

use crate::report::Report;

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// HLT that nothing can end (on bare: any HLT).
    HaltedForGood,
    /// The guest switched the power off.
    PowerOff,
    /// The guest reset the machine and `no_reboot` was asked for.
    Reset,
    /// The guest wrote this value to the debug-exit port.
    DebugExit(u32),
    /// A triple fault.
    TripleFault(Box<Report>),
    /// The time limit has come.
    Timeout,
    /// The guest can make no progress any more; why.
    Hang(String),
    /// An instruction that neither the engine nor our own CPU executes.
    Refused(Box<Report>),
    /// An exit that nobody understands.
    Unknown(Box<Report>),
    /// A signal of this number asked hako to end.
    Signal(i32),
    /// The user left (Ctrl-A x).
    Left,
    /// The host failed, as when it cannot take what the guest says: a message.
    Host(String),
    /// The engine failed: a message.
    Failed(String),
}

impl Ended {
    /// The process exit status: odd for the guest's own, even for hako's.
    pub fn status(&self) -> u8 {
        match self {
            Ended::HaltedForGood | Ended::PowerOff | Ended::Reset => 0,
            Ended::DebugExit(v) => (v << 1) as u8 | 1,
            Ended::TripleFault(_) => 6,
            Ended::Host(_) => 4,
            Ended::Failed(_) => 8,
            Ended::Refused(_) | Ended::Unknown(_) => 10,
            Ended::Timeout | Ended::Hang(_) => 124,
            Ended::Left => 130,
            Ended::Signal(n) => 128u8.wrapping_add(*n as u8),
        }
    }

    /// One word for test files and traces.
    pub fn name(&self) -> &'static str {
        match self {
            Ended::HaltedForGood => "halt",
            Ended::PowerOff => "power-off",
            Ended::Reset => "reset",
            Ended::DebugExit(_) => "debug-exit",
            Ended::TripleFault(_) => "triple-fault",
            Ended::Timeout => "timeout",
            Ended::Hang(_) => "hang",
            Ended::Refused(_) => "refused",
            Ended::Unknown(_) => "unknown",
            Ended::Signal(_) => "signal",
            Ended::Left => "left",
            Ended::Host(_) => "host-error",
            Ended::Failed(_) => "failed",
        }
    }

    /// The report that goes with it.
    pub fn report(&self) -> Option<&Report> {
        match self {
            Ended::TripleFault(r) | Ended::Refused(r) | Ended::Unknown(r) => Some(r),
            _ => None,
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::HaltedForGood => f.write_str("halted for good"),
            Ended::PowerOff => f.write_str("powered off"),
            Ended::Reset => f.write_str("reset"),
            Ended::DebugExit(v) => write!(f, "debug exit with value {v:#x}"),
            Ended::TripleFault(_) => f.write_str("triple fault"),
            Ended::Timeout => f.write_str("timeout"),
            Ended::Hang(why) => write!(f, "hang: {why}"),
            Ended::Refused(_) => f.write_str("refused instruction"),
            Ended::Unknown(_) => f.write_str("unknown exit"),
            Ended::Signal(n) => write!(f, "signal {n}"),
            Ended::Left => f.write_str("left by the user"),
            Ended::Host(why) | Ended::Failed(why) => f.write_str(why),
        }
    }
}

/// How a run ended, when, and with which status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why.
    pub ended: Ended,
    /// The process exit status.
    pub status: u8,
    /// Instructions executed, where the engine counts them.
    pub count: Option<u64>,
    /// Guest time since power-on.
    pub time: Time,
    /// Instructions that kvm refused and our CPU executed.
    pub rescued: u64,
    /// How often the guest has reset the machine.
    pub resets: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_exit_status_is_v_times_two_plus_one_and_always_odd() {
        for (v, status) in [(0, 1), (0x10, 33), (0x80, 1), (0xff, 255), (0x1_0010, 33), (u32::MAX, 255)] {
            assert_eq!(Ended::DebugExit(v).status(), status);
        }
    }

    #[test]
    fn hakos_own_statuses_are_even() {
        for e in [Ended::HaltedForGood, Ended::PowerOff, Ended::Reset, Ended::Timeout, Ended::Left] {
            assert_eq!(e.status() % 2, 0);
        }
    }
}
