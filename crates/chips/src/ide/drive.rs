//! What both kinds of drives have: the registers, the transfer buffer, reset and signature.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::geometry::Geometry;
use super::registers::{Command, Error, Register, Status};
use super::{Medium, atapi};
use crate::saved::{RestoreError, check};

/// Most bytes that a transfer buffer can hold: a byte-count limit of a CD-ROM and the rest of its last sector.
const MAX_BUFFER: usize = 0x1_0000 + atapi::SECTOR;

/// What is plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveKind {
    /// Nothing.
    Absent,
    /// A hard disk of so many sectors of 512 bytes.
    Disk {
        /// Its size.
        sectors: u64,
    },
    /// A CD-ROM drive.
    CdRom,
}

/// The bytes between the drive and the data port.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Data {
    /// The bytes; what lies past `end` belongs to the next block.
    pub buffer: Vec<u8>,
    /// How many have passed the port.
    pub pos: usize,
    /// Where this block ends.
    pub end: usize,
}

impl Data {
    /// Copies what is left of the block, as far as it fits.
    pub(super) fn take(&mut self, out: &mut [u8]) -> usize {
        let rest = self.buffer.get(self.pos..self.end).unwrap_or(&[]);
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.pos += n;
        n
    }

    /// Fills what is left of the block, as far as there is data.
    pub(super) fn put(&mut self, data: &[u8]) -> usize {
        let rest = self.buffer.get_mut(self.pos..self.end).unwrap_or(&mut []);
        let n = rest.len().min(data.len());
        rest[..n].copy_from_slice(&data[..n]);
        self.pos += n;
        n
    }
}

/// How the sectors of a command are counted in the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Addressing {
    /// Cylinder, head, sector.
    Chs,
    /// 28 bits.
    Lba28,
    /// 48 bits.
    Lba48,
}

/// What happens when the block in the buffer has passed the port.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Transfer {
    /// No transfer.
    #[default]
    None,
    /// The command ends: IDENTIFY.
    Last,
    /// Sectors to the host.
    Read(Sectors),
    /// Sectors from the host.
    Write(Sectors),
    /// The command packet comes.
    Packet,
    /// A packet command's answer.
    Answer(atapi::Answer),
}

/// The sectors that a transfer still has to move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sectors {
    /// The next sector that is not in the buffer (read) or not on the disk (write).
    pub lba: u64,
    /// How many.
    pub left: u32,
    /// Sectors in a block.
    pub block: u32,
    /// How the registers show the address.
    pub addressing: Addressing,
}

/// One of the five registers that exist twice for 48-bit addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Twice {
    /// The contents.
    pub now: u8,
    /// The contents before the last write.
    pub before: u8,
}

/// The registers and the transfer of a drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveState {
    /// Features, count, LBA low, mid, high.
    pub registers: [Twice; 5],
    /// The head in the device register, as the last command left it.
    pub head: u8,
    /// Status.
    pub status: u8,
    /// Error.
    pub error: u8,
    /// An interrupt is pending.
    pub interrupt: bool,
    /// Sectors of a block of READ/WRITE MULTIPLE; 0: off.
    pub multiple: u8,
    /// The translation of the moment.
    pub geometry: Geometry,
    /// The write cache is on; says no more than that, as every write goes through.
    pub write_cache: bool,
    /// What CHECK POWER MODE answers.
    pub power: u8,
    /// What the transfer does next.
    pub transfer: Transfer,
    /// The block at the data port.
    pub data: Data,
    /// What a CD-ROM drive has beside it.
    pub cd: atapi::CdState,
}

/// A drive.
#[derive(Clone, Debug)]
pub(super) struct Drive {
    pub(super) kind: DriveKind,
    pub(super) index: u8,
    pub(super) state: DriveState,
}

impl Drive {
    pub(super) fn new(kind: DriveKind, index: u8) -> Drive {
        let state = DriveState {
            registers: [Twice::default(); 5],
            head: 0,
            status: 0,
            error: 0,
            interrupt: false,
            multiple: 0,
            geometry: Geometry::of_size(Drive::size_of(kind)),
            write_cache: true,
            power: 0xff,
            transfer: Transfer::None,
            data: Data::default(),
            cd: atapi::CdState::default(),
        };
        let mut drive = Drive { kind, index, state };
        drive.diagnose();
        drive
    }

    pub(super) fn power_on(&mut self) {
        *self = Drive::new(self.kind, self.index);
    }

    fn size_of(kind: DriveKind) -> u64 {
        if let DriveKind::Disk { sectors } = kind { sectors } else { 0 }
    }

    /// Sectors of a hard disk.
    pub(super) fn sectors(&self) -> u64 {
        Drive::size_of(self.kind)
    }

    /// SRST is set: whatever was going on stops.
    pub(super) fn enter_reset(&mut self) {
        self.stop();
        self.state.interrupt = false;
        self.state.status = Status::BSY.bits();
    }

    /// The end of a reset or of EXECUTE DEVICE DIAGNOSTIC: passed, and the signature (9.12).
    pub(super) fn diagnose(&mut self) {
        self.stop();
        self.sign();
        self.state.error = 0x01;
        self.state.interrupt = false;
        self.state.power = 0xff;
        self.state.status = match self.kind {
            DriveKind::Disk { .. } => (Status::DRDY | Status::DSC).bits(),
            DriveKind::Absent | DriveKind::CdRom => 0,
        };
    }

    /// Leaves the signature that tells a disk from a packet device in the registers.
    pub(super) fn sign(&mut self) {
        let (mid, high) = if self.kind == DriveKind::CdRom { (0x14, 0xeb) } else { (0, 0) };
        self.state.registers =
            [self.state.registers[0].now, 1, 1, mid, high].map(|now| Twice { now, before: 0 });
        self.state.head = 0;
    }

    fn stop(&mut self) {
        self.state.transfer = Transfer::None;
        self.state.data = Data::default();
    }

    pub(super) fn is_transferring(&self) -> bool {
        self.state.status & (Status::BSY | Status::DRQ).bits() != 0
    }

    /// The register's value; `hob` shows what it was before the last write.
    pub(super) fn register(&self, register: Register, hob: bool) -> u8 {
        match register {
            Register::Error => self.state.error,
            Register::Count | Register::Low | Register::Mid | Register::High => {
                let r = self.state.registers[register as usize - 1];
                if hob { r.before } else { r.now }
            }
            _ => 0xff,
        }
    }

    pub(super) fn set_register(&mut self, register: Register, value: u8) {
        if let Some(r) = (register as usize).checked_sub(1).and_then(|i| self.state.registers.get_mut(i)) {
            *r = Twice { now: value, before: r.now };
        }
    }

    /// What the host wrote to a register.
    pub(super) fn asked(&self, register: Register) -> u8 {
        self.state.registers[(register as usize).wrapping_sub(1).min(4)].now
    }

    /// Shows a value in a register.
    pub(super) fn show(&mut self, register: Register, now: u8, before: u8) {
        self.state.registers[(register as usize).wrapping_sub(1).min(4)] = Twice { now, before };
    }

    pub(super) fn command(&mut self, command: Command, device: u8, medium: &mut Medium<'_>) {
        self.stop();
        self.state.error = 0;
        self.state.head = device & 0x0f;
        match self.kind {
            DriveKind::Absent => {}
            DriveKind::Disk { .. } => self.disk_command(command, device, medium),
            DriveKind::CdRom => self.cd_command(command, medium),
        }
    }

    /// The command is done.
    pub(super) fn finish(&mut self) {
        self.stop();
        self.state.status = (Status::DRDY | Status::DSC).bits();
        self.state.interrupt = true;
    }

    /// The command failed.
    pub(super) fn fail(&mut self, error: Error) {
        self.finish();
        self.state.error = error.bits();
        self.state.status |= Status::ERR.bits();
    }

    /// A block is at the data port.
    pub(super) fn offer(&mut self, transfer: Transfer, data: Data) {
        self.state.transfer = transfer;
        self.state.data = data;
        self.state.status = (Status::DRDY | Status::DSC | Status::DRQ).bits();
    }

    /// Whether the data port moves bytes in this direction.
    pub(super) fn wants(&self, from_host: bool) -> bool {
        let direction = matches!(self.state.transfer, Transfer::Write(_) | Transfer::Packet);
        self.state.status & Status::DRQ.bits() != 0 && direction == from_host
    }

    /// Goes on if the block has passed the port.
    pub(super) fn advance_if_empty(&mut self, medium: &mut Medium<'_>) {
        if self.state.data.pos < self.state.data.end {
            return;
        }
        match core::mem::take(&mut self.state.transfer) {
            Transfer::None | Transfer::Last => self.end_quietly(),
            Transfer::Read(rest) if rest.left == 0 => self.end_quietly(),
            Transfer::Read(rest) => self.read_block(rest, medium),
            Transfer::Write(rest) => self.write_block(rest, medium),
            Transfer::Packet => self.packet(medium),
            Transfer::Answer(rest) => self.answer_next(rest, medium),
        }
    }

    /// The end of a PIO read: the interrupt came with the last block (9.5).
    fn end_quietly(&mut self) {
        self.stop();
        self.state.status = (Status::DRDY | Status::DSC).bits();
    }

    /// Refuses a state that this drive cannot be in.
    pub(super) fn check(&self, s: &DriveState) -> Result<(), RestoreError> {
        let data = &s.data;
        check(data.buffer.len() <= MAX_BUFFER, "an IDE transfer buffer is too long")?;
        check(data.pos <= data.end && data.end <= data.buffer.len(), "an IDE transfer leaves its buffer")?;
        let drq = s.status & Status::DRQ.bits() != 0;
        check(drq == (s.transfer != Transfer::None), "DRQ does not match the IDE transfer")?;
        check(drq == (data.pos < data.end), "DRQ does not match the IDE transfer buffer")?;
        check(s.geometry.heads != 0 && s.geometry.sectors != 0, "an IDE geometry is empty")?;
        check(s.multiple <= super::identify::MAX_MULTIPLE, "an IDE block of several sectors is too long")?;
        let (disk, cd) = (matches!(self.kind, DriveKind::Disk { .. }), self.kind == DriveKind::CdRom);
        let fits = match &s.transfer {
            Transfer::None => true,
            Transfer::Last => disk || cd,
            Transfer::Read(t) => disk && t.block != 0 && t.block <= super::identify::MAX_MULTIPLE.into(),
            Transfer::Write(t) => {
                disk && data.end.is_multiple_of(crate::block::SECTOR)
                    && data.buffer.len() == data.end
                    && t.left as usize >= data.end / crate::block::SECTOR
                    && t.block != 0
                    && t.block <= super::identify::MAX_MULTIPLE.into()
            }
            Transfer::Packet => cd && data.end == atapi::PACKET,
            Transfer::Answer(a) => {
                let to_come = u64::from(a.sectors) * atapi::SECTOR as u64;
                cd && u64::from(a.left) == data.buffer.len() as u64 + to_come
            }
        };
        check(fits, "an IDE transfer does not fit its drive")
    }
}
