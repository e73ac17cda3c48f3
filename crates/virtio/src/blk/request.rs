//! Requests of the block device (5.2.6).

use hako_chips::BlockError;
use hako_chips::block::SECTOR;

use super::{Disk, MOST_DISCARD, MOST_RANGES, MOST_SEGMENT, MOST_SEGMENTS, MOST_ZEROES};
use crate::queue::{Chain, Fault};

/// Request types.
const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;
const DISCARD: u32 = 11;
const WRITE_ZEROES: u32 = 13;
/// The only flag of a segment of the last two.
const UNMAP: u32 = 1;
/// The most that one request may move: what SIZE_MAX and SEG_MAX allow.
const MOST_BYTES: u64 = MOST_SEGMENT as u64 * MOST_SEGMENTS as u64;

/// The status byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Status {
    Ok = 0,
    IoErr = 1,
    Unsupported = 2,
}

impl From<BlockError> for Status {
    fn from(_: BlockError) -> Status {
        Status::IoErr
    }
}

impl From<Fault> for Status {
    /// Data whose place is not in memory fail their request alone.
    fn from(_: Fault) -> Status {
        Status::IoErr
    }
}

impl Disk {
    /// Serves one request: header, data, status.
    pub(super) fn request(&mut self, chain: &mut Chain<'_>) -> Result<(), Fault> {
        let mut header = [0; 16];
        chain.read(&mut header)?;
        let place = chain.take_status()?;
        let header = u128::from_le_bytes(header);
        let (kind, sector) = (header as u32, (header >> 64) as u64);
        let done = match kind {
            IN => self.read(sector, chain),
            OUT => self.write(sector, chain),
            FLUSH => self.disk.flush().map_err(Status::from),
            GET_ID => self.identify(chain),
            DISCARD | WRITE_ZEROES => self.ranges(kind, chain),
            _ => Err(Status::Unsupported),
        };
        chain.put_status(place, done.err().unwrap_or(Status::Ok) as u8)
    }

    /// Whether `bytes` from `sector` on are whole sectors of the disk, and not too many.
    fn check(&self, sector: u64, bytes: u64) -> Result<(), Status> {
        let whole = bytes.is_multiple_of(SECTOR as u64) && bytes <= MOST_BYTES;
        let end = sector.checked_add(bytes / SECTOR as u64);
        let inside = end.is_some_and(|end| end <= self.disk.sectors());
        if whole && inside { Ok(()) } else { Err(Status::IoErr) }
    }

    fn read(&mut self, mut sector: u64, chain: &mut Chain<'_>) -> Result<(), Status> {
        self.check(sector, chain.writable())?;
        while chain.writable() != 0 {
            let piece = piece(&mut self.buffer, chain.writable());
            self.disk.read(sector, piece)?;
            chain.write(piece)?;
            sector += (piece.len() / SECTOR) as u64;
        }
        Ok(())
    }

    fn write(&mut self, mut sector: u64, chain: &mut Chain<'_>) -> Result<(), Status> {
        self.check(sector, chain.readable())?;
        if self.disk.read_only() {
            return Err(Status::IoErr);
        }
        while chain.readable() != 0 {
            let piece = piece(&mut self.buffer, chain.readable());
            chain.read(piece)?;
            self.disk.write(sector, piece)?;
            sector += (piece.len() / SECTOR) as u64;
        }
        self.settle()
    }

    /// In write-through mode what was written lasts before it is acknowledged.
    fn settle(&mut self) -> Result<(), Status> {
        if !self.writeback() {
            self.disk.flush()?;
        }
        Ok(())
    }

    fn identify(&mut self, chain: &mut Chain<'_>) -> Result<(), Status> {
        let room = chain.writable().min(self.serial.len() as u64) as usize;
        Ok(chain.write(&self.serial[..room])?)
    }

    /// DISCARD and WRITE_ZEROES: a list of ranges.
    fn ranges(&mut self, kind: u32, chain: &mut Chain<'_>) -> Result<(), Status> {
        const RANGE: u64 = 16;
        let count = chain.readable() / RANGE;
        let whole = chain.readable().is_multiple_of(RANGE) && count != 0 && count <= MOST_RANGES.into();
        if !whole || self.disk.read_only() {
            return Err(Status::IoErr);
        }
        let most = if kind == DISCARD { MOST_DISCARD } else { MOST_ZEROES };
        for _ in 0..count {
            let mut range = [0; RANGE as usize];
            chain.read(&mut range)?;
            let range = u128::from_le_bytes(range);
            let (sector, sectors, flags) = (range as u64, (range >> 64) as u32, (range >> 96) as u32);
            // Unknown flags, and UNMAP for what unmaps anyway (5.2.6.2).
            if flags & !UNMAP != 0 || kind == DISCARD && flags != 0 {
                return Err(Status::Unsupported);
            }
            if sectors > most {
                return Err(Status::IoErr);
            }
            match kind {
                DISCARD => self.disk.discard(sector, sectors.into())?,
                _ => self.disk.write_zeroes(sector, sectors.into(), flags & UNMAP != 0)?,
            }
        }
        if kind == WRITE_ZEROES { self.settle() } else { Ok(()) }
    }
}

/// As much of the buffer as `left` bytes need.
fn piece(buffer: &mut [u8], left: u64) -> &mut [u8] {
    let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
    &mut buffer[..len]
}
