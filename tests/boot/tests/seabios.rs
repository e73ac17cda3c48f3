//! SeaBIOS itself: both image sizes, every kind of medium, its log and its VGA option ROM.

use hako_boot_tests::session::{Session, all_engines, engines};
use hako_boot_tests::tools;
use hako_machine::{BootDevice, Builder, Ended, EngineChoice, FirmwareChoice, Machine};

/// The images of the package, by size.
const IMAGES: [(&str, usize); 2] =
    [("/usr/share/seabios/bios.bin", 128 << 10), ("/usr/share/seabios/bios-256k.bin", 256 << 10)];

/// A boot sector that tells the drive it came from: prints DL's high digit and the text `ok` by INT 10h, halts.
#[rustfmt::skip]
const CODE: [u8; 19] = [
    0x88, 0xd0,             // mov al, dl
    0xc0, 0xe8, 0x04,       // shr al, 4
    0x04, 0x30,             // add al, '0'
    0xe6, 0xe9,             // out 0xe9, al
    0xb4, 0x0e,             // mov ah, 0x0e
    0xcd, 0x10,             // int 0x10
    0xb0, b'!',             // mov al, '!'
    0xcd, 0x10,             // int 0x10
    0xfa,                   // cli
    0xf4,                   // hlt
];

fn sector() -> Vec<u8> {
    let mut s = CODE.to_vec();
    s.resize(510, 0);
    s.extend([0x55, 0xaa]);
    s
}

fn floppy() -> Vec<u8> {
    let mut f = sector();
    f.resize(1440 << 10, 0);
    f
}

/// The smallest CD that boots: volume descriptors at sectors 16 to 18, the boot catalog at 19, the boot sector at 20
/// (El Torito 1.0, 2.0; ECMA-119, 8).
fn cd() -> Vec<u8> {
    const BLOCK: usize = 2048;
    let mut cd = vec![0; 32 * BLOCK];
    let descriptor = |kind: u8| [&[kind][..], b"CD001", &[1]].concat();
    for (block, kind) in [(16, 1), (17, 0), (18, 255)] {
        cd[block * BLOCK..][..7].copy_from_slice(&descriptor(kind));
    }
    cd[17 * BLOCK + 7..][..23].copy_from_slice(b"EL TORITO SPECIFICATION");
    cd[17 * BLOCK + 0x47..][..4].copy_from_slice(&19u32.to_le_bytes());
    // The validation entry: its words add up to 0.
    let catalog = &mut cd[19 * BLOCK..][..64];
    catalog[0] = 1;
    catalog[28..32].copy_from_slice(&[0xaa, 0x55, 0x55, 0xaa]);
    // The initial entry: bootable, no emulation, one sector of 512 bytes at block 20.
    catalog[32] = 0x88;
    catalog[38] = 1;
    catalog[40] = 20;
    cd[20 * BLOCK..][..512].copy_from_slice(&sector());
    cd
}

/// Boots `image` and returns the machine at its end.
fn boots(rom: &str, engine: EngineChoice, what: &str, medium: impl Fn(Builder) -> Builder, drive: char) {
    let limit = std::time::Duration::from_secs(300);
    let machine = Machine::builder().engine(engine).firmware(FirmwareChoice::Path(rom.into())).timeout(limit);
    let mut guest = Session::start(medium(machine));
    let ended = guest.end().ended;
    let why = format!("{what} by {rom} on {engine:?}: {ended}\n{}", guest.shown());
    assert_eq!(ended, Ended::HaltedForGood, "{why}");
    let log = String::from_utf8_lossy(guest.machine.debugcon()).into_owned();
    assert!(log.contains("SeaBIOS (version") && log.contains("Booting from"), "{why}");
    assert!(log.ends_with(drive), "{why}");
    // INT 10h is the option ROM's: SeaBIOS has none of its own.
    assert!(guest.screen().contains(&format!("{drive}!")), "{why}");
}

fn every_medium_boots_on(engine: EngineChoice) {
    for (rom, size) in IMAGES {
        assert_eq!(tools::file("seabios", rom).len(), size, "{rom}");
        boots(rom, engine, "hard disk", |m| m.image(sector()), '8');
        boots(rom, engine, "floppy", |m| m.image(floppy()), '0');
        boots(rom, engine, "CD", |m| m.image(cd()), '>');
    }
}

#[test]
fn both_images_boot_every_medium_on_soft() {
    every_medium_boots_on(EngineChoice::Soft);
}

#[test]
fn both_images_boot_every_medium_on_kvm() {
    if engines().contains(&EngineChoice::Kvm) {
        every_medium_boots_on(EngineChoice::Kvm);
    } else if all_engines().contains(&EngineChoice::Kvm) {
        boots(IMAGES[1].0, EngineChoice::Kvm, "hard disk", |m| m.image(sector()), '8');
    }
}

#[test]
fn the_boot_order_is_obeyed() {
    for (order, drive) in [
        (vec![BootDevice::Disk, BootDevice::Floppy], '8'),
        (vec![BootDevice::Floppy, BootDevice::Disk], '0'),
        (vec![BootDevice::Cdrom, BootDevice::Floppy], '>'),
    ] {
        let media = |m: Builder| m.disk(sector()).floppy(floppy()).cdrom(cd()).boot(order.clone());
        boots(IMAGES[0].0, EngineChoice::Soft, &format!("{order:?}"), media, drive);
    }
}
