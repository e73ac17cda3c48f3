//! The commands and their results (data sheet, chapter 6).

use alloc::vec::Vec;

use super::geometry::Geometry;
use super::transfer::{Operation, Transfer};
use super::{COMMAND, DRIVES, Fdc, IMPLIED_SEEK, Media, Phase};
use crate::block::SECTOR;

/// ST0: abnormal termination.
pub(super) const ST0_ABNORMAL: u8 = 0x40;
/// ST0: invalid command.
const ST0_INVALID: u8 = 0x80;
/// ST0: the ready line changed during polling.
const ST0_POLLING: u8 = 0xc0;
/// ST0: seek end.
const ST0_SEEK_END: u8 = 0x20;
/// ST0: equipment check, no track 0 signal.
const ST0_EQUIPMENT: u8 = 0x10;
/// ST1: end of cylinder.
pub(super) const ST1_END: u8 = 0x80;
/// ST1: data error.
pub(super) const ST1_DATA: u8 = 0x20;
/// ST1: no data.
pub(super) const ST1_NO_DATA: u8 = 0x04;
/// ST1: not writable.
pub(super) const ST1_PROTECTED: u8 = 0x02;
/// ST1: missing address mark.
pub(super) const ST1_NO_MARK: u8 = 0x01;
/// ST2: data error in the data field.
pub(super) const ST2_DATA: u8 = 0x20;
/// ST2: wrong cylinder.
pub(super) const ST2_CYLINDER: u8 = 0x10;
/// ST3: write protect.
const ST3_PROTECTED: u8 = 0x40;
/// ST3: track 0.
const ST3_TRACK_0: u8 = 0x10;
/// ST3: bits that are always one.
const ST3_ONES: u8 = 0x28;
/// What VERSION answers: an enhanced controller.
const ENHANCED: u8 = 0x90;
/// Most step pulses of a RECALIBRATE.
const RECALIBRATE_STEPS: u8 = 79;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Specify,
    SenseDrive,
    Write,
    Read,
    Recalibrate,
    SenseInterrupt,
    ReadId,
    Format,
    Seek,
    Version,
    Perpendicular,
    Configure,
    Lock,
    DumpRegisters,
    Invalid,
}

/// Which bits of the first byte name the command, their value, how many bytes it has, the command.
const COMMANDS: [(u8, u8, usize, Command); 14] = [
    (0xff, 0x03, 3, Command::Specify),
    (0xff, 0x04, 2, Command::SenseDrive),
    (0x3f, 0x05, 9, Command::Write),
    (0x1f, 0x06, 9, Command::Read),
    (0xff, 0x07, 2, Command::Recalibrate),
    (0xff, 0x08, 1, Command::SenseInterrupt),
    (0xbf, 0x0a, 2, Command::ReadId),
    (0xbf, 0x0d, 6, Command::Format),
    (0xff, 0x0e, 1, Command::DumpRegisters),
    (0xff, 0x0f, 3, Command::Seek),
    (0xff, 0x10, 1, Command::Version),
    (0xff, 0x12, 2, Command::Perpendicular),
    (0xff, 0x13, 4, Command::Configure),
    (0x7f, 0x14, 1, Command::Lock),
];

fn decode(opcode: u8) -> (usize, Command) {
    let known = COMMANDS.iter().find(|(mask, value, ..)| opcode & mask == *value);
    // READ DATA without MFM is single density and WRITE DATA likewise: a PC has no such disks, but the bit is the
    // guest's affair.
    known.map_or((1, Command::Invalid), |(_, _, length, command)| (*length, *command))
}

/// Bytes of the command that begins with `opcode`.
pub(super) fn length(opcode: u8) -> usize {
    decode(opcode).0
}

impl Fdc {
    /// Gives a result without an interrupt.
    fn answer(&mut self, bytes: Vec<u8>) {
        self.s.phase = Phase::Result(bytes);
    }

    /// Runs a complete command.
    pub(super) fn execute(&mut self, c: &[u8; COMMAND], media: &mut Media<'_>) {
        let (unit, drive) = (c[1] & 7, usize::from(c[1] & 3));
        match decode(c[0]).1 {
            Command::Specify => self.s.specify = [c[1], c[2]],
            Command::SenseDrive => {
                let d = &self.s.drives[drive];
                let track_0 = self.has_drive(drive) && d.cylinder == 0;
                let protected = media.get(drive).and_then(|m| m.as_ref()).is_some_and(|m| m.read_only());
                let flags = u8::from(track_0) * ST3_TRACK_0 + u8::from(protected) * ST3_PROTECTED;
                self.answer([ST3_ONES | unit | flags].to_vec());
            }
            Command::Recalibrate => self.recalibrate(drive, media),
            Command::Seek => {
                self.step_to(drive, c[2], media);
                self.end_seek(drive, ST0_SEEK_END | unit);
            }
            Command::SenseInterrupt => self.sense_interrupt(),
            Command::Version => self.answer([ENHANCED].to_vec()),
            Command::Lock => {
                self.s.lock = c[0] & 0x80 != 0;
                self.answer([u8::from(self.s.lock) << 4].to_vec());
            }
            Command::Configure => self.s.configure = [c[2] & 0x7f, c[3]],
            // The drive bits only change with the overwrite bit.
            Command::Perpendicular if c[1] & 0x80 != 0 => self.s.perpendicular = c[1] & 0x3f,
            Command::Perpendicular => {
                self.s.perpendicular = self.s.perpendicular & 0x3c | c[1] & 0x03;
            }
            Command::DumpRegisters => self.dump_registers(),
            Command::ReadId => self.read_id(unit, media),
            Command::Read => self.start(Operation::Read, c, media),
            Command::Write => self.start(Operation::Write, c, media),
            Command::Format => self.start_format(c, media),
            Command::Invalid => self.answer([ST0_INVALID].to_vec()),
        }
    }

    /// Moves the head; any step towards a disk that is there clears the change line.
    fn step_to(&mut self, drive: usize, cylinder: u8, media: &Media<'_>) {
        let d = &mut self.s.drives[drive];
        if d.cylinder != cylinder && media.get(drive).is_some_and(|m| m.is_some()) {
            d.changed = false;
        }
        d.cylinder = cylinder;
    }

    fn recalibrate(&mut self, drive: usize, media: &Media<'_>) {
        let beyond = self.s.drives[drive].cylinder.saturating_sub(RECALIBRATE_STEPS);
        self.step_to(drive, beyond, media);
        let failed = beyond != 0 || !self.has_drive(drive);
        let st0 = if failed { ST0_ABNORMAL | ST0_EQUIPMENT } else { 0 };
        self.end_seek(drive, ST0_SEEK_END | st0 | drive as u8);
    }

    fn end_seek(&mut self, drive: usize, st0: u8) {
        self.s.drives[drive].seek_ended = Some(st0);
        self.interrupt();
    }

    /// Reports the drives after a reset, then ended seeks; without either it is an invalid command.
    fn sense_interrupt(&mut self) {
        let after_reset = usize::from(self.s.reset_sense);
        let (st0, drive) = if after_reset < DRIVES {
            self.s.reset_sense += 1;
            (ST0_POLLING | after_reset as u8, after_reset)
        } else if let Some(drive) = self.s.drives.iter().position(|d| d.seek_ended.is_some()) {
            (self.s.drives[drive].seek_ended.take().unwrap_or(0), drive)
        } else {
            return self.answer([ST0_INVALID].to_vec());
        };
        self.s.interrupt = false;
        self.answer([st0, self.s.drives[drive].cylinder].to_vec());
    }

    fn dump_registers(&mut self) {
        let s = &self.s;
        let mut bytes: Vec<u8> = s.drives.iter().map(|d| d.cylinder).collect();
        bytes.extend_from_slice(&s.specify);
        bytes.push(s.last_sector);
        bytes.push(u8::from(s.lock) << 7 | s.perpendicular);
        bytes.extend_from_slice(&s.configure);
        self.answer(bytes);
    }

    /// The disk in a drive, if it can be read at all: it is there and the data rate is its own.
    pub(super) fn disk(&self, drive: usize, media: &Media<'_>) -> Option<Geometry> {
        let disk = media.get(drive)?.as_ref().filter(|_| self.has_drive(drive))?;
        Some(Geometry::of_size(disk.sectors())).filter(|g| g.fits_rate(self.s.rate))
    }

    fn read_id(&mut self, unit: u8, media: &mut Media<'_>) {
        let (drive, head) = (usize::from(unit & 3), unit >> 2);
        let cylinder = self.s.drives[drive].cylinder;
        let track = self.disk(drive, media).filter(|g| head < g.heads && cylinder < g.cylinders);
        let id = match track {
            Some(g) => {
                let passing = &mut self.s.drives[drive].passing;
                *passing = (*passing + 1) % g.sectors;
                Ok([cylinder, head, *passing + 1, 2])
            }
            None => Err([cylinder, head, 1, 2]),
        };
        match id {
            Ok(id) => self.finish([unit, 0, 0], id),
            Err(id) => self.finish([ST0_ABNORMAL | unit, ST1_NO_MARK, 0], id),
        }
    }

    /// Ends a data command: ST0 to ST2 and the ID, with an interrupt.
    pub(super) fn finish(&mut self, st: [u8; 3], id: [u8; 4]) {
        self.s.phase = Phase::Result([&st[..], &id[..]].concat());
        self.interrupt();
    }

    /// Interrupts for a command; a guest that has not sensed the reset before it doesn't want to any more.
    fn interrupt(&mut self) {
        self.s.interrupt = true;
        self.s.reset_sense = DRIVES as u8;
    }

    fn start(&mut self, operation: Operation, c: &[u8; COMMAND], media: &mut Media<'_>) {
        let drive = usize::from(c[1] & 3);
        self.s.last_sector = c[6];
        if self.s.configure[0] & IMPLIED_SEEK != 0 {
            self.step_to(drive, c[2], media);
        }
        let transfer = Transfer {
            operation,
            drive: drive as u8,
            head: c[1] >> 2 & 1,
            multi_track: c[0] & 0x80 != 0,
            id: [c[2], c[3], c[4], c[5]],
            last: c[6],
            left: 0,
            filler: 0,
            buffer: alloc::vec![0; SECTOR],
            pos: 0,
        };
        self.begin(transfer, media);
    }

    fn start_format(&mut self, c: &[u8; COMMAND], media: &mut Media<'_>) {
        self.s.last_sector = c[3];
        let drive = c[1] & 3;
        let transfer = Transfer {
            operation: Operation::Format,
            drive,
            head: c[1] >> 2 & 1,
            multi_track: false,
            id: [self.s.drives[usize::from(drive)].cylinder, c[1] >> 2 & 1, 1, c[2]],
            last: c[3],
            left: c[3],
            filler: c[5],
            buffer: alloc::vec![0; 4],
            pos: 0,
        };
        self.begin(transfer, media);
    }
}
