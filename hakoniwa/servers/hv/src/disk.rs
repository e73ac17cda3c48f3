//! A disk in memory: a file of the boot archive that its guest may change.

use alloc::vec::Vec;
use hako_chips::block::{SECTOR, within};
use hako_chips::{Block, BlockError};

/// The disk.
pub struct RamDisk(Vec<u8>);

impl RamDisk {
    /// A disk with these contents, padded to whole sectors.
    pub fn new(mut contents: Vec<u8>) -> RamDisk {
        contents.resize(contents.len().next_multiple_of(SECTOR), 0);
        RamDisk(contents)
    }

    fn range(&mut self, lba: u64, len: usize) -> Result<&mut [u8], BlockError> {
        let count = (len / SECTOR) as u64;
        within(lba, count, self.sectors(), false)?;
        let start = lba as usize * SECTOR;
        self.0.get_mut(start..start + len).ok_or(BlockError::Range { lba, count })
    }
}

impl Block for RamDisk {
    fn sectors(&self) -> u64 {
        (self.0.len() / SECTOR) as u64
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        self.range(lba, buf.len()).map(|from| buf.copy_from_slice(from))
    }

    fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), BlockError> {
        self.range(lba, data.len()).map(|to| to.copy_from_slice(data))
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        Ok(())
    }
}
