//! What an image is, by its size and content, and what may be wrong with a file.

use crate::guest::{HALT, cd, sector};
use crate::hako::{Folder, hako};

/// Ends with the high digit of the drive that it came from: mov al, dl; shr al, 4; out 0xf4, al.
const DRIVE: &[u8] = &[0x88, 0xd0, 0xc0, 0xe8, 0x04, 0xe6, 0xf4];
const FLOPPY: i32 = 1;
const DISK: i32 = 0x8 << 1 | 1;
const CD: i32 = 0xe << 1 | 1;

#[test]
fn size_and_content_decide_what_an_image_is() {
    let sized = |bytes: usize| {
        let mut image = sector(DRIVE);
        image.resize(bytes, 0);
        image
    };
    let floppies = [160, 180, 320, 360, 720, 1200, 1440, 2880].map(|k| (sized(k << 10), FLOPPY));
    let disks = [512, 513, 700, 1024, (160 << 10) + 1, 1 << 20, 3 << 20].map(|n| (sized(n), DISK));
    let folder = Folder::new();
    for (image, status) in floppies.into_iter().chain(disks).chain([(cd(DRIVE), CD)]) {
        let path = folder.file("image", &image);
        for firmware in ["builtin", "seabios"] {
            // SeaBIOS knows no floppy below 360K that fw_cfg and CMOS can tell it of.
            if firmware == "seabios" && status == FLOPPY && image.len() < 360 << 10 {
                continue;
            }
            let done = hako(&["run", "--engine", "soft", "--timeout", "20s", "--firmware", firmware, &path]);
            assert_eq!(done.status, status, "{} bytes by {firmware}: {}", image.len(), done.err);
        }
        assert_eq!(folder.read("image"), image, "the file is as it was");
    }
}

#[test]
fn what_cannot_be_booted_is_told_in_one_line() {
    let folder = Folder::new();
    let unsigned = folder.file("unsigned", &[0; 512]);
    let short = folder.file("short", &[0xf4; 100]);
    let empty = folder.file("empty", &[]);
    let missing = folder.arg("missing");
    let directory = folder.arg(".");
    let good = folder.file("good", &sector(HALT));
    let rom = folder.file("rom", &[0; 1000]);
    let bare = ["--machine", "bare"];
    let table: [(&[&str], &str); 12] = [
        (&[&unsigned], "--machine bare"),
        (&[&short], "--machine bare"),
        (&[&empty], "empty"),
        (&[&missing], "No such file"),
        (&[&directory], "s a directory"),
        (&["--disk", &missing], "No such file"),
        (&["--floppy", &missing], "No such file"),
        (&["--cdrom", &missing], "No such file"),
        (&["--firmware", &missing, &good], "No such file"),
        (&["--firmware", &rom, &good], "1000 bytes"),
        (&[bare[0], bare[1], &missing], "No such file"),
        (&[bare[0], bare[1], &empty], "empty"),
    ];
    for (args, text) in table {
        let done = hako(&[&["run"], args].concat()).expect(4).says(text);
        assert_eq!(done.err.lines().count(), 1, "{}", done.err);
        assert!(done.err.starts_with("hako: "), "{}", done.err);
    }
}

#[test]
fn outputs_that_cannot_be_made_are_told_before_the_guest_runs() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(HALT));
    let nowhere = folder.arg("no/such/folder");
    let to = format!("file:{nowhere}");
    let trace = format!("io:{nowhere}");
    for (option, value) in
        [("--serial", &to), ("--debugcon", &to), ("--trace", &trace), ("--screenshot", &nowhere)]
    {
        hako(&["run", option, value, &image]).expect(4).says(&nowhere);
    }
}

#[test]
fn the_image_may_be_left_out_where_a_medium_is_given() {
    let folder = Folder::new();
    let disk = folder.file("disk", &sector(DRIVE));
    let mut floppy = sector(DRIVE);
    floppy.resize(1440 << 10, 0);
    let floppy = folder.file("floppy", &floppy);
    let cd = folder.file("cd", &cd(DRIVE));
    for (option, path, status) in
        [("--disk", &disk, DISK), ("--floppy", &floppy, FLOPPY), ("--cdrom", &cd, CD)]
    {
        hako(&["run", "--engine", "soft", option, path]).expect(status);
    }
    hako(&["run"]).expect(2).says("nothing to boot");
}

#[test]
fn the_boot_order_is_obeyed_by_both_firmwares() {
    let folder = Folder::new();
    let disk = folder.file("disk", &sector(DRIVE));
    let mut floppy = sector(DRIVE);
    floppy.resize(1440 << 10, 0);
    let floppy = folder.file("floppy", &floppy);
    let cd = folder.file("cd", &cd(DRIVE));
    for firmware in ["builtin", "seabios"] {
        for (order, status) in
            [("disk,floppy", DISK), ("floppy,disk", FLOPPY), ("cdrom,disk", CD), ("floppy", FLOPPY)]
        {
            let media = ["--disk", &disk, "--floppy", &floppy, "--cdrom", &cd];
            let options = ["run", "--engine", "soft", "--firmware", firmware, "--boot", order];
            hako(&[&options[..], &media].concat()).expect(status);
        }
    }
}

#[test]
fn media_that_do_not_boot_are_no_success() {
    let folder = Folder::new();
    let blank = folder.file("blank", &[0; 512]);
    hako(&["run", "--engine", "soft", "--disk", &blank]).expect(4).says("no bootable medium: hard disk 0");
    // A boot sector that gives up: int 0x18.
    let tired = folder.file("tired", &sector(&[0xcd, 0x18]));
    hako(&["run", "--engine", "soft", &tired]).expect(4).says("INT 18h");
}
