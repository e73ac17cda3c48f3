//! Priorities, acknowledge, end of interrupt, and the pins.

use super::tests::{enabled, fixed, read, write};
use super::*;

#[test]
fn an_interrupt_goes_from_irr_to_isr_to_its_end() {
    let mut lapic = enabled();
    assert!(fixed(&mut lapic, 0x61, false));
    assert_eq!((read(&mut lapic, 0x230), read(&mut lapic, 0x130)), (2, 0));
    assert!(lapic.intr());
    assert_eq!(lapic.acknowledge(), 0x61);
    assert_eq!((read(&mut lapic, 0x230), read(&mut lapic, 0x130)), (0, 2));
    assert!(!lapic.intr());
    assert_eq!(write(&mut lapic, 0x0b0, 0), Effects::default());
    assert_eq!(read(&mut lapic, 0x130), 0);
}

#[test]
fn one_more_of_a_vector_is_kept_while_one_is_in_service() {
    let mut lapic = enabled();
    fixed(&mut lapic, 0x61, false);
    lapic.acknowledge();
    fixed(&mut lapic, 0x61, false);
    fixed(&mut lapic, 0x61, false);
    assert!(!lapic.intr());
    write(&mut lapic, 0x0b0, 0);
    assert_eq!(lapic.acknowledge(), 0x61);
    write(&mut lapic, 0x0b0, 0);
    assert!(!lapic.intr());
}

#[test]
fn a_higher_class_interrupts_a_lower_one_and_the_same_class_does_not() {
    let mut lapic = enabled();
    fixed(&mut lapic, 0x61, false);
    lapic.acknowledge();
    fixed(&mut lapic, 0x6f, false);
    assert!(!lapic.intr());
    fixed(&mut lapic, 0x70, false);
    assert_eq!(lapic.acknowledge(), 0x70);
    write(&mut lapic, 0x0b0, 0);
    assert!(!lapic.intr());
    write(&mut lapic, 0x0b0, 0);
    assert_eq!(lapic.acknowledge(), 0x6f);
}

#[test]
fn the_task_priority_holds_its_own_class_back() {
    let mut lapic = enabled();
    fixed(&mut lapic, 0x61, false);
    write(&mut lapic, 0x080, 0x60);
    assert!(!lapic.intr());
    write(&mut lapic, 0x080, 0x5f);
    assert!(lapic.intr());
}

#[test]
fn cr8_is_the_upper_half_of_the_task_priority() {
    let mut lapic = enabled();
    lapic.set_task_priority(9);
    assert_eq!(read(&mut lapic, 0x080), 0x90);
    write(&mut lapic, 0x080, 0x4f);
    assert_eq!(lapic.task_priority(), 4);
}

#[test]
fn the_processor_priority_is_the_higher_of_task_and_service() {
    let mut lapic = enabled();
    write(&mut lapic, 0x080, 0x25);
    assert_eq!(read(&mut lapic, 0x0a0), 0x25);
    fixed(&mut lapic, 0x61, false);
    lapic.acknowledge();
    assert_eq!(read(&mut lapic, 0x0a0), 0x60);
}

#[test]
fn the_arbitration_priority_counts_requests_too() {
    let mut lapic = enabled();
    write(&mut lapic, 0x080, 0x25);
    assert_eq!(read(&mut lapic, 0x090), 0x25);
    fixed(&mut lapic, 0x61, false);
    assert_eq!(read(&mut lapic, 0x090), 0x60);
}

#[test]
fn an_acknowledge_without_a_request_gives_the_spurious_vector_and_no_service() {
    let mut lapic = enabled();
    write(&mut lapic, 0x0f0, 0x1ef);
    fixed(&mut lapic, 0x61, false);
    write(&mut lapic, 0x080, 0xf0);
    assert_eq!(lapic.acknowledge(), 0xef);
    assert_eq!((read(&mut lapic, 0x170), read(&mut lapic, 0x130), read(&mut lapic, 0x230)), (0, 0, 2));
}

#[test]
fn the_end_of_a_level_triggered_interrupt_is_broadcast() {
    let mut lapic = enabled();
    fixed(&mut lapic, 0x61, true);
    assert_eq!(read(&mut lapic, 0x1b0), 2, "TMR");
    lapic.acknowledge();
    assert_eq!(write(&mut lapic, 0x0b0, 0).eoi, Some(0x61));
    assert_eq!(write(&mut lapic, 0x0b0, 0).eoi, None, "nothing in service");
}

#[test]
fn the_broadcast_can_be_suppressed() {
    let mut lapic = enabled();
    write(&mut lapic, 0x0f0, 0x11ff);
    fixed(&mut lapic, 0x61, true);
    lapic.acknowledge();
    assert_eq!(write(&mut lapic, 0x0b0, 0).eoi, None);
}

#[test]
fn an_edge_clears_the_trigger_mode_that_a_level_left() {
    let mut lapic = enabled();
    fixed(&mut lapic, 0x61, true);
    lapic.acknowledge();
    write(&mut lapic, 0x0b0, 0);
    fixed(&mut lapic, 0x61, false);
    lapic.acknowledge();
    assert_eq!(write(&mut lapic, 0x0b0, 0).eoi, None);
}

#[test]
fn a_rising_lint1_in_nmi_mode_is_one_nmi() {
    let mut lapic = enabled();
    write(&mut lapic, 0x360, 0x400);
    lapic.set_lint(1, true);
    assert!(lapic.take_signals().nmi);
    lapic.set_lint(1, true);
    assert!(!lapic.take_signals().nmi);
}

#[test]
fn a_masked_pin_does_nothing() {
    let mut lapic = enabled();
    write(&mut lapic, 0x360, 0x1_0400);
    lapic.set_lint(1, true);
    assert!(!lapic.signals().nmi);
}

#[test]
fn an_edge_at_lint0_in_fixed_mode_is_its_vector() {
    let mut lapic = enabled();
    write(&mut lapic, 0x350, 0x44);
    lapic.set_lint(0, true);
    assert_eq!(lapic.acknowledge(), 0x44);
    write(&mut lapic, 0x0b0, 0);
    assert!(!lapic.intr());
}

#[test]
fn a_level_at_lint0_asks_again_after_its_end() {
    let mut lapic = enabled();
    write(&mut lapic, 0x350, 0x8044);
    lapic.set_lint(0, true);
    assert_eq!(read(&mut lapic, 0x350), 0xc044, "remote IRR");
    assert_eq!(lapic.acknowledge(), 0x44);
    write(&mut lapic, 0x0b0, 0);
    assert_eq!(lapic.acknowledge(), 0x44);
    lapic.set_lint(0, false);
    write(&mut lapic, 0x0b0, 0);
    assert!(!lapic.intr());
    assert_eq!(read(&mut lapic, 0x350), 0x8044);
}

#[test]
fn a_level_at_lint0_that_was_there_before_is_seen_when_unmasked() {
    let mut lapic = enabled();
    lapic.set_lint(0, true);
    write(&mut lapic, 0x350, 0x8044);
    assert!(lapic.intr());
}

#[test]
fn only_a_software_enabled_apic_takes_part_in_arbitration() {
    let mut lapic = enabled();
    write(&mut lapic, 0x080, 0x30);
    assert_eq!(lapic.arbitration(), Some(0x30));
    write(&mut lapic, 0x0f0, 0xff);
    assert_eq!(lapic.arbitration(), None);
}
