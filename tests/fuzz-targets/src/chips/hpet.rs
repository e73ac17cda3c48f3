//! The high-precision event timers.

use hako_chips::hpet::{COMPARATORS, Hpet};

use super::transplant;
use crate::clock::{Clock, lies_ahead};
use crate::input::Input;

const OFFSETS: [u16; 10] = [0x000, 0x010, 0x020, 0x0f0, 0x100, 0x108, 0x120, 0x128, 0x140, 0x148];

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut chip = Hpet::new();
    let mut clock = Clock::default();
    while !input.is_empty() {
        let now = clock.advance(&mut input);
        match input.u8() % 8 {
            0 => {
                let _ = chip.read(input.u16(), now);
            }
            1..=4 => {
                let mask = input.pick(&[u64::MAX, 0xffff_ffff, 0xffff_ffff << 32, 0xff]);
                chip.write(input.pick(&OFFSETS), input.wild(), mask, now);
            }
            5 => {
                for n in 0..=COMPARATORS {
                    let _ = chip.take_output(n);
                    assert!(chip.take_output(n).is_none_or(|o| !o.edge), "an edge was told twice");
                }
            }
            6 => {
                let now = clock.jump(chip.next_event());
                chip.tick(now);
                lies_ahead(chip.next_event(), now);
            }
            _ => transplant(&mut chip, Hpet::new(), Hpet::save, Hpet::restore),
        }
    }
}
