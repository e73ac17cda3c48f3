//! IA32_APIC_BASE and x2APIC mode.

use hako_engine::Time;

use super::tests::{enabled, fixed, write};
use super::*;

const NOW: Time = Time::ZERO;

/// An enabled APIC with the ID 5 in x2APIC mode.
fn x2apic() -> Lapic {
    let mut lapic = Lapic::new(5, false);
    lapic.write_msr(APIC_BASE, 0xfee0_0c00, NOW).unwrap();
    lapic.write_msr(0x80f, 0x1ff, NOW).unwrap();
    lapic
}

#[test]
fn the_base_after_reset_is_fee00000_enabled_and_says_who_is_first() {
    assert_eq!(Lapic::new(0, true).read_msr(APIC_BASE, NOW), Some(0xfee0_0900));
    assert_eq!(Lapic::new(1, false).read_msr(APIC_BASE, NOW), Some(0xfee0_0800));
}

#[test]
fn the_registers_can_be_moved() {
    let mut lapic = enabled();
    lapic.write_msr(APIC_BASE, 0xe000_0900, NOW).unwrap();
    assert_eq!(lapic.address(), Some(0xe000_0000));
}

#[test]
fn reserved_bits_of_the_base_are_gp() {
    let mut lapic = enabled();
    for bit in [0, 7, 9, 40, 63] {
        assert_eq!(lapic.write_msr(APIC_BASE, 0xfee0_0900 | 1 << bit, NOW), None, "bit {bit}");
    }
}

#[test]
fn the_mode_transitions_of_figure_11_28() {
    // Disabled, xAPIC, invalid, x2APIC by EXTD and EN; whether the transition from row to column is there.
    let modes = [0x000, 0x800, 0x400, 0xc00];
    let allowed = [
        (0x000, [true, true, false, false]),
        (0x800, [true, true, false, true]),
        (0xc00, [true, false, false, true]),
    ];
    for (from, row) in allowed {
        for (to, allowed) in modes.into_iter().zip(row) {
            let mut lapic = Lapic::new(0, true);
            if from == 0xc00 {
                lapic.write_msr(APIC_BASE, 0xfee0_0c00, NOW).unwrap();
            } else {
                lapic.write_msr(APIC_BASE, 0xfee0_0000 | from, NOW).unwrap();
            }
            let done = lapic.write_msr(APIC_BASE, 0xfee0_0000 | to, NOW);
            assert_eq!(done.is_some(), allowed, "from {from:#x} to {to:#x}");
        }
    }
}

#[test]
fn a_globally_disabled_apic_lets_the_pins_through_and_takes_no_message() {
    let mut lapic = enabled();
    fixed(&mut lapic, 0x61, false);
    lapic.write_msr(APIC_BASE, 0xfee0_0100, NOW).unwrap();
    assert!(!lapic.intr() && lapic.takes_extint() && lapic.address().is_none());
    assert!(!fixed(&mut lapic, 0x61, false));
    lapic.write_msr(APIC_BASE, 0xfee0_0900, NOW).unwrap();
    assert_eq!(lapic.read(0x0f0, NOW), 0xff, "its state is that of power-on");
}

#[test]
fn outside_x2apic_mode_its_msrs_are_gp() {
    let mut lapic = enabled();
    for index in X2APIC_MSRS {
        assert_eq!(lapic.read_msr(index, NOW), None);
        assert_eq!(lapic.write_msr(index, 0, NOW), None);
    }
}

#[test]
fn the_msrs_that_can_be_read_are_those_of_table_11_6() {
    let mut lapic = x2apic();
    let readable: alloc::vec::Vec<u32> =
        X2APIC_MSRS.filter(|index| lapic.read_msr(*index, NOW).is_some()).collect();
    let table = [0x802, 0x803, 0x808, 0x80a, 0x80d, 0x80f]
        .into_iter()
        .chain(0x810..=0x828)
        .chain([0x82f, 0x830, 0x832, 0x833, 0x834, 0x835, 0x836, 0x837, 0x838, 0x839, 0x83e]);
    assert!(readable.into_iter().eq(table));
}

#[test]
fn the_msrs_that_can_be_written_are_those_of_table_11_6() {
    let mut lapic = x2apic();
    let writable: alloc::vec::Vec<u32> =
        X2APIC_MSRS.filter(|index| lapic.clone().write_msr(*index, 0, NOW).is_some()).collect();
    let table = [
        0x808, 0x80b, 0x80f, 0x828, 0x82f, 0x830, 0x832, 0x833, 0x834, 0x835, 0x836, 0x837, 0x838, 0x83e,
        0x83f,
    ];
    assert_eq!(writable, table);
    assert!(lapic.write_msr(0x80b, 0, NOW).is_some());
}

#[test]
fn reserved_bits_are_gp() {
    let mut lapic = x2apic();
    let cases = [
        (0x808, 0x100),
        (0x80b, 1),
        (0x80f, 0x400),
        (0x828, 1),
        (0x830, 0x2000),
        (0x830, 0x1_0000),
        (0x832, 0x100),
        (0x835, 0x2_0000),
        (0x838, 1 << 32),
        (0x83e, 4),
        (0x83f, 0x100),
    ];
    for (index, value) in cases {
        assert_eq!(lapic.write_msr(index, value, NOW), None, "{value:#x} to {index:#x}");
    }
}

#[test]
fn the_id_has_32_bits_and_the_logical_id_follows_from_it() {
    let mut lapic = x2apic();
    assert_eq!(lapic.read_msr(0x802, NOW), Some(5));
    assert_eq!(lapic.read_msr(0x80d, NOW), Some(1 << 5));
    let mut lapic = Lapic::new(0x23, false);
    lapic.write_msr(APIC_BASE, 0xfee0_0c00, NOW).unwrap();
    assert_eq!(lapic.read_msr(0x80d, NOW), Some(0x2_0008));
}

#[test]
fn entering_x2apic_mode_gives_the_initial_id_back() {
    let mut lapic = Lapic::new(5, false);
    write(&mut lapic, 0x020, 9 << 24);
    lapic.write_msr(APIC_BASE, 0xfee0_0c00, NOW).unwrap();
    assert_eq!(lapic.read_msr(0x802, NOW), Some(5));
    assert!(lapic.is_addressed(Destination::Physical(5), false));
    assert!(!lapic.is_addressed(Destination::Physical(9), false));
}

#[test]
fn one_write_of_the_icr_sends() {
    let mut lapic = x2apic();
    let ipi = lapic.write_msr(0x830, 0x0000_0102_0000_4041, NOW).unwrap().ipi.unwrap();
    assert_eq!((ipi.destination, ipi.vector), (Destination::Physical(0x102), 0x41));
    assert_eq!(lapic.read_msr(0x830, NOW), Some(0x0000_0102_0000_4041));
    let ipi = lapic.write_msr(0x830, 0xffff_ffff_0000_4041, NOW).unwrap().ipi.unwrap();
    assert_eq!(ipi.destination, Destination::All);
}

#[test]
fn self_ipi_is_a_fixed_interrupt_to_the_sender_and_leaves_the_icr_alone() {
    let mut lapic = x2apic();
    let ipi = lapic.write_msr(0x83f, 0x40, NOW).unwrap().ipi.unwrap();
    assert_eq!((ipi.destination, ipi.mode, ipi.vector), (Destination::Myself, Mode::Fixed, 0x40));
    assert_eq!(lapic.read_msr(0x830, NOW), Some(0));
}

#[test]
fn a_logical_destination_is_a_cluster_and_sixteen_members() {
    let lapic = x2apic();
    assert!(lapic.is_addressed(Destination::Logical(0x20), false));
    assert!(!lapic.is_addressed(Destination::Logical(0x1_0020), false));
    assert!(!lapic.is_addressed(Destination::Logical(0x10), false));
}

#[test]
fn init_leaves_x2apic_mode_on() {
    let mut lapic = x2apic();
    lapic.accept(&Message { destination: Destination::All, mode: Mode::Init, vector: 0, level: false });
    assert!(lapic.is_x2apic());
    assert_eq!(lapic.read_msr(0x80f, NOW), Some(0xff));
}

#[test]
fn interrupts_end_with_a_write_of_0() {
    let mut lapic = x2apic();
    fixed(&mut lapic, 0x61, true);
    assert_eq!(lapic.acknowledge(), 0x61);
    assert_eq!(lapic.write_msr(0x80b, 0, NOW).unwrap().eoi, Some(0x61));
}

#[test]
fn the_state_of_x2apic_mode_can_be_saved() {
    let mut lapic = x2apic();
    lapic.write_msr(0x830, 0x0000_0102_0000_4041, NOW).unwrap();
    let mut other = Lapic::new(5, false);
    other.restore(&lapic.save(NOW)).unwrap();
    assert_eq!(other, lapic);
}
