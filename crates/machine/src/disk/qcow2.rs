//! qcow2 images, by the imago crate: clusters allocated on demand, compressed ones, backing files.

use std::io;
use std::path::Path;

use hako_chips::block::{SECTOR, within, write_zeros};
use hako_chips::{Block, BlockError};
use imago::file::File;
use imago::format::gate::ImplicitOpenGate;
use imago::qcow2::Qcow2;
use imago::{FormatAccess, FormatDriverBuilder, Storage, StorageOpenOptions};

use super::check;
use crate::error::Error;

/// Images in a chain of backing files; a longer one is most likely a loop.
const MOST_BACKING: usize = 32;
/// Discards are cut to multiples of this many sectors: the usual cluster, below which nothing can be given back.
const CLUSTER: u64 = (64 << 10) / SECTOR as u64;

/// Whether an image that begins with `start` is a qcow2 image.
pub fn is_one(start: &[u8]) -> bool {
    start.starts_with(b"QFI\xfb")
}

/// Opens backing files as their images name them, to some depth.
struct Backing {
    left: usize,
}

impl ImplicitOpenGate<File> for Backing {
    fn open_format<F: FormatDriverBuilder<File>>(&mut self, builder: F) -> io::Result<FormatAccess<File>> {
        let too_deep =
            || io::Error::other(format!("more than {MOST_BACKING} backing files, or a loop of them"));
        let left = self.left.checked_sub(1).ok_or_else(too_deep)?;
        Ok(FormatAccess::new(builder.open(Backing { left })?))
    }

    fn open_storage(&mut self, options: StorageOpenOptions) -> io::Result<File> {
        File::open(options)
    }
}

/// A qcow2 image.
pub struct Qcow2Disk {
    image: FormatAccess<File>,
    name: String,
    read_only: bool,
}

impl Qcow2Disk {
    /// Opens `path`, for writing too unless `read_only`; its backing files for reading alone.
    pub fn open(path: &Path, read_only: bool) -> Result<Qcow2Disk, Error> {
        let name = path.display().to_string();
        let opened = Qcow2::<File>::builder_path(path).write(!read_only).open(Backing { left: MOST_BACKING });
        let image = FormatAccess::new(opened.map_err(|why| {
            Error::Image(format!(
                "cannot open the qcow2 image {name}: {why}; look at it with `qemu-img info --backing-chain {name}` and \
                 `qemu-img check {name}`, or make a plain one: `qemu-img convert -O qcow2 {name} NEW`"
            ))
        })?);
        if image.size() < SECTOR as u64 {
            return Err(Error::Image(format!(
                "{name} is an empty qcow2 image: enlarge it with qemu-img resize"
            )));
        }
        Ok(Qcow2Disk { image, name, read_only })
    }

    fn host(&self, what: &str, why: io::Error) -> BlockError {
        BlockError::Host(format!("cannot {what} the qcow2 image {}: {why}", self.name))
    }
}

impl Block for Qcow2Disk {
    fn sectors(&self) -> u64 {
        self.image.size() / SECTOR as u64
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        let at = check(lba, buf.len(), self.sectors())?;
        self.image.read(buf, at).map_err(|e| self.host("read", e))
    }

    fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), BlockError> {
        if self.read_only {
            return Err(BlockError::ReadOnly);
        }
        let at = check(lba, data.len(), self.sectors())?;
        self.image.write(data, at).map_err(|e| self.host("write", e))
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        if self.read_only {
            return Ok(());
        }
        // First what imago holds, then what the host holds.
        self.image.flush().and_then(|()| self.image.sync()).map_err(|e| self.host("flush", e))
    }

    fn discard(&mut self, lba: u64, count: u64) -> Result<(), BlockError> {
        within(lba, count, self.sectors(), self.read_only)?;
        let first = lba.next_multiple_of(CLUSTER);
        let end = (lba + count) / CLUSTER * CLUSTER;
        if first >= end {
            return Ok(());
        }
        let (at, len) = (first * SECTOR as u64, (end - first) * SECTOR as u64);
        match self.image.discard_to_zero(at, len) {
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(()),
            done => done.map_err(|e| self.host("discard a range of", e)),
        }
    }

    fn write_zeroes(&mut self, lba: u64, count: u64, unmap: bool) -> Result<(), BlockError> {
        within(lba, count, self.sectors(), self.read_only)?;
        let (at, len) = (lba * SECTOR as u64, count * SECTOR as u64);
        let done = if unmap { self.image.discard_to_zero(at, len) } else { self.image.write_zeroes(at, len) };
        match done {
            Err(e) if e.kind() == io::ErrorKind::Unsupported => write_zeros(self, lba, count),
            done => done.map_err(|e| self.host("zero a range of", e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DiskSpec;
    use crate::disk::open;
    use std::path::PathBuf;
    use std::process::Command;

    /// A directory for images, and QEMU's tool to make and check them; nothing where that is not installed.
    struct Images(tempfile::TempDir);

    impl Images {
        fn new() -> Option<Images> {
            Command::new("qemu-img").arg("--version").output().ok()?;
            Some(Images(tempfile::tempdir().unwrap()))
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Runs qemu-img in the directory; what it said.
        fn run(&self, args: &[&str]) -> String {
            let out = Command::new("qemu-img").args(args).current_dir(self.0.path()).output().unwrap();
            let said =
                String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
            assert!(out.status.success(), "qemu-img {args:?}: {said}");
            said
        }

        fn create(&self, name: &str, options: &[&str]) -> DiskSpec {
            let mut args = vec!["create", "-q", "-f", "qcow2"];
            args.extend(options);
            args.extend([name, "16M"]);
            self.run(&args);
            self.path(name).into()
        }

        /// The image as QEMU reads it.
        fn raw(&self, name: &str) -> Vec<u8> {
            self.run(&["check", "-q", name]);
            self.run(&["convert", "-O", "raw", name, "raw"]);
            std::fs::read(self.path("raw")).unwrap()
        }
    }

    fn sector(disk: &mut dyn Block, lba: u64) -> u8 {
        let mut buf = [0xee; 512];
        disk.read(lba, &mut buf).unwrap();
        assert!(buf.iter().all(|b| *b == buf[0]));
        buf[0]
    }

    #[test]
    fn an_image_of_qemus_is_read_and_written() {
        let Some(images) = Images::new() else { return };
        for options in [&[][..], &["-o", "compat=0.10"], &["-o", "cluster_size=4k"]] {
            let spec = images.create("a.qcow2", options);
            let mut disk = match open(&spec) {
                Ok(disk) => disk,
                Err(e) => panic!("{options:?}: {e}"),
            };
            assert_eq!((disk.sectors(), sector(&mut *disk, 0)), (32768, 0));
            for lba in [0, 7, 128, 1000, 32767] {
                disk.write(lba, &[lba as u8 | 1; 512]).unwrap();
            }
            disk.write(2000, &vec![0x42; 300 * 512]).unwrap();
            disk.flush().unwrap();
            assert_eq!(sector(&mut *disk, 1000), 1000u64 as u8 | 1);
            drop(disk);
            let raw = images.raw("a.qcow2");
            for lba in [0usize, 7, 128, 1000, 32767] {
                assert!(raw[lba * 512..][..512].iter().all(|b| *b == lba as u8 | 1), "{options:?}");
            }
            assert!(raw[2000 * 512..2300 * 512].iter().all(|b| *b == 0x42));
            assert_eq!(raw[2300 * 512], 0);
        }
    }

    #[test]
    fn what_was_flushed_is_in_the_file_without_a_clean_end() {
        let Some(images) = Images::new() else { return };
        let mut disk = open(&images.create("a.qcow2", &[])).unwrap();
        disk.write(5, &[9; 512]).unwrap();
        disk.flush().unwrap();
        std::mem::forget(disk);
        assert_eq!(images.raw("a.qcow2")[5 * 512], 9);
    }

    #[test]
    fn a_backing_file_shows_through_and_is_not_written() {
        let Some(images) = Images::new() else { return };
        std::fs::write(images.path("base"), vec![3; 16 << 20]).unwrap();
        let mut disk = open(&images.create("a.qcow2", &["-b", "base", "-F", "raw"])).unwrap();
        assert_eq!(sector(&mut *disk, 9), 3);
        disk.write(9, &[4; 512]).unwrap();
        disk.discard(256, 512).unwrap();
        disk.flush().unwrap();
        assert_eq!((sector(&mut *disk, 9), sector(&mut *disk, 10)), (4, 3));
        let gone = sector(&mut *disk, 300);
        assert!(gone == 0 || gone == 3);
        drop(disk);
        assert!(std::fs::read(images.path("base")).unwrap().iter().all(|b| *b == 3));
        assert_eq!(images.raw("a.qcow2")[9 * 512], 4);
    }

    #[test]
    fn discarded_and_zeroed_ranges_are_zeros() {
        let Some(images) = Images::new() else { return };
        for options in [&[][..], &["-o", "compat=0.10"]] {
            let mut disk = open(&images.create("a.qcow2", options)).unwrap();
            for unmap in [true, false] {
                disk.write(0, &vec![7; 1024 * 512]).unwrap();
                disk.write_zeroes(100, 500, unmap).unwrap();
                assert_eq!(sector(&mut *disk, 99), 7);
                assert!((100..600).all(|lba| sector(&mut *disk, lba) == 0), "{options:?} {unmap}");
                assert_eq!(sector(&mut *disk, 600), 7);
            }
            disk.write(0, &vec![7; 1024 * 512]).unwrap();
            disk.discard(1, 700).unwrap();
            assert_eq!((sector(&mut *disk, 0), sector(&mut *disk, 701)), (7, 7));
            disk.flush().unwrap();
            drop(disk);
            images.raw("a.qcow2");
        }
    }

    #[test]
    fn compressed_images_are_read() {
        let Some(images) = Images::new() else { return };
        std::fs::write(images.path("base"), vec![6; 1 << 20]).unwrap();
        images.run(&["convert", "-c", "-O", "qcow2", "base", "c.qcow2"]);
        let mut disk = open(&images.path("c.qcow2").into()).unwrap();
        assert_eq!(sector(&mut *disk, 77), 6);
        disk.write(77, &[8; 512]).unwrap();
        disk.flush().unwrap();
        drop(disk);
        let raw = images.raw("c.qcow2");
        assert_eq!((raw[77 * 512], raw[78 * 512]), (8, 6));
    }

    #[test]
    fn a_snapshot_of_a_qcow2_image_leaves_the_file() {
        let Some(images) = Images::new() else { return };
        let spec = images.create("a.qcow2", &[]);
        let before = std::fs::read(images.path("a.qcow2")).unwrap();
        let mut disk = open(&DiskSpec { snapshot: true, ..spec.clone() }).unwrap();
        disk.write(1, &[1; 512]).unwrap();
        assert_eq!(sector(&mut *disk, 1), 1);
        drop(disk);
        let mut disk = open(&DiskSpec { readonly: true, ..spec }).unwrap();
        assert_eq!(disk.write(1, &[1; 512]), Err(BlockError::ReadOnly));
        drop(disk);
        assert_eq!(std::fs::read(images.path("a.qcow2")).unwrap(), before);
    }

    #[test]
    fn a_feature_that_is_not_known_is_named() {
        let Some(images) = Images::new() else { return };
        let e = open(&images.create("a.qcow2", &["-o", "extended_l2=on"])).err().unwrap().to_string();
        assert!(e.contains("extended L2") && e.contains("qemu-img convert"), "{e}");
    }

    #[test]
    fn a_missing_backing_file_is_named() {
        let Some(images) = Images::new() else { return };
        std::fs::write(images.path("base"), [0; 512]).unwrap();
        let spec = images.create("a.qcow2", &["-b", "base", "-F", "raw"]);
        std::fs::remove_file(images.path("base")).unwrap();
        let e = open(&spec).err().unwrap().to_string();
        assert!(e.contains("a.qcow2") && e.contains("base") && e.contains("qemu-img info"), "{e}");
    }

    #[test]
    fn a_loop_of_backing_files_is_an_error() {
        let Some(images) = Images::new() else { return };
        let spec = images.create("a.qcow2", &[]);
        images.run(&["rebase", "-u", "-b", "a.qcow2", "-F", "qcow2", "a.qcow2"]);
        let e = open(&spec).err().unwrap().to_string();
        assert!(e.contains("backing files"), "{e}");
    }

    #[test]
    fn a_damaged_header_is_an_error() {
        for len in [4, 8, 72, 104, 4096] {
            let mut f = tempfile::NamedTempFile::new().unwrap();
            let mut bytes = vec![0xff; len];
            bytes[..4].copy_from_slice(b"QFI\xfb");
            io::Write::write_all(&mut f, &bytes).unwrap();
            let e = open(&f.path().to_path_buf().into()).err().unwrap();
            assert_eq!(e.status(), 4, "{e}");
        }
    }
}
