use alloc::vec::Vec;

use proptest::prelude::*;

use super::cmos::{BootDevice, FloppyType, Geometry};
use super::*;

/// 2024-02-29 23:59:58 UTC, a Thursday.
const LEAP: i64 = 1_709_251_198;

/// So many milliseconds after power-on.
fn ms(n: u64) -> Time {
    Time(n * 1_000_000)
}

fn date(rtc: &mut Rtc, at: Time) -> Vec<u8> {
    [0x32, 9, 8, 7, 6, 4, 2, 0].map(|index| rtc.read_register(index, at)).to_vec()
}

#[test]
fn the_clock_starts_at_the_given_epoch_in_bcd() {
    let mut rtc = Rtc::new(LEAP);
    assert_eq!(date(&mut rtc, ms(0)), [0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x58]);
}

#[test]
fn seconds_carry_through_the_leap_day() {
    let mut rtc = Rtc::new(LEAP);
    assert_eq!(date(&mut rtc, ms(1999))[7], 0x59);
    assert_eq!(date(&mut rtc, ms(2000)), [0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00]);
}

#[test]
fn the_century_carries() {
    let mut rtc = Rtc::new(946_684_799);
    assert_eq!(date(&mut rtc, ms(0)), [0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59]);
    assert_eq!(date(&mut rtc, ms(1000)), [0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00]);
}

#[test]
fn dm_selects_binary() {
    let mut rtc = Rtc::new(LEAP);
    rtc.write_register(0x0b, 0x06, ms(0));
    assert_eq!(date(&mut rtc, ms(0)), [20, 24, 2, 29, 5, 23, 59, 58]);
}

#[test]
fn twelve_hours_have_midnight_at_12_and_pm_in_bit_7() {
    for (hour, register) in [(0, 0x12), (1, 0x01), (11, 0x11), (12, 0x92), (13, 0x81), (23, 0x91)] {
        let mut rtc = Rtc::new(hour * 3600);
        rtc.write_register(0x0b, 0x00, ms(0));
        assert_eq!(rtc.read_register(4, ms(0)), register);
    }
}

#[test]
fn set_halts_updates_and_its_end_starts_from_the_registers() {
    let mut rtc = Rtc::new(LEAP);
    rtc.write_register(0x0b, 0x82, ms(100));
    for (index, value) in
        [(0x32, 0x19), (9, 0x85), (8, 0x10), (7, 0x26), (6, 7), (4, 0x01), (2, 0x21), (0, 0x00)]
    {
        rtc.write_register(index, value, ms(100));
    }
    let written = [0x19, 0x85, 0x10, 0x26, 7, 0x01, 0x21, 0x00];
    assert_eq!(date(&mut rtc, ms(5500)), written);
    rtc.write_register(0x0b, 0x02, ms(5500));
    assert_eq!(date(&mut rtc, ms(5500)), written);
    assert_eq!(rtc.read_register(0, ms(6000)), 0x01);
}

#[test]
fn set_clears_uie() {
    let mut rtc = Rtc::new(0);
    rtc.write_register(0x0b, 0x92, ms(0));
    assert_eq!(rtc.read_register(0x0b, ms(0)), 0x82);
}

#[test]
fn the_weekday_is_a_counter_of_its_own() {
    let mut rtc = Rtc::new(LEAP);
    rtc.write_register(6, 1, ms(0));
    assert_eq!(rtc.read_register(6, ms(0)), 1);
    assert_eq!(rtc.read_register(6, ms(2000)), 2);
    assert_eq!(rtc.read_register(7, ms(2000)), 0x01, "the date is not moved by it");
}

#[test]
fn after_a_divider_reset_the_first_update_comes_after_500_ms() {
    let mut rtc = Rtc::new(0);
    rtc.write_register(0x0a, 0x70, ms(300));
    assert_eq!(rtc.read_register(0, ms(9000)), 0x00);
    rtc.write_register(0x0a, 0x26, ms(9300));
    assert_eq!(rtc.read_register(0, ms(9799)), 0x00);
    assert_eq!(rtc.read_register(0, ms(9800)), 0x01);
}

#[test]
fn uip_is_set_2228_us_before_the_time_changes() {
    let mut rtc = Rtc::new(0);
    assert_eq!(rtc.read_register(0x0a, Time(997_771_999)), 0x26);
    assert_eq!(rtc.read_register(0x0a, Time(997_772_000)), 0xa6);
    assert_eq!(rtc.read_register(0x0a, Time(999_999_999)), 0xa6);
    assert_eq!(rtc.read_register(0x0a, ms(1000)), 0x26);
}

#[test]
fn uip_stays_clear_while_set_is_on() {
    let mut rtc = Rtc::new(0);
    rtc.write_register(0x0b, 0x82, ms(0));
    assert_eq!(rtc.read_register(0x0a, ms(999)), 0x26);
}

#[test]
fn registers_c_and_d_cannot_be_written_and_d_shows_vrt() {
    let mut rtc = Rtc::new(0);
    rtc.write_register(0x0c, 0xff, ms(0));
    rtc.write_register(0x0d, 0x00, ms(0));
    assert_eq!((rtc.read_register(0x0c, ms(0)), rtc.read_register(0x0d, ms(0))), (0x00, 0x80));
}

#[test]
fn the_update_ended_interrupt_comes_each_second() {
    let mut rtc = Rtc::new(0);
    assert_eq!(rtc.next_event(), Time::NEVER);
    rtc.write_register(0x0b, 0x12, ms(100));
    for second in 1..4 {
        assert_eq!(rtc.next_event(), ms(1000 * second));
        rtc.tick(ms(1000 * second));
        assert!(rtc.irq());
        assert_eq!(rtc.next_event(), Time::NEVER, "one is pending");
        assert_eq!(rtc.read_register(0x0c, ms(1000 * second)) & 0x90, 0x90);
        assert!(!rtc.irq());
    }
}

#[test]
fn flags_are_set_without_their_interrupts() {
    let mut rtc = Rtc::new(0);
    rtc.tick(ms(1001));
    assert!(!rtc.irq());
    assert_eq!(rtc.read_register(0x0c, ms(1001)), 0x50);
    assert_eq!(rtc.read_register(0x0c, ms(1001)), 0x00, "reading clears them");
}

#[test]
fn periodic_rates_are_those_of_the_32_khz_crystal() {
    let mut rtc = Rtc::new(0);
    for (rate, hz) in [(1, 256), (2, 128), (3, 8192), (6, 1024), (12, 16), (15, 2)] {
        rtc.write_register(0x0a, 0x20 | rate, ms(0));
        rtc.write_register(0x0b, 0x42, ms(0));
        assert_eq!(rtc.next_event(), Time::at_tick(1, hz), "rate {rate}");
    }
    rtc.write_register(0x0a, 0x20, ms(0));
    assert_eq!(rtc.next_event(), Time::NEVER);
}

#[test]
fn the_alarm_comes_when_all_three_match() {
    let mut rtc = Rtc::new(LEAP);
    for (index, value) in [(5, 0x00), (3, 0x01), (1, 0x30), (0x0b, 0x22)] {
        rtc.write_register(index, value, ms(0));
    }
    assert_eq!(rtc.next_event(), ms(92_000));
    rtc.tick(ms(92_000));
    assert_eq!(rtc.read_register(0x0c, ms(92_000)) & 0xa0, 0xa0);
}

#[test]
fn alarm_bytes_from_c0_on_match_always() {
    let mut rtc = Rtc::new(0);
    for (index, value) in [(5, 0xff), (3, 0xc0), (1, 0x07), (0x0b, 0x22)] {
        rtc.write_register(index, value, ms(0));
    }
    assert_eq!(rtc.next_event(), ms(7000));
    rtc.tick(ms(7000));
    rtc.read_register(0x0c, ms(7000));
    assert_eq!(rtc.next_event(), ms(67_000));
}

#[test]
fn an_alarm_that_no_clock_shows_never_comes() {
    let mut rtc = Rtc::new(0);
    for (index, value) in [(5, 0x24), (0x0b, 0x22)] {
        rtc.write_register(index, value, ms(0));
    }
    assert_eq!(rtc.next_event(), Time::NEVER);
}

#[test]
fn an_alarm_passed_over_in_one_step_is_seen() {
    let mut rtc = Rtc::new(0);
    rtc.write_register(1, 0x30, ms(0));
    rtc.tick(ms(86_400_000 * 3));
    assert_eq!(rtc.read_register(0x0c, ms(86_400_000 * 3)) & 0x20, 0x20);
}

#[test]
fn reset_disables_interrupts_and_keeps_the_time() {
    let mut rtc = Rtc::new(LEAP);
    rtc.write_register(0x0b, 0x7a, ms(0));
    rtc.tick(ms(1000));
    assert!(rtc.irq());
    rtc.reset(ms(1000));
    assert!(!rtc.irq());
    assert_eq!(rtc.read_register(0x0b, ms(1000)), 0x02);
    assert_eq!(rtc.read_register(0, ms(1000)), 0x59);
}

#[test]
fn ports_70_and_71_select_and_access_without_the_nmi_bit() {
    let mut rtc = Rtc::new(0);
    rtc.write(0, 0x80 | 0x50, ms(0));
    rtc.write(1, 0xa5, ms(0));
    assert_eq!((rtc.read(1, ms(0)), rtc.read(0, ms(0)), rtc.cmos(0x50)), (0xa5, 0xff, 0xa5));
}

#[test]
fn memory_sizes_stand_in_the_pcs_bytes() {
    let mut rtc = Rtc::new(0);
    rtc.set_memory(64 << 20, 5 << 30);
    let word = |index| u16::from_le_bytes([rtc.cmos(index), rtc.cmos(index + 1)]);
    assert_eq!([0x15, 0x17, 0x30, 0x34].map(word), [640, 63 * 1024, 63 * 1024, 48 * 16]);
    assert_eq!([0x5b, 0x5c, 0x5d].map(|index| rtc.cmos(index)), [0x00, 0x40, 0x01]);
}

#[test]
fn extended_memory_is_at_most_65535_kib() {
    let mut rtc = Rtc::new(0);
    rtc.set_memory(3 << 30, 0);
    assert_eq!((rtc.cmos(0x17), rtc.cmos(0x18)), (0xff, 0xff));
    rtc.set_memory(256 << 10, 0);
    assert_eq!((rtc.cmos(0x15), rtc.cmos(0x16), rtc.cmos(0x17)), (0x00, 0x01, 0x00));
}

#[test]
fn drives_and_boot_order_stand_in_the_pcs_bytes() {
    let mut rtc = Rtc::new(0);
    rtc.set_floppies(FloppyType::F1440K, FloppyType::None);
    rtc.set_hard_disk(0, Geometry { cylinders: 0x123, heads: 16, sectors: 63 }, 1);
    rtc.set_boot_order([BootDevice::Disk, BootDevice::Cdrom, BootDevice::Floppy], false);
    rtc.set_cpus(4);
    let bytes = [0x10, 0x14, 0x12, 0x19, 0x39, 0x3d, 0x38, 0x5f].map(|index| rtc.cmos(index));
    assert_eq!(bytes, [0x40, 0x27, 0xf0, 47, 0x01, 0x32, 0x11, 3]);
    let geometry: Vec<_> = (0x1b..0x24).map(|index| rtc.cmos(index)).collect();
    assert_eq!(geometry, [0x23, 0x01, 16, 0xff, 0xff, 0xc8, 0x23, 0x01, 63]);
}

#[test]
fn the_checksum_covers_10_to_2d() {
    let mut rtc = Rtc::new(0);
    rtc.set_memory(64 << 20, 0);
    let sum: u16 = (0x10..=0x2d).map(|index| u16::from(rtc.cmos(index))).sum();
    assert_eq!([rtc.cmos(0x2e), rtc.cmos(0x2f)], sum.to_be_bytes());
}

#[test]
fn states_that_cannot_be_are_refused() {
    let mut rtc = Rtc::new(0);
    let good = rtc.save();
    for spoil in [
        (|s| s.version = 7) as fn(&mut crate::saved::Saved<RtcState>),
        |s| s.state.index = 0x80,
        |s| s.state.phase = SECOND,
        |s| s.state.weekday_shift = 7,
        |s| s.state.cmos[0x0c] = 0x80,
    ] {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(rtc.restore(&bad).is_err());
        assert_eq!(rtc.save(), good);
    }
}

proptest! {
    #[test]
    fn every_date_survives_set(epoch in -62_135_596_800i64..253_402_300_800, b in 0u8..8) {
        let mut rtc = Rtc::new(epoch);
        rtc.write_register(0x0b, b, ms(0));
        let shown = date(&mut rtc, ms(0));
        rtc.write_register(0x0b, 0x80 | b, ms(0));
        rtc.write_register(0x0b, b, ms(0));
        prop_assert_eq!(date(&mut rtc, ms(0)), shown);
        prop_assert_eq!(rtc.seconds(ms(0)), epoch);
    }

    #[test]
    fn any_sequence_is_survived_and_can_be_saved(
        epoch: i64,
        ops in prop::collection::vec(
            (0u8..5, prop_oneof![0u8..16, any::<u8>()], any::<u8>(), prop_oneof![any::<u64>(), 0..10_000_000_000u64]),
            0..150,
        ),
    ) {
        let mut rtc = Rtc::new(epoch);
        for (op, index, value, at) in ops {
            let at = Time(at);
            match op {
                0 => { rtc.read_register(index, at); }
                1 | 2 => rtc.write_register(index, value, at),
                3 => rtc.tick(at),
                _ => { rtc.write(index % 3, value, at); rtc.read(index % 3, at); }
            }
            rtc.next_event();
            let mut other = Rtc::new(0);
            other.restore(&rtc.save()).unwrap();
            prop_assert_eq!(&other, &rtc);
        }
    }

    #[test]
    fn no_enabled_interrupt_comes_unannounced(
        a in 0x20u8..0x30, b in 0u8..8, alarm in prop::array::uniform3(0u8..0x62), step in 1u64..700,
    ) {
        let mut rtc = Rtc::new(LEAP);
        for (index, value) in [(0x0a, a), (0x0b, b << 4 | 2), (1, alarm[0]), (3, alarm[1]), (5, alarm[2])] {
            rtc.write_register(index, value, ms(0));
        }
        for n in 1..40 {
            let due = rtc.next_event();
            rtc.tick(ms(n * step));
            prop_assert_eq!(rtc.irq(), due <= ms(n * step));
            rtc.read_register(0x0c, ms(n * step));
        }
    }
}
