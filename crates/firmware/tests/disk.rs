//! INT 13h.

mod common;

use common::{Image, Machine, abcd, set};
use hako_firmware::Drive;
use hako_mem::Gpa;
use hako_x86::{Gpr, SegReg, Segment};

fn int13(m: &mut Machine, regs: [u16; 4]) {
    m.int(0x13, |cpu| abcd(cpu, regs));
    assert!(m.returns());
}

fn floppy() -> Machine {
    Machine::on(|p| {
        p.floppy = Some(Image::bootable(2880));
        p.order.push(Drive::Floppy(0));
    })
}

/// A disk address packet at 0000:6000.
fn packet(m: &mut Machine, count: u16, buffer: u32, lba: u64) {
    let mut dap = vec![0x10, 0];
    dap.extend(count.to_le_bytes());
    dap.extend(buffer.to_le_bytes());
    dap.extend(lba.to_le_bytes());
    m.mem.write(Gpa(0x6000), &dap).unwrap();
    set(&mut m.cpu, Gpr::Rsi, 0x6000);
}

#[test]
fn reset_succeeds_on_drives_that_there_are() {
    let mut m = Machine::with_disk();
    for (dl, ok) in [(0x00, true), (0x80, true), (0x81, false), (0xe0, false), (0x02, false)] {
        int13(&mut m, [0, 0, 0, dl]);
        assert_eq!(!m.carry(), ok, "{dl:#x}");
        assert_eq!(m.ah(), if ok { 0 } else { 1 });
    }
}

#[test]
fn sectors_are_read_by_cylinder_head_and_sector() {
    let mut m = floppy();
    int13(&mut m, [0x0202, 0x8000, 0x0112, 0x0100]); // cylinder 1, sector 18, head 1
    assert_eq!((m.ax(), m.carry()), (2, false));
    assert_eq!((m.byte(0x8000), m.byte(0x8200)), (71, 72));
}

#[test]
fn sectors_are_written() {
    let mut m = Machine::with_disk();
    m.mem.fill(Gpa(0x9000), 512, 0xab).unwrap();
    int13(&mut m, [0x0301, 0x9000, 0x0003, 0x0080]);
    assert_eq!((m.ax(), m.carry()), (1, false));
    assert_eq!(m.paper.hard[0].bytes[2 * 512..3 * 512], [0xab; 512]);
}

#[test]
fn verify_needs_no_memory() {
    let mut m = Machine::with_disk();
    let before = m.bytes(0x8000, 512);
    int13(&mut m, [0x0401, 0x8000, 0x0001, 0x0080]);
    assert_eq!((m.ax(), m.carry()), (1, false));
    assert_eq!(m.bytes(0x8000, 512), before);
}

#[test]
fn a_read_past_the_disk_moves_what_there_is_and_fails() {
    let mut m = Machine::on(|p| {
        p.hard.push(Image::bootable(3));
        p.order.push(Drive::HardDisk(0));
    });
    int13(&mut m, [0x0205, 0x8000, 0x0002, 0x0080]);
    assert_eq!((m.ax(), m.carry()), (0x0402, true));
    assert_eq!(m.byte(0x8200), 2);
}

#[test]
fn wrong_places_and_counts_are_refused_and_remembered() {
    let mut m = Machine::with_disk();
    for (regs, status) in [
        ([0x0200, 0x8000, 0x0001, 0x0080], 1),    // no sectors
        ([0x0201, 0x8000, 0x0000, 0x0080], 1),    // sector 0
        ([0x0201, 0x8000, 0x0001, 0x1080], 1),    // head 16
        ([0x0201, 0x8000, 0x0001, 0x0000], 0x80), // no floppy in the drive
        ([0x7f01, 0x8000, 0x0001, 0x0080], 1),    // no such function
    ] {
        int13(&mut m, regs);
        assert_eq!((m.ah(), m.carry()), (status, true), "{regs:x?}");
    }
    int13(&mut m, [0x0100, 0, 0, 0x80]);
    assert_eq!((m.ah(), m.carry()), (1, true));
    int13(&mut m, [0x0100, 0, 0, 0x80]);
    assert_eq!((m.ah(), m.carry()), (0, false));
    assert_eq!(m.byte(0x441), 0x80);
}

#[test]
fn a_read_only_disk_says_write_protected() {
    let mut m = Machine::with_disk();
    m.paper.hard[0].read_only = true;
    int13(&mut m, [0x0301, 0x9000, 0x0003, 0x0080]);
    assert_eq!((m.ax(), m.carry()), (0x0300, true));
}

#[test]
fn a_transfer_runs_on_past_the_end_of_its_segment() {
    let mut m = Machine::with_disk();
    m.cpu.seg[SegReg::Es as usize] = Segment::real(0x1000);
    int13(&mut m, [0x0202, 0xff00, 0x0001, 0x0080]);
    assert_eq!(m.ax(), 2);
    assert_eq!(m.byte(0x1_ff00 + 512), 1);
}

#[test]
fn writes_to_the_rom_are_lost() {
    let mut m = Machine::with_disk();
    m.mem = {
        let mut map = m.mem.map().clone();
        let offset = map.lookup(Gpa(0xf_0000)).unwrap().offset;
        let kind = hako_mem::RegionKind::Rom;
        map.map(hako_mem::Region { gpa: Gpa(0xf_0000), len: 0x1_0000, kind, offset }).unwrap();
        hako_mem::GuestMemory::new(m.mem.slab().clone(), map)
    };
    m.cpu.seg[SegReg::Es as usize] = Segment::real(0xf000);
    int13(&mut m, [0x0201, 0, 0x0001, 0x0080]);
    assert_eq!((m.ax(), m.carry()), (1, false));
    assert_eq!(m.bytes(0xf_e100, 2), [0xe6, 0xb8]);
}

#[test]
fn the_parameters_are_the_highest_values() {
    let mut m = floppy();
    int13(&mut m, [0x0800, 0, 0, 0]);
    assert_eq!((m.ax(), m.bx(), m.cx(), m.dx()), (0, 4, 0x4f12, 0x0101));
    let table = m.cpu.segment(SegReg::Es).base + (m.cpu.reg(Gpr::Rdi) & 0xffff);
    assert_eq!((m.byte(table + 3), m.byte(table + 4)), (2, 0x12));

    let mut m = Machine::with_disk();
    int13(&mut m, [0x0800, 0, 0, 0x80]);
    assert_eq!((m.ah(), m.cx(), m.dx()), (0, 0x003f, 0x0f01));
    int13(&mut m, [0x0800, 0, 0, 0x81]);
    assert!(m.carry());
}

#[test]
fn the_kind_of_drive_is_told() {
    let mut m = Machine::with_disk();
    int13(&mut m, [0x1500, 0, 0, 0x80]);
    assert_eq!((m.ah(), m.cx(), m.dx(), m.carry()), (3, 0, 100, false));
    int13(&mut m, [0x1500, 0, 0, 0x00]);
    assert_eq!((m.ah(), m.carry()), (0, false));
}

#[test]
fn a_floppy_track_is_formatted() {
    let mut m = floppy();
    int13(&mut m, [0x0512, 0x8000, 0x0100, 0x0000]);
    assert_eq!((m.ah(), m.carry()), (0, false));
    let bytes = &m.paper.floppy.as_ref().unwrap().bytes;
    assert!(bytes[36 * 512..54 * 512].iter().all(|&b| b == 0xf6));
    assert_eq!((bytes[35 * 512], bytes[54 * 512]), (35, 54));
}

#[test]
fn the_extensions_announce_themselves() {
    let mut m = Machine::with_disk();
    int13(&mut m, [0x4100, 0x55aa, 0, 0x80]);
    assert_eq!((m.bx(), m.ah(), m.cx(), m.carry()), (0xaa55, 0x30, 5, false));
    int13(&mut m, [0x4100, 0x55ab, 0, 0x80]);
    assert!(m.carry());
    int13(&mut m, [0x4100, 0x55aa, 0, 0x00]);
    assert!(m.carry());
}

#[test]
fn blocks_are_read_by_a_packet() {
    let mut m = Machine::with_disk();
    packet(&mut m, 20, 0x1234_0010, 70);
    int13(&mut m, [0x4200, 0, 0, 0x80]);
    assert_eq!((m.ah(), m.carry()), (0, false));
    assert_eq!((m.byte(0x12350), m.byte(0x12350 + 19 * 512)), (70, 89));
}

#[test]
fn blocks_are_written_by_a_packet() {
    let mut m = Machine::with_disk();
    m.mem.fill(Gpa(0x8000), 1024, 0x5a).unwrap();
    packet(&mut m, 2, 0x0000_8000, 98);
    int13(&mut m, [0x4300, 0, 0, 0x80]);
    assert!(!m.carry());
    assert_eq!(m.paper.hard[0].bytes[98 * 512..], [0x5a; 1024]);
}

#[test]
fn a_packet_of_24_bytes_may_have_a_flat_address() {
    let mut m = Machine::with_disk();
    packet(&mut m, 1, 0xffff_ffff, 5);
    m.mem.write(Gpa(0x6000), &[0x18]).unwrap();
    m.mem.store(Gpa(0x6010), 0x11_0000u64).unwrap();
    int13(&mut m, [0x4200, 0, 0, 0x80]);
    assert_eq!((m.carry(), m.byte(0x11_0000)), (false, 5));
}

#[test]
fn a_packet_past_the_disk_fails_and_counts_0() {
    let mut m = Machine::with_disk();
    for lba in [99, 100, u64::MAX] {
        packet(&mut m, 2, 0x0000_8000, lba);
        int13(&mut m, [0x4200, 0, 0, 0x80]);
        assert_eq!((m.ah(), m.carry(), m.word(0x6002)), (4, true, 0));
    }
    packet(&mut m, 0, 0, 99);
    int13(&mut m, [0x4700, 0, 0, 0x80]);
    assert!(!m.carry());
}

#[test]
fn extended_parameters_give_the_size() {
    let mut m = Machine::with_disk();
    m.mem.store(Gpa(0x6000), 26u16).unwrap();
    set(&mut m.cpu, Gpr::Rsi, 0x6000);
    int13(&mut m, [0x4800, 0, 0, 0x80]);
    assert_eq!((m.word(0x6000), m.word(0x6002), m.dword(0x6004)), (26, 2, 1));
    assert_eq!((m.dword(0x6010), m.dword(0x6014), m.word(0x6018)), (100, 0, 512));
    m.mem.store(Gpa(0x6000), 25u16).unwrap();
    int13(&mut m, [0x4800, 0, 0, 0x80]);
    assert!(m.carry());
}

#[test]
fn a_cd_has_sectors_of_2048_bytes() {
    let mut m = Machine::on(|p| p.cd = Some(Image::bootable(80)));
    packet(&mut m, 2, 0x0000_8000, 18);
    int13(&mut m, [0x4200, 0, 0, 0xe0]);
    assert_eq!((m.carry(), m.byte(0x8000), m.byte(0x8800)), (false, 72, 76));
    packet(&mut m, 1, 0x0000_8000, 20);
    int13(&mut m, [0x4200, 0, 0, 0xe0]);
    assert!(m.carry());
    m.mem.store(Gpa(0x6000), 30u16).unwrap();
    int13(&mut m, [0x4800, 0, 0, 0xe0]);
    assert_eq!((m.dword(0x6010), m.word(0x6018)), (20, 2048));
    int13(&mut m, [0x0201, 0x8000, 1, 0xe0]);
    assert!(m.carry());
}

#[test]
fn without_a_booted_cd_there_is_no_emulation_status() {
    let mut m = Machine::with_disk();
    int13(&mut m, [0x4b01, 0, 0, 0x80]);
    assert_eq!((m.ah(), m.carry()), (1, true));
}
