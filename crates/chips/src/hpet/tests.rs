//! The rules of the specification.

use super::*;

const ALL: u64 = u64::MAX;
const LOW: u64 = 0xffff_ffff;
const HIGH: u64 = !LOW;

/// Comparator configuration bits.
const LEVEL: u64 = 1 << 1;
const INT: u64 = 1 << 2;
const PERIODIC: u64 = 1 << 3;
const SET_VALUE: u64 = 1 << 6;
const NARROW: u64 = 1 << 8;

/// The time of a count since power-on.
fn at(count: u64) -> Time {
    Time(count * PERIOD)
}

/// A running chip whose comparator `n` is configured so and has this value.
fn running(n: u16, configuration: u64, value: u64) -> Hpet {
    let mut h = Hpet::new();
    h.write(0x100 + 0x20 * n, configuration, ALL, Time::ZERO);
    h.write(0x108 + 0x20 * n, value, ALL, Time::ZERO);
    h.write(0x010, 1, ALL, Time::ZERO);
    h
}

fn edge(h: &mut Hpet, n: usize, now: Time) -> bool {
    h.tick(now);
    h.take_output(n).unwrap().edge
}

/// An edge-triggered comparator that leads to input 20.
const TO_20: u64 = INT | 20 << 9;

#[test]
fn the_capabilities_say_10_nanoseconds_64_bits_three_comparators_and_legacy_replacement() {
    let mut h = Hpet::new();
    assert_eq!(h.read(0, Time::ZERO), 0x0098_9680_8086_a201);
}

#[test]
fn the_counter_stands_until_it_is_enabled() {
    let mut h = Hpet::new();
    assert_eq!(h.read(0xf0, at(100)), 0);
    h.write(0x10, 1, ALL, at(100));
    assert_eq!(h.read(0xf0, at(150)), 50);
    h.write(0x10, 0, ALL, at(160));
    assert_eq!(h.read(0xf0, at(200)), 60);
}

#[test]
fn the_counter_can_be_written_while_it_stands_half_by_half() {
    let mut h = Hpet::new();
    h.write(0xf0, 0x0000_0002_0000_0000, HIGH, Time::ZERO);
    h.write(0xf0, 7, LOW, Time::ZERO);
    h.write(0x10, 1, ALL, Time::ZERO);
    h.write(0xf0, 0, ALL, Time::ZERO);
    assert_eq!(h.read(0xf0, at(1)), 0x0000_0002_0000_0008);
}

#[test]
fn one_shot_interrupts_when_the_counter_meets_the_value() {
    let mut h = running(0, TO_20, 100);
    assert_eq!(h.next_event(), at(100));
    assert!(!edge(&mut h, 0, at(99)));
    assert!(edge(&mut h, 0, at(100)));
    assert!(!edge(&mut h, 0, at(1000)));
    assert_eq!(h.take_output(0).unwrap().route, Route::Input(20));
}

#[test]
fn a_value_in_the_past_waits_for_the_counter_to_come_around() {
    let mut h = running(0, TO_20, 100);
    h.write(0x108, 50, ALL, at(60));
    assert!(!edge(&mut h, 0, at(1_000_000)));
}

#[test]
fn thirty_two_bit_mode_compares_the_lower_half() {
    let mut h = running(0, TO_20 | NARROW, 100);
    assert!(edge(&mut h, 0, at(100)));
    assert_eq!(h.next_event(), at(100 + (1 << 32)));
    assert!(edge(&mut h, 0, at(100 + (1 << 32))));
}

#[test]
fn periodic_adds_the_value_last_written_without_drift() {
    let mut h = running(0, TO_20 | PERIODIC | SET_VALUE, 1000);
    h.write(0x108, 300, ALL, Time::ZERO);
    assert_eq!(h.read(0x108, Time::ZERO), 1000, "the first write had VAL_SET");
    assert!(edge(&mut h, 0, at(1000)));
    assert_eq!((h.next_event(), h.read(0x108, at(1000))), (at(1300), 1300));
    assert!(edge(&mut h, 0, at(9999)), "edges that nobody saw are one");
    assert_eq!(h.next_event(), at(10_000));
}

#[test]
fn val_set_clears_itself_and_reads_0() {
    let mut h = Hpet::new();
    h.write(0x100, PERIODIC | SET_VALUE, ALL, Time::ZERO);
    assert_eq!(h.read(0x100, Time::ZERO) & SET_VALUE, 0);
    h.write(0x108, 5, LOW, Time::ZERO);
    h.write(0x108, 0, HIGH, Time::ZERO);
    h.write(0x108, 9, ALL, Time::ZERO);
    assert_eq!(h.read(0x108, Time::ZERO), 5);
}

#[test]
fn level_triggered_interrupts_stay_until_their_status_is_written() {
    let mut h = running(1, TO_20 | LEVEL, 100);
    h.tick(at(100));
    assert!(h.take_output(1).unwrap().level);
    assert_eq!(h.read(0x20, at(100)), 2);
    assert_eq!(h.next_event(), Time::NEVER);
    h.write(0x20, 2, ALL, at(110));
    assert!(!h.take_output(1).unwrap().level);
    assert_eq!(h.read(0x20, at(110)), 0);
}

#[test]
fn a_disabled_level_interrupt_still_sets_its_status() {
    let mut h = running(1, (TO_20 | LEVEL) & !INT, 100);
    assert_eq!(h.next_event(), Time::NEVER);
    assert_eq!(h.read(0x20, at(100)), 2);
    assert!(!h.take_output(1).unwrap().level);
}

#[test]
fn edges_set_no_status() {
    let mut h = running(1, TO_20, 100);
    assert_eq!(h.read(0x20, at(100)), 0);
}

#[test]
fn legacy_replacement_takes_the_places_of_pit_and_rtc() {
    let mut h = running(0, INT, 100);
    assert_eq!(h.route(0), None);
    h.write(0x10, 3, ALL, Time::ZERO);
    assert!(h.is_legacy());
    assert_eq!((h.route(0), h.route(1), h.route(2)), (Some(Route::Pit), Some(Route::Rtc), None));
}

#[test]
fn routes_are_inputs_20_to_23_and_others_are_not_taken() {
    let mut h = Hpet::new();
    assert_eq!(h.read(0x100, Time::ZERO) >> 32, 0x00f0_0000);
    for route in 0..32 {
        h.write(0x100, route << 9, ALL, Time::ZERO);
        let taken = if (20..24).contains(&route) { route } else { 0 };
        assert_eq!(h.read(0x100, Time::ZERO) >> 9 & 0x1f, taken);
    }
}

#[test]
fn nothing_is_sent_through_the_front_side_bus() {
    let mut h = Hpet::new();
    h.write(0x100, 1 << 14, ALL, Time::ZERO);
    h.write(0x110, ALL, ALL, Time::ZERO);
    assert_eq!((h.read(0x100, Time::ZERO) >> 14 & 3, h.read(0x110, Time::ZERO)), (0, 0));
}

#[test]
fn what_is_not_there_reads_0() {
    let mut h = Hpet::new();
    for offset in [0x08, 0x28, 0xf8, 0x160, 0x3f8] {
        h.write(offset, ALL, ALL, Time::ZERO);
        assert_eq!(h.read(offset, Time::ZERO), 0);
    }
}

#[test]
fn a_saved_chip_goes_on_and_an_impossible_one_is_refused() {
    let mut h = running(0, TO_20 | PERIODIC | SET_VALUE, 100);
    h.tick(at(250));
    let saved = h.save();
    let mut other = Hpet::new();
    other.restore(&saved).unwrap();
    assert_eq!(other, h);
    let broken: [fn(&mut HpetState); 4] = [
        |s| s.configuration = 4,
        |s| s.status = 8,
        |s| s.comparators[0].configuration = 1 << 20,
        |s| (s.comparators[1].configuration, s.comparators[1].value) = (NARROW, 1 << 32),
    ];
    for change in broken {
        let mut bad = saved.clone();
        change(&mut bad.state);
        assert!(other.restore(&bad).is_err());
    }
}
