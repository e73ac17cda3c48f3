//! Guest time.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in guest time: nanoseconds since the machine's power-on. All clocks of the guest derive from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// Power-on.
    pub const ZERO: Time = Time(0);
    /// Later than everything.
    pub const NEVER: Time = Time(u64::MAX);

    /// How many periods of `hz` have passed since power-on, rounded down.
    pub fn ticks(self, hz: u64) -> u64 {
        (u128::from(self.0) * u128::from(hz) / 1_000_000_000) as u64
    }

    /// The first time at which [`Time::ticks`] of `hz` reaches `ticks`.
    pub fn at_tick(ticks: u64, hz: u64) -> Time {
        if hz == 0 {
            return Time::NEVER;
        }
        let ns = (u128::from(ticks) * 1_000_000_000).div_ceil(u128::from(hz));
        Time(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    /// The time from `earlier` to this one; zero if it is not earlier.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_begins_when_its_count_is_reached() {
        for hz in [1, 18, 1_193_182, 32_768, 1_000_000_000, 3_579_545] {
            for n in [0, 1, 2, 17, 65_535, 1 << 33] {
                let t = Time::at_tick(n, hz);
                assert_eq!(t.ticks(hz), n);
                assert!(n == 0 || Time(t.0 - 1).ticks(hz) == n - 1);
            }
        }
    }
}
