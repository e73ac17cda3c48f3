//! The timer.

use hako_engine::Time;

use super::tests::{enabled, write};
use super::*;

/// An APIC whose timer has the vector 0x40 and this mode (LVT bits 17 and 18), with a divisor of 1.
fn timer(mode: u32) -> Lapic {
    let mut lapic = enabled();
    write(&mut lapic, 0x320, mode << 17 | 0x40);
    write(&mut lapic, 0x3e0, 0xb);
    lapic
}

/// The interrupt at `now`, handled at once.
fn interrupt(lapic: &mut Lapic, now: u64) -> bool {
    lapic.tick(Time(now));
    let there = lapic.intr();
    if there {
        assert_eq!(lapic.acknowledge(), 0x40);
        let _ = lapic.write(0x0b0, 0, Time(now));
    }
    there
}

#[test]
fn one_count_is_a_nanosecond_times_the_divisor() {
    for (divide, by) in [(0xb, 1), (0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (0xa, 128)] {
        let mut lapic = timer(0);
        write(&mut lapic, 0x3e0, divide);
        write(&mut lapic, 0x380, 1000);
        assert_eq!(lapic.read(0x390, Time::ZERO), 1000);
        assert_eq!(lapic.read(0x390, Time(10 * by)), 990);
        assert_eq!(lapic.next_event(), Time(1000 * by));
    }
}

#[test]
fn one_shot_interrupts_once_and_stays_at_zero() {
    let mut lapic = timer(0);
    write(&mut lapic, 0x380, 100);
    assert!(!interrupt(&mut lapic, 99));
    assert!(interrupt(&mut lapic, 100));
    assert_eq!(lapic.read(0x390, Time(500)), 0);
    assert_eq!(lapic.next_event(), Time::NEVER);
}

#[test]
fn periodic_reloads_without_drift() {
    let mut lapic = timer(1);
    write(&mut lapic, 0x380, 100);
    assert!(interrupt(&mut lapic, 103));
    assert_eq!(lapic.next_event(), Time(200));
    assert_eq!(lapic.read(0x390, Time(150)), 50);
    assert!(interrupt(&mut lapic, 200));
    assert!(interrupt(&mut lapic, 12_345), "the ticks that nobody saw are one");
    assert_eq!(lapic.next_event(), Time(12_400));
}

#[test]
fn an_initial_count_of_0_stops_the_timer() {
    let mut lapic = timer(1);
    write(&mut lapic, 0x380, 100);
    lapic.write(0x380, 0, Time(50));
    assert!(!interrupt(&mut lapic, 1000));
}

#[test]
fn a_masked_timer_counts_and_does_not_interrupt() {
    let mut lapic = timer(0);
    write(&mut lapic, 0x320, 0x1_0040);
    write(&mut lapic, 0x380, 100);
    assert_eq!(lapic.next_event(), Time::NEVER);
    assert_eq!(lapic.read(0x390, Time(40)), 60);
    lapic.write(0x320, 0x40, Time(60));
    assert!(interrupt(&mut lapic, 100));
}

#[test]
fn what_a_masked_timer_missed_does_not_come_later() {
    let mut lapic = timer(0);
    write(&mut lapic, 0x320, 0x1_0040);
    write(&mut lapic, 0x380, 100);
    lapic.write(0x320, 0x40, Time(200));
    assert!(!interrupt(&mut lapic, 300));
}

#[test]
fn another_divisor_goes_on_from_the_current_count() {
    let mut lapic = timer(0);
    write(&mut lapic, 0x380, 100);
    lapic.write(0x3e0, 0, Time(40));
    assert_eq!(lapic.read(0x390, Time(40)), 60);
    assert_eq!(lapic.next_event(), Time(40 + 120));
}

#[test]
fn tsc_deadline_interrupts_at_the_time_and_disarms() {
    let mut lapic = timer(2);
    lapic.write_msr(TSC_DEADLINE, 5000, Time(100)).unwrap();
    assert_eq!(lapic.read_msr(TSC_DEADLINE, Time(100)), Some(5000));
    assert_eq!(lapic.next_event(), Time(5000));
    assert!(!interrupt(&mut lapic, 4999));
    assert!(interrupt(&mut lapic, 5000));
    assert_eq!(lapic.read_msr(TSC_DEADLINE, Time(5000)), Some(0));
}

#[test]
fn a_deadline_in_the_past_interrupts_at_once() {
    let mut lapic = timer(2);
    lapic.write_msr(TSC_DEADLINE, 1, Time(100)).unwrap();
    assert!(lapic.intr());
}

#[test]
fn a_deadline_of_0_disarms() {
    let mut lapic = timer(2);
    lapic.write_msr(TSC_DEADLINE, 5000, Time(0)).unwrap();
    lapic.write_msr(TSC_DEADLINE, 0, Time(0)).unwrap();
    assert!(!interrupt(&mut lapic, 6000));
}

#[test]
fn in_deadline_mode_the_counts_are_ignored_and_read_0() {
    let mut lapic = timer(2);
    write(&mut lapic, 0x380, 100);
    assert_eq!(lapic.read(0x380, Time::ZERO), 0);
    assert_eq!(lapic.read(0x390, Time::ZERO), 0);
    assert_eq!(lapic.next_event(), Time::NEVER);
}

#[test]
fn in_the_other_modes_the_deadline_is_ignored_and_reads_0() {
    let mut lapic = timer(0);
    lapic.write_msr(TSC_DEADLINE, 5000, Time::ZERO).unwrap();
    assert_eq!(lapic.read_msr(TSC_DEADLINE, Time::ZERO), Some(0));
    assert_eq!(lapic.next_event(), Time::NEVER);
}

#[test]
fn changing_to_or_from_deadline_mode_disarms() {
    let mut lapic = timer(0);
    write(&mut lapic, 0x380, 100);
    write(&mut lapic, 0x320, 2 << 17 | 0x40);
    assert!(!interrupt(&mut lapic, 200));
    lapic.write_msr(TSC_DEADLINE, 5000, Time(200)).unwrap();
    lapic.write(0x320, 0x40, Time(200));
    assert!(!interrupt(&mut lapic, 6000));
}

#[test]
fn one_shot_becomes_periodic_while_it_runs() {
    let mut lapic = timer(0);
    write(&mut lapic, 0x380, 100);
    write(&mut lapic, 0x320, 1 << 17 | 0x40);
    assert!(interrupt(&mut lapic, 100));
    assert!(interrupt(&mut lapic, 200));
}
