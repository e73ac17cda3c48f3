//! Guest time in a script.

use core::time::Duration;

use hako_engine::Time;

use crate::input::Input;

/// A clock that the script moves: never backwards, by nanoseconds or by years.
#[derive(Default)]
pub struct Clock {
    /// The present.
    pub now: Time,
}

impl Clock {
    /// Lets some time pass, or none.
    pub fn advance(&mut self, input: &mut Input<'_>) -> Time {
        let scale = input.u8();
        let ns = match scale % 16 {
            0..=7 => 0,
            8 => u64::from(input.u8()),
            9 => u64::from(input.u16()),
            10 => u64::from(input.u32()),
            // Up to four months.
            11 => input.u64() >> 10,
            // Around the periods of timers.
            12 => 838_095 + u64::from(input.u8()),
            13 => 1_000_000_000,
            14 => 54_925_416,
            _ => 86_400_000_000_000 * u64::from(input.u8()),
        };
        self.now = self.now + Duration::from_nanos(ns);
        self.now
    }

    /// To a chip's next event, if it is not too far away.
    pub fn jump(&mut self, event: Time) -> Time {
        if event != Time::NEVER {
            self.now = self.now.max(event);
        }
        self.now
    }
}

/// A board that lets a chip act and then asks when it wants to act again must get on: after `tick(now)` the next event
/// lies ahead.
pub fn lies_ahead(event: Time, now: Time) {
    let ahead = event > now || event == Time::NEVER;
    assert!(ahead, "the next event, at {event:?}, has come at {now:?} and was not dealt with");
}
