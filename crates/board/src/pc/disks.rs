//! The disks of a PC: who is plugged in where, and the two ATA channels.

use alloc::boxed::Box;

use hako_chips::Block;
use hako_chips::fdc;
use hako_chips::ide::{Channel, DriveKind, Media};
use hako_firmware::Drive;

use super::Pc;
use super::routing::Io;

/// The most hard disks that two channels take beside a CD-ROM drive.
pub const MAX_HARD_DISKS: usize = 3;

/// The disks of a PC.
#[derive(Default)]
pub struct Disks {
    /// Hard disks in the order of their BIOS numbers: primary master and slave, secondary slave. Further ones are not
    /// connected.
    pub hard: alloc::vec::Vec<Box<dyn Block>>,
    /// The medium in the first floppy drive.
    pub floppy: Option<Box<dyn Block>>,
    /// The medium in the CD-ROM drive, the secondary master.
    pub cdrom: Option<Box<dyn Block>>,
}

impl Disks {
    /// Whose register file is at a place: channel, device.
    fn kind(&self, channel: usize, device: usize) -> DriveKind {
        let disk = |n: usize| {
            self.hard.get(n).map_or(DriveKind::Absent, |d| DriveKind::Disk { sectors: d.sectors() })
        };
        match (channel, device) {
            (0, n @ 0..=1) => disk(n),
            (1, 0) if self.cdrom.is_some() => DriveKind::CdRom,
            (1, 1) => disk(2),
            _ => DriveKind::Absent,
        }
    }

    /// Both channels with their drives, after power-on.
    pub(super) fn channels(&self) -> [Channel; 2] {
        [0, 1].map(|c| Channel::new([self.kind(c, 0), self.kind(c, 1)]))
    }

    /// The media that a channel works on.
    fn media(&mut self, channel: usize) -> Media<'_> {
        fn lend(disk: &mut Box<dyn Block>) -> &mut dyn Block {
            &mut **disk
        }
        if channel == 0 {
            let mut hard = self.hard.iter_mut();
            [hard.next().map(lend), hard.next().map(lend)]
        } else {
            [self.cdrom.as_mut().map(lend), self.hard.get_mut(2).map(lend)]
        }
    }

    /// The media in the floppy drives.
    pub(super) fn floppies(&mut self) -> fdc::Media<'_> {
        [self.floppy.as_mut().map(|d| &mut **d as &mut dyn Block), None]
    }

    /// The disk in a drive as the BIOS numbers them.
    pub fn get(&mut self, drive: Drive) -> Option<&mut dyn Block> {
        let disk = match drive {
            Drive::HardDisk(n) => self.hard.get_mut(usize::from(n))?,
            Drive::Floppy(0) => self.floppy.as_mut()?,
            Drive::Cdrom(0) => self.cdrom.as_mut()?,
            Drive::Floppy(_) | Drive::Cdrom(_) => return None,
        };
        Some(&mut **disk)
    }
}

/// Ports of the primary channel; the secondary's lie 0x80 below.
const PRIMARY: u16 = 0x1f0;
/// The interrupts of the channels.
const IRQ: [u8; 2] = [14, 15];

/// The channel that a port belongs to.
fn channel(io: Io) -> usize {
    usize::from(io.port < PRIMARY)
}

impl Pc {
    fn settle_ide(&mut self, c: usize) {
        if let (Some(channel), Some(irq)) = (self.ide.get(c), IRQ.get(c)) {
            let level = channel.irq();
            self.wires.set_isa(*irq, level);
        }
    }
}

/// The data register: 16 bits, but any width and number.
pub(super) fn read_data(pc: &mut Pc, io: Io, data: &mut [u8]) {
    let c = channel(io);
    pc.ide[c].read_data(io.width.bytes(), data, &mut pc.disks.media(c));
    pc.settle_ide(c);
}

pub(super) fn write_data(pc: &mut Pc, io: Io, data: &[u8]) {
    let c = channel(io);
    pc.ide[c].write_data(io.width.bytes(), data, &mut pc.disks.media(c));
    pc.settle_ide(c);
}

/// Registers 1 to 7 of the command block.
pub(super) fn read_command_block(pc: &mut Pc, io: Io) -> u8 {
    let c = channel(io);
    let value = pc.ide[c].read(io.reg + 1, &mut pc.disks.media(c));
    pc.settle_ide(c);
    value
}

pub(super) fn write_command_block(pc: &mut Pc, io: Io, value: u8) {
    let c = channel(io);
    pc.ide[c].write(io.reg + 1, value, &mut pc.disks.media(c));
    pc.settle_ide(c);
}

/// Alternate Status and Device Control.
pub(super) fn read_control(pc: &mut Pc, io: Io) -> u8 {
    pc.ide[usize::from(io.port < 0x3f6)].alternate_status()
}

pub(super) fn write_control(pc: &mut Pc, io: Io, value: u8) {
    let c = usize::from(io.port < 0x3f6);
    pc.ide[c].write_control(value);
    pc.settle_ide(c);
}
