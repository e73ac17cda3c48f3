//! The ACPI power-management block.

use hako_chips::acpi_pm::AcpiPm;

use super::transplant;
use crate::clock::{Clock, lies_ahead};
use crate::input::Input;

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let wide = input.u8() & 1 != 0;
    let mut chip = AcpiPm::new(wide);
    let mut clock = Clock::default();
    while !input.is_empty() {
        let now = clock.advance(&mut input);
        match input.u8() % 10 {
            0 | 1 => {
                let _ = chip.read(input.u16(), now);
            }
            2 | 3 => {
                let _ = chip.read(u16::from(input.u8() & 15), now);
            }
            4 => chip.write(u16::from(input.u8() & 15), input.u8(), now),
            5 => chip.set_acpi_mode(input.u8() & 1 != 0),
            6 => chip.press_power_button(),
            7 => {
                let _ = (chip.irq(now), chip.take_wish());
            }
            8 => {
                // An enabled timer interrupt is either there or lies ahead.
                let now = clock.jump(chip.next_event());
                chip.tick(now);
                lies_ahead(chip.next_event(), now);
            }
            _ => transplant(&mut chip, AcpiPm::new(wide), AcpiPm::save, AcpiPm::restore),
        }
    }
}
