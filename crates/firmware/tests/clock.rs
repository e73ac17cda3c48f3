//! INT 08h, 1Ah, 70h, the waits of INT 15h, and PCI BIOS.

mod common;

use common::{Machine, abcd, set};
use hako_firmware::Service;
use hako_mem::Gpa;
use hako_x86::{Gpr, SegReg, Segment};

fn int(m: &mut Machine, vector: u8, regs: [u16; 4]) {
    m.int(vector, |cpu| abcd(cpu, regs));
}

#[test]
fn a_tick_is_counted_and_handed_on() {
    let mut m = Machine::with_disk();
    m.mem.store(Gpa(0x46c), 41u32).unwrap();
    m.service(Service::Tick);
    assert_eq!(m.dword(0x46c), 42);
    assert_eq!(m.bytes(0xf_0000 + m.cpu.rip, 2), [0xcd, 0x1c]);
}

#[test]
fn midnight_comes_after_1800b0h_ticks() {
    let mut m = Machine::with_disk();
    m.mem.store(Gpa(0x46c), 0x18_00afu32).unwrap();
    m.service(Service::Tick);
    int(&mut m, 0x1a, [0, 0, 0, 0]);
    assert_eq!((m.al(), m.cx(), m.dx()), (1, 0, 0));
    int(&mut m, 0x1a, [0, 0, 0, 0]);
    assert_eq!(m.al(), 0);
}

#[test]
fn the_tick_count_is_set_and_read() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x1a, [0x0100, 0, 0x0012, 0x3456]);
    int(&mut m, 0x1a, [0, 0, 0, 0]);
    assert_eq!((m.cx(), m.dx(), m.carry()), (0x12, 0x3456, false));
}

#[test]
fn the_motor_stops_when_its_time_is_over() {
    let mut m = Machine::with_disk();
    m.mem.write(Gpa(0x43f), &[0x01, 2]).unwrap();
    m.service(Service::Tick);
    assert_eq!(m.bytes(0x43f, 2), [0x01, 1]);
    m.service(Service::Tick);
    assert_eq!(m.bytes(0x43f, 2), [0x00, 0]);
}

#[test]
fn time_and_date_are_bcd() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x1a, [0x0200, 0, 0, 0]);
    assert_eq!((m.cx(), m.dx(), m.carry()), (0x1234, 0x5600, false));
    int(&mut m, 0x1a, [0x0400, 0, 0, 0]);
    assert_eq!((m.cx(), m.dx(), m.carry()), (0x2026, 0x1122, false));
}

#[test]
fn time_and_date_are_set() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x1a, [0x0300, 0, 0x0102, 0x0300]);
    int(&mut m, 0x1a, [0x0500, 0, 0x1999, 0x1231]);
    assert_eq!((m.paper.cmos[4], m.paper.cmos[2], m.paper.cmos[0]), (1, 2, 3));
    assert_eq!(
        (m.paper.cmos[0x32], m.paper.cmos[9], m.paper.cmos[8], m.paper.cmos[7]),
        (0x19, 0x99, 0x12, 0x31)
    );
    assert_eq!(m.paper.cmos[0x0b], 0x02);
}

#[test]
fn a_clock_that_updates_cannot_be_read() {
    let mut m = Machine::with_disk();
    m.paper.cmos[0x0a] |= 0x80;
    int(&mut m, 0x1a, [0x0200, 0, 0, 0]);
    assert!(m.carry());
}

#[test]
fn one_alarm_is_set_at_a_time_and_calls_int_4ah() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x1a, [0x0600, 0, 0x1213, 0x1400]);
    assert_eq!((m.carry(), m.paper.cmos[5], m.paper.cmos[3], m.paper.cmos[1]), (false, 0x12, 0x13, 0x14));
    int(&mut m, 0x1a, [0x0600, 0, 0, 0]);
    assert!(m.carry());
    m.paper.cmos[0x0c] = 0xa0;
    m.service(Service::RtcInterrupt);
    assert_eq!(m.bytes(0xf_0000 + m.cpu.rip, 2), [0xcd, 0x4a]);
    int(&mut m, 0x1a, [0x0700, 0, 0, 0]);
    assert_eq!(m.paper.cmos[0x0b] & 0x20, 0);
}

#[test]
fn int_15h_86h_waits_until_the_rtc_has_counted_its_microseconds() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x15, [0x8600, 0, 0, 2000]);
    // Open the RTC's interrupt line, then sti; hlt.
    assert_eq!(m.bytes(0xf_0000 + m.cpu.rip, 7), [0x50, 0xe4, 0xa1, 0x24, 0xfe, 0xe6, 0xa1]);
    assert_eq!(m.paper.cmos[0x0b] & 0x40, 0x40);
    m.paper.cmos[0x0c] = 0xc0;
    for _ in 0..2 {
        m.service(Service::RtcInterrupt);
        m.service(Service::Waiting);
        assert!(m.waits());
    }
    m.service(Service::RtcInterrupt);
    m.service(Service::Waiting);
    assert!(m.returns());
    assert_eq!((m.carry(), m.paper.cmos[0x0b] & 0x40, m.byte(0x4a0)), (false, 0, 0));
}

#[test]
fn int_15h_83h_sets_the_callers_flag_and_can_be_cancelled() {
    let mut m = Machine::with_disk();
    m.cpu.seg[SegReg::Es as usize] = Segment::real(0x100);
    int(&mut m, 0x15, [0x8300, 0x0020, 0, 500]);
    assert!(!m.carry());
    int(&mut m, 0x15, [0x8300, 0x0020, 0, 500]);
    assert_eq!((m.carry(), m.ah()), (true, 0x80)); // one is running
    m.paper.cmos[0x0c] = 0xc0;
    m.service(Service::RtcInterrupt);
    assert_eq!(m.byte(0x1020), 0x80);
    int(&mut m, 0x15, [0x8300, 0x0021, 0, 500]);
    int(&mut m, 0x15, [0x8301, 0, 0, 0]);
    m.service(Service::RtcInterrupt);
    assert_eq!(m.byte(0x1021), 0);
}

#[test]
fn unknown_clock_functions_fail() {
    let mut m = Machine::with_disk();
    int(&mut m, 0x1a, [0x7700, 0, 0, 0]);
    assert!(m.carry());
}

fn with_pci() -> Machine {
    Machine::on(|p| {
        p.plug(0x00, 0x1237_8086, 0x06_0000);
        p.plug(0x08, 0x7000_8086, 0x06_0100);
        p.plug(0x09, 0x7010_8086, 0x01_0180);
        p.pci.insert((0x08, 0x0e), 0x80); // device 1 has several functions
        p.plug(0x18, 0x7000_8086, 0x02_0000);
    })
}

#[test]
fn pci_bios_is_present_with_mechanism_1() {
    let mut m = with_pci();
    int(&mut m, 0x1a, [0xb101, 0, 0, 0]);
    assert_eq!((m.ah(), m.al(), m.bx(), m.carry()), (0, 1, 0x0210, false));
    assert_eq!(m.cpu.reg(Gpr::Rdx) as u32, u32::from_le_bytes(*b"PCI "));
    let mut m = Machine::with_disk();
    int(&mut m, 0x1a, [0xb101, 0, 0, 0]);
    assert!(m.carry());
}

#[test]
fn pci_devices_are_found_by_id_and_index() {
    let mut m = with_pci();
    for (index, hit) in [(0, Some(0x08)), (1, Some(0x18)), (2, None)] {
        set(&mut m.cpu, Gpr::Rsi, index);
        int(&mut m, 0x1a, [0xb102, 0, 0x7000, 0x8086]);
        assert_eq!((!m.carry()).then_some(m.bx()), hit);
        assert_eq!(m.ah(), if hit.is_some() { 0 } else { 0x86 });
    }
    int(&mut m, 0x1a, [0xb102, 0, 0, 0xffff]);
    assert_eq!(m.ah(), 0x83);
}

#[test]
fn pci_functions_are_found_by_class() {
    let mut m = with_pci();
    set(&mut m.cpu, Gpr::Rsi, 0);
    m.cpu.gpr[Gpr::Rax as usize] = 0xb103;
    m.int(0x1a, |cpu| cpu.gpr[Gpr::Rcx as usize] = 0x01_0180);
    assert_eq!((m.carry(), m.bx()), (false, 0x09));
}

#[test]
fn pci_registers_are_read_and_written_by_width() {
    let mut m = with_pci();
    let mut access = |al: u16, register: u16, ecx: u64| {
        set(&mut m.cpu, Gpr::Rdi, register);
        set(&mut m.cpu, Gpr::Rbx, 0x09);
        set(&mut m.cpu, Gpr::Rax, 0xb100 | al);
        m.int(0x1a, |cpu| cpu.gpr[Gpr::Rcx as usize] = ecx);
        (m.ah(), m.cpu.reg(Gpr::Rcx))
    };
    assert_eq!(access(0x08, 0x02, 0), (0, 0x10));
    assert_eq!(access(0x09, 0x02, 0), (0, 0x7010));
    assert_eq!(access(0x0a, 0x00, 0), (0, 0x7010_8086));
    assert_eq!(access(0x0d, 0x20, 0xdead_beef), (0, 0xdead_beef));
    assert_eq!(access(0x0b, 0x21, 0x11).0, 0);
    assert_eq!(access(0x0c, 0x22, 0x2233).0, 0);
    assert_eq!(access(0x0a, 0x20, 0), (0, 0x2233_11ef));
    assert_eq!(access(0x0a, 0x22, 0).0, 0x87);
    assert_eq!(access(0x08, 0x100, 0).0, 0x87);
}
