//! Booting from every kind of medium, with both firmwares, on every engine.

mod common;

use common::{engines, mbr, pc};
use hako_machine::{BootDevice, Ended, FirmwareChoice};

/// Says on the debug console which drive it came from, and halts.
fn sector() -> Vec<u8> {
    // mov al, dl; out 0xe9, al; cli; hlt
    mbr(&[0x88, 0xd0, 0xe6, 0xe9, 0xfa, 0xf4])
}

/// A CD with an El Torito no-emulation boot image.
fn cd() -> Vec<u8> {
    let mut iso = vec![0; 24 * 2048];
    let put = |iso: &mut Vec<u8>, at: usize, bytes: &[u8]| iso[at..at + bytes.len()].copy_from_slice(bytes);
    put(&mut iso, 16 * 2048, b"\x01CD001\x01");
    put(&mut iso, 16 * 2048 + 80, &24u32.to_le_bytes());
    put(&mut iso, 17 * 2048, b"\x00CD001\x01EL TORITO SPECIFICATION");
    put(&mut iso, 17 * 2048 + 0x47, &19u32.to_le_bytes());
    put(&mut iso, 18 * 2048, b"\xffCD001\x01");
    // Validation entry: its words add up to 0.
    put(&mut iso, 19 * 2048, &[1, 0]);
    put(&mut iso, 19 * 2048 + 28, &[0xaa, 0x55, 0x55, 0xaa]);
    // Default entry: bootable, no emulation, one sector of 512 bytes at sector 20.
    put(&mut iso, 19 * 2048 + 32, &[0x88, 0, 0, 0, 0, 0, 1, 0, 20, 0, 0, 0]);
    put(&mut iso, 20 * 2048, &sector());
    iso
}

fn floppy() -> Vec<u8> {
    let mut v = sector();
    v.resize(1440 << 10, 0);
    v
}

fn firmwares() -> Vec<FirmwareChoice> {
    let seabios = hako_machine::seabios().map(|_| FirmwareChoice::SeaBios);
    [FirmwareChoice::Builtin].into_iter().chain(seabios).collect()
}

fn boots(image: &[u8], drive: impl Fn(u8) -> bool) {
    for engine in engines() {
        for firmware in firmwares() {
            let mut m = pc(engine).firmware(firmware.clone()).image(image).build().unwrap();
            let outcome = m.run();
            let log = String::from_utf8_lossy(m.debugcon()).into_owned();
            assert_eq!(outcome.ended, Ended::HaltedForGood, "{engine:?} {firmware:?}\n{log}");
            let dl = m.debugcon().last().copied().unwrap_or(0xff);
            assert!(drive(dl), "{engine:?} {firmware:?}: DL = {dl:#x}\n{log}");
        }
    }
}

#[test]
fn a_hard_disk_of_one_sector() {
    boots(&sector(), |dl| dl == 0x80);
}

#[test]
fn a_hard_disk_of_odd_size() {
    let mut image = sector();
    image.resize(512 * 390 + 256, 0);
    boots(&image, |dl| dl == 0x80);
}

#[test]
fn a_floppy() {
    boots(&floppy(), |dl| dl == 0);
}

#[test]
fn a_cd() {
    boots(&cd(), |dl| dl >= 0x80);
}

#[test]
fn the_boot_order_decides() {
    for engine in engines() {
        let mut m = pc(engine)
            .floppy(floppy())
            .disk(sector())
            .boot(vec![BootDevice::Floppy, BootDevice::Disk])
            .build()
            .unwrap();
        m.run();
        assert_eq!(m.debugcon(), [0], "{engine:?}");
    }
}

#[test]
fn writes_to_a_disk_in_memory_stay_in_the_machine() {
    // mov ax, 0x0301; mov cx, 2; mov dx, 0x80; mov bx, 0x7c00; int 0x13; cli; hlt
    let code = [0xb8, 0x01, 0x03, 0xb9, 0x02, 0, 0xba, 0x80, 0, 0xbb, 0, 0x7c, 0xcd, 0x13, 0xfa, 0xf4];
    let mut image = mbr(&code);
    image.resize(4096, 0);
    for engine in engines() {
        let mut m = pc(engine).image(&image[..]).build().unwrap();
        assert_eq!(m.run().ended, Ended::HaltedForGood);
        assert_eq!(m.read_sector(0, 1).unwrap()[..], image[..512], "{engine:?}");
        m.reset().unwrap();
        assert_eq!(m.read_sector(0, 1).unwrap(), [0; 512], "{engine:?}");
    }
}
