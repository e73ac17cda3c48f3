//! What the system board does itself: A20, resets, power, the debug consoles, the debug-exit port, and ports that only
//! remember.

use hako_chips::{Wish, debugexit};
use hako_engine::{Attention, Time};
use hako_x86::Width;

use super::Pc;
use super::events::Touched;
use super::routing::Io;

/// The interrupt of x87 exceptions.
const COPROCESSOR_IRQ: u8 = 13;
/// The port at which ACPI mode is switched on and off. On a PC an SMI handler does it; here it is the board.
pub(super) const SMI_COMMAND: u16 = 0xb2;
/// What switches it on.
pub(super) const ACPI_ENABLE: u8 = 0xf1;
/// What switches it off.
pub(super) const ACPI_DISABLE: u8 = 0xf0;

pub(super) fn read_port92(pc: &mut Pc, _io: Io) -> u8 {
    pc.port92.read()
}

pub(super) fn write_port92(pc: &mut Pc, _io: Io, value: u8) {
    pc.port92.write(value);
    // One gate, two hands on it: it stays as whoever touched it last has left it.
    pc.keyboard.set_a20(pc.port92.a20());
    pc.settle_a20();
    let wish = pc.port92.take_wish();
    pc.wish(wish);
}

pub(super) fn read_reset_control(pc: &mut Pc, _io: Io) -> u8 {
    pc.reset_control.read()
}

pub(super) fn write_reset_control(pc: &mut Pc, _io: Io, value: u8) {
    pc.reset_control.write(value);
    let wish = pc.reset_control.take_wish();
    pc.wish(wish);
}

/// Port 0xf0 cannot be read.
pub(super) fn read_coprocessor(_pc: &mut Pc, _io: Io) -> u8 {
    0xff
}

pub(super) fn write_coprocessor(pc: &mut Pc, _io: Io, _value: u8) {
    pc.coprocessor.write();
    pc.wires.set_isa(COPROCESSOR_IRQ, pc.coprocessor.irq());
}

pub(super) fn read_debugcon(pc: &mut Pc, _io: Io) -> u8 {
    pc.debugcon.read()
}

pub(super) fn write_debugcon(pc: &mut Pc, _io: Io, value: u8) {
    pc.debugcon.write(value);
    pc.output.debugcon.extend(pc.debugcon.take_output());
}

pub(super) fn read_apm(pc: &mut Pc, io: Io) -> u8 {
    pc.apm.get(usize::from(io.reg)).map_or(0xff, |l| l.read())
}

pub(super) fn write_apm(pc: &mut Pc, io: Io, value: u8) {
    if let Some(latch) = pc.apm.get_mut(usize::from(io.reg)) {
        latch.write(value);
    }
    match (io.port, value) {
        (SMI_COMMAND, ACPI_ENABLE) => pc.pm.set_acpi_mode(true),
        (SMI_COMMAND, ACPI_DISABLE) => pc.pm.set_acpi_mode(false),
        _ => return,
    }
    pc.settle_sci(io.now);
}

/// The trap port cannot be read.
pub(super) fn read_trap(_pc: &mut Pc, _io: Io) -> u8 {
    0xff
}

/// The trap port of the built-in firmware: whether the write came from a stub is found out where rip is known.
pub(super) fn write_trap(pc: &mut Pc, _io: Io, value: u8) {
    let wish = pc.trap.then_some(Wish::Firmware(value));
    pc.wish(wish);
}

pub(super) fn read_pm(pc: &mut Pc, io: Io) -> u8 {
    pc.pm.read(io.reg.into(), io.now)
}

pub(super) fn write_pm(pc: &mut Pc, io: Io, value: u8) {
    pc.pm.write(io.reg.into(), value, io.now);
    let wish = pc.pm.take_wish();
    pc.wish(wish);
    pc.settle_sci(io.now);
}

impl Pc {
    /// The wire of ACPI's interrupt.
    pub(super) fn settle_sci(&mut self, now: Time) {
        self.wires.set_isa(super::SCI, self.pm.irq(now));
        self.touched |= Touched::PM | Touched::LINES;
    }

    /// The power button is pressed: an operating system that uses ACPI is told.
    pub fn press_power_button(&mut self, now: Time) -> Attention {
        self.pm.press_power_button();
        self.settle_sci(now);
        self.attention(None)
    }

    /// FERR# of a CPU. With the interrupt controllers in the engine its CPUs have their own way.
    pub(crate) fn ferr(&mut self, cpu: u8, asserted: bool) -> Attention {
        if self.wires.in_engine() {
            return Attention::empty();
        }
        self.coprocessor.set_ferr(cpu, asserted);
        self.wires.set_isa(COPROCESSOR_IRQ, self.coprocessor.irq());
        self.touched |= Touched::LINES;
        self.attention(Some(cpu))
    }

    /// IGNNE#.
    pub(crate) fn ignne(&self) -> bool {
        self.wires.in_engine() || self.coprocessor.ignne()
    }

    /// The debug-exit port may lie anywhere and takes bytes, words and dwords; of a string only the first item gets
    /// through, because the CPU stops there.
    pub(super) fn debug_exit_hit(&mut self, port: u16, width: Width, data: &[u8]) -> bool {
        let hit = Some(port) == self.debug_exit;
        if hit {
            let item = data.get(..width.bytes()).unwrap_or(data);
            self.wish(Some(debugexit::write(item)));
        }
        hit
    }

    /// A wish, if there is one; an earlier one that nobody has taken yet stays, for it came first.
    pub(super) fn wish(&mut self, wish: Option<Wish>) {
        self.wish = self.wish.take().or(wish);
    }
}
