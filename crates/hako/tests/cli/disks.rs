//! What a guest writes to a disk, and what stays.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::guest::{HALT, sector};
use crate::hako::{Folder, engines, hako};

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
