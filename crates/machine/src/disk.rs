//! Disks behind the chips: host files, qcow2 images, memory, and copy-on-write overlays over any of them.

mod file;
mod overlay;
mod qcow2;

use std::path::Path;
use std::sync::Arc;

use hako_chips::block::SECTOR;
use hako_chips::{Block, BlockError};

use crate::config::{DiskSpec, Source};
use crate::error::Error;
pub use file::FileDisk;
pub use overlay::Overlay;
pub use qcow2::Qcow2Disk;

fn check(lba: u64, len: usize, sectors: u64) -> Result<u64, BlockError> {
    let count = (len / SECTOR) as u64;
    match lba.checked_add(count) {
        Some(end) if end <= sectors && len.is_multiple_of(SECTOR) => Ok(lba * SECTOR as u64),
        _ => Err(BlockError::Range { lba, count }),
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

/// Opens what `spec` says.
pub fn open(spec: &DiskSpec) -> Result<Box<dyn Block>, Error> {
    let keep = spec.snapshot && !spec.readonly;
    let below: Box<dyn Block> = match &spec.source {
        Source::File(path) => image(path, spec.readonly || spec.snapshot)?,
        Source::Bytes(bytes) if bytes.is_empty() => {
            return Err(Error::Image("an empty image cannot be a disk".into()));
        }
        Source::Bytes(bytes) => Box::new(MemoryDisk { bytes: Arc::clone(bytes) }),
    };
    let in_memory = matches!(spec.source, Source::Bytes(_)) && !spec.readonly;
    Ok(if keep || in_memory { Box::new(Overlay::new(below)) } else { below })
}

/// Formats of images that are not disks as they are: where their magic is, what it is, what they are called.
const FOREIGN: [(usize, &[u8], &str); 4] = [
    (0, b"KDMV", "VMDK"),
    (0, b"vhdxfile", "VHDX"),
    (0, b"QED\0", "QED"),
    (64, &[0x7f, 0x10, 0xda, 0xbe], "VDI"),
];

/// Opens an image file as what its first bytes say.
fn image(path: &Path, read_only: bool) -> Result<Box<dyn Block>, Error> {
    let mut raw = FileDisk::open(path, read_only)?;
    let mut start = [0; SECTOR];
    raw.read(0, &mut start).map_err(|why| Error::Image(why.to_string()))?;
    if qcow2::is_one(&start) {
        return Ok(Box::new(Qcow2Disk::open(path, read_only)?));
    }
    match FOREIGN.iter().find(|(at, magic, _)| start[*at..].starts_with(magic)) {
        Some((_, _, format)) => Err(Error::Image(format!(
            "{path} is a {format} image; hako reads raw and qcow2 images: qemu-img convert -O qcow2 {path} NEW",
            path = path.display()
        ))),
        None => Ok(Box::new(raw)),
    }
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
    #[test]
    fn a_discarded_or_zeroed_range_of_a_file_reads_as_zeros_and_the_rest_stays() {
        for unmap in [true, false] {
            let f = file(&[7; 64 * 512 + 100]);
            let mut d = open(&spec(&f)).unwrap();
            d.write_zeroes(1, 16, unmap).unwrap();
            d.discard(30, 8).unwrap();
            d.write_zeroes(63, 2, unmap).unwrap();
            let after = std::fs::read(f.path()).unwrap();
            assert_eq!(after.len(), 64 * 512 + 100);
            let sector = |n: usize| after[n * 512..].iter().take(512).copied().collect::<Vec<u8>>();
            assert!((1..17).chain([63, 64]).all(|n| sector(n).iter().all(|b| *b == 0)));
            assert!([0, 17, 29, 38, 62].iter().all(|n| sector(*n) == [7; 512]));
        }
    }

    #[test]
    fn ranges_outside_of_a_disk_are_not_zeroed() {
        let f = file(&[7; 1024]);
        for spec in [spec(&f), DiskSpec { snapshot: true, ..spec(&f) }] {
            let mut d = open(&spec).unwrap();
            for (lba, count) in [(1, 2), (2, 1), (u64::MAX, 1), (1, u64::MAX)] {
                assert!(matches!(d.discard(lba, count), Err(BlockError::Range { .. })));
                assert!(matches!(d.write_zeroes(lba, count, true), Err(BlockError::Range { .. })));
            }
        }
        let mut d = open(&DiskSpec { readonly: true, ..spec(&f) }).unwrap();
        assert_eq!(d.write_zeroes(0, 1, true), Err(BlockError::ReadOnly));
        assert_eq!(d.discard(0, 1), Err(BlockError::ReadOnly));
    }

    #[test]
    fn a_snapshot_never_shows_again_what_was_written_over() {
        let f = file(&[1; 4 * 512]);
        let mut d = open(&DiskSpec { snapshot: true, ..spec(&f) }).unwrap();
        d.write(0, &[2; 512]).unwrap();
        d.discard(0, 2).unwrap();
        d.write_zeroes(3, 1, true).unwrap();
        let mut buf = [9; 4 * 512];
        d.read(0, &mut buf).unwrap();
        let first: Vec<u8> = buf.chunks(512).map(|s| s[0]).collect();
        assert_eq!(first, [0, 1, 1, 0]);
        d.write(3, &[5; 512]).unwrap();
        d.read(3, &mut buf[..512]).unwrap();
        assert_eq!(buf[0], 5);
    }

    #[test]
    fn images_of_other_formats_are_named() {
        for (magic, name) in [(&b"KDMV"[..], "VMDK"), (b"vhdxfile", "VHDX"), (b"QED\0", "QED")] {
            let mut bytes = magic.to_vec();
            bytes.resize(1024, 0);
            let e = open(&spec(&file(&bytes))).err().unwrap().to_string();
            assert!(e.contains(name) && e.contains("qemu-img convert"), "{e}");
        }
    }

    #[test]
    fn a_guest_cannot_make_a_raw_image_a_qcow2_image() {
        let f = file(&[0; 1024]);
        let mut d = open(&spec(&f)).unwrap();
        let mut sector = [0; 512];
        sector[..4].copy_from_slice(b"QFI\xfb");
        assert!(d.write(0, &sector).is_err());
        assert!(d.write(1, &sector).is_ok());
    }
}
