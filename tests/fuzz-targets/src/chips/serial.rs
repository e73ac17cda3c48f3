//! The 16550A.

use hako_chips::serial::{OUTPUT, Serial};

use super::transplant;
use crate::clock::{Clock, lies_ahead};
use crate::input::Input;

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut chip = Serial::new();
    let mut clock = Clock::default();
    while !input.is_empty() {
        let now = clock.advance(&mut input);
        match input.u8() % 10 {
            0 | 1 => {
                let _ = chip.read(input.u8(), now);
            }
            2..=4 => chip.write(input.u8(), input.u8(), now),
            5 => {
                // LSR.OE may be on from what the guest sent to itself.
                let _ = chip.read(5, now);
                let room = chip.can_receive();
                chip.receive(input.u8(), now);
                let lost = chip.read(5, now) & 2 != 0;
                assert!(!(room && lost), "a byte was lost although there was room");
            }
            6 => {
                chip.receive_break(now);
                let _ = chip.read(5, now);
            }
            7 => {
                let now = clock.jump(chip.next_event());
                chip.tick(now);
                lies_ahead(chip.next_event(), now);
            }
            8 => assert!(chip.take_output().count() <= OUTPUT, "output is bounded"),
            _ => transplant(&mut chip, Serial::new(), Serial::save, Serial::restore),
        }
    }
}
