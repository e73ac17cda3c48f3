//! The 8042: keyboard, A20 and reset.

use hako_chips::i8042::keys::KeyEvent;
use hako_engine::{Attention, Time};

use super::Pc;
use super::events::Touched;
use super::routing::Io;

/// The keyboard's interrupt.
pub(super) const IRQ: u8 = 1;
/// The mouse's interrupt.
const MOUSE_IRQ: u8 = 12;

/// Ports 0x60 and 0x64 are the chip's registers 0 and 1.
fn register(io: Io) -> u8 {
    u8::from(io.port == 0x64)
}

pub(super) fn read(pc: &mut Pc, io: Io) -> u8 {
    let value = pc.keyboard.read(register(io), io.now);
    pc.settle_keyboard();
    value
}

pub(super) fn write(pc: &mut Pc, io: Io, value: u8) {
    pc.keyboard.write(register(io), value, io.now);
    let wish = pc.keyboard.take_wish();
    pc.wish(wish);
    pc.settle_a20();
    pc.settle_keyboard();
}

impl Pc {
    pub(super) fn settle_keyboard(&mut self) {
        self.wires.set_isa(IRQ, self.keyboard.irq1());
        self.wires.set_isa(MOUSE_IRQ, self.keyboard.irq12());
    }

    /// Types keys, one after another, each when the guest has read the one before.
    pub fn type_keys(&mut self, keys: impl IntoIterator<Item = KeyEvent>, now: Time) -> Attention {
        self.keyboard.type_keys(keys, now);
        self.settle_keyboard();
        self.touched |= Touched::KEYBOARD | Touched::LINES;
        self.attention(None)
    }

    /// Whether everything that was typed has been read.
    pub fn typing_done(&self) -> bool {
        self.keyboard.typing_done()
    }
}
