//! The MC146818.

use hako_chips::rtc::Rtc;

use super::transplant;
use crate::clock::{Clock, lies_ahead};
use crate::input::Input;

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let epoch = if input.u8() & 1 == 0 { 946_684_800 } else { input.wild() as i64 };
    let mut chip = Rtc::new(epoch);
    let mut clock = Clock::default();
    while !input.is_empty() {
        let now = clock.advance(&mut input);
        match input.u8() % 9 {
            0 => {
                let _ = chip.read(input.u8() & 1, now);
            }
            1 => chip.write(input.u8() & 1, input.u8(), now),
            // The registers in front of the RAM.
            2 | 3 => {
                let _ = chip.read_register(input.u8() % 14, now);
            }
            4 | 5 => chip.write_register(input.u8() % 14, input.u8(), now),
            6 => chip.reset(now),
            7 => {
                let now = clock.jump(chip.next_event());
                chip.tick(now);
                lies_ahead(chip.next_event(), now);
            }
            _ => transplant(&mut chip, Rtc::new(0), Rtc::save, Rtc::restore),
        }
    }
}
