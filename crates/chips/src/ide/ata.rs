//! The commands of a hard disk.

use super::Medium;
use super::drive::{Addressing, Data, Drive, Sectors, Transfer};
use super::geometry::Geometry;
use super::identify::MAX_MULTIPLE;
use super::registers::{Access, Command, Error, Register, Status, WRITE_PROTECT};
use crate::BlockError;
use crate::block::SECTOR;

/// The device register's bit for LBA instead of CHS.
const DEVICE_LBA: u8 = 1 << 6;

impl Drive {
    pub(super) fn disk_command(&mut self, command: Command, device: u8, medium: &mut Medium<'_>) {
        match command {
            Command::Read(access) => match self.sectors_asked(access, device) {
                Ok(sectors) => self.read_block(sectors, medium),
                Err(error) => self.fail(error),
            },
            Command::Write(access) => self.start_write(access, device, medium),
            Command::Verify(access) => self.verify(access, device, medium),
            Command::Seek => match self.sectors_asked(Access { ext: false, multiple: false }, device) {
                Ok(s) if s.lba < self.sectors() => self.finish(),
                _ => self.fail(Error::IDNF),
            },
            Command::Recalibrate => self.finish(),
            Command::InitializeParameters => self.initialize_parameters(device),
            Command::SetMultiple => self.set_multiple(),
            Command::SetFeatures => self.set_features(),
            Command::ReadNativeMax(access) => self.read_native_max(access, device),
            Command::Identify => {
                let buffer = self.identity();
                let end = buffer.len();
                self.offer(Transfer::Last, Data { buffer, pos: 0, end });
                self.state.interrupt = true;
            }
            Command::FlushCache => match medium.as_mut().map(|disk| disk.flush()) {
                Some(Ok(())) => self.finish(),
                _ => self.fault(),
            },
            Command::Standby => self.power(0x00),
            Command::Idle => self.power(0x80),
            Command::CheckPowerMode => {
                self.show(Register::Count, self.state.power, 0);
                self.finish();
            }
            Command::Nop
            | Command::DeviceReset
            | Command::Packet
            | Command::IdentifyPacket
            | Command::Diagnostic
            | Command::Unknown => self.fail(Error::ABRT),
        }
    }

    fn power(&mut self, mode: u8) {
        self.state.power = mode;
        self.finish();
    }

    /// A write or flush that the host could not do.
    fn fault(&mut self) {
        self.fail(Error::ABRT);
        self.state.status |= Status::DF.bits();
    }

    /// Address and count from the registers.
    fn sectors_asked(&self, access: Access, device: u8) -> Result<Sectors, Error> {
        let [_, count, low, mid, high] = self.state.registers;
        let lba24 = u64::from(low.now) | u64::from(mid.now) << 8 | u64::from(high.now) << 16;
        let (lba, addressing) = if access.ext {
            let upper = u64::from(low.before) | u64::from(mid.before) << 8 | u64::from(high.before) << 16;
            (upper << 24 | lba24, Addressing::Lba48)
        } else if device & DEVICE_LBA != 0 {
            (u64::from(device & 0x0f) << 24 | lba24, Addressing::Lba28)
        } else {
            let cylinder = u16::from_le_bytes([mid.now, high.now]);
            let lba = self.state.geometry.lba(cylinder, device & 0x0f, low.now).ok_or(Error::IDNF)?;
            (lba, Addressing::Chs)
        };
        let left = match (access.ext, count.now, count.before) {
            (true, 0, 0) => 0x1_0000,
            (true, now, before) => u16::from_le_bytes([now, before]).into(),
            (false, 0, _) => 0x100,
            (false, now, _) => now.into(),
        };
        let block = match (access.multiple, self.state.multiple) {
            (true, 0) => return Err(Error::ABRT),
            (true, block) => block.into(),
            (false, _) => 1,
        };
        Ok(Sectors { lba, left, block, addressing })
    }

    /// Shows the sector that a transfer has reached, and how many are left.
    fn show_position(&mut self, lba: u64, addressing: Addressing, left: u32) {
        let count = left.to_le_bytes();
        let bytes = match addressing {
            Addressing::Chs => {
                let (cylinder, head, sector) = self.state.geometry.chs(lba);
                self.state.head = head & 0x0f;
                let [low, high] = cylinder.to_le_bytes();
                [sector, low, high, 0, 0, 0]
            }
            Addressing::Lba28 => {
                self.state.head = (lba >> 24) as u8 & 0x0f;
                let [a, b, c, ..] = lba.to_le_bytes();
                [a, b, c, 0, 0, 0]
            }
            Addressing::Lba48 => {
                let [a, b, c, d, e, f, ..] = lba.to_le_bytes();
                [a, b, c, d, e, f]
            }
        };
        self.show(Register::Count, count[0], count[1]);
        self.show(Register::Low, bytes[0], bytes[3]);
        self.show(Register::Mid, bytes[1], bytes[4]);
        self.show(Register::High, bytes[2], bytes[5]);
    }

    /// Whether all of the sectors exist.
    fn exists(&self, lba: u64, count: u32) -> bool {
        lba.checked_add(count.into()).is_some_and(|end| end <= self.sectors())
    }

    /// The error of a failed access.
    fn cause(error: &BlockError) -> Error {
        match error {
            BlockError::Range { .. } => Error::IDNF,
            BlockError::ReadOnly => Error::ABRT | WRITE_PROTECT,
            BlockError::Host(_) => Error::UNC,
        }
    }

    /// Brings the next block to the data port.
    pub(super) fn read_block(&mut self, mut rest: Sectors, medium: &mut Medium<'_>) {
        let n = rest.left.min(rest.block);
        let mut buffer = core::mem::take(&mut self.state.data.buffer);
        buffer.resize(n as usize * SECTOR, 0);
        let result = match medium {
            _ if !self.exists(rest.lba, n) => Err(Error::IDNF),
            None => Err(Error::ABRT),
            Some(disk) => disk.read(rest.lba, &mut buffer).map_err(|e| Drive::cause(&e)),
        };
        self.state.power = 0xff;
        if let Err(error) = result {
            self.show_position(rest.lba, rest.addressing, rest.left);
            return self.fail(error);
        }
        rest.left -= n;
        self.show_position(rest.lba + u64::from(n) - 1, rest.addressing, rest.left);
        rest.lba += u64::from(n);
        let end = buffer.len();
        self.offer(Transfer::Read(rest), Data { buffer, pos: 0, end });
        self.state.interrupt = true;
    }

    fn start_write(&mut self, access: Access, device: u8, medium: &mut Medium<'_>) {
        match self.sectors_asked(access, device) {
            Err(error) => self.fail(error),
            Ok(_) if medium.is_none() => self.fail(Error::ABRT),
            Ok(_) if medium.as_ref().is_some_and(|disk| disk.read_only()) => {
                self.fail(Error::ABRT | WRITE_PROTECT);
            }
            Ok(s) if !self.exists(s.lba, 1) => self.fail(Error::IDNF),
            Ok(sectors) => self.want_block(sectors),
        }
    }

    /// Asks the host for the next block.
    fn want_block(&mut self, rest: Sectors) {
        let mut buffer = core::mem::take(&mut self.state.data.buffer);
        buffer.resize(rest.left.min(rest.block) as usize * SECTOR, 0);
        let end = buffer.len();
        self.offer(Transfer::Write(rest), Data { buffer, pos: 0, end });
    }

    /// Writes the block that the host has filled.
    pub(super) fn write_block(&mut self, mut rest: Sectors, medium: &mut Medium<'_>) {
        let data = &self.state.data.buffer;
        let n = (data.len() / SECTOR) as u32;
        let result = match medium {
            _ if !self.exists(rest.lba, n) => Err(Error::IDNF),
            None => Err(Error::ABRT),
            Some(disk) => disk.write(rest.lba, data).map_err(|e| Drive::cause(&e)),
        };
        self.state.power = 0xff;
        if let Err(error) = result {
            self.show_position(rest.lba, rest.addressing, rest.left);
            return if error == Error::UNC { self.fault() } else { self.fail(error) };
        }
        rest.left = rest.left.saturating_sub(n);
        self.show_position((rest.lba + u64::from(n)).saturating_sub(1), rest.addressing, rest.left);
        rest.lba += u64::from(n);
        if rest.left == 0 {
            self.finish();
        } else {
            self.want_block(rest);
            self.state.interrupt = true;
        }
    }

    fn verify(&mut self, access: Access, device: u8, medium: &mut Medium<'_>) {
        let s = match self.sectors_asked(access, device) {
            Ok(sectors) => sectors,
            Err(error) => return self.fail(error),
        };
        let mut sector = [0; SECTOR];
        for done in 0..s.left {
            let lba = s.lba.saturating_add(done.into());
            let result = match medium {
                _ if !self.exists(lba, 1) => Err(Error::IDNF),
                None => Err(Error::ABRT),
                Some(disk) => disk.read(lba, &mut sector).map_err(|e| Drive::cause(&e)),
            };
            if let Err(error) = result {
                self.show_position(lba, s.addressing, s.left - done);
                return self.fail(error);
            }
        }
        self.show_position(s.lba + u64::from(s.left) - 1, s.addressing, 0);
        self.state.power = 0xff;
        self.finish();
    }

    fn initialize_parameters(&mut self, device: u8) {
        let (heads, sectors) = ((device & 0x0f) + 1, self.asked(Register::Count));
        match Geometry::translate(self.sectors(), heads, sectors) {
            Some(geometry) => {
                self.state.geometry = geometry;
                self.finish();
            }
            None => self.fail(Error::ABRT),
        }
    }

    /// SET MULTIPLE MODE: a power of two up to the most, or 0 for off.
    fn set_multiple(&mut self) {
        let block = self.asked(Register::Count);
        if block == 0 || block.is_power_of_two() && block <= MAX_MULTIPLE {
            self.state.multiple = block;
            self.finish();
        } else {
            self.state.multiple = 0;
            self.fail(Error::ABRT);
        }
    }

    fn set_features(&mut self) {
        // Transfer modes: PIO default, PIO with flow control modes 0 to 4; DMA modes do not exist.
        let pio = matches!(self.asked(Register::Count), 0x00 | 0x01 | 0x08..=0x0c);
        match self.asked(Register::Error) {
            0x02 => self.state.write_cache = true,
            0x82 => self.state.write_cache = false,
            0x03 if pio => {}
            0xaa | 0x55 | 0xcc | 0x66 => {}
            _ => return self.fail(Error::ABRT),
        }
        self.finish();
    }

    fn read_native_max(&mut self, access: Access, device: u8) {
        if !access.ext && device & DEVICE_LBA == 0 {
            return self.fail(Error::ABRT);
        }
        let last = self.sectors().saturating_sub(1);
        let (addressing, last) = if access.ext {
            (Addressing::Lba48, last.min((1 << 48) - 1))
        } else {
            (Addressing::Lba28, last.min(0x0fff_ffff))
        };
        self.show_position(last, addressing, 0);
        self.finish();
    }
}
