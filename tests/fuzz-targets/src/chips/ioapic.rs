//! The I/O APIC.

use hako_chips::ioapic::IoApic;

use super::transplant;
use crate::input::Input;

/// Plays a script. One access sends at most one message for each input.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut chip = IoApic::new();
    while !input.is_empty() {
        let accept = input.u8() & 3 != 0;
        let mut sent = 0;
        let deliver = &mut |_: &_| {
            sent += 1;
            accept
        };
        match input.u8() % 8 {
            0 => {
                let _ = chip.read(input.u16());
            }
            1..=3 => {
                chip.write(0, (input.u8() & 0x3f).into(), deliver);
                chip.write(0x10, input.u32(), deliver);
                let _ = chip.read(0x10);
            }
            4 => chip.write(input.u8().into(), input.u32(), deliver),
            5 => {
                let pin = input.u8();
                chip.set_pin(pin & 0x1f, pin & 0x80 != 0, deliver);
            }
            6 => chip.eoi(input.u8(), deliver),
            _ => transplant(&mut chip, IoApic::new(), IoApic::save, IoApic::restore),
        }
        assert!(sent <= 24, "one access sent {sent} messages");
    }
}
