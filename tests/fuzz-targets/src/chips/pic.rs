//! The 8259A pair.

use hako_chips::pic::{Pics, REGISTERS};

use super::transplant;
use crate::input::Input;

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut chip = Pics::new();
    while !input.is_empty() {
        match input.u8() % 8 {
            0 | 1 => {
                let _ = chip.read(input.u8() % REGISTERS);
            }
            // Registers that are not there, too.
            2 => {
                let _ = chip.read(input.u8());
            }
            3 | 4 => chip.write(input.u8() % REGISTERS, input.u8()),
            5 => {
                let line = input.u8();
                chip.set_irq(line, line & 0x80 != 0);
            }
            6 => {
                let _ = chip.acknowledge();
            }
            _ => transplant(&mut chip, Pics::new(), Pics::save, Pics::restore),
        }
        // Acknowledging without a request gives a spurious vector and changes nothing that would ask again.
        if !chip.intr() {
            let mut same = chip.clone();
            let _ = same.acknowledge();
            assert!(!same.intr(), "an acknowledge without a request made one");
        }
    }
}
