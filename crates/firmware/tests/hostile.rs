//! Whatever the registers, the memory and the mode: a service ends and nothing panics.

mod common;

use common::Machine;
use hako_firmware::{Outcome, Service};
use hako_mem::Gpa;
use hako_x86::{Cr0, RFlags, SegAttr, SegReg, Segment};
use proptest::prelude::*;

/// Values that are more often at an edge than not.
fn wild() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..0x1_0000u64,
        Just(0),
        Just(0xffff),
        Just(u64::MAX),
        Just(u64::from(u32::MAX))
    ]
}

/// A register of a real-mode caller.
fn wild_word() -> impl Strategy<Value = u16> {
    prop_oneof![
        any::<u16>(),
        (0..=0x4fu8, 0..=0x20u8).prop_map(|(h, l)| u16::from_be_bytes([h, l])),
        prop::sample::select(vec![0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x00ff, 0xff00, 0x0080, 0x00e0]),
    ]
}

fn wild_segment() -> impl Strategy<Value = Segment> {
    prop_oneof![
        any::<u16>().prop_map(Segment::real),
        (any::<u16>(), wild(), any::<u32>(), any::<u32>()).prop_map(|(selector, base, limit, attr)| {
            Segment { selector, base, limit, attr: SegAttr::from_bits_retain(attr) }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_state_makes_a_service_panic(
        service in 0..Service::ALL.len(),
        ax in any::<u16>(),
        gpr in prop::array::uniform16(wild()),
        seg in prop::array::uniform6(wild_segment()),
        area in prop::collection::vec(any::<u8>(), 0x100),
        disturb in any::<bool>(),
    ) {
        let mut m = Machine::with_disk();
        if disturb {
            m.mem.write(Gpa(0x400), &area).unwrap();
            m.mem.write(Gpa(0x9_fc00), &area).unwrap();
        }
        m.cpu.gpr = gpr;
        m.cpu.gpr[0] = ax.into();
        m.cpu.seg = seg;
        prop_assert_ne!(m.service(Service::ALL[service]), Outcome::Ignored);
    }

    #[test]
    fn no_function_of_a_service_panics_with_random_registers(
        vector in prop::sample::select(vec![0x10u8, 0x13, 0x14, 0x15, 0x16, 0x1a]),
        ax in wild_word(), b in wild_word(), c in wild_word(), d in wild_word(),
        si in wild_word(), di in wild_word(), bp in wild_word(),
    ) {
        let mut m = Machine::with_disk();
        m.int(vector, |cpu| {
            cpu.gpr[..8].copy_from_slice(
                &[ax, c, d, b, 0, bp, si, di].map(u64::from));
        });
        prop_assert!(m.cpu.rip < 0x1_0000);
    }

    #[test]
    fn a_trap_from_elsewhere_changes_nothing(rip in any::<u64>(), base in prop_oneof![Just(0xf_0000u64), any::<u64>()]) {
        let mut m = Machine::with_disk();
        m.cpu.rip = rip;
        m.cpu.seg[SegReg::Cs as usize].base = base;
        prop_assume!(Service::at(&m.cpu).is_none());
        let before = m.cpu.clone();
        let memory = m.bytes(0, 0x10000);
        prop_assert_eq!(m.bios.service(&mut m.cpu, &m.mem, &mut m.paper), Outcome::Ignored);
        prop_assert_eq!(before, m.cpu.clone());
        prop_assert_eq!(memory, m.bytes(0, 0x10000));
    }
}

#[test]
fn stubs_called_in_protected_mode_are_not_answered() {
    let mut m = Machine::with_disk();
    m.cpu.cr0 |= Cr0::PE.bits();
    assert_eq!(m.service(Service::Video), Outcome::Ignored);
    m.cpu.rflags |= RFlags::VM;
    assert_eq!(m.service(Service::Video), Outcome::Resume);
    m.cpu.cr0 |= Cr0::PG.bits();
    assert_eq!(m.service(Service::Video), Outcome::Ignored);
}

#[test]
fn a_stack_at_the_end_of_its_segment_wraps() {
    let mut m = Machine::with_disk();
    m.cpu.seg[SegReg::Ss as usize] = Segment::real(0x2000);
    m.cpu.gpr[4] = 0xfffc;
    m.cpu.gpr[0] = 0x0100;
    m.mem.store(Gpa(0x2_0000), 0x0202u16).unwrap();
    m.service(Service::Keyboard);
    assert_eq!(m.word(0x2_0000), 0x0242);
}
