//! The CD-ROM drive: the PACKET protocol (ATA/ATAPI-6, 9.8) and the commands in the packets (MMC-2, SPC-2).

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::cd;
use super::drive::{Data, Drive, Transfer};
use super::registers::{Command, Error, REASON_COMMAND, REASON_TO_HOST, Register, Status};
use super::{DriveKind, Medium};
use crate::{BlockError, block};

/// Bytes of a sector of a CD.
pub const SECTOR: usize = 2048;
/// Bytes of a command packet.
pub const PACKET: usize = 12;
const BLOCKS: u32 = (SECTOR / block::SECTOR) as u32;

/// Sense key, additional sense code and its qualifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sense {
    /// What kind of failure.
    pub key: u8,
    /// Which one.
    pub code: u8,
    /// More exactly.
    pub qualifier: u8,
}

const fn sense(key: u8, code: u8, qualifier: u8) -> Sense {
    Sense { key, code, qualifier }
}

const NOT_READY_NO_MEDIUM: Sense = sense(0x02, 0x3a, 0x00);
const NOT_READY_TRAY_OPEN: Sense = sense(0x02, 0x3a, 0x02);
const MEDIUM_READ_ERROR: Sense = sense(0x03, 0x11, 0x00);
const INVALID_OPCODE: Sense = sense(0x05, 0x20, 0x00);
const OUT_OF_RANGE: Sense = sense(0x05, 0x21, 0x00);
const INVALID_FIELD: Sense = sense(0x05, 0x24, 0x00);
const SAVING_NOT_SUPPORTED: Sense = sense(0x05, 0x39, 0x00);
const REMOVAL_PREVENTED: Sense = sense(0x05, 0x53, 0x02);
const MEDIUM_CHANGED: Sense = sense(0x06, 0x28, 0x00);
const ILLEGAL_REQUEST: u8 = 0x05;

/// What the drive remembers beside the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CdState {
    /// Why the last command failed.
    pub sense: Sense,
    /// The medium was changed, and no command has reported it yet.
    pub changed: bool,
    /// The medium was changed, and no event has reported it yet.
    pub changed_event: bool,
    /// The tray is open.
    pub tray_open: bool,
    /// PREVENT MEDIUM REMOVAL is in force.
    pub locked: bool,
}

/// The rest of a packet command's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Bytes that the host has not got, with those in the buffer.
    pub left: u32,
    /// The next sector to bring into the buffer.
    pub lba: u32,
    /// How many of them.
    pub sectors: u32,
    /// Most bytes in one block at the data port.
    pub limit: u16,
}

/// What a packet command gives.
enum Outcome {
    /// Nothing but success.
    Done,
    /// Bytes, at most as many as the host allows.
    Bytes(Vec<u8>, usize),
    /// Sectors of the disc.
    Sectors(u32, u32),
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from(be16(bytes, at)) << 16 | u32::from(be16(bytes, at + 2))
}

impl Drive {
    pub(super) fn media_changed(&mut self) {
        if self.kind == DriveKind::CdRom {
            self.state.cd.changed = true;
            self.state.cd.changed_event = true;
            self.state.cd.tray_open = false;
        }
    }

    pub(super) fn cd_command(&mut self, command: Command, _medium: &mut Medium<'_>) {
        match command {
            // DMA was asked for, which IDENTIFY does not offer.
            Command::Packet if self.asked(Register::Error) & 1 != 0 => self.fail(Error::ABRT),
            Command::Packet => {
                self.offer(Transfer::Packet, Data { buffer: alloc::vec![0; PACKET], pos: 0, end: PACKET });
                self.show(Register::Count, REASON_COMMAND, 0);
            }
            Command::IdentifyPacket => {
                let buffer = self.identity();
                let end = buffer.len();
                self.offer(Transfer::Last, Data { buffer, pos: 0, end });
                self.state.interrupt = true;
            }
            Command::DeviceReset => self.diagnose(),
            // A packet device shows what it is to a host that takes it for a disk (8.15.3, 8.34.3).
            Command::Identify | Command::Read(_) => {
                self.fail(Error::ABRT);
                self.sign();
            }
            Command::SetFeatures => match (self.asked(Register::Error), self.asked(Register::Count)) {
                (0x03, 0x00 | 0x01 | 0x08..=0x0c) | (0xcc | 0x66, _) => self.finish(),
                _ => self.fail(Error::ABRT),
            },
            Command::Standby | Command::Idle | Command::FlushCache => self.finish(),
            Command::CheckPowerMode => {
                self.show(Register::Count, 0xff, 0);
                self.finish();
            }
            _ => self.fail(Error::ABRT),
        }
    }

    /// Sectors of the disc in the drive.
    fn disc(&self, medium: &Medium<'_>) -> Result<u32, Sense> {
        match medium {
            _ if self.state.cd.tray_open => Err(NOT_READY_TRAY_OPEN),
            None => Err(NOT_READY_NO_MEDIUM),
            Some(disc) => Ok(u32::try_from(disc.sectors().div_ceil(BLOCKS.into())).unwrap_or(u32::MAX)),
        }
    }

    /// The packet has come.
    pub(super) fn packet(&mut self, medium: &mut Medium<'_>) {
        let mut packet = [0; PACKET];
        let n = self.state.data.buffer.len().min(PACKET);
        packet[..n].copy_from_slice(&self.state.data.buffer[..n]);
        let limit = u16::from_le_bytes([self.asked(Register::Mid), self.asked(Register::High)]);
        let outcome = self.execute(&packet, medium);
        if packet[0] != cd::REQUEST_SENSE {
            self.state.cd.sense = outcome.as_ref().err().copied().unwrap_or_default();
        }
        match outcome {
            Err(sense) => self.check_condition(sense),
            Ok(Outcome::Bytes(mut bytes, most)) => {
                bytes.truncate(most);
                let left = bytes.len() as u32;
                self.state.data = Data { buffer: bytes, pos: 0, end: 0 };
                self.answer(Answer { left, lba: 0, sectors: 0, limit }, medium);
            }
            Ok(Outcome::Sectors(lba, sectors)) => {
                self.state.data = Data::default();
                let left = sectors.saturating_mul(SECTOR as u32);
                self.answer(Answer { left, lba, sectors, limit }, medium);
            }
            Ok(Outcome::Done) => self.complete(),
        }
    }

    /// The command ended well.
    fn complete(&mut self) {
        self.finish();
        self.show(Register::Count, REASON_COMMAND | REASON_TO_HOST, 0);
    }

    /// The command ended badly: the error register has the sense key.
    fn check_condition(&mut self, sense: Sense) {
        let abort = if sense.key == ILLEGAL_REQUEST { Error::ABRT.bits() } else { 0 };
        self.state.cd.sense = sense;
        self.complete();
        self.state.error = sense.key << 4 | abort;
        self.state.status = (Status::DRDY | Status::ERR).bits();
    }

    /// Brings the next block to the data port, no longer than the host's byte count limit, or ends the command.
    fn answer(&mut self, mut rest: Answer, medium: &mut Medium<'_>) {
        if rest.left == 0 {
            return self.complete();
        }
        // An odd limit is for the last block only (9.8); 0 and 0xFFFF mean as much as there can be.
        let most = match rest.limit {
            0 | 0xffff => 0xfffe,
            1 => 2,
            limit if u32::from(limit) < rest.left => limit & !1,
            limit => limit,
        };
        let n = rest.left.min(most.into());
        let mut buffer = core::mem::take(&mut self.state.data.buffer);
        while buffer.len() < n as usize && rest.sectors != 0 {
            let at = buffer.len();
            buffer.resize(at + SECTOR, 0);
            if let Err(sense) = self.read_sector(rest.lba, &mut buffer[at..], medium) {
                return self.check_condition(sense);
            }
            rest.lba = rest.lba.saturating_add(1);
            rest.sectors -= 1;
        }
        let end = buffer.len().min(n as usize);
        let [low, high, ..] = n.to_le_bytes();
        self.offer(Transfer::Answer(rest), Data { buffer, pos: 0, end });
        self.show(Register::Count, REASON_TO_HOST, 0);
        self.show(Register::Mid, low, 0);
        self.show(Register::High, high, 0);
        self.state.interrupt = true;
    }

    /// The host has read a block.
    pub(super) fn answer_next(&mut self, mut rest: Answer, medium: &mut Medium<'_>) {
        let data = &mut self.state.data;
        let end = data.end.min(data.buffer.len());
        data.buffer.drain(..end);
        rest.left = rest.left.saturating_sub(end as u32);
        (data.pos, data.end) = (0, 0);
        self.answer(rest, medium);
    }

    fn read_sector(&self, lba: u32, out: &mut [u8], medium: &mut Medium<'_>) -> Result<(), Sense> {
        self.disc(medium)?;
        let disc = medium.as_mut().ok_or(NOT_READY_NO_MEDIUM)?;
        let first = u64::from(lba) * u64::from(BLOCKS);
        let have = disc.sectors().saturating_sub(first).min(BLOCKS.into()) as usize;
        disc.read(first, &mut out[..have * block::SECTOR]).map_err(|error| match error {
            BlockError::Range { .. } => OUT_OF_RANGE,
            BlockError::ReadOnly | BlockError::Host(_) => MEDIUM_READ_ERROR,
        })
    }

    fn execute(&mut self, p: &[u8; PACKET], medium: &mut Medium<'_>) -> Result<Outcome, Sense> {
        // A changed medium is reported once, by the first command that is not one of these (SPC-2, 5.5).
        let asks = matches!(p[0], cd::INQUIRY | cd::REQUEST_SENSE | cd::GET_CONFIGURATION | cd::GET_EVENT);
        if !asks && medium.is_some() && core::mem::take(&mut self.state.cd.changed) {
            return Err(MEDIUM_CHANGED);
        }
        let disc = self.disc(medium);
        Ok(match p[0] {
            cd::TEST_UNIT_READY => disc.map(|_| Outcome::Done)?,
            cd::REQUEST_SENSE => {
                let sense = core::mem::take(&mut self.state.cd.sense);
                Outcome::Bytes(cd::sense_data(sense), p[4].into())
            }
            cd::INQUIRY if p[1] & 1 != 0 || p[2] != 0 => return Err(INVALID_FIELD),
            cd::INQUIRY => Outcome::Bytes(cd::inquiry(), p[4].into()),
            cd::READ_CAPACITY => Outcome::Bytes(cd::capacity(disc?), 8),
            cd::READ_10 | cd::READ_12 => {
                let count = if p[0] == cd::READ_10 { be16(p, 7).into() } else { be32(p, 6) };
                let (lba, end) = (be32(p, 2), disc?);
                if lba.checked_add(count).is_none_or(|last| last > end) {
                    return Err(OUT_OF_RANGE);
                }
                // More than 4 GiB in one command would not fit the count of what is left.
                if count > u32::MAX / SECTOR as u32 {
                    return Err(INVALID_FIELD);
                }
                Outcome::Sectors(lba, count)
            }
            cd::SEEK if be32(p, 2) >= disc? => return Err(OUT_OF_RANGE),
            cd::SEEK => Outcome::Done,
            cd::READ_TOC => {
                let format = if p[9] >> 6 != 0 { p[9] >> 6 } else { p[2] & 0x0f };
                let toc = cd::toc(format, p[1] & 2 != 0, p[6], disc?).ok_or(INVALID_FIELD)?;
                Outcome::Bytes(toc, be16(p, 7).into())
            }
            cd::MODE_SENSE_10 if p[2] >> 6 == 3 => return Err(SAVING_NOT_SUPPORTED),
            cd::MODE_SENSE_10 => {
                let changeable = p[2] >> 6 == 1;
                let pages = cd::mode_pages(p[2] & 0x3f, changeable, self.state.cd.locked, disc.is_ok());
                Outcome::Bytes(pages.ok_or(INVALID_FIELD)?, be16(p, 7).into())
            }
            cd::START_STOP => self.start_stop(p[4]).map(|()| Outcome::Done)?,
            cd::PREVENT_REMOVAL => {
                self.state.cd.locked = p[4] & 1 != 0;
                Outcome::Done
            }
            cd::GET_CONFIGURATION => {
                let features = cd::configuration(p[1] & 3, be16(p, 2), disc.ok()).ok_or(INVALID_FIELD)?;
                Outcome::Bytes(features, be16(p, 7).into())
            }
            // Without the polled bit the drive would answer when something happens.
            cd::GET_EVENT if p[1] & 1 == 0 => return Err(INVALID_FIELD),
            cd::GET_EVENT => {
                let wanted = p[4] & cd::EVENT_CLASS_MEDIA != 0;
                let new = wanted && core::mem::take(&mut self.state.cd.changed_event);
                let event = cd::event(wanted, new, self.state.cd.tray_open, disc.is_ok());
                Outcome::Bytes(event, be16(p, 7).into())
            }
            _ => return Err(INVALID_OPCODE),
        })
    }

    /// LoEj moves the tray; a locked drive does not open. Start alone spins, which takes no time.
    fn start_stop(&mut self, bits: u8) -> Result<(), Sense> {
        let (start, load_eject) = (bits & 1 != 0, bits & 2 != 0);
        let cd = &mut self.state.cd;
        if load_eject {
            if !start && cd.locked {
                return Err(REMOVAL_PREVENTED);
            }
            if start && cd.tray_open {
                (cd.changed, cd.changed_event) = (true, true);
            }
            cd.tray_open = !start;
        }
        Ok(())
    }
}
