//! The execution phase of READ DATA, WRITE DATA and FORMAT TRACK, by DMA or by the CPU.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::command::{
    ST0_ABNORMAL, ST1_DATA, ST1_END, ST1_NO_DATA, ST1_NO_MARK, ST1_PROTECTED, ST2_CYLINDER, ST2_DATA,
};
use super::{Fdc, Media, Phase};
use crate::block::SECTOR;
use crate::dma8237::{Direction, Line};

/// What moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Sectors to the host.
    Read,
    /// Sectors from the host.
    Write,
    /// IDs of four bytes from the host.
    Format,
}

/// A data command under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// What moves.
    pub operation: Operation,
    /// The drive.
    pub drive: u8,
    /// The side that the head reads.
    pub head: u8,
    /// After the last sector of side 0 side 1 follows.
    pub multi_track: bool,
    /// Cylinder, head, sector and size code of the sector at the port, as the command says.
    pub id: [u8; 4],
    /// The last sector of the track (EOT).
    pub last: u8,
    /// Sectors that a format has to write.
    pub left: u8,
    /// What a format fills sectors with.
    pub filler: u8,
    /// The sector, or an ID.
    pub buffer: Vec<u8>,
    /// Bytes of it that have moved.
    pub pos: usize,
}

/// ST1 and ST2 of a failure.
type Failure = [u8; 2];

impl Transfer {
    /// Goes on to the next sector's ID. False at the end of the cylinder, with the ID that the result then has
    /// (table 6-4): of the next cylinder, and of side 0 if both were to be done.
    fn next_id(&mut self) -> bool {
        if self.id[2] != self.last {
            self.id[2] = self.id[2].wrapping_add(1);
            return true;
        }
        self.id[2] = 1;
        if self.multi_track {
            self.id[1] ^= 1;
            self.head ^= 1;
            if self.head == 1 {
                return true;
            }
        }
        self.id[0] = self.id[0].wrapping_add(1);
        false
    }
}

impl Fdc {
    /// Where the transfer's sector is on the disk.
    fn locate(&self, t: &Transfer, media: &Media<'_>) -> Result<u64, Failure> {
        let drive = usize::from(t.drive);
        let disk = self.disk(drive, media).ok_or([ST1_NO_MARK, 0])?;
        let under_head = self.s.drives[drive].cylinder;
        if under_head >= disk.cylinders || t.head >= disk.heads {
            return Err([ST1_NO_MARK, 0]);
        }
        let [cylinder, head, sector, size] = t.id;
        if cylinder != under_head {
            return Err([ST1_NO_DATA, ST2_CYLINDER]);
        }
        let lba = disk.lba(under_head, t.head, sector).ok_or([ST1_NO_DATA, 0])?;
        if head == t.head && size == 2 { Ok(lba) } else { Err([ST1_NO_DATA, 0]) }
    }

    fn fail(&mut self, t: &Transfer, [st1, st2]: Failure) {
        self.finish([ST0_ABNORMAL | t.head << 2 | t.drive, st1, st2], t.id);
    }

    /// Enters the execution phase, or fails.
    pub(super) fn begin(&mut self, t: Transfer, media: &mut Media<'_>) {
        let found = if t.operation == Operation::Format {
            let track = Transfer { id: [t.id[0], t.head, 1, 2], buffer: Vec::new(), ..t.clone() };
            self.locate(&track, media)
        } else {
            self.locate(&t, media)
        };
        let disk = media.get(usize::from(t.drive)).and_then(|m| m.as_ref());
        let protected = t.operation != Operation::Read && disk.is_some_and(|m| m.read_only());
        match found {
            Err(failure) => self.fail(&t, failure),
            Ok(_) if protected => self.fail(&t, [ST1_PROTECTED, 0]),
            Ok(_) if t.operation == Operation::Format && t.left == 0 => {
                self.finish([t.head << 2 | t.drive, 0, 0], t.id);
            }
            Ok(_) => self.load(t, media),
        }
    }

    /// Prepares the buffer for the transfer's sector.
    fn load(&mut self, mut t: Transfer, media: &mut Media<'_>) {
        t.pos = 0;
        let result = self.locate(&t, media).and_then(|lba| match media.get_mut(usize::from(t.drive)) {
            Some(Some(disk)) if t.operation == Operation::Read && lba < disk.sectors() => {
                disk.read(lba, &mut t.buffer).map_err(|_| [ST1_DATA, ST2_DATA])
            }
            // The image is shorter than the disk: the rest is empty.
            _ => {
                t.buffer.fill(0);
                Ok(())
            }
        });
        match result {
            Err(failure) if t.operation != Operation::Format => self.fail(&t, failure),
            _ => {
                self.s.phase = Phase::Execution(t);
                // Data for the CPU to move interrupts; data for DMA does not.
                self.s.interrupt = self.non_dma();
            }
        }
    }

    /// Writes a sector or formats one. What the image has no room for can't be written.
    fn store(&mut self, t: &Transfer, media: &mut Media<'_>) -> Result<(), Failure> {
        let sector = match t.operation {
            Operation::Read => return Ok(()),
            Operation::Write => t.buffer.clone(),
            Operation::Format => alloc::vec![t.filler; SECTOR],
        };
        let id: [u8; 4] = t.buffer.get(..4).and_then(|id| id.try_into().ok()).unwrap_or_default();
        let place = if t.operation == Operation::Format { Transfer { id, ..t.clone() } } else { t.clone() };
        match (self.locate(&place, media), media.get_mut(usize::from(t.drive))) {
            (Ok(lba), Some(Some(disk))) => disk.write(lba, &sector).map_err(|_| [ST1_DATA, 0]),
            // A format may give sectors any IDs; those that this disk cannot have are lost.
            (Err(_), _) if t.operation == Operation::Format => Ok(()),
            (Err(failure), _) => Err(failure),
            (Ok(_), _) => Err([ST1_NO_MARK, 0]),
        }
    }

    /// Goes on after bytes have moved: stores a full buffer, takes the next sector, ends at the terminal count or at
    /// the end of the cylinder.
    pub(super) fn advance(&mut self, terminal_count: bool, media: &mut Media<'_>) {
        let Phase::Execution(t) = &self.s.phase else { return };
        if t.pos < t.buffer.len() && !terminal_count {
            return;
        }
        let mut t = t.clone();
        if let Err(failure) = self.store(&t, media) {
            return self.fail(&t, failure);
        }
        let unit = t.head << 2 | t.drive;
        if t.operation == Operation::Format {
            t.left = t.left.saturating_sub(1);
            if t.left == 0 || terminal_count {
                self.finish([unit, 0, 0], t.id);
            } else {
                self.load(t, media);
            }
            return;
        }
        let more = t.next_id();
        if terminal_count {
            self.finish([unit, 0, 0], t.id);
        } else if more {
            self.load(t, media);
        } else {
            self.finish([ST0_ABNORMAL | unit, ST1_END, 0], t.id);
        }
    }

    /// The DMA request line.
    pub fn dma_request(&self) -> bool {
        matches!(self.s.phase, Phase::Execution(_)) && !self.non_dma() && self.s.output & 0x08 != 0
    }

    /// Moves as much as the DMA channel takes. The board calls it when [`Fdc::dma_request`] is on, after every access
    /// to this chip or to the DMA controller.
    pub fn dma(&mut self, line: &mut Line<'_>, media: &mut Media<'_>) {
        while self.dma_request() {
            let Phase::Execution(t) = &mut self.s.phase else { return };
            let direction =
                if t.operation == Operation::Read { Direction::ToMemory } else { Direction::FromMemory };
            let moved = line.transfer(direction, t.buffer.get_mut(t.pos..).unwrap_or(&mut []));
            if moved.bytes == 0 {
                return;
            }
            t.pos += moved.bytes;
            self.advance(moved.terminal_count, media);
        }
    }
}
