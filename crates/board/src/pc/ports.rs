//! The port table of a PC, and the few lines between each range and its chip.

use super::events::Touched;
use super::routing::{Index, Io, Range, index};
use super::system as sys;
use super::{Pc, coms, disks, display, floppy, keyboard, pci, rtc};

/// Every port that answers. Sorted; no two overlap.
pub(super) static TABLE: &[Range] = &[
    Range::bytes(0x00, 0x0f, floppy::read_dma1, floppy::write_dma1).moving(Touched::empty()),
    Range::bytes(0x20, 0x21, read_pic1, write_pic1).moving(Touched::empty()).volatile(),
    Range::bytes(0x40, 0x43, read_pit, write_pit).moving(Touched::PIT).volatile(),
    Range::bytes(0x60, 0x60, keyboard::read, keyboard::write).moving(Touched::KEYBOARD),
    Range::bytes(0x61, 0x61, read_port61, write_port61).moving(Touched::PIT).volatile(),
    Range::bytes(0x64, 0x64, keyboard::read, keyboard::write).moving(Touched::KEYBOARD),
    Range::bytes(0x70, 0x71, rtc::read, rtc::write).moving(Touched::RTC).volatile(),
    Range::bytes(0x80, 0x8f, floppy::read_dma_page, floppy::write_dma_page).still(),
    Range::bytes(0x92, 0x92, sys::read_port92, sys::write_port92).moving(Touched::empty()),
    Range::bytes(0xa0, 0xa1, read_pic2, write_pic2).moving(Touched::empty()).volatile(),
    Range::bytes(0xb2, 0xb3, sys::read_apm, sys::write_apm).still(),
    Range::bytes(0xb8, 0xb8, sys::read_trap, sys::write_trap).still(),
    Range::bytes(0xc0, 0xdf, floppy::read_dma2, floppy::write_dma2).moving(Touched::empty()),
    Range::bytes(0xe9, 0xe9, sys::read_debugcon, sys::write_debugcon).still(),
    Range::bytes(0xf0, 0xf0, sys::read_coprocessor, sys::write_coprocessor).moving(Touched::empty()),
    Range::items(0x170, 0x170, disks::read_data, disks::write_data).moving(Touched::empty()).volatile(),
    Range::bytes(0x171, 0x177, disks::read_command_block, disks::write_command_block)
        .moving(Touched::empty()),
    Range::items(0x1f0, 0x1f0, disks::read_data, disks::write_data).moving(Touched::empty()).volatile(),
    Range::bytes(0x1f1, 0x1f7, disks::read_command_block, disks::write_command_block)
        .moving(Touched::empty()),
    Range::bytes(0x2e8, 0x2ef, coms::read, coms::write).moving(Touched::COM24),
    Range::bytes(0x2f8, 0x2ff, coms::read, coms::write).moving(Touched::COM24),
    Range::bytes(0x376, 0x376, disks::read_control, disks::write_control).moving(Touched::empty()),
    // The status registers show the retrace.
    Range::bytes(0x3b0, 0x3b9, display::read, display::write).still(),
    Range::bytes(0x3ba, 0x3ba, display::read, display::write).still().volatile(),
    Range::bytes(0x3bb, 0x3d9, display::read, display::write).still(),
    Range::bytes(0x3da, 0x3da, display::read, display::write).still().volatile(),
    Range::bytes(0x3db, 0x3df, display::read, display::write).still(),
    Range::bytes(0x3e8, 0x3ef, coms::read, coms::write).moving(Touched::COM13),
    Range::bytes(0x3f0, 0x3f5, floppy::read, floppy::write).moving(Touched::empty()).volatile(),
    Range::bytes(0x3f6, 0x3f6, disks::read_control, disks::write_control).moving(Touched::empty()),
    Range::bytes(0x3f7, 0x3f7, floppy::read, floppy::write).moving(Touched::empty()),
    Range::bytes(0x3f8, 0x3ff, coms::read, coms::write).moving(Touched::COM13),
    Range::bytes(0x402, 0x402, sys::read_debugcon, sys::write_debugcon).still(),
    Range::bytes(0x4d0, 0x4d1, read_elcr, write_elcr).moving(Touched::empty()),
    Range::items(0x510, 0x511, read_fw_cfg, write_fw_cfg).still().volatile(),
    Range::bytes(0x600, 0x60f, sys::read_pm, sys::write_pm).moving(Touched::PM).volatile(),
    Range::items(0xcf8, 0xcf8, pci::read, pci::write),
    Range::bytes(0xcf9, 0xcf9, sys::read_reset_control, sys::write_reset_control).still(),
    Range::items(0xcfc, 0xcff, pci::read, pci::write),
];

/// Where each port is in [`TABLE`].
pub(super) static INDEX: Index = index(TABLE);

fn read_pic(pc: &mut Pc, reg: u8) -> u8 {
    let Some(own) = pc.wires.own_mut() else { return 0xff };
    let value = own.pics.read(reg);
    own.settle();
    value
}

fn write_pic(pc: &mut Pc, reg: u8, value: u8) {
    if let Some(own) = pc.wires.own_mut() {
        own.pics.write(reg, value);
        own.settle();
    }
}

fn read_pic1(pc: &mut Pc, io: Io) -> u8 {
    read_pic(pc, io.reg)
}

fn write_pic1(pc: &mut Pc, io: Io, value: u8) {
    write_pic(pc, io.reg, value);
}

fn read_pic2(pc: &mut Pc, io: Io) -> u8 {
    read_pic(pc, 2 + io.reg)
}

fn write_pic2(pc: &mut Pc, io: Io, value: u8) {
    write_pic(pc, 2 + io.reg, value);
}

fn read_elcr(pc: &mut Pc, io: Io) -> u8 {
    read_pic(pc, 4 + io.reg)
}

fn write_elcr(pc: &mut Pc, io: Io, value: u8) {
    write_pic(pc, 4 + io.reg, value);
}

fn read_pit(pc: &mut Pc, io: Io) -> u8 {
    pc.tick_pit(io.now);
    pc.pit.as_mut().map_or(0xff, |p| p.read(io.reg, io.now))
}

fn write_pit(pc: &mut Pc, io: Io, value: u8) {
    if let Some(pit) = &mut pc.pit {
        pit.write(io.reg, value, io.now);
    }
    pc.tick_pit(io.now);
}

fn read_port61(pc: &mut Pc, io: Io) -> u8 {
    pc.tick_pit(io.now);
    pc.pit.as_mut().map_or(0xff, |p| p.read_port61(io.now))
}

fn write_port61(pc: &mut Pc, io: Io, value: u8) {
    if let Some(pit) = &mut pc.pit {
        pit.write_port61(value, io.now);
    }
    pc.tick_pit(io.now);
}

fn read_fw_cfg(pc: &mut Pc, io: Io, data: &mut [u8]) {
    // The selector cannot be read; a byte of it and the data port side by side are two registers.
    match io.reg {
        1 => pc.fw_cfg.read_data(data),
        _ => data.fill(0xff),
    }
}

fn write_fw_cfg(pc: &mut Pc, io: Io, data: &[u8]) {
    if let (0, Some(&[low, high])) = (io.reg, data.last_chunk()) {
        pc.fw_cfg.select(u16::from_le_bytes([low, high]));
    }
}

impl Pc {
    /// The PIT's wire: an edge for each rise of its output.
    pub(super) fn tick_pit(&mut self, now: hako_engine::Time) {
        let Some(pit) = &mut self.pit else { return };
        let irq0 = pit.tick(now);
        if irq0.edges != 0 {
            self.wires.pulse_isa(0, irq0.level);
        }
        self.wires.set_isa(0, irq0.level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_free_of_overlap() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].first <= pair[0].last && pair[0].last < pair[1].first);
        }
    }
}
