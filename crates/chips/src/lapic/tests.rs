//! Registers, IPIs and the saved state.

use hako_engine::Time;

use super::interrupts::Signals;
use super::*;

/// An APIC enabled by software, with the spurious vector 0xff.
pub(super) fn enabled() -> Lapic {
    let mut lapic = Lapic::new(0, true);
    write(&mut lapic, 0x0f0, 0x1ff);
    lapic
}

pub(super) fn read(lapic: &mut Lapic, offset: u16) -> u32 {
    lapic.read(offset, Time::ZERO)
}

pub(super) fn write(lapic: &mut Lapic, offset: u16, value: u32) -> Effects {
    lapic.write(offset, value, Time::ZERO)
}

/// A fixed interrupt arrives.
pub(super) fn fixed(lapic: &mut Lapic, vector: u8, level: bool) -> bool {
    lapic.accept(&Message { destination: Destination::All, mode: Mode::Fixed, vector, level })
}

/// A message without a vector of its own arrives.
fn arrives(lapic: &mut Lapic, mode: Mode, vector: u8) -> bool {
    lapic.accept(&Message { destination: Destination::All, mode, vector, level: false })
}

#[test]
fn after_reset_registers_have_their_values() {
    let mut lapic = Lapic::new(3, false);
    let expected = [
        (0x020, 3 << 24),
        (0x080, 0),
        (0x0d0, 0),
        (0x0e0, 0xffff_ffff),
        (0x0f0, 0xff),
        (0x280, 0),
        (0x300, 0),
        (0x320, 0x1_0000),
        (0x330, 0x1_0000),
        (0x340, 0x1_0000),
        (0x350, 0x1_0000),
        (0x360, 0x1_0000),
        (0x370, 0x1_0000),
        (0x2f0, 0x1_0000),
        (0x380, 0),
        (0x390, 0),
        (0x3e0, 0),
    ];
    for (offset, value) in expected {
        assert_eq!(read(&mut lapic, offset), value, "register {offset:#x}");
    }
}

#[test]
fn the_version_says_integrated_seven_entries_and_suppressible_broadcasts() {
    assert_eq!(read(&mut Lapic::new(0, true), 0x030), 0x0106_0014);
}

#[test]
fn the_bootstrap_processor_starts_with_extint_at_lint0() {
    assert!(Lapic::new(0, true).takes_extint());
    assert!(!Lapic::new(1, false).takes_extint());
    let mut lapic = Lapic::new(0, true);
    write(&mut lapic, 0x350, 0x1_0700);
    assert!(!lapic.takes_extint());
}

#[test]
fn a_reserved_register_reads_0_and_is_an_illegal_register_address() {
    let mut lapic = enabled();
    assert_eq!(read(&mut lapic, 0x040), 0);
    assert_eq!(read(&mut lapic, 0x280), 0, "not latched yet");
    write(&mut lapic, 0x280, 0);
    assert_eq!(read(&mut lapic, 0x280), 0x80);
    write(&mut lapic, 0x280, 0);
    assert_eq!(read(&mut lapic, 0x280), 0);
}

#[test]
fn a_write_of_a_reserved_register_is_an_illegal_register_address_and_of_a_read_only_one_is_not() {
    let mut lapic = enabled();
    write(&mut lapic, 0x030, 0);
    write(&mut lapic, 0x390, 5);
    write(&mut lapic, 0x280, 0);
    assert_eq!(read(&mut lapic, 0x280), 0);
    write(&mut lapic, 0x400, 0);
    write(&mut lapic, 0x280, 0);
    assert_eq!(read(&mut lapic, 0x280), 0x80);
}

#[test]
fn the_first_error_since_esr_was_written_asks_for_an_interrupt() {
    let mut lapic = enabled();
    write(&mut lapic, 0x370, 0xfe);
    read(&mut lapic, 0x040);
    assert_eq!(lapic.acknowledge(), 0xfe);
    write(&mut lapic, 0x0b0, 0);
    read(&mut lapic, 0x040);
    assert!(!lapic.intr());
    write(&mut lapic, 0x280, 0);
    read(&mut lapic, 0x040);
    assert!(lapic.intr());
}

#[test]
fn software_disable_masks_every_entry_and_keeps_them_masked() {
    let mut lapic = enabled();
    write(&mut lapic, 0x320, 0x40);
    assert_eq!(read(&mut lapic, 0x320), 0x40);
    write(&mut lapic, 0x0f0, 0xff);
    assert_eq!(read(&mut lapic, 0x320), 0x1_0040);
    write(&mut lapic, 0x320, 0x40);
    assert_eq!(read(&mut lapic, 0x320), 0x1_0040);
    assert!(!lapic.takes_extint());
    write(&mut lapic, 0x0f0, 0x1ff);
    assert_eq!(read(&mut lapic, 0x320), 0x1_0040, "software unmasks them again");
}

#[test]
fn a_software_disabled_apic_takes_nmi_init_and_startup_but_no_vector() {
    let mut lapic = Lapic::new(1, false);
    assert!(!fixed(&mut lapic, 0x40, false));
    assert!(arrives(&mut lapic, Mode::Nmi, 0));
    assert!(lapic.take_signals().nmi);
    assert!(arrives(&mut lapic, Mode::Init, 0));
    assert!(arrives(&mut lapic, Mode::StartUp, 0x9a));
    assert_eq!(lapic.take_signals(), Signals { nmi: false, init: true, sipi: Some(0x9a) });
    assert_eq!(lapic.take_signals(), Signals::default());
}

#[test]
fn init_clears_everything_but_the_id() {
    let mut lapic = enabled();
    write(&mut lapic, 0x020, 7 << 24);
    write(&mut lapic, 0x0d0, 1 << 24);
    write(&mut lapic, 0x080, 0x20);
    fixed(&mut lapic, 0x40, false);
    arrives(&mut lapic, Mode::Init, 0);
    let registers = [0x020, 0x080, 0x0d0, 0x0f0, 0x220].map(|r| read(&mut lapic, r));
    assert_eq!(registers, [7 << 24, 0, 0, 0xff, 0]);
}

#[test]
fn an_ipi_is_sent_by_the_write_of_the_lower_half() {
    let mut lapic = enabled();
    assert_eq!(write(&mut lapic, 0x310, 2 << 24), Effects::default());
    let ipi = write(&mut lapic, 0x300, 0x4041).ipi.unwrap();
    let fixed =
        Message { destination: Destination::Physical(2), mode: Mode::Fixed, vector: 0x41, level: false };
    assert_eq!(ipi, fixed);
    assert_eq!(read(&mut lapic, 0x300), 0x4041, "delivery status is idle");
}

#[test]
fn shorthands_override_the_destination() {
    let mut lapic = enabled();
    for (bits, destination) in [(1, Destination::Myself), (2, Destination::All), (3, Destination::Others)] {
        assert_eq!(write(&mut lapic, 0x300, bits << 18 | 0x41).ipi.unwrap().destination, destination);
    }
}

#[test]
fn the_delivery_modes_of_an_ipi() {
    let mut lapic = enabled();
    let modes = [
        (0, Some(Mode::Fixed)),
        (1, Some(Mode::LowestPriority)),
        (2, Some(Mode::Smi)),
        (3, None),
        (4, Some(Mode::Nmi)),
        (5, Some(Mode::Init)),
        (6, Some(Mode::StartUp)),
        (7, None),
    ];
    for (bits, mode) in modes {
        assert_eq!(write(&mut lapic, 0x300, bits << 8 | 0x41).ipi.map(|ipi| ipi.mode), mode);
    }
}

#[test]
fn only_fixed_interrupts_can_be_sent_to_self_by_shorthand() {
    let mut lapic = enabled();
    for mode in 1..8 {
        assert_eq!(write(&mut lapic, 0x300, 1 << 18 | mode << 8 | 0x41).ipi, None);
        assert_eq!(write(&mut lapic, 0x300, 2 << 18 | mode << 8 | 0x41).ipi, None);
    }
}

#[test]
fn init_level_deassert_is_not_sent() {
    let mut lapic = enabled();
    assert!(write(&mut lapic, 0x300, 0xc500).ipi.is_some());
    assert!(write(&mut lapic, 0x300, 0x8500).ipi.is_none());
}

#[test]
fn a_vector_below_16_is_not_sent() {
    let mut lapic = enabled();
    assert_eq!(write(&mut lapic, 0x300, 0x400f).ipi, None);
    write(&mut lapic, 0x280, 0);
    assert_eq!(read(&mut lapic, 0x280), 0x20);
}

#[test]
fn a_vector_below_16_is_not_accepted() {
    let mut lapic = enabled();
    assert!(!fixed(&mut lapic, 0x0f, false));
    write(&mut lapic, 0x280, 0);
    assert_eq!(read(&mut lapic, 0x280), 0x40);
}

#[test]
fn the_physical_destination_is_the_id_register() {
    let mut lapic = Lapic::new(3, false);
    assert!(lapic.is_addressed(Destination::Physical(3), false));
    write(&mut lapic, 0x020, 5 << 24);
    assert!(!lapic.is_addressed(Destination::Physical(3), false));
    assert!(lapic.is_addressed(Destination::Physical(5), false));
}

#[test]
fn a_flat_logical_destination_is_any_bit_in_common() {
    let mut lapic = Lapic::new(3, false);
    assert!(!lapic.is_addressed(Destination::Logical(0x7f), false), "no logical ID yet");
    write(&mut lapic, 0x0d0, 0x08 << 24);
    assert!(lapic.is_addressed(Destination::Logical(0x0c), false));
    assert!(!lapic.is_addressed(Destination::Logical(0x07), false));
}

#[test]
fn a_cluster_destination_is_a_cluster_and_its_members() {
    let mut lapic = Lapic::new(3, false);
    write(&mut lapic, 0x0e0, 0x0fff_ffff);
    write(&mut lapic, 0x0d0, 0x24 << 24);
    assert!(lapic.is_addressed(Destination::Logical(0x26), false));
    assert!(!lapic.is_addressed(Destination::Logical(0x14), false));
    assert!(!lapic.is_addressed(Destination::Logical(0x23), false));
    assert!(lapic.is_addressed(Destination::Logical(0xf4), false), "all clusters");
}

#[test]
fn all_others_and_self_depend_on_who_sends() {
    let lapic = Lapic::new(0, true);
    for own in [false, true] {
        assert!(lapic.is_addressed(Destination::All, own));
        assert_eq!(lapic.is_addressed(Destination::Others, own), !own);
        assert_eq!(lapic.is_addressed(Destination::Myself, own), own);
    }
}

#[test]
fn the_saved_page_is_laid_out_as_the_registers_are() {
    let mut lapic = enabled();
    write(&mut lapic, 0x020, 9 << 24);
    write(&mut lapic, 0x320, 0x2_0040);
    lapic.write(0x3e0, 0xb, Time::ZERO);
    lapic.write(0x380, 1000, Time::ZERO);
    fixed(&mut lapic, 0x61, true);
    let page = lapic.save(Time(400)).state.page;
    let word = |at: usize| u32::from_le_bytes(page[at..at + 4].try_into().unwrap());
    assert_eq!([word(0x20), word(0x320), word(0x380), word(0x390)], [9 << 24, 0x2_0040, 1000, 600]);
    assert_eq!([word(0x230), word(0x1b0), word(0x0a0)], [2, 2, 0]);
}

#[test]
fn an_apic_of_kvm_goes_on_counting_where_it_was() {
    let mut lapic = enabled();
    write(&mut lapic, 0x320, 0x40);
    lapic.write(0x3e0, 0x3, Time::ZERO);
    lapic.write(0x380, 1000, Time::ZERO);
    let page = lapic.save(Time(1600)).state.page;
    let mut other = Lapic::new(0, true);
    other.restore(&LapicState::from_page(page, 0xfee0_0900, 0, Time(5000))).unwrap();
    assert_eq!(other.read(0x390, Time(5000)), 900);
    assert_eq!(other.next_event(), Time(5000 + 900 * 16));
}

#[test]
fn impossible_states_are_refused() {
    let good = enabled().save(Time::ZERO);
    let mut lapic = Lapic::new(0, true);
    for (at, byte) in [(0x323, 1), (0x0f1, 0x40), (0x3e0, 4), (0x30, 0)] {
        let mut bad = good.clone();
        bad.state.page[at] = byte;
        assert!(lapic.restore(&bad).is_err(), "byte {at:#x}");
    }
    let mut bad = good.clone();
    bad.state.base = 0xfee0_0400;
    assert!(lapic.restore(&bad).is_err(), "x2APIC mode without the APIC");
    assert_eq!(lapic, Lapic::new(0, true));
}
