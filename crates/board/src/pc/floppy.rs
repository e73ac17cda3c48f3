//! The floppy controller and the DMA controllers that move its data.

use super::Pc;
use super::routing::Io;

/// The controller's interrupt.
const IRQ: u8 = 6;
/// Its DMA channel.
const CHANNEL: u8 = 2;
/// Drive A is there, with or without a medium.
pub(super) const DRIVES: [bool; 2] = [true, false];
/// The first port of the controller.
const FIRST: u16 = 0x3f0;

pub(super) fn read(pc: &mut Pc, io: Io) -> u8 {
    let value = pc.fdc.read(io.port.wrapping_sub(FIRST) as u8, &mut pc.disks.floppies());
    pc.settle_floppy();
    value
}

pub(super) fn write(pc: &mut Pc, io: Io, value: u8) {
    pc.fdc.write(io.port.wrapping_sub(FIRST) as u8, value, &mut pc.disks.floppies());
    pc.settle_floppy();
}

pub(super) fn read_dma1(pc: &mut Pc, io: Io) -> u8 {
    pc.dma.read(0, io.reg)
}

pub(super) fn write_dma1(pc: &mut Pc, io: Io, value: u8) {
    pc.dma.write(0, io.reg, value);
    pc.settle_floppy();
}

/// The second controller's registers are at every other port.
pub(super) fn read_dma2(pc: &mut Pc, io: Io) -> u8 {
    pc.dma.read(1, io.reg / 2)
}

pub(super) fn write_dma2(pc: &mut Pc, io: Io, value: u8) {
    pc.dma.write(1, io.reg / 2, value);
    pc.settle_floppy();
}

/// Of the page registers the first, port 0x80, pages nothing: POST codes go there.
pub(super) fn read_dma_page(pc: &mut Pc, io: Io) -> u8 {
    pc.dma.read_page(io.reg)
}

pub(super) fn write_dma_page(pc: &mut Pc, io: Io, value: u8) {
    pc.dma.write_page(io.reg, value);
}

impl Pc {
    /// Moves what can be moved, and gives the interrupt on.
    fn settle_floppy(&mut self) {
        if self.fdc.dma_request() {
            let mut line = self.dma.line(CHANNEL, &self.memory);
            self.fdc.dma(&mut line, &mut self.disks.floppies());
        }
        self.wires.set_isa(IRQ, self.fdc.irq());
    }
}
