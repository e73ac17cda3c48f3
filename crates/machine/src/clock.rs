//! The two clocks of a machine: guest time from instructions, or from the host.

use std::time::Instant;

use hako_engine::{Deadline, Time};

/// Turns instruction counts or the host's clock into guest time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// Guest time is `base` plus a fixed cost for each instruction counted since `count`.
    Virtual {
        /// Guest time at `count`.
        base: Time,
        /// The instruction count that `base` belongs to.
        count: u64,
        /// Nanoseconds per instruction, at least 1.
        ns: u64,
    },
    /// Guest time is the host's since `origin`.
    Host {
        /// Power-on.
        origin: Instant,
    },
}

/// How long a CPU that counts instructions runs under the host clock before the clock is read again.
const HOST_SLICE: u64 = 200_000;

impl Clock {
    /// A virtual clock at power-on.
    pub fn new_virtual(ns: u64) -> Clock {
        Clock::Virtual { base: Time::ZERO, count: 0, ns: ns.max(1) }
    }

    /// A host clock that begins now.
    pub fn new_host() -> Clock {
        Clock::Host { origin: Instant::now() }
    }

    /// Power-on again, at this instruction count.
    pub fn restart(&mut self, at: u64) {
        match self {
            Clock::Virtual { base, count, .. } => (*base, *count) = (Time::ZERO, at),
            Clock::Host { .. } => *self = Clock::new_host(),
        }
    }

    /// Guest time after `count` instructions.
    #[inline]
    pub fn now(&self, at: u64) -> Time {
        match *self {
            Clock::Virtual { base, count, ns } => {
                Time(base.0.saturating_add(at.saturating_sub(count).saturating_mul(ns)))
            }
            Clock::Host { origin } => {
                let ns = origin.elapsed().as_nanos();
                Time(u64::try_from(ns).unwrap_or(u64::MAX))
            }
        }
    }

    /// Another CPU runs on from here: what was the count `from` is its count `to`. Guest time goes on as it was.
    pub fn hand_over(&mut self, from: u64, to: u64) {
        let now = self.now(from);
        if let Clock::Virtual { base, count, .. } = self {
            (*base, *count) = (now, to);
        }
    }

    /// Virtual: nothing happens until `time`, so it is `time` now. Host: time passes by itself.
    pub fn skip_to(&mut self, at: u64, time: Time) {
        let now = self.now(at);
        if let Clock::Virtual { base, count, .. } = self
            && time > now
        {
            (*base, *count) = (time, at);
        }
    }

    /// The deadline for a CPU at `count` that must not miss `event`; `counts` says whether the engine counts
    /// instructions.
    pub fn deadline(&self, at: u64, event: Time, counts: bool) -> Deadline {
        match *self {
            Clock::Virtual { base, count, ns } => {
                if event == Time::NEVER {
                    return Deadline::Never;
                }
                // The first count at which `now` has reached the event.
                let more = event.0.saturating_sub(base.0).div_ceil(ns);
                Deadline::Count(count.saturating_add(more).max(at))
            }
            Clock::Host { .. } => {
                let left = event.since(self.now(at));
                if !counts {
                    return if event == Time::NEVER { Deadline::Never } else { Deadline::After(left) };
                }
                // About 10 ns an instruction; wrong guesses only cost another look at the clock.
                let guess = u64::try_from(left.as_nanos() / 10).unwrap_or(u64::MAX);
                Deadline::Count(at.saturating_add(guess.clamp(1, HOST_SLICE)))
            }
        }
    }

    /// Whether guest time is made of instructions.
    pub fn is_virtual(&self) -> bool {
        matches!(self, Clock::Virtual { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_time_is_instructions_times_ten_nanoseconds() {
        let c = Clock::new_virtual(10);
        assert_eq!(c.now(0), Time(0));
        assert_eq!(c.now(123), Time(1230));
    }

    #[test]
    fn a_deadline_is_the_first_count_at_which_the_event_is_due() {
        let c = Clock::new_virtual(10);
        assert_eq!(c.deadline(0, Time(1000), true), Deadline::Count(100));
        assert_eq!(c.deadline(0, Time(1001), true), Deadline::Count(101));
        assert_eq!(c.deadline(500, Time(1001), true), Deadline::Count(500));
        assert_eq!(c.deadline(0, Time::NEVER, true), Deadline::Never);
    }

    #[test]
    fn time_goes_on_with_the_count_of_the_cpu_that_runs() {
        let mut c = Clock::new_virtual(10);
        c.hand_over(100, 7);
        assert_eq!((c.now(7), c.now(8)), (Time(1000), Time(1010)));
        assert_eq!(c.deadline(7, Time(1100), true), Deadline::Count(17));
    }

    #[test]
    fn halting_jumps_to_the_event_and_counts_on_from_there() {
        let mut c = Clock::new_virtual(10);
        c.skip_to(100, Time(5_000));
        assert_eq!(c.now(100), Time(5_000));
        assert_eq!(c.now(101), Time(5_010));
        c.skip_to(101, Time(4_000));
        assert_eq!(c.now(101), Time(5_010), "time never goes back");
    }
}
