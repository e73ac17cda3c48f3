//! An ATA channel with up to two drives: hard disks (ATA/ATAPI-6, T13/1410D) and CD-ROMs, by programmed I/O.
//!
//! Commands complete at once: BSY is seen during reset only, and the interrupt is there when the command register has
//! been written. The board owns the disks and lends both of them to every access.

pub mod atapi;
pub mod registers;

mod ata;
mod cd;
mod drive;
mod geometry;
mod identify;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod tests_atapi;

pub use drive::{Data, DriveKind, DriveState, Transfer};
pub use geometry::Geometry;

use serde::{Deserialize, Serialize};

use crate::Block;
use crate::saved::{RestoreError, Saved, check};
use drive::Drive;
use registers::{Command, Control, Register, Status};

/// A disk that the board lends for the time of an access; `None` where there is none, or no CD in the drive.
pub type Medium<'m> = Option<&'m mut dyn Block>;
/// The disks of device 0 and 1.
pub type Media<'m> = [Medium<'m>; 2];

const VERSION: u32 = 1;
/// The device register's bit that selects device 1.
const DEVICE_1: u8 = 1 << 4;

/// What the channel holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The device control register.
    pub control: u8,
    /// The device register; its bit 4 selects.
    pub device: u8,
    /// Both devices.
    pub drives: [DriveState; 2],
}

/// A channel: the command block, the control block and two drives.
#[derive(Clone, Debug)]
pub struct Channel {
    control: Control,
    device: u8,
    drives: [Drive; 2],
}

impl Channel {
    /// A channel with these drives as device 0 and 1, after power-on.
    pub fn new(kinds: [DriveKind; 2]) -> Channel {
        let mut index = 0;
        let drives = kinds.map(|kind| {
            let drive = Drive::new(kind, index);
            index += 1;
            drive
        });
        Channel { control: Control::empty(), device: 0, drives }
    }

    /// As after RESET-.
    pub fn reset(&mut self) {
        self.control = Control::empty();
        self.device = 0;
        self.drives.iter_mut().for_each(Drive::power_on);
    }

    /// Tells a CD-ROM drive that its medium was changed or removed.
    pub fn media_changed(&mut self, drive: usize) {
        if let Some(drive) = self.drives.get_mut(drive) {
            drive.media_changed();
        }
    }

    fn selected(&self) -> usize {
        usize::from(self.device & DEVICE_1 != 0)
    }

    /// The drive that answers: the selected one, if it is there. Device 0 answers for an absent device 1 with zeros,
    /// nobody for an absent device 0.
    fn answering(&self) -> Result<&Drive, u8> {
        let drive = &self.drives[self.selected()];
        if drive.kind != DriveKind::Absent {
            Ok(drive)
        } else if self.selected() == 1 && self.drives[0].kind != DriveKind::Absent {
            Err(0)
        } else {
            Err(0xff)
        }
    }

    /// INTRQ: the selected drive's pending interrupt, unless nIEN is set.
    pub fn irq(&self) -> bool {
        !self.control.contains(Control::NIEN) && self.drives[self.selected()].state.interrupt
    }

    /// Reads a register of the command block, 1 to 7 (7.1); reading Status acknowledges the interrupt. Register 0 is
    /// one byte from the data port.
    pub fn read(&mut self, register: u8, media: &mut Media<'_>) -> u8 {
        match Register::from(register) {
            Register::Data => {
                let mut byte = [0];
                self.read_data(1, &mut byte, media);
                byte[0]
            }
            Register::Status => {
                let status = self.alternate_status();
                let selected = self.selected();
                self.drives[selected].state.interrupt = false;
                status
            }
            other => match self.answering() {
                Err(floating) => floating,
                Ok(_) if other == Register::Device => self.device | 0xa0,
                Ok(drive) => drive.register(other, self.control.contains(Control::HOB)),
            },
        }
    }

    /// Reads Alternate Status, in the control block: Status without acknowledging the interrupt.
    pub fn alternate_status(&self) -> u8 {
        match self.answering() {
            Err(floating) => floating,
            Ok(_) if self.control.contains(Control::SRST) => Status::BSY.bits(),
            Ok(drive) => drive.state.status,
        }
    }

    /// Writes a register of the command block, 1 to 7. Both drives see it, whichever is selected. While a transfer is
    /// under way only DEVICE RESET is heard.
    pub fn write(&mut self, register: u8, value: u8, media: &mut Media<'_>) {
        if self.control.contains(Control::SRST) {
            return;
        }
        let busy = self.drives[self.selected()].is_transferring();
        match Register::from(register) {
            Register::Data => self.write_data(1, &[value], media),
            Register::Status => self.command(value, busy, media),
            _ if busy => {}
            other => {
                self.control.remove(Control::HOB);
                if other == Register::Device {
                    self.device = value;
                } else {
                    self.drives.iter_mut().for_each(|d| d.set_register(other, value));
                }
            }
        }
    }

    fn command(&mut self, value: u8, busy: bool, media: &mut Media<'_>) {
        self.control.remove(Control::HOB);
        let command = Command::from(value);
        if busy && command != Command::DeviceReset {
            return;
        }
        if command == Command::Diagnostic {
            self.device &= !DEVICE_1;
            self.drives.iter_mut().for_each(Drive::diagnose);
            self.drives[0].state.interrupt = self.drives[0].kind != DriveKind::Absent;
            return;
        }
        let selected = self.selected();
        let drive = &mut self.drives[selected];
        if drive.kind != DriveKind::Absent {
            drive.state.interrupt = false;
            drive.command(command, self.device, &mut media[selected]);
            if command == Command::DeviceReset {
                self.device &= DEVICE_1;
            } else {
                self.device = self.device & 0xf0 | self.drives[selected].state.head & 0x0f;
            }
        }
    }

    /// Writes Device Control, in the control block: SRST resets both drives as long as it is set.
    pub fn write_control(&mut self, value: u8) {
        let new = Control::from_bits_truncate(value);
        if new.contains(Control::SRST) {
            self.drives.iter_mut().for_each(Drive::enter_reset);
        } else if self.control.contains(Control::SRST) {
            self.device = 0;
            self.drives.iter_mut().for_each(Drive::diagnose);
        }
        self.control = new;
    }

    /// Reads the data port, `data.len() / width` times. Bytes come one after another in any width; an access that the
    /// end of a block cuts is filled with zeros; without DRQ there are ones.
    pub fn read_data(&mut self, width: usize, data: &mut [u8], media: &mut Media<'_>) {
        let selected = self.selected();
        let (drive, medium) = (&mut self.drives[selected], &mut media[selected]);
        let mut done = 0;
        while done < data.len() && drive.wants(false) {
            let n = drive.state.data.take(&mut data[done..]);
            let next = (done + n).next_multiple_of(width.max(1)).min(data.len());
            data[done + n..next].fill(0);
            done = next;
            drive.advance_if_empty(medium);
        }
        data[done..].fill(0xff);
    }

    /// Writes the data port, `data.len() / width` times. What is written without DRQ is dropped.
    pub fn write_data(&mut self, width: usize, data: &[u8], media: &mut Media<'_>) {
        let selected = self.selected();
        let (drive, medium) = (&mut self.drives[selected], &mut media[selected]);
        let mut done = 0;
        while done < data.len() && drive.wants(true) {
            let n = drive.state.data.put(&data[done..]);
            done = (done + n).next_multiple_of(width.max(1)).min(data.len());
            drive.advance_if_empty(medium);
        }
    }

    /// Everything that the channel holds, with a transfer under way.
    pub fn save(&self) -> Saved<State> {
        let drives = [self.drives[0].state.clone(), self.drives[1].state.clone()];
        Saved { version: VERSION, state: State { control: self.control.bits(), device: self.device, drives } }
    }

    /// Takes a saved state back; the drives must be of the same kinds.
    pub fn restore(&mut self, saved: &Saved<State>) -> Result<(), RestoreError> {
        let state = saved.open(VERSION)?;
        let control = Control::from_bits(state.control);
        check(control.is_some(), "the IDE device control register has reserved bits set")?;
        for (drive, saved) in self.drives.iter().zip(&state.drives) {
            drive.check(saved)?;
        }
        self.control = control.unwrap_or_default();
        self.device = state.device;
        for (drive, saved) in self.drives.iter_mut().zip(&state.drives) {
            drive.state = saved.clone();
        }
        Ok(())
    }
}
