//! The chips one by one: any register, width, value and time, in any order.

use core::fmt::Debug;

use hako_chips::{RestoreError, Saved};

pub mod acpi_pm;
pub mod fdc;
pub mod fw_cfg;
pub mod hpet;
pub mod i8042;
pub mod ide;
pub mod ioapic;
pub mod lapic;
pub mod pci;
pub mod pic;
pub mod pit;
pub mod rtc;
pub mod serial;
pub mod vga;

/// Goes on with `fresh` instead of `chip`, after giving it what `chip` holds: whatever a guest does, the state can be
/// saved, is accepted again, and is complete.
fn transplant<C, S: PartialEq + Debug>(
    chip: &mut C,
    mut fresh: C,
    save: impl Fn(&C) -> Saved<S>,
    restore: impl Fn(&mut C, &Saved<S>) -> Result<(), RestoreError>,
) {
    let saved = save(chip);
    if let Err(why) = restore(&mut fresh, &saved) {
        panic!("the chip does not take back what it saved: {why}: {saved:?}");
    }
    assert_eq!(save(&fresh), saved, "the chip saves something else after it was restored");
    *chip = fresh;
}
