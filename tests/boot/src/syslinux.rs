//! syslinux on FAT disks and floppies, isolinux on a CD.

use std::path::Path;

use crate::disk;
use crate::tools::{file, folder, made, run, write};

const COM32: &str = "/usr/lib/syslinux/modules/bios";
const MBR: &str = "/usr/lib/syslinux/mbr/mbr.bin";
const ISOLINUX: &str = "/usr/lib/ISOLINUX/isolinux.bin";

/// A file on the medium: name and content.
pub type File<'a> = (&'a str, &'a [u8]);

/// A COM32 module of the package.
pub fn module(name: &str) -> Vec<u8> {
    file("syslinux-common", &format!("{COM32}/{name}"))
}

/// A 1.44M floppy.
pub fn floppy(files: &[File<'_>]) -> Vec<u8> {
    let dir = folder();
    write(&dir.path().join("image"), &vec![0; 1440 << 10]);
    run("mtools", dir.path(), "mformat", &["-i", "image", "-f", "1440", "::"]);
    fill(dir.path(), "image", files);
    run("syslinux", dir.path(), "syslinux", &["--install", "image"]);
    made(&dir.path().join("image"))
}

/// A hard disk with syslinux's master boot record and one FAT16 partition.
pub fn hard_disk(files: &[File<'_>]) -> Vec<u8> {
    const SECTORS: u32 = 16 * 1008;
    let dir = folder();
    let offset = disk::FIRST as usize * disk::SECTOR;
    let at = format!("image@@{offset}");
    write(&dir.path().join("image"), &disk::with_mbr(&file("syslinux-common", MBR), SECTORS));
    let [heads, track, hidden] = [disk::HEADS, disk::PER_TRACK, disk::FIRST].map(|n| n.to_string());
    let total = (SECTORS - disk::FIRST).to_string();
    let shape = ["-i", &at, "-h", &heads, "-s", &track, "-H", &hidden, "-T", &total, "::"];
    run("mtools", dir.path(), "mformat", &shape);
    fill(dir.path(), &at, files);
    let install = ["--install", "--offset", &offset.to_string(), "image"];
    run("syslinux", dir.path(), "syslinux", &install);
    made(&dir.path().join("image"))
}

/// Copies files into a FAT image.
fn fill(dir: &Path, image: &str, files: &[File<'_>]) {
    for (name, content) in files {
        write(&dir.join(name), content);
        run("mtools", dir, "mcopy", &["-i", image, name, "::"]);
    }
}

/// A CD without emulation; `files` go beside isolinux.bin.
pub fn cd(files: &[File<'_>]) -> Vec<u8> {
    let dir = folder();
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap_or_else(|why| panic!("{}: {why}", tree.display()));
    write(&tree.join("isolinux.bin"), &file("isolinux", ISOLINUX));
    write(&tree.join("ldlinux.c32"), &module("ldlinux.c32"));
    for (name, content) in files {
        write(&tree.join(name), content);
    }
    #[rustfmt::skip]
    let args = [
        "-as", "mkisofs", "-quiet", "-o", "cd.iso", "-b", "isolinux.bin", "-c", "boot.cat",
        "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "tree",
    ];
    run("xorriso", dir.path(), "xorriso", &args);
    made(&dir.path().join("cd.iso"))
}
