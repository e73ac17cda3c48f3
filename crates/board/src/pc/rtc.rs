//! The real-time clock, and what the board writes into its RAM for firmware.

use hako_chips::Block;
use hako_chips::ide::Geometry as Chs;
use hako_chips::rtc::Rtc;
use hako_chips::rtc::cmos::{BootDevice, FloppyType, Geometry};
use hako_firmware::Drive;

use super::routing::Io;
use super::{Disks, Layout, Pc};

/// The clock's interrupt.
pub(super) const IRQ: u8 = 8;
/// The most cylinders that INT 13h can name without a translation.
const BIOS_CYLINDERS: u16 = 1024;

/// A clock that shows `epoch` at power-on, with the machine's description in its RAM.
pub(super) fn new(epoch: u64, cpus: u8, layout: &Layout, disks: &Disks, boot: &[Drive]) -> Rtc {
    let mut rtc = Rtc::new(i64::try_from(epoch).unwrap_or(i64::MAX));
    rtc.set_memory(layout.low_ram(), layout.high_ram());
    rtc.set_floppies(floppy_type(disks.floppy.as_deref()), FloppyType::None);
    for (n, disk) in (0..2).zip(&disks.hard) {
        let chs = Chs::of_size(disk.sectors());
        let geometry = Geometry { cylinders: chs.cylinders, heads: chs.heads, sectors: chs.sectors };
        // 0: none, 1: LBA-assisted, which reaches more of a large disk.
        rtc.set_hard_disk(n, geometry, u8::from(chs.cylinders > BIOS_CYLINDERS));
    }
    let device = |n: usize| match boot.get(n) {
        None => BootDevice::None,
        Some(Drive::Floppy(_)) => BootDevice::Floppy,
        Some(Drive::HardDisk(_)) => BootDevice::Disk,
        Some(Drive::Cdrom(_)) => BootDevice::Cdrom,
    };
    rtc.set_boot_order([device(0), device(1), device(2)], true);
    rtc.set_cpus(cpus.into());
    rtc
}

/// The drive that a medium of this size belongs into. A PC without a floppy in it still has the drive.
fn floppy_type(medium: Option<&dyn Block>) -> FloppyType {
    match medium.map(|m| m.sectors() / 2) {
        Some(0..=360) => FloppyType::F360K,
        Some(361..=720) => FloppyType::F720K,
        Some(1200) => FloppyType::F1200K,
        Some(2880..) => FloppyType::F2880K,
        _ => FloppyType::F1440K,
    }
}

pub(super) fn read(pc: &mut Pc, io: Io) -> u8 {
    let value = pc.rtc.read(io.reg, io.now);
    pc.wires.set_isa(IRQ, pc.rtc.irq());
    value
}

pub(super) fn write(pc: &mut Pc, io: Io, value: u8) {
    pc.rtc.write(io.reg, value, io.now);
    pc.wires.set_isa(IRQ, pc.rtc.irq());
}
