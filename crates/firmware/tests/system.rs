//! INT 11h, 12h, 14h, 15h, 17h, and INT 05h.

mod common;

use common::{Machine, abcd, set};
use hako_firmware::{MemoryRange, Outcome, RangeKind};
use hako_mem::Gpa;
use hako_x86::{Gpr, RFlags, SegReg, Segment};

fn int(m: &mut Machine, vector: u8, regs: [u16; 4]) -> Outcome {
    m.int(vector, |cpu| abcd(cpu, regs))
}

/// The whole map by AX=E820h, as (start, length, type).
fn e820(m: &mut Machine) -> Vec<(u64, u64, u32)> {
    let mut out = Vec::new();
    let mut next = 0;
    loop {
        m.int(0x15, |cpu| {
            abcd(cpu, [0xe820, 0, 20, 0]);
            cpu.gpr[Gpr::Rbx as usize] = next;
            cpu.gpr[Gpr::Rdx as usize] = 0x534d_4150;
            set(cpu, Gpr::Rdi, 0x5000);
        });
        assert!(!m.carry());
        assert_eq!((m.cpu.reg(Gpr::Rax), m.cpu.reg(Gpr::Rcx)), (0x534d_4150, 20));
        let q = |at| u64::from(m.dword(at)) | u64::from(m.dword(at + 4)) << 32;
        out.push((q(0x5000), q(0x5008), m.dword(0x5010)));
        next = m.cpu.reg(Gpr::Rbx);
        if next == 0 {
            return out;
        }
    }
}

#[test]
fn equipment_and_memory_size_come_from_the_data_area() {
    let mut m = Machine::with_disk();
    m.mem.store(Gpa(0x413), 600u16).unwrap();
    int(&mut m, 0x12, [0; 4]);
    assert_eq!(m.ax(), 600);
    int(&mut m, 0x11, [0; 4]);
    assert_eq!(m.ax(), m.word(0x410));
}

#[test]
fn e820_takes_the_ebda_and_the_rom_out() {
    let mut m = Machine::with_disk();
    assert_eq!(
        e820(&mut m),
        [(0, 0x9_fc00, 1), (0x9_fc00, 0x400, 2), (0xf_0000, 0x1_0000, 2), (0x10_0000, 0x30_0000, 1)]
    );
}

#[test]
fn e820_adds_no_rom_where_the_board_has_reserved_it() {
    let mut m = Machine::with_disk();
    m.paper.map[1] = MemoryRange { start: Gpa(0xe_0000), len: 0x2_0000, kind: RangeKind::Reserved };
    assert_eq!(e820(&mut m)[2..], [(0xe_0000, 0x2_0000, 2)]);
}

#[test]
fn e820_gives_24_bytes_to_those_who_have_room() {
    let mut m = Machine::with_disk();
    m.mem.fill(Gpa(0x5000), 32, 0xee).unwrap();
    m.int(0x15, |cpu| {
        abcd(cpu, [0xe820, 0, 24, 0]);
        cpu.gpr[Gpr::Rdx as usize] = 0x534d_4150;
        set(cpu, Gpr::Rdi, 0x5000);
    });
    assert_eq!((m.cx(), m.dword(0x5014), m.byte(0x5018)), (24, 1, 0xee));
}

#[test]
fn e820_refuses_wrong_signatures_small_buffers_and_wild_indices() {
    for (ecx, edx, ebx) in [(20, 0, 0), (19, 0x534d_4150, 0), (20, 0x534d_4150, 99), (20, 0x534d_4150, !0)] {
        let mut m = Machine::with_disk();
        m.int(0x15, |cpu| {
            set(cpu, Gpr::Rax, 0xe820);
            cpu.gpr[Gpr::Rcx as usize] = ecx;
            cpu.gpr[Gpr::Rdx as usize] = edx;
            cpu.gpr[Gpr::Rbx as usize] = ebx;
        });
        assert_eq!((m.carry(), m.ah()), (true, 0x86));
    }
}

#[test]
fn extended_memory_is_told_in_four_ways() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x15, [0x8800, 0, 0, 0]);
    assert_eq!((m.ax(), m.carry()), (3 * 1024, false));
    m.paper.map[1].len = 127 << 20;
    int(&mut m, 0x15, [0x8800, 0, 0, 0]);
    assert_eq!(m.ax(), 0xfc00);
    int(&mut m, 0x15, [0xe801, 0, 0, 0]);
    assert_eq!((m.ax(), m.bx(), m.cx(), m.dx()), (0x3c00, 112 * 16, 0x3c00, 112 * 16));
    int(&mut m, 0x15, [0xe881, 0, 0, 0]);
    assert_eq!((m.cpu.reg(Gpr::Rax), m.cpu.reg(Gpr::Rbx)), (0x3c00, 112 * 16));
}

#[test]
fn the_a20_gate_is_opened_closed_and_asked() {
    let mut m = Machine::with_disk();
    for (al, gate) in [(0, 0), (1, 1)] {
        int(&mut m, 0x15, [0x2400 | al, 0, 0, 0]);
        assert_eq!((m.ah(), m.carry()), (0, false));
        int(&mut m, 0x15, [0x2402, 0, 0, 0]);
        assert_eq!(m.al(), gate);
    }
    assert_eq!(m.paper.port92 & 1, 0);
    int(&mut m, 0x15, [0x2403, 0, 0, 0]);
    assert_eq!(m.bx(), 3);
}

#[test]
fn a_closed_gate_wraps_the_first_mebibyte() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x15, [0x2400, 0, 0, 0]);
    m.cpu.seg[SegReg::Es as usize] = Segment::real(0xffff);
    m.int(0x13, |cpu| abcd(cpu, [0x0201, 0x6010, 0x0002, 0x0080]));
    assert_eq!((m.byte(0x6000), m.byte(0x10_6000)), (1, 0));
}

#[test]
fn blocks_are_moved_between_addresses_of_a_descriptor_table() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x15, [0x2400, 0, 0, 0]);
    m.mem.fill(Gpa(0x20000), 0x3000, 0x99).unwrap();
    m.mem.write(Gpa(0x5010), &[0xff, 0xff, 0x00, 0x00, 0x02, 0x93, 0, 0]).unwrap();
    m.mem.write(Gpa(0x5018), &[0xff, 0xff, 0x00, 0x01, 0x10, 0x93, 0, 0]).unwrap();
    set(&mut m.cpu, Gpr::Rsi, 0x5000);
    int(&mut m, 0x15, [0x8700, 0, 0x1800, 0]);
    assert_eq!((m.ah(), m.carry(), m.flags().contains(RFlags::ZF)), (0, false, true));
    assert_eq!((m.byte(0x10_0100), m.byte(0x10_30ff), m.byte(0x10_3100)), (0x99, 0x99, 0));
    assert_eq!(m.paper.port92 & 2, 0);
    int(&mut m, 0x15, [0x8700, 0, 0x8001, 0]);
    assert!(m.carry());
}

#[test]
fn apm_is_there_and_switches_off() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x15, [0x5300, 0, 0, 0]);
    assert_eq!((m.ax(), m.bx(), m.carry()), (0x0102, 0x504d, false));
    assert_eq!(int(&mut m, 0x15, [0x5301, 0, 0, 0]), Outcome::Resume);
    assert!(!m.carry());
    int(&mut m, 0x15, [0x530e, 0, 0x0102, 0]);
    assert_eq!((m.ax(), m.carry()), (0x0102, false));
    assert_eq!(int(&mut m, 0x15, [0x5307, 1, 3, 0]), Outcome::PowerOff);
    int(&mut m, 0x15, [0x5307, 1, 7, 0]);
    assert_eq!((m.ah(), m.carry()), (0x0a, true));
    int(&mut m, 0x15, [0x5303, 0, 0, 0]);
    assert!(m.carry());
}

#[test]
fn the_configuration_table_is_in_the_rom() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x15, [0xc000, 0, 0, 0]);
    let at = m.cpu.segment(SegReg::Es).base + u64::from(m.bx());
    assert_eq!((m.ah(), m.carry(), m.bytes(at, 6)), (0, false, vec![8, 0, 0xfc, 1, 0, 0x74]));
    int(&mut m, 0x15, [0xc100, 0, 0, 0]);
    assert_eq!(m.cpu.segment(SegReg::Es).selector, 0x9fc0);
}

#[test]
fn the_keyboard_hook_lets_keys_through() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x15, [0x4f1e, 0, 0, 0]);
    assert_eq!((m.ax(), m.carry()), (0x4f1e, true));
}

#[test]
fn unsupported_functions_say_86h_and_keep_the_rest() {
    let mut m = Machine::with_disk();
    for ah in [0x00, 0x21, 0x52, 0x89, 0xc2, 0xd8, 0xe9] {
        int(&mut m, 0x15, [ah << 8 | 0x55, 0x1234, 0x5678, 0x9abc]);
        assert_eq!((m.ax(), m.carry()), (0x8655, true));
        assert_eq!((m.bx(), m.cx(), m.dx()), (0x1234, 0x5678, 0x9abc));
    }
}

#[test]
fn serial_ports_send_receive_and_time_out() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x14, [0x0141, 0, 0, 0]);
    assert_eq!((m.ax(), m.paper.uart.clone()), (0x6041, vec![0x41]));
    int(&mut m, 0x14, [0x0200, 0, 0, 0]);
    assert_eq!(m.ah() & 0x80, 0x80);
    m.paper.uart_input.push(0x7a);
    int(&mut m, 0x14, [0x0200, 0, 0, 0]);
    assert_eq!(m.ax(), 0x007a);
    int(&mut m, 0x14, [0x0300, 0, 0, 0]);
    assert_eq!(m.ax(), 0x60b0);
    int(&mut m, 0x14, [0x0300, 0, 0, 1]);
    assert_eq!(m.ah(), 0x80); // there is no COM2
}

#[test]
fn there_is_no_printer() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x17, [0x0200, 0, 0, 0]);
    assert_eq!(m.ah(), 1);
    m.int(0x05, |_| {});
    assert_eq!(m.byte(0x500), 0xff);
}
