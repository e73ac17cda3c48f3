//! A disk in memory that watches how it is used.

use hako_chips::{Block, BlockError};

/// Sectors in memory.
pub struct Disk {
    bytes: Vec<u8>,
    /// Writes are refused.
    pub read_only: bool,
    /// Every access fails from now on.
    pub broken: bool,
}

impl Disk {
    /// So many sectors of zeros, `start` at their beginning.
    pub fn new(sectors: usize, start: &[u8]) -> Disk {
        let mut bytes = vec![0; sectors * 512];
        let n = start.len().min(bytes.len());
        bytes[..n].copy_from_slice(&start[..n]);
        Disk { bytes, read_only: false, broken: false }
    }

    /// The contract of [`Block`]: whole sectors; a range that leaves the disk is an error.
    fn range(&self, lba: u64, len: usize) -> Result<core::ops::Range<usize>, BlockError> {
        assert_eq!(len % 512, 0, "a disk is asked for {len} bytes, which is no number of sectors");
        if self.broken {
            return Err(BlockError::Host("broken".into()));
        }
        let error = BlockError::Range { lba, count: len as u64 / 512 };
        let start = lba.checked_mul(512).and_then(|at| usize::try_from(at).ok());
        match start.and_then(|at| Some(at..at.checked_add(len)?)) {
            Some(range) if range.end <= self.bytes.len() => Ok(range),
            _ => Err(error),
        }
    }
}

impl Block for Disk {
    fn sectors(&self) -> u64 {
        self.bytes.len() as u64 / 512
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        let range = self.range(lba, buf.len())?;
        buf.copy_from_slice(&self.bytes[range]);
        Ok(())
    }

    fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), BlockError> {
        assert!(!self.read_only, "a read-only disk was written");
        let range = self.range(lba, data.len())?;
        self.bytes[range].copy_from_slice(data);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        if self.broken { Err(BlockError::Host("broken".into())) } else { Ok(()) }
    }
}
