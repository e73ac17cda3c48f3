//! The ROM's bytes where programs and the CPU look for them.

mod common;

use common::Machine;
use hako_firmware::{Service, TRAP_PORT, rom};
use hako_x86::{CpuState, SegReg, Segment};

fn at(offset: usize, len: usize) -> Vec<u8> {
    rom()[offset..offset + len].to_vec()
}

/// Where a near jump at `offset` leads.
fn jump(offset: u16) -> u16 {
    let code = at(offset.into(), 3);
    assert_eq!(code[0], 0xe9);
    offset.wrapping_add(3).wrapping_add(u16::from_le_bytes([code[1], code[2]]))
}

#[test]
fn reset_jumps_to_post() {
    assert_eq!(at(0xfff0, 5), [0xea, 0x5b, 0xe0, 0x00, 0xf0]);
    assert_eq!(at(0xe05b, 1), [0xfa]);
    assert_eq!(jump(0xe05b + 47), Service::Post.slot());
}

#[test]
fn the_rom_tells_its_date_and_model() {
    assert_eq!(at(0xfff5, 8), b"11/22/26");
    assert_eq!(rom()[0xfffe], 0xfc);
}

#[test]
fn every_slot_begins_with_the_trap() {
    for service in Service::ALL {
        assert_eq!(at(service.slot().into(), 2), [0xe6, TRAP_PORT as u8]);
    }
}

#[test]
fn services_are_told_by_the_place_of_their_trap() {
    for service in Service::ALL {
        let mut cpu = CpuState::reset();
        cpu.cr0 &= !1;
        cpu.seg[SegReg::Cs as usize] = Segment::real(0xf000);
        cpu.rip = u64::from(service.slot()) + 2;
        assert_eq!(Service::at(&cpu), Some(service));
        cpu.rip += 1;
        assert_eq!(Service::at(&cpu), None);
    }
}

#[test]
fn the_classic_entry_points_lead_to_the_services() {
    for (entry, service) in [
        (0xe3fe, Service::Disk),
        (0xe6f2, Service::Boot),
        (0xe739, Service::Serial),
        (0xe82e, Service::Keyboard),
        (0xec59, Service::Disk),
        (0xefd2, Service::Printer),
        (0xf065, Service::Video),
        (0xf841, Service::MemorySize),
        (0xf84d, Service::Equipment),
        (0xf859, Service::System),
        (0xfe6e, Service::Clock),
        (0xfea5, Service::Tick),
        (0xff54, Service::PrintScreen),
    ] {
        assert_eq!(jump(entry), service.slot(), "{entry:#x}");
    }
    assert_eq!((rom()[0xff53], rom()[0xe2c3]), (0xcf, 0xcf));
}

#[test]
fn the_keyboard_stub_asks_the_hook_before_the_service() {
    // push ax; in al,60h; mov ah,4Fh; stc; int 15h; jnc done; jmp key; done: jmp past the trap
    assert_eq!(at(0xe987, 10), [0x50, 0xe4, 0x60, 0xb4, 0x4f, 0xf9, 0xcd, 0x15, 0x73, 0x03]);
    assert_eq!(jump(0xe991), Service::Key.slot());
    assert_eq!(jump(0xe994), Service::Key.slot() + 2);
}

#[test]
fn the_diskette_table_is_where_vector_1eh_points() {
    let m = Machine::with_disk();
    assert_eq!(m.dword(0x1e * 4), 0xf000_efc7);
    assert_eq!(at(0xefc7 + 3, 2), [2, 18]);
}
