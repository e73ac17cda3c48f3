//! GRUB 2 from the packages grub-pc-bin and grub-common: a core image with everything built in, behind its boot sector
//! on a hard disk, and a rescue CD.

use std::path::Path;

use crate::disk;
use crate::tools::{file, folder, made, run, write};

const MODULES: &str = "/usr/lib/grub/i386-pc";

/// In boot.img: the sector that the core image begins at, a quadword.
const KERNEL_SECTOR: usize = 0x5c;
/// In boot.img: a jump past the check for a BIOS that gives DL wrongly; the installer replaces it on hard disks.
const DRIVE_CHECK: usize = 0x66;
/// At the end of the core image's first sector: where the rest of it is (quadword), how many sectors, which segment.
const BLOCK_LIST: usize = 0x1f4;
/// The segment that the rest of the core image is loaded to.
const SEGMENT: u16 = 0x820;

/// What GRUB does and what it has with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup<'a> {
    /// The commands that it runs.
    pub script: &'a str,
    /// The modules that they need, besides the disk's.
    pub modules: &'a [&'a str],
    /// A file in its memory disk: name and content.
    pub file: Option<(&'a str, &'a [u8])>,
}

/// A hard disk with GRUB in its first track.
pub fn hard_disk(setup: &Setup<'_>) -> Vec<u8> {
    let mut boot = file("grub-pc-bin", &format!("{MODULES}/boot.img"));
    let mut core = core_image(setup);
    core.resize(core.len().next_multiple_of(disk::SECTOR), 0);
    let rest = (core.len() / disk::SECTOR - 1) as u16;

    boot[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&1u64.to_le_bytes());
    boot[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
    core[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&2u64.to_le_bytes());
    core[BLOCK_LIST + 8..BLOCK_LIST + 10].copy_from_slice(&rest.to_le_bytes());
    core[BLOCK_LIST + 10..BLOCK_LIST + 12].copy_from_slice(&SEGMENT.to_le_bytes());

    let mut image = disk::with_mbr(&boot, 8192);
    // Nobody reads the partition: the core image may go where its beginning would be.
    image[disk::SECTOR..disk::SECTOR + core.len()].copy_from_slice(&core);
    image
}

/// A core image that runs the script without looking for files.
fn core_image(setup: &Setup<'_>) -> Vec<u8> {
    let dir = folder();
    write(&dir.path().join("script"), setup.script.as_bytes());
    let mut args = vec!["-O", "i386-pc", "-o", "core.img", "-c", "script", "-p", "(memdisk)/"];
    if let Some((name, content)) = setup.file {
        write(&dir.path().join(name), content);
        run("tar", dir.path(), "tar", &["--format=ustar", "-cf", "files.tar", name]);
        args.extend(["-m", "files.tar"]);
    }
    args.extend(["biosdisk", "memdisk", "tar"]);
    args.extend(setup.modules);
    run("grub-common", dir.path(), "grub-mkimage", &args);
    made(&dir.path().join("core.img"))
}

/// A bootable CD as `grub-mkrescue` makes it, with `script` as its grub.cfg.
pub fn cd(script: &str) -> Vec<u8> {
    let dir = folder();
    let tree = dir.path().join("tree/boot/grub");
    std::fs::create_dir_all(&tree).unwrap_or_else(|why| panic!("{}: {why}", tree.display()));
    write(&tree.join("grub.cfg"), script.as_bytes());
    assert!(Path::new(MODULES).exists(), "{MODULES} is missing; apt-get install grub-pc-bin");
    // grub-mkrescue calls it, and says little if it is not there.
    run("xorriso", dir.path(), "xorriso", &["-version"]);
    // One small locale and font set: the CD is made in a second instead of ten.
    let args =
        ["-o", "grub.iso", "-d", MODULES, "--locales=", "--fonts=", "--themes=", "--compress=no", "tree"];
    run("grub-common", dir.path(), "grub-mkrescue", &args);
    made(&dir.path().join("grub.iso"))
}
