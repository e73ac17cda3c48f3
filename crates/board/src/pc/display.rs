//! The display: VGA registers at the ports, and what the screen shows.

use hako_chips::vga::{Image, TextScreen, Vga};

use super::Pc;
use super::routing::Io;

/// The chip's register 0.
const FIRST: u16 = 0x3b0;

/// A port as the chip numbers its registers.
fn register(io: Io) -> u8 {
    io.port.wrapping_sub(FIRST) as u8
}

pub(super) fn read(pc: &mut Pc, io: Io) -> u8 {
    pc.vga.read(register(io), io.now)
}

pub(super) fn write(pc: &mut Pc, io: Io, value: u8) {
    pc.vga.write(register(io), value);
}

impl Pc {
    /// The display adapter.
    pub fn vga(&self) -> &Vga {
        &self.vga
    }

    /// The text on the screen.
    pub fn text_screen(&self) -> TextScreen {
        self.vga.text_screen(&self.memory)
    }

    /// The picture on the screen.
    pub fn picture(&self) -> Image {
        self.vga.render(&self.memory)
    }
}
