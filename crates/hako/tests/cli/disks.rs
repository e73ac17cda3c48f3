//! What a guest writes to a disk, and what stays.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::guest::{COM1, HALT, LOOP, say, sector};
use crate::hako::{Folder, command, engines, hako, wait};

/// Writes its own sector to sector 2 of the first hard disk by INT 13h; ends with the service's status.
#[rustfmt::skip]
const WRITER: &[u8] = &[
    0x31, 0xc0, 0x8e, 0xc0,  // xor ax, ax; mov es, ax
    0xbb, 0x00, 0x7c,        // mov bx, 0x7c00
    0xb8, 0x01, 0x03,        // mov ax, 0x0301
    0xb9, 0x02, 0x00,        // mov cx, 2
    0xba, 0x80, 0x00,        // mov dx, 0x80
    0xcd, 0x13,              // int 0x13
    0x88, 0xe0,              // mov al, ah
    0xe6, 0xf4,              // out 0xf4, al
];
/// INT 13h status 03h: write protected.
const PROTECTED: i32 = 0x03 << 1 | 1;

fn disk(len: usize) -> Vec<u8> {
    let mut disk = sector(WRITER);
    disk.resize(len, 0xcc);
    disk
}

#[test]
fn what_is_written_is_kept_unless_it_is_said_otherwise() {
    let folder = Folder::new();
    for engine in engines() {
        for firmware in ["builtin", "seabios"] {
            if firmware == "seabios" && *engine == "kvm" {
                continue;
            }
            for (suffix, kept, status) in [
                ("", true, 1),
                (",snapshot", false, 1),
                (",if=ide", true, 1),
                (",readonly", false, PROTECTED),
            ] {
                let path = folder.file("disk", &disk(4096));
                let spec = format!("{path}{suffix}");
                let done = hako(&["run", "--engine", engine, "--firmware", firmware, "--disk", &spec]);
                let why = format!("{suffix:?} on {engine} with {firmware}: {}", done.err);
                // SeaBIOS has an error of its own for what a drive refuses.
                let refused = firmware == "seabios" && status == PROTECTED;
                assert!(done.status == status || (refused && done.status > 1), "{why}");
                let after = folder.read("disk");
                assert_eq!(after[512..1024] == after[..512], kept, "{why}");
                assert!(after[1024..].iter().all(|b| *b == 0xcc) && after.len() == 4096, "{why}");
            }
        }
    }
}

/// A raw or, by qemu-img, a qcow2 disk of 1 MiB with these bytes at its beginning; none without qemu-img.
fn image(folder: &Folder, format: &str, begin: &[u8]) -> Option<String> {
    let mut disk = begin.to_vec();
    disk.resize(1 << 20, 0);
    let raw = folder.file("raw", &disk);
    if format == "raw" {
        return Some(raw);
    }
    let to = folder.arg("disk.qcow2");
    convert(&raw, "raw", &to, "qcow2").then_some(to)
}

/// Whether qemu-img is there and has made `to`.
fn convert(from: &str, its: &str, to: &str, format: &str) -> bool {
    match Command::new("qemu-img").args(["convert", "-f", its, "-O", format, from, to]).output() {
        Ok(done) => {
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            true
        }
        Err(_) => {
            eprintln!("not tested: qemu-img is not there");
            false
        }
    }
}

/// Starts hako, kills it without a warning when the guest says `kept`, and returns what the disk holds then.
fn killed(folder: &Folder, args: &[&str], disk: &str, format: &str) -> Vec<u8> {
    let mut child = command().args(args).spawn().unwrap();
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(b"kept") {
        if child.stdout.as_mut().unwrap().read(&mut byte).unwrap() == 0 {
            panic!("{}\n{}", String::from_utf8_lossy(&said), wait(child).err);
        }
        said.push(byte[0]);
    }
    child.kill().unwrap();
    assert_eq!(wait(child).status, 128 + libc::SIGKILL);
    let raw = folder.arg("after");
    if format == "raw" {
        fs::copy(disk, &raw).unwrap();
    } else {
        convert(disk, format, &raw, "raw");
    }
    folder.read("after")
}

#[test]
fn what_an_ide_disk_has_flushed_outlives_a_kill() {
    // After the write: FLUSH CACHE to the command register, until it is not busy.
    let flush = [0xba, 0xf7, 0x01, 0xb0, 0xe7, 0xee, 0xec, 0xa8, 0x80, 0x75, 0xfb];
    let write = &WRITER[..WRITER.len() - 4];
    let at = (write.len() + flush.len()) as u16;
    let mut says = say(COM1, "kept", LOOP);
    let text = u16::from_le_bytes([says[6], says[7]]) + at;
    says[6..8].copy_from_slice(&text.to_le_bytes());
    let boot = sector(&[write, &flush, &says].concat());
    for format in ["raw", "qcow2"] {
        let folder = Folder::new();
        let Some(disk) = image(&folder, format, &boot) else { continue };
        let after = killed(&folder, &["run", "--engine", "soft", "--disk", &disk], &disk, format);
        assert!(after[512..1024] == boot[..], "{format}");
    }
}

#[test]
fn what_a_virtio_disk_has_flushed_outlives_a_kill() {
    for engine in engines() {
        for (format, interface) in [("raw", "virtio"), ("raw", "virtio-legacy"), ("qcow2", "virtio")] {
            let folder = Folder::new();
            let Some(disk) = image(&folder, format, &[]) else { continue };
            let spec = format!("{disk},if={interface}");
            let args = ["demo", "virtio-blk", "--engine", engine, "--append", "=k", "--disk", &spec];
            let after = killed(&folder, &args, &disk, format);
            let written = 0x1223_3445u32.to_le_bytes().repeat(128);
            assert!(after[5 * 512..6 * 512] == written, "{format} {interface} on {engine}");
        }
    }
}

#[test]
fn a_file_that_ends_within_a_sector_never_grows() {
    let folder = Folder::new();
    let path = folder.file("disk", &disk(700));
    hako(&["run", "--engine", "soft", &path]).expect(1);
    let after = folder.read("disk");
    assert_eq!(after.len(), 700);
    assert_eq!(after[512..], after[..188]);
}

#[test]
fn a_file_that_may_not_be_written_needs_readonly_or_snapshot() {
    let folder = Folder::new();
    let path = folder.file("disk", &disk(1024));
    fs::set_permissions(folder.path("disk"), fs::Permissions::from_mode(0o444)).unwrap();
    if fs::OpenOptions::new().write(true).open(&path).is_err() {
        hako(&["run", "--disk", &path]).expect(4).says("readonly");
    }
    hako(&["run", "--engine", "soft", "--disk", &format!("{path},snapshot")]).expect(1);
    hako(&["run", "--engine", "soft", "--disk", &format!("{path},readonly")]).expect(PROTECTED);
}

#[test]
fn there_are_places_for_three_hard_disks() {
    let folder = Folder::new();
    let path = folder.file("disk", &sector(HALT));
    let disks = ["--disk", &path, "--disk", &path, "--disk", &path];
    hako(&[&["run", "--engine", "soft"], &disks[..]].concat()).expect(0);
    hako(&[&["run", "--disk", &path], &disks[..]].concat()).expect(2).says("4 hard disks");
}
