//! The VGA registers, and what they show of any video memory.

use hako_chips::vga::Vga;
use hako_mem::{Gpa, GuestMemory};

use super::transplant;
use crate::clock::Clock;
use crate::input::Input;

/// Larger than any picture that the registers can describe needs to be: a host's patience, in pixels.
const PIXELS: usize = 4096 * 4096;

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut chip = Vga::new();
    let mut clock = Clock::default();
    // Sometimes video memory is not there at all.
    let memory = GuestMemory::flat(if input.u8().is_multiple_of(8) { 0x1000 } else { 0x10_0000 });
    let _ = memory.write(Gpa(0xb_8000), input.take(64));
    let mut pictures = 0;
    while !input.is_empty() {
        let now = clock.advance(&mut input);
        match input.u8() % 16 {
            0..=2 => {
                let _ = chip.read(input.u8() & 0x3f, now);
            }
            3..=6 => chip.write(input.u8() & 0x3f, input.u8()),
            // An indexed register: CRTC, sequencer, graphics controller.
            7..=10 => {
                let port = input.pick(&[0x24, 0x14, 0x1e, 0x10]);
                chip.write(port, input.u8());
                chip.write(port + u8::from(port != 0x10), input.u8());
            }
            11 => {
                let screen = chip.text_screen(&memory);
                assert!(screen.lines().count() <= 1024);
            }
            12 if pictures == 0 => {
                pictures += 1;
                let image = chip.render(&memory);
                assert!(image.width * image.height <= PIXELS);
            }
            13 => chip.reset(),
            14 => {
                let bytes = input.take(16);
                let _ = memory.write(Gpa(0xa_0000 + u64::from(input.u16())), bytes);
            }
            _ => transplant(&mut chip, Vga::new(), Vga::save, Vga::restore),
        }
    }
}
