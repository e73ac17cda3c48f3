//! Copy on write in memory.

use std::collections::HashMap;

use hako_chips::block::{SECTOR, within};
use hako_chips::{Block, BlockError};

use super::check;

/// Keeps what is written in memory and leaves what is below as it is.
pub struct Overlay {
    below: Box<dyn Block>,
    /// By number; `None` is a sector of zeros.
    written: HashMap<u64, Option<Box<[u8; SECTOR]>>>,
}

impl Overlay {
    /// An overlay without a write yet.
    pub fn new(below: Box<dyn Block>) -> Overlay {
        Overlay { below, written: HashMap::new() }
    }
}

impl Block for Overlay {
    fn sectors(&self) -> u64 {
        self.below.sectors()
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        self.below.read(lba, buf)?;
        if !self.written.is_empty() {
            for (i, sector) in buf.chunks_exact_mut(SECTOR).enumerate() {
                match self.written.get(&(lba + i as u64)) {
                    Some(Some(data)) => sector.copy_from_slice(&data[..]),
                    Some(None) => sector.fill(0),
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), BlockError> {
        check(lba, data.len(), self.sectors())?;
        for (i, sector) in data.chunks_exact(SECTOR).enumerate() {
            let kept = self.written.entry(lba + i as u64).or_default();
            kept.get_or_insert_with(|| Box::new([0; SECTOR])).copy_from_slice(sector);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        Ok(())
    }

    fn discard(&mut self, lba: u64, count: u64) -> Result<(), BlockError> {
        within(lba, count, self.sectors(), false)?;
        // What was never written stays as it is below; what was takes no more memory.
        if count > self.written.len() as u64 {
            for (_, sector) in self.written.iter_mut().filter(|(at, _)| (lba..lba + count).contains(at)) {
                *sector = None;
            }
        } else {
            for at in lba..lba + count {
                if let Some(sector) = self.written.get_mut(&at) {
                    *sector = None;
                }
            }
        }
        Ok(())
    }

    fn write_zeroes(&mut self, lba: u64, count: u64, _unmap: bool) -> Result<(), BlockError> {
        within(lba, count, self.sectors(), false)?;
        self.written.extend((lba..lba + count).map(|at| (at, None)));
        Ok(())
    }
}
