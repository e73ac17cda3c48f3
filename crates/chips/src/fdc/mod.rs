//! The 82077AA floppy controller with two drives (Intel 82077AA data sheet, 290166).
//!
//! Commands complete at once, except that data waits for its DMA line or for the CPU. Sectors have 512 bytes, as on
//! every PC format from 160 KiB to 2.88 MiB; deleted data, scans and reading whole tracks are not there and answer as
//! invalid commands.

mod command;
mod geometry;
mod transfer;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_data;

pub use geometry::Geometry;
pub use transfer::{Operation, Transfer};

use alloc::vec::Vec;

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

use crate::Block;
use crate::block::SECTOR;
use crate::saved::{RestoreError, Saved, check};

/// A disk that the board lends for the time of an access; `None` where there is no disk in the drive.
pub type Medium<'m> = Option<&'m mut dyn Block>;
/// The disks of drives 0 and 1.
pub type Media<'m> = [Medium<'m>; 2];

const VERSION: u32 = 1;
const DRIVES: usize = 4;
/// The longest command.
const COMMAND: usize = 9;
/// The longest result.
const RESULT: usize = 10;

bitflags! {
    /// Digital output register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    struct Output: u8 {
        const NOT_RESET = 1 << 2;
        const DMA_GATE = 1 << 3;
    }

    /// Main status register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    struct Status: u8 {
        const RQM = 1 << 7;
        const TO_HOST = 1 << 6;
        const NON_DMA = 1 << 5;
        const BUSY = 1 << 4;
    }
}

/// What the controller is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It takes the bytes of a command; these have come.
    Command(Vec<u8>),
    /// Data moves.
    Execution(Transfer),
    /// It gives a result; these bytes are left.
    Result(Vec<u8>),
}

/// A drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drive {
    /// The cylinder that the head is on.
    pub cylinder: u8,
    /// The disk was changed, and the head has not moved since.
    pub changed: bool,
    /// The next sector that READ ID sees, from 0.
    pub passing: u8,
    /// ST0 of a seek that SENSE INTERRUPT STATUS has not reported.
    pub seek_ended: Option<u8>,
}

/// Everything that the controller holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Digital output.
    pub output: u8,
    /// Tape drive.
    pub tape: u8,
    /// Data rate: 0 is 500 kbit/s, 1 is 300, 2 is 250, 3 is 1000.
    pub rate: u8,
    /// The phase with its bytes.
    pub phase: Phase,
    /// The interrupt is asserted.
    pub interrupt: bool,
    /// Drives whose interrupt after reset has not been sensed: the next one's number, 4 for none.
    pub reset_sense: u8,
    /// SPECIFY's two bytes.
    pub specify: [u8; 2],
    /// CONFIGURE's second and third byte.
    pub configure: [u8; 2],
    /// CONFIGURE survives a software reset.
    pub lock: bool,
    /// PERPENDICULAR MODE's byte.
    pub perpendicular: u8,
    /// The last command's number of sectors on a track.
    pub last_sector: u8,
    /// The drives.
    pub drives: [Drive; DRIVES],
}

/// CONFIGURE after a hardware reset: polling, no FIFO, no implied seek.
const CONFIGURE_RESET: [u8; 2] = [0x20, 0];
/// CONFIGURE: the head moves to a command's cylinder by itself.
const IMPLIED_SEEK: u8 = 1 << 6;
/// CONFIGURE: no interrupts for drives that become ready.
const NO_POLLING: u8 = 1 << 4;
/// CONFIGURE: the bits that a software reset leaves alone even without LOCK.
const KEPT_WITHOUT_LOCK: u8 = IMPLIED_SEEK | NO_POLLING;
/// The hardware reset's data rate, 250 kbit/s.
const RATE_RESET: u8 = 2;

impl State {
    fn power_on() -> State {
        let drive = Drive { cylinder: 0, changed: true, passing: 0, seek_ended: None };
        State {
            output: 0,
            tape: 0,
            rate: RATE_RESET,
            phase: Phase::Command(Vec::new()),
            interrupt: false,
            reset_sense: DRIVES as u8,
            specify: [0; 2],
            configure: CONFIGURE_RESET,
            lock: false,
            perpendicular: 0,
            last_sector: 0,
            drives: [drive; DRIVES],
        }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct Fdc {
    present: [bool; 2],
    s: State,
}

impl Fdc {
    /// A controller with drives 0 and 1 connected or not, after a hardware reset.
    pub fn new(present: [bool; 2]) -> Fdc {
        Fdc { present, s: State::power_on() }
    }

    /// As after RESET.
    pub fn reset(&mut self) {
        self.s = State::power_on();
    }

    /// Tells that the disk in a drive was changed, put in or taken out.
    pub fn media_changed(&mut self, drive: usize) {
        if let Some(drive) = self.s.drives.get_mut(drive) {
            drive.changed = true;
        }
    }

    fn has_drive(&self, drive: usize) -> bool {
        self.present.get(drive).copied().unwrap_or(false)
    }

    fn in_reset(&self) -> bool {
        self.s.output & Output::NOT_RESET.bits() == 0
    }

    /// IRQ 6, which the digital output register can switch off.
    pub fn irq(&self) -> bool {
        self.s.interrupt && self.s.output & Output::DMA_GATE.bits() != 0
    }

    /// Reads register 0 to 7 (ports 3F0 to 3F7). Registers that only the PS/2 has read ones.
    pub fn read(&mut self, register: u8, media: &mut Media<'_>) -> u8 {
        match register {
            2 => self.s.output,
            3 => self.s.tape | 0xfc,
            4 => self.main_status(),
            5 => self.read_fifo(media),
            // Digital input: the selected drive's disk change line.
            7 => {
                let selected = usize::from(self.s.output & 3);
                let empty = media.get(selected).is_none_or(|m| m.is_none());
                u8::from(self.has_drive(selected) && (empty || self.s.drives[selected].changed)) << 7
            }
            _ => 0xff,
        }
    }

    /// Writes register 0 to 7 (ports 3F0 to 3F7).
    pub fn write(&mut self, register: u8, value: u8, media: &mut Media<'_>) {
        match register {
            2 => {
                let was_in_reset = self.in_reset();
                self.s.output = value;
                if self.in_reset() {
                    self.software_reset();
                    self.s.interrupt = false;
                    self.s.reset_sense = DRIVES as u8;
                } else if was_in_reset {
                    self.leave_reset();
                }
            }
            3 => self.s.tape = value & 3,
            // Data rate select; bit 7 is a reset that ends by itself.
            4 => {
                self.s.rate = value & 3;
                if value & 0x80 != 0 && !self.in_reset() {
                    self.software_reset();
                    self.leave_reset();
                }
            }
            5 => self.write_fifo(value, media),
            7 => self.s.rate = value & 3,
            _ => {}
        }
    }

    /// What a reset does besides the hardware one (5.0).
    fn software_reset(&mut self) {
        let s = &mut self.s;
        s.phase = Phase::Command(Vec::new());
        s.perpendicular &= 0x3c;
        if !s.lock {
            s.configure = [s.configure[0] & KEPT_WITHOUT_LOCK | CONFIGURE_RESET[0], CONFIGURE_RESET[1]];
        }
        s.drives.iter_mut().for_each(|d| d.seek_ended = None);
    }

    /// After a reset polling finds all four drives changed from not ready to ready, and interrupts.
    fn leave_reset(&mut self) {
        let polling = self.s.configure[0] & NO_POLLING == 0;
        self.s.reset_sense = if polling { 0 } else { DRIVES as u8 };
        self.s.interrupt = polling;
    }

    fn non_dma(&self) -> bool {
        self.s.specify[1] & 1 != 0
    }

    fn main_status(&self) -> u8 {
        if self.in_reset() {
            return 0;
        }
        let status = match &self.s.phase {
            Phase::Command(bytes) if bytes.is_empty() => Status::RQM,
            Phase::Command(_) => Status::RQM | Status::BUSY,
            Phase::Result(_) => Status::RQM | Status::TO_HOST | Status::BUSY,
            Phase::Execution(_) if !self.non_dma() => Status::BUSY,
            Phase::Execution(t) if t.operation == Operation::Read => {
                Status::RQM | Status::TO_HOST | Status::NON_DMA | Status::BUSY
            }
            Phase::Execution(_) => Status::RQM | Status::NON_DMA | Status::BUSY,
        };
        status.bits()
    }

    fn read_fifo(&mut self, media: &mut Media<'_>) -> u8 {
        match &mut self.s.phase {
            Phase::Result(bytes) => {
                self.s.interrupt = false;
                let byte = if bytes.is_empty() { 0 } else { bytes.remove(0) };
                if bytes.is_empty() {
                    self.s.phase = Phase::Command(Vec::new());
                }
                byte
            }
            Phase::Execution(t) if t.operation == Operation::Read && self.s.specify[1] & 1 != 0 => {
                let byte = t.buffer.get(t.pos).copied().unwrap_or(0);
                t.pos += 1;
                self.s.interrupt = false;
                self.advance(false, media);
                byte
            }
            _ => 0,
        }
    }

    fn write_fifo(&mut self, value: u8, media: &mut Media<'_>) {
        if self.in_reset() {
            return;
        }
        match &mut self.s.phase {
            Phase::Command(bytes) => {
                bytes.push(value);
                if bytes.len() >= command::length(bytes[0]) {
                    let mut command = [0; COMMAND];
                    let n = bytes.len().min(COMMAND);
                    command[..n].copy_from_slice(&bytes[..n]);
                    self.s.phase = Phase::Command(Vec::new());
                    self.execute(&command, media);
                }
            }
            Phase::Execution(t) if t.operation != Operation::Read && self.s.specify[1] & 1 != 0 => {
                if let Some(byte) = t.buffer.get_mut(t.pos) {
                    *byte = value;
                }
                t.pos += 1;
                self.s.interrupt = false;
                self.advance(false, media);
            }
            _ => {}
        }
    }

    /// Everything that the controller holds, with a transfer under way.
    pub fn save(&self) -> Saved<State> {
        Saved { version: VERSION, state: self.s.clone() }
    }

    /// Takes a saved state back.
    pub fn restore(&mut self, saved: &Saved<State>) -> Result<(), RestoreError> {
        let s = saved.open(VERSION)?;
        check(s.rate < 4 && s.tape < 4, "a floppy controller's rate or tape register has two bits")?;
        check(usize::from(s.reset_sense) <= DRIVES, "a floppy controller has four drives")?;
        match &s.phase {
            Phase::Command(bytes) => {
                let whole = bytes.first().map_or(1, |opcode| command::length(*opcode));
                check(bytes.len() < whole, "a floppy command waits although it is complete")?;
            }
            Phase::Result(bytes) => {
                check((1..=RESULT).contains(&bytes.len()), "a floppy result has 1 to 10 bytes")?;
            }
            Phase::Execution(t) => {
                let size = if t.operation == Operation::Format { 4 } else { SECTOR };
                check(t.buffer.len() == size && t.pos < size, "a floppy transfer leaves its buffer")?;
                check(t.drive < 2 && t.head < 2, "a floppy transfer has no drive")?;
            }
        }
        self.s = s.clone();
        Ok(())
    }
}
