//! Disks behind the chips: host files, memory, and copy-on-write overlays over either.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use hako_chips::block::SECTOR;
use hako_chips::{Block, BlockError};

use crate::config::{DiskSpec, Source};
use crate::error::Error;

fn check(lba: u64, len: usize, sectors: u64) -> Result<u64, BlockError> {
    let count = (len / SECTOR) as u64;
    match lba.checked_add(count) {
        Some(end) if end <= sectors && len.is_multiple_of(SECTOR) => Ok(lba * SECTOR as u64),
        _ => Err(BlockError::Range { lba, count }),
    }
}

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
        // The padding of the last sector is not in the file and never gets there.
        let real = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX).min(data.len());
        self.file.write_all_at(&data[..real], at).map_err(|e| self.host("write", e))
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        if self.read_only {
            return Ok(());
        }
        // SAFETY: a plain system call on our own descriptor.
        if unsafe { libc::fdatasync(self.file.as_raw_fd()) } == 0 {
            return Ok(());
        }
        match io::Error::last_os_error() {
            // Pipes, some device files: nothing to flush there.
            e if e.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            e => Err(self.host("flush", e)),
        }
    }
}

/// An image in memory that is never written.
pub struct MemoryDisk {
    bytes: Arc<[u8]>,
}

impl Block for MemoryDisk {
    fn sectors(&self) -> u64 {
        (self.bytes.len() as u64).div_ceil(SECTOR as u64)
    }

    fn read_only(&self) -> bool {
        true
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        let at = check(lba, buf.len(), self.sectors())?;
        let rest = usize::try_from(at).ok().and_then(|at| self.bytes.get(at..)).unwrap_or(&[]);
        let real = rest.len().min(buf.len());
        buf[..real].copy_from_slice(&rest[..real]);
        buf[real..].fill(0);
        Ok(())
    }

    fn write(&mut self, _lba: u64, _data: &[u8]) -> Result<(), BlockError> {
        Err(BlockError::ReadOnly)
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        Ok(())
    }
}

/// Keeps what is written in memory and leaves what is below as it is.
pub struct Overlay {
    below: Box<dyn Block>,
    written: HashMap<u64, Box<[u8; SECTOR]>>,
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
                if let Some(data) = self.written.get(&(lba + i as u64)) {
                    sector.copy_from_slice(&data[..]);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), BlockError> {
        check(lba, data.len(), self.sectors())?;
        for (i, sector) in data.chunks_exact(SECTOR).enumerate() {
            let kept = self.written.entry(lba + i as u64).or_insert_with(|| Box::new([0; SECTOR]));
            kept.copy_from_slice(sector);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        Ok(())
    }
}

/// Opens what `spec` says.
pub fn open(spec: &DiskSpec) -> Result<Box<dyn Block>, Error> {
    let keep = spec.snapshot && !spec.readonly;
    let below: Box<dyn Block> = match &spec.source {
        Source::File(path) => Box::new(FileDisk::open(path, spec.readonly || spec.snapshot)?),
        Source::Bytes(bytes) if bytes.is_empty() => {
            return Err(Error::Image("an empty image cannot be a disk".into()));
        }
        Source::Bytes(bytes) => Box::new(MemoryDisk { bytes: Arc::clone(bytes) }),
    };
    let in_memory = matches!(spec.source, Source::Bytes(_)) && !spec.readonly;
    Ok(if keep || in_memory { Box::new(Overlay::new(below)) } else { below })
}

/// The largest ROM or bare image that is loaded whole.
const MAX_WHOLE: u64 = 1 << 32;

/// A whole file in memory: ROMs and the bare machine's image.
pub fn whole(source: &Source) -> Result<Arc<[u8]>, Error> {
    let path = match source {
        Source::Bytes(bytes) => return Ok(Arc::clone(bytes)),
        Source::File(path) => path,
    };
    let meta = std::fs::metadata(path).map_err(|e| Error::file("open", path, e))?;
    if meta.is_dir() {
        return Err(Error::Image(format!("{} is a directory, not an image", path.display())));
    }
    if meta.len() > MAX_WHOLE {
        return Err(Error::Image(format!("{} is too large to be loaded into memory", path.display())));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::file("read", path, e))?;
    if bytes.is_empty() {
        return Err(Error::Image(format!("{} is empty", path.display())));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut f = tempfile::NamedTempFile::new().unwrap();
        f.write_all(bytes).unwrap();
        f
    }

    fn spec(f: &tempfile::NamedTempFile) -> DiskSpec {
        f.path().to_path_buf().into()
    }

    #[test]
    fn an_odd_size_is_padded_with_zeros_when_read_and_never_grows() {
        let f = file(&[7; 700]);
        let mut d = open(&spec(&f)).unwrap();
        assert_eq!(d.sectors(), 2);
        let mut buf = [1; 1024];
        d.read(0, &mut buf).unwrap();
        assert!(buf[..700].iter().all(|b| *b == 7) && buf[700..].iter().all(|b| *b == 0));
        d.write(1, &[9; 512]).unwrap();
        d.flush().unwrap();
        let after = std::fs::read(f.path()).unwrap();
        assert_eq!(after.len(), 700);
        assert!(after[512..].iter().all(|b| *b == 9));
    }

    #[test]
    fn nothing_outside_the_disk_can_be_reached() {
        let f = file(&[0; 1024]);
        let mut d = open(&spec(&f)).unwrap();
        for lba in [2, 1 << 40, u64::MAX, u64::MAX / 512] {
            assert!(matches!(d.read(lba, &mut [0; 512]), Err(BlockError::Range { .. })));
            assert!(matches!(d.write(lba, &[0; 512]), Err(BlockError::Range { .. })));
        }
        assert!(matches!(d.read(1, &mut [0; 1024]), Err(BlockError::Range { .. })));
        assert!(matches!(d.read(0, &mut [0; 100]), Err(BlockError::Range { .. })));
    }

    #[test]
    fn a_snapshot_reads_back_its_writes_and_leaves_the_file() {
        let f = file(&[1; 1024]);
        let mut d = open(&DiskSpec { snapshot: true, ..spec(&f) }).unwrap();
        d.write(1, &[2; 512]).unwrap();
        let mut buf = [0; 1024];
        d.read(0, &mut buf).unwrap();
        assert!(buf[..512].iter().all(|b| *b == 1) && buf[512..].iter().all(|b| *b == 2));
        assert_eq!(std::fs::read(f.path()).unwrap(), [1; 1024]);
    }

    #[test]
    fn a_readonly_disk_refuses_writes() {
        let f = file(&[1; 512]);
        let mut d = open(&DiskSpec { readonly: true, ..spec(&f) }).unwrap();
        assert!(d.read_only());
        assert_eq!(d.write(0, &[2; 512]), Err(BlockError::ReadOnly));
    }

    #[test]
    fn a_missing_file_is_named_in_the_message() {
        let e = FileDisk::open(Path::new("/nowhere/x.img"), false).err().unwrap();
        assert!(e.to_string().contains("/nowhere/x.img"), "{e}");
        assert_eq!(e.status(), 4);
    }
}
