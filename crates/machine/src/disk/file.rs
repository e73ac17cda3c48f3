//! A file or block device of the host as a disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hako_chips::block::{SECTOR, within, write_zeros};
use hako_chips::{Block, BlockError};
use vmm_sys_util::fallocate::{FallocateMode, fallocate};

use super::{check, qcow2};
use crate::error::Error;

/// A file or block device of the host.
pub struct FileDisk {
    file: File,
    name: String,
    len: u64,
    read_only: bool,
}

impl FileDisk {
    /// Opens `path`; for writing too unless `read_only`.
    pub fn open(path: &Path, read_only: bool) -> Result<FileDisk, Error> {
        let file = OpenOptions::new().read(true).write(!read_only).open(path).map_err(|why| {
            let hint = match why.kind() {
                io::ErrorKind::NotFound => "check the path",
                io::ErrorKind::IsADirectory => "give the image's file",
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem if !read_only => {
                    "give it as --disk or --floppy PATH,readonly (or ,snapshot), or change its permissions"
                }
                _ => "check its permissions",
            };
            Error::File { what: "open", path: path.display().to_string(), why, hint }
        })?;
        let meta = file.metadata().map_err(|e| Error::file("look at", path, e))?;
        if meta.is_dir() {
            return Err(Error::Image(format!("{} is a directory, not a disk image", path.display())));
        }
        // Block devices have no length in their metadata: their end is.
        let len = if meta.is_file() {
            meta.len()
        } else {
            use std::io::{Seek, SeekFrom};
            (&file).seek(SeekFrom::End(0)).map_err(|e| Error::file("find the size of", path, e))?
        };
        if len == 0 {
            return Err(Error::Image(format!("{} is empty: a disk needs at least one byte", path.display())));
        }
        Ok(FileDisk { file, name: path.display().to_string(), len, read_only })
    }

    /// Makes a range zeros without writing them; whether the host could.
    fn change(&mut self, mode: FallocateMode, lba: u64, count: u64) -> Result<bool, BlockError> {
        within(lba, count, self.sectors(), self.read_only)?;
        let at = lba * SECTOR as u64;
        // The padding of the last sector is not in the file.
        let len = (count * SECTOR as u64).min(self.len.saturating_sub(at));
        if len == 0 {
            return Ok(true);
        }
        match fallocate(&self.file, mode, true, at, len) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.errno(), libc::EOPNOTSUPP | libc::ENOSYS | libc::ENODEV | libc::EINVAL) => {
                Ok(false)
            }
            Err(e) => Err(self.host("zero a range of", e.into())),
        }
    }

    fn host(&self, what: &str, why: io::Error) -> BlockError {
        BlockError::Host(format!("cannot {what} {}: {why}", self.name))
    }
}

impl Block for FileDisk {
    fn sectors(&self) -> u64 {
        self.len.div_ceil(SECTOR as u64)
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        let at = check(lba, buf.len(), self.sectors())?;
        let real = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX).min(buf.len());
        let (data, padding) = buf.split_at_mut(real);
        // A file that became shorter since it was opened reads as zeros beyond its new end.
        let mut done = 0;
        while done < data.len() {
            match self.file.read_at(&mut data[done..], at + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.host("read", e)),
            }
        }
        data[done..].fill(0);
        padding.fill(0);
        Ok(())
    }

    fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), BlockError> {
        if self.read_only {
            return Err(BlockError::ReadOnly);
        }
        let at = check(lba, data.len(), self.sectors())?;
        if lba == 0 && qcow2::is_one(data) {
            // The next run would take the file for a qcow2 image, and one whose backing file the guest has named.
            let why = io::Error::other("a guest must not turn a raw image into a qcow2 image");
            return Err(self.host("write", why));
        }
        // The padding of the last sector is not in the file and never gets there.
        let real = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX).min(data.len());
        self.file.write_all_at(&data[..real], at).map_err(|e| self.host("write", e))
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        if self.read_only {
            return Ok(());
        }
        match self.file.sync_data() {
            // Pipes, some device files: nothing to flush there.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            done => done.map_err(|e| self.host("flush", e)),
        }
    }

    fn discard(&mut self, lba: u64, count: u64) -> Result<(), BlockError> {
        // Where holes cannot be made nothing is given back, which is allowed.
        self.change(FallocateMode::PunchHole, lba, count).map(drop)
    }

    fn write_zeroes(&mut self, lba: u64, count: u64, unmap: bool) -> Result<(), BlockError> {
        let mode = if unmap { FallocateMode::PunchHole } else { FallocateMode::ZeroRange };
        if self.change(mode, lba, count)? { Ok(()) } else { write_zeros(self, lba, count) }
    }
}
