//! A disk with an MBR and one ext2 partition, whose /sbin/init is a program of our own.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::cache::{Cache, at};
use super::packages::run;
use crate::{Outcome, tools};

/// Where the partition begins, in sectors.
const START: u32 = 2048;
/// Its size in sectors: 16 MiB.
const SECTORS: u32 = 16 << 11;

/// Makes `disk/root.img`.
pub fn prepare(cache: &Cache) -> Outcome {
    tools::ensure(&[tools::BINUTILS, tools::MKE2FS])?;
    cache.make("disk", &["guests/linux/init.s"], |folder| {
        let root = cache.scratch("root")?;
        for name in ["dev", "proc", "sbin", "sys"] {
            at(root.path(), fs::create_dir(root.path().join(name)))?;
        }
        assemble(&root.path().join("sbin/init"))?;
        let partition = folder.join("partition");
        let file = at(&partition, fs::File::create(&partition))?;
        at(&partition, file.set_len(u64::from(SECTORS) * 512))?;
        // Without root, loop device or mount: mke2fs fills the file system itself.
        let mut mke2fs = Command::new("mke2fs");
        mke2fs
            .env("PATH", path_with_sbin())
            .args(["-q", "-t", "ext2", "-d"])
            .arg(root.path())
            .arg(&partition);
        run(&mut mke2fs)?;
        let mut disk = vec![0; START as usize * 512];
        disk[446..462].copy_from_slice(&partition_entry());
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        disk.extend(at(&partition, fs::read(&partition))?);
        at(folder, fs::write(folder.join("root.img"), disk))?;
        at(&partition, fs::remove_file(&partition))
    })
}

/// A Linux partition by LBA; cylinders, heads and sectors say "too large for them".
fn partition_entry() -> [u8; 16] {
    let mut entry = [0, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    entry[8..12].copy_from_slice(&START.to_le_bytes());
    entry[12..].copy_from_slice(&SECTORS.to_le_bytes());
    entry
}

/// Users' paths lack the folder that mke2fs is in.
fn path_with_sbin() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

/// guests/linux/init.s as a static program.
fn assemble(to: &Path) -> Outcome {
    let object = to.with_extension("o");
    let source = tools::root().join("guests/linux/init.s");
    run(Command::new("as").arg("--64").arg("-o").arg(&object).arg(source))?;
    run(Command::new("ld").args(["-m", "elf_x86_64", "-static", "-n", "-s", "-o"]).arg(to).arg(&object))?;
    at(&object, fs::remove_file(&object))
}
