//! Disks as chips and firmware see them; the machine puts files, overlays or memory behind it.

use alloc::string::String;
use alloc::vec;

/// Bytes in a sector of a hard disk or floppy.
pub const SECTOR: usize = 512;

/// Why a disk access failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The range leaves the disk.
    #[error("sectors {lba}..{lba}+{count} lie outside the disk")]
    Range {
        /// First sector.
        lba: u64,
        /// Number of sectors.
        count: u64,
    },
    /// The disk may not be written.
    #[error("the disk is read-only")]
    ReadOnly,
    /// The host failed.
    #[error("{0}")]
    Host(String),
}

/// A disk of 512-byte sectors. When a call returns `Ok`, its effect is visible to every later call; after `flush` it
/// survives the end of the process.
pub trait Block: Send {
    /// Size in sectors; an image that is not a multiple of 512 bytes long counts as padded with zeros.
    fn sectors(&self) -> u64;
    /// Whether writes are refused.
    fn read_only(&self) -> bool;
    /// Fills `buf` (a multiple of 512 bytes) from sector `lba` on; all of it or an error.
    fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError>;
    /// Writes `data` (a multiple of 512 bytes) from sector `lba` on; all of it or an error.
    fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), BlockError>;
    /// Makes all earlier writes durable.
    fn flush(&mut self) -> Result<(), BlockError>;
    /// The contents of `count` sectors from `lba` on are not needed any more: afterwards each reads as zeros or as
    /// before. A disk that cannot give storage back does nothing.
    fn discard(&mut self, lba: u64, count: u64) -> Result<(), BlockError> {
        within(lba, count, self.sectors(), self.read_only())
    }
    /// Makes `count` sectors from `lba` on read as zeros; with `unmap` their storage may be given back.
    fn write_zeroes(&mut self, lba: u64, count: u64, _unmap: bool) -> Result<(), BlockError> {
        write_zeros(self, lba, count)
    }
}

/// Writes zeros over `count` sectors from `lba` on: for disks that have no shorter way.
pub fn write_zeros<B: Block + ?Sized>(disk: &mut B, lba: u64, count: u64) -> Result<(), BlockError> {
    const AT_ONCE: u64 = 64;
    within(lba, count, disk.sectors(), disk.read_only())?;
    let zeros = vec![0; count.min(AT_ONCE) as usize * SECTOR];
    let mut done = 0;
    while done < count {
        let n = (count - done).min(AT_ONCE);
        disk.write(lba + done, &zeros[..n as usize * SECTOR])?;
        done += n;
    }
    Ok(())
}

/// Whether `count` sectors from `lba` on may be changed on a disk of `sectors`.
pub fn within(lba: u64, count: u64, sectors: u64, read_only: bool) -> Result<(), BlockError> {
    if lba.checked_add(count).is_none_or(|end| end > sectors) {
        return Err(BlockError::Range { lba, count });
    }
    if read_only { Err(BlockError::ReadOnly) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A disk that can do only what every disk must.
    struct Plain(Vec<u8>);

    impl Block for Plain {
        fn sectors(&self) -> u64 {
            (self.0.len() / SECTOR) as u64
        }
        fn read_only(&self) -> bool {
            false
        }
        fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError> {
            buf.copy_from_slice(&self.0[lba as usize * SECTOR..][..buf.len()]);
            Ok(())
        }
        fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), BlockError> {
            self.0[lba as usize * SECTOR..][..data.len()].copy_from_slice(data);
            Ok(())
        }
        fn flush(&mut self) -> Result<(), BlockError> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_without_a_shorter_way_is_zeroed_by_writing() {
        let mut disk = Plain(vec![7; 200 * SECTOR]);
        disk.write_zeroes(3, 150, true).unwrap();
        let zero: Vec<bool> = disk.0.chunks(SECTOR).map(|s| s.iter().all(|b| *b == 0)).collect();
        assert!((0..200).all(|n| zero[n] == (3..153).contains(&n)));
    }

    #[test]
    fn a_disk_that_cannot_give_storage_back_keeps_its_contents() {
        let mut disk = Plain(vec![7; 4 * SECTOR]);
        disk.discard(0, 4).unwrap();
        assert!(disk.0.iter().all(|b| *b == 7));
    }

    #[test]
    fn ranges_beyond_the_end_are_errors() {
        let mut disk = Plain(vec![7; 4 * SECTOR]);
        for (lba, count) in [(4, 1), (0, 5), (u64::MAX, 2)] {
            assert_eq!(disk.discard(lba, count), Err(BlockError::Range { lba, count }));
            assert_eq!(disk.write_zeroes(lba, count, false), Err(BlockError::Range { lba, count }));
        }
    }
}
