//! Power-on, INT 18h and 19h.

mod common;

use common::{Image, Machine};
use hako_firmware::{Drive, Outcome, Service};
use hako_x86::{Gpr, RFlags, SegReg};

/// A CD image whose catalog points at a boot image of `count` virtual sectors at CD sector 20.
fn cd(count: u16, segment: u16) -> Image {
    let mut image = Image::new(40 * 4);
    let b = &mut image.bytes;
    b[17 * 2048..17 * 2048 + 7].copy_from_slice(b"\0CD001\x01");
    b[17 * 2048 + 7..17 * 2048 + 30].copy_from_slice(b"EL TORITO SPECIFICATION");
    b[17 * 2048 + 0x47] = 19;
    let catalog = &mut b[19 * 2048..20 * 2048];
    catalog[0] = 1;
    catalog[30..32].copy_from_slice(&[0x55, 0xaa]);
    catalog[28..30].copy_from_slice(&0u16.wrapping_sub(1).wrapping_sub(0xaa55).to_le_bytes());
    catalog[32] = 0x88;
    catalog[34..36].copy_from_slice(&segment.to_le_bytes());
    catalog[38..40].copy_from_slice(&count.to_le_bytes());
    catalog[40] = 20;
    for (n, sector) in b[20 * 2048..].chunks_mut(512).enumerate() {
        sector[0] = 0xc0u8.wrapping_add(n as u8);
    }
    image
}

fn boot(set_up: impl FnOnce(&mut common::Paper)) -> Machine {
    let mut m = Machine::off();
    set_up(&mut m.paper);
    assert_eq!(m.service(Service::Post), Outcome::Resume);
    m
}

#[test]
fn the_boot_sector_starts_at_0000_7c00_with_dl_the_drive_and_interrupts_on() {
    let m = boot(|p| {
        p.hard.push(Image::bootable(3));
        p.order.push(Drive::HardDisk(0));
    });
    assert_eq!((m.cpu.segment(SegReg::Cs).base, m.cpu.rip), (0, 0x7c00));
    assert_eq!(m.dx(), 0x0080);
    assert!(m.cpu.rflags.contains(RFlags::IF));
    assert_eq!((m.byte(0x7c00), m.word(0x7dfe)), (0, 0xaa55));
    assert_eq!(m.cpu.segment(SegReg::Ss).base + m.cpu.reg(Gpr::Rsp), 0x7c00);
}

#[test]
fn vectors_lead_into_the_rom_and_dummies_return() {
    let m = Machine::with_disk();
    for v in 0..256u64 {
        if v != 0x41 && v != 0x46 {
            assert_eq!(m.word(v * 4 + 2), 0xf000, "{v:#x}");
        }
    }
    assert_eq!(m.word(0x80 * 4), 0xff53);
    assert_eq!(m.byte(0xf_ff53), 0xcf);
}

#[test]
fn the_data_area_says_what_there_is() {
    let m = Machine::on(|p| {
        p.floppy = Some(Image::bootable(2880));
        p.order.push(Drive::Floppy(0));
    });
    assert_eq!(m.word(0x400), 0x3f8);
    assert_eq!(m.word(0x402), 0);
    assert_eq!(m.word(0x40e), 0x9fc0);
    assert_eq!(m.word(0x410), 0x0223); // one floppy, FPU, 80x25, one serial port
    assert_eq!(m.word(0x413), 639);
    assert_eq!((m.word(0x41a), m.word(0x41c), m.word(0x480), m.word(0x482)), (0x1e, 0x1e, 0x1e, 0x3e));
    assert_eq!((m.byte(0x449), m.word(0x44a), m.byte(0x484)), (3, 80, 24));
    assert_eq!(m.byte(0x9_fc00), 1);
}

#[test]
fn the_tick_count_begins_with_the_time_of_day() {
    let m = Machine::with_disk();
    assert_eq!(m.dword(0x46c), ((12 * 3600 + 34 * 60 + 56) as u64 * 1_193_182 / 65_536) as u32);
}

#[test]
fn the_8042_is_told_to_interrupt_and_to_translate() {
    let m = Machine::with_disk();
    assert!(m.paper.keyboard_controller.ends_with(&[0x60, 0x65]));
}

#[test]
fn vector_41h_points_to_the_disk_parameters() {
    let m = Machine::with_disk();
    let at = u64::from(m.word(0x41 * 4 + 2)) * 16 + u64::from(m.word(0x41 * 4));
    assert_eq!((m.word(at), m.byte(at + 2), m.byte(at + 14)), (1, 16, 63));
}

#[test]
fn the_next_drive_is_tried_when_one_fails() {
    let m = boot(|p| {
        p.hard = vec![Image::new(5), Image::bootable(5)];
        p.order = vec![Drive::Floppy(0), Drive::HardDisk(0), Drive::HardDisk(1)];
    });
    assert_eq!((m.cpu.rip, m.dx()), (0x7c00, 0x81));
    assert_eq!(m.bios.boot_error(), None);
}

#[test]
fn without_a_bootable_medium_the_reasons_are_printed_and_the_cpu_halts_for_good() {
    let m = boot(|p| {
        p.hard.push(Image::new(5));
        p.order = vec![Drive::Floppy(0), Drive::HardDisk(0)];
    });
    let why = "floppy 0: no medium, hard disk 0: no boot signature";
    assert_eq!(m.bios.boot_error(), Some(why));
    assert_eq!(m.row(1), format!("No bootable medium: {why}"));
    assert_eq!(m.bytes(0xf_0000 + m.cpu.rip, 4), [0xfa, 0xf4, 0xeb, 0xfc]); // cli; hlt; jmp
}

#[test]
fn an_empty_boot_order_has_its_own_message() {
    let m = boot(|_| {});
    assert_eq!(m.bios.boot_error(), Some("no drive in the boot order"));
}

#[test]
fn int_18h_halts_with_a_message() {
    let mut m = Machine::with_disk();
    m.service(Service::NoBoot);
    assert!(m.row(1).contains("INT 18h"));
    assert_eq!(m.byte(0xf_0000 + m.cpu.rip), 0xfa);
}

#[test]
fn int_19h_boots_again_from_the_present_medium() {
    let mut m = Machine::with_disk();
    m.paper.hard[0].bytes[0] = 0x77;
    m.service(Service::Boot);
    assert_eq!((m.cpu.rip, m.byte(0x7c00)), (0x7c00, 0x77));
}

#[test]
fn a_cd_boots_its_default_entry() {
    let m = boot(|p| {
        p.cd = Some(cd(5, 0));
        p.order.push(Drive::Cdrom(0));
    });
    assert_eq!((m.cpu.segment(SegReg::Cs).selector, m.cpu.rip, m.dx()), (0, 0x7c00, 0xe0));
    assert_eq!((m.byte(0x7c00), m.byte(0x7c00 + 4 * 512), m.byte(0x7c00 + 5 * 512)), (0xc0, 0xc4, 0));
}

#[test]
fn a_cd_chooses_its_load_segment() {
    let m = boot(|p| {
        p.cd = Some(cd(1, 0x2345));
        p.order.push(Drive::Cdrom(0));
    });
    assert_eq!(m.cpu.linear_rip(), 0x23450);
    assert_eq!(m.byte(0x23450), 0xc0);
}

#[test]
fn a_cd_that_is_not_bootable_says_why() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(Damage, &str); 7] = [
        (|b| b[17 * 2048 + 8] = 0, "no boot record"),
        (|b| b.truncate(18 * 2048), "read error"),
        (|b| b[19 * 2048 + 5] = 9, "damaged boot catalog"),
        (|b| b[19 * 2048 + 32] = 0, "not bootable"),
        (|b| b[19 * 2048 + 33] = 2, "its boot image wants disk emulation"),
        (|b| b[19 * 2048 + 38..19 * 2048 + 40].fill(0xff), "its boot image does not fit into memory"),
        (|b| b[19 * 2048 + 40..19 * 2048 + 44].fill(0xff), "read error"),
    ];
    for (damage, why) in damages {
        let m = boot(|p| {
            let mut image = cd(5, 0);
            damage(&mut image.bytes);
            p.cd = Some(image);
            p.order.push(Drive::Cdrom(0));
        });
        assert_eq!(m.bios.boot_error(), Some(format!("CD-ROM 0: {why}").as_str()));
    }
}

#[test]
fn power_on_needs_few_port_accesses() {
    let m = boot(|p| {
        p.hard.push(Image::bootable(3));
        p.order.push(Drive::HardDisk(0));
    });
    assert!(m.paper.out_count < 450, "{}", m.paper.out_count);
}
