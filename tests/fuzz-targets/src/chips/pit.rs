//! The 8254.

use hako_chips::pit::Pit;

use super::transplant;
use crate::clock::{Clock, lies_ahead};
use crate::input::Input;

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut chip = Pit::new();
    let mut clock = Clock::default();
    while !input.is_empty() {
        let now = clock.advance(&mut input);
        match input.u8() % 10 {
            0 | 1 => {
                let _ = chip.read(input.u8(), now);
            }
            2..=4 => chip.write(input.u8() % 4, input.u8(), now),
            5 => {
                let _ = chip.read_port61(now);
            }
            6 => chip.write_port61(input.u8(), now),
            7 => {
                let _ = chip.output(input.u8() % 3, now);
            }
            8 => {
                let now = clock.jump(chip.next_event());
                let _ = chip.tick(now);
                lies_ahead(chip.next_event(), now);
            }
            _ => transplant(&mut chip, Pit::new(), Pit::save, Pit::restore),
        }
    }
}
