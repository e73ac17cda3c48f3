use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// The time of a CLK pulse.
fn clk(pulse: u64) -> Time {
    Time::at_tick(pulse, HZ)
}

/// Counter 0 with control word and count (low byte first) written at power-on.
fn counter0(control: u8, count: u16) -> Pit {
    let mut pit = Pit::new();
    pit.write(3, control, Time::ZERO);
    for byte in count.to_le_bytes() {
        pit.write(0, byte, Time::ZERO);
    }
    pit
}

/// OUT 0 at each of the first `pulses` pulses.
fn wave(pit: &mut Pit, pulses: u64) -> Vec<u8> {
    (0..pulses).map(|pulse| pit.output(0, clk(pulse)).into()).collect()
}

/// The count of `counter`, read low byte first.
fn count(pit: &mut Pit, counter: u8, at: Time) -> u16 {
    u16::from_le_bytes([pit.read(counter, at), pit.read(counter, at)])
}

#[test]
fn mode_0_rises_at_the_terminal_count_and_stays() {
    assert_eq!(wave(&mut counter0(0x30, 4), 8), [0, 0, 0, 0, 1, 1, 1, 1]);
}

#[test]
fn mode_0_the_first_byte_of_a_new_count_sets_out_low() {
    let mut pit = counter0(0x30, 2);
    assert!(pit.output(0, clk(2)));
    pit.write(0, 9, clk(3));
    assert!(!pit.output(0, clk(3)));
    assert_eq!(pit.next_event(), Time::NEVER);
}

#[test]
fn mode_0_gate_low_holds_the_count() {
    let mut pit = counter0(0x30, 100);
    pit.set_gate(0, false, clk(40));
    assert_eq!(count(&mut pit, 0, clk(90)), 60);
    pit.set_gate(0, true, clk(90));
    assert!(!pit.output(0, clk(149)));
    assert!(pit.output(0, clk(151)));
}

#[test]
fn mode_1_is_triggered_by_gate_and_not_by_the_count() {
    let mut pit = Pit::new();
    for (reg, value) in [(3, 0xb2), (2, 3), (2, 0)] {
        pit.write(reg, value, clk(0));
    }
    assert!(pit.output(2, clk(50)));
    pit.set_gate(2, true, clk(100));
    assert!(!pit.output(2, clk(102)));
    assert!(pit.output(2, clk(104)));
}

#[test]
fn mode_1_is_retriggerable() {
    let mut pit = Pit::new();
    for (reg, value) in [(3, 0xb2), (2, 10), (2, 0)] {
        pit.write(reg, value, clk(0));
    }
    pit.set_gate(2, true, clk(100));
    pit.set_gate(2, false, clk(104));
    pit.set_gate(2, true, clk(106));
    assert!(!pit.output(2, clk(114)));
    assert!(pit.output(2, clk(117)));
}

#[test]
fn mode_1_a_new_count_waits_for_the_next_trigger() {
    let mut pit = Pit::new();
    for (reg, value) in [(3, 0xb2), (2, 10), (2, 0)] {
        pit.write(reg, value, clk(0));
    }
    pit.set_gate(2, true, clk(100));
    pit.write(2, 50, clk(101));
    pit.write(2, 0, clk(101));
    assert!(pit.output(2, clk(111)));
    pit.set_gate(2, false, clk(120));
    pit.set_gate(2, true, clk(121));
    assert!(!pit.output(2, clk(170)));
}

#[test]
fn mode_2_is_low_for_one_pulse_in_n() {
    assert_eq!(wave(&mut counter0(0x34, 3), 9), [1, 1, 0, 1, 1, 0, 1, 1, 0]);
}

#[test]
fn mode_2_a_new_count_is_loaded_at_the_end_of_the_period() {
    let mut pit = counter0(0x34, 4);
    pit.write(0, 2, clk(1));
    pit.write(0, 0, clk(1));
    assert_eq!(wave(&mut pit, 9)[2..], [1, 0, 1, 0, 1, 0, 1]);
}

#[test]
fn mode_2_gate_low_sets_out_high_and_its_rise_restarts() {
    let mut pit = Pit::new();
    for (reg, value) in [(3, 0xb4), (2, 10), (2, 0)] {
        pit.write(reg, value, clk(0));
    }
    pit.set_gate(2, true, clk(0));
    assert!(!pit.output(2, clk(9)));
    pit.set_gate(2, false, clk(9));
    assert!(pit.output(2, clk(9)));
    pit.set_gate(2, true, clk(14));
    assert_eq!(count(&mut pit, 2, Time(clk(14).0 + 1)), 10);
}

#[test]
fn mode_2_counts_from_n_to_1() {
    let mut pit = counter0(0x34, 3);
    let counts: Vec<_> = (0..5).map(|pulse| count(&mut pit, 0, clk(pulse))).collect();
    assert_eq!(counts, [3, 2, 1, 3, 2]);
}

#[test]
fn mode_3_even_counts_are_half_high_half_low() {
    assert_eq!(wave(&mut counter0(0x36, 4), 8), [1, 1, 0, 0, 1, 1, 0, 0]);
}

#[test]
fn mode_3_odd_counts_are_high_for_one_pulse_more() {
    assert_eq!(wave(&mut counter0(0x36, 5), 10), [1, 1, 1, 0, 0, 1, 1, 1, 0, 0]);
}

#[test]
fn mode_3_counts_by_two_in_each_half() {
    let mut pit = counter0(0x36, 6);
    let counts: Vec<_> = (0..7).map(|pulse| count(&mut pit, 0, clk(pulse))).collect();
    assert_eq!(counts, [6, 4, 2, 6, 4, 2, 6]);
    let mut pit = counter0(0x36, 5);
    let counts: Vec<_> = (0..6).map(|pulse| count(&mut pit, 0, clk(pulse))).collect();
    assert_eq!(counts, [4, 2, 0, 4, 2, 4]);
}

#[test]
fn mode_3_a_new_count_is_loaded_at_the_end_of_the_half_cycle() {
    let mut pit = counter0(0x36, 4);
    pit.write(0, 6, clk(1));
    pit.write(0, 0, clk(1));
    assert_eq!(wave(&mut pit, 9)[2..], [0, 0, 0, 1, 1, 1, 0]);
}

#[test]
fn mode_4_strobes_low_for_one_pulse_after_n() {
    assert_eq!(wave(&mut counter0(0x38, 3), 7), [1, 1, 1, 0, 1, 1, 1]);
}

#[test]
fn mode_5_strobes_n_pulses_after_the_trigger() {
    let mut pit = Pit::new();
    for (reg, value) in [(3, 0xba), (2, 3), (2, 0)] {
        pit.write(reg, value, clk(0));
    }
    pit.set_gate(2, true, clk(10));
    let wave: Vec<_> = (11..16).map(|pulse| pit.output(2, Time(clk(pulse).0 + 500))).collect();
    assert_eq!(wave, [true, true, false, true, true]);
}

#[test]
fn a_count_of_0_is_65536_or_10000() {
    assert_eq!(counter0(0x34, 0).next_event(), clk(65_536));
    assert_eq!(counter0(0x35, 0).next_event(), clk(10_000));
}

#[test]
fn bcd_counts_in_decades() {
    let mut pit = counter0(0x35, 0x1000);
    assert_eq!(count(&mut pit, 0, clk(1)), 0x0999);
    assert_eq!(pit.next_event(), clk(1000));
}

#[test]
fn msb_only_leaves_the_low_byte_zero() {
    let mut pit = Pit::new();
    pit.write(3, 0x24, clk(0));
    pit.write(0, 0x12, clk(0));
    assert_eq!(pit.next_event(), clk(0x1200));
    assert_eq!(pit.read(0, clk(1)), 0x11);
}

#[test]
fn the_latch_command_freezes_the_count_until_it_is_read() {
    let mut pit = counter0(0x34, 1000);
    pit.write(3, 0x00, clk(10));
    pit.write(3, 0x00, clk(20));
    assert_eq!(count(&mut pit, 0, clk(30)), 990);
    assert_eq!(count(&mut pit, 0, clk(30)), 970);
}

#[test]
fn read_back_latches_several_counts_and_status_first() {
    let mut pit = counter0(0x34, 1000);
    for (reg, value) in [(3, 0x74), (1, 18), (1, 0)] {
        pit.write(reg, value, clk(0));
    }
    pit.write(3, 0xc6, clk(17));
    assert_eq!(pit.read(0, clk(40)), 0xb4);
    assert_eq!(count(&mut pit, 0, clk(40)), 983);
    assert_eq!(pit.read(1, clk(40)), 0x34);
    assert_eq!(count(&mut pit, 1, clk(40)), 1);
}

#[test]
fn status_shows_null_count_until_the_count_is_loaded() {
    let mut pit = Pit::new();
    pit.write(3, 0x34, clk(0));
    pit.write(3, 0xe2, clk(0));
    assert_eq!(pit.read(0, clk(0)), 0xf4);
    pit.write(0, 9, clk(1));
    pit.write(0, 0, clk(1));
    pit.write(3, 0xe2, clk(1));
    assert_eq!(pit.read(0, clk(1)), 0xb4);
}

#[test]
fn irq0_rises_once_a_period() {
    let mut pit = counter0(0x36, 11_932);
    let mut at = Time::ZERO;
    for period in 1..=100 {
        at = pit.next_event();
        assert_eq!(at, clk(period * 11_932));
        assert_eq!(pit.tick(at), Irq0 { level: true, edges: 1 });
    }
    assert_eq!(pit.tick(at).edges, 0);
}

#[test]
fn a_late_tick_says_how_many_periods_have_passed() {
    let mut pit = counter0(0x34, 1000);
    assert_eq!(pit.tick(clk(5500)), Irq0 { level: true, edges: 5 });
}

#[test]
fn leaving_mode_0_low_for_another_mode_is_an_edge() {
    let mut pit = counter0(0x30, 1000);
    assert_eq!(pit.tick(clk(1)).edges, 0);
    pit.write(3, 0x34, clk(2));
    assert_eq!(pit.tick(clk(2)), Irq0 { level: true, edges: 1 });
}

#[test]
fn one_shots_have_one_event() {
    let mut pit = counter0(0x30, 100);
    assert_eq!(pit.next_event(), clk(100));
    assert_eq!(pit.tick(clk(100)).edges, 1);
    assert_eq!(pit.next_event(), Time::NEVER);
}

#[test]
fn port_61_gates_counter_2_and_shows_its_output() {
    let mut pit = Pit::new();
    pit.write_port61(0x01, clk(0));
    for (reg, value) in [(3, 0xb0), (2, 100), (2, 0)] {
        pit.write(reg, value, clk(0));
    }
    assert_eq!(pit.read_port61(clk(99)) & 0x2f, 0x01);
    assert_eq!(pit.read_port61(clk(100)) & 0x2f, 0x21);
}

#[test]
fn port_61_bit_4_toggles_every_15_microseconds() {
    let mut pit = Pit::new();
    let bits: Vec<_> = (0..4).map(|n| pit.read_port61(clk(18 * n)) & 0x10).collect();
    assert_eq!(bits, [0, 0x10, 0, 0x10]);
}

#[test]
fn the_state_of_kvms_timer_can_be_taken_over() {
    // As KVM creates it: never programmed, counts of 65536, gate 2 low.
    let kvm = ChannelState { count: 0x10000, mode: 0xff, gate: 1, ..ChannelState::default() };
    let word = ChannelState { read_state: 3, write_state: 3, rw_mode: 3, ..kvm };
    let running = ChannelState { mode: 2, count: 1000, count_load_time: clk(500).0 as i64, ..word };
    let mut pit = Pit::new();
    let channels = [running, kvm, ChannelState { gate: 0, ..kvm }];
    pit.restore(&PitState::from_channels(channels, true, clk(600))).unwrap();
    assert_eq!(pit.next_event(), clk(1500));
    assert_eq!(pit.read_port61(clk(600)) & 0x03, 0x02);
    assert_eq!(pit.save().state.counters.map(|counter| counter.channel), channels);
}

#[test]
fn states_that_cannot_be_are_refused() {
    let mut pit = counter0(0x34, 1000);
    let good = pit.save();
    for spoil in [
        (|s| s.version = 9) as fn(&mut crate::saved::Saved<PitState>),
        |s| s.state.counters[0].channel.count = 0,
        |s| s.state.counters[1].channel.mode = 8,
        |s| s.state.counters[2].channel.read_state = 5,
        |s| s.state.port61 = 0x10,
    ] {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(pit.restore(&bad).is_err());
        assert_eq!(pit.save(), good);
    }
}

/// Counter 0 in modes 0, 2, 3 and 4 with its gate high, pulse by pulse as the data sheet tells it.
struct Stepped {
    mode: u8,
    /// Count register.
    cr: u32,
    /// Counting element.
    ce: u32,
    out: bool,
    /// Has reached zero.
    done: bool,
}

impl Stepped {
    fn new(mode: u8, n: u16) -> Self {
        let mut stepped = Self { mode, cr: n.into(), ce: 0, out: true, done: false };
        stepped.load();
        stepped
    }

    fn load(&mut self) {
        self.ce = if self.mode == 3 { self.cr & !1 } else { self.cr };
        if self.mode == 0 {
            self.out = false;
        }
        self.done = false;
    }

    fn write(&mut self, n: u16) {
        self.cr = n.into();
        if matches!(self.mode, 0 | 4) {
            self.load();
        }
    }

    /// The half-cycle's length follows from the count that was loaded for it.
    fn pulse(&mut self, loaded_odd: &mut bool) {
        match self.mode {
            0 | 4 => {
                self.ce = self.ce.wrapping_sub(1) & 0xffff;
                let reached = self.ce == 0 && !self.done;
                self.done |= reached;
                self.out = if self.mode == 0 { self.done } else { !reached };
            }
            2 => {
                if self.ce == 1 {
                    self.load();
                } else {
                    self.ce -= 1;
                }
                self.out = self.ce != 1;
            }
            _ => {
                let last = if *loaded_odd && self.out { 0 } else { 2 };
                if self.ce == last {
                    self.out = !self.out;
                    self.load();
                    *loaded_odd = self.cr & 1 != 0;
                } else {
                    self.ce -= 2;
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn output_and_count_are_those_of_a_counter_stepped_pulse_by_pulse(
        mode in prop::sample::select(&[0u8, 2, 3, 4][..]), n in 2u16..40, new in 2u16..40, change in 0u64..150,
    ) {
        let mut pit = counter0(0x30 | mode << 1, n);
        let mut stepped = Stepped::new(mode, n);
        let mut loaded_odd = n & 1 != 0;
        for pulse in 0..300 {
            if pulse > 0 {
                stepped.pulse(&mut loaded_odd);
            }
            prop_assert_eq!(pit.output(0, clk(pulse)), stepped.out, "OUT at pulse {}", pulse);
            prop_assert_eq!(u32::from(count(&mut pit, 0, clk(pulse))), stepped.ce, "count at pulse {}", pulse);
            if pulse == change {
                for byte in new.to_le_bytes() {
                    pit.write(0, byte, clk(pulse));
                }
                stepped.write(new);
            }
        }
    }

    #[test]
    fn any_sequence_is_survived_and_can_be_saved(
        ops in prop::collection::vec((0u8..5, any::<u8>(), any::<u8>(), prop_oneof![any::<u64>(), 0..1_000_000_000u64]), 0..150),
    ) {
        let mut pit = Pit::new();
        for (op, reg, value, at) in ops {
            let at = Time(at);
            match op {
                0 => { pit.read(reg % 5, at); }
                1 => pit.write(reg % 5, value, at),
                2 => pit.write_port61(value, at),
                3 => { pit.tick(at); pit.speaker(at); }
                _ => pit.set_gate(reg % 4, value & 1 != 0, at),
            }
            pit.next_event();
            let mut other = Pit::new();
            other.restore(&pit.save()).unwrap();
            prop_assert_eq!(&other, &pit);
        }
    }

    /// What `tick` reports does not depend on how often it is asked, and every edge is announced by `next_event`.
    #[test]
    fn edges_are_the_same_however_often_one_looks(
        mode in 0u8..6, count in 2u16..50, new in 2u16..50, change in 0u64..200, end in 200u64..600,
    ) {
        let mut coarse = counter0(0x30 | mode << 1, count);
        let mut fine = coarse.clone();
        let mut edges = 0;
        for pulse in 0..=end {
            if pulse == change {
                for byte in new.to_le_bytes() {
                    coarse.write(0, byte, clk(pulse));
                    fine.write(0, byte, clk(pulse));
                }
            }
            let due = fine.next_event();
            let seen = fine.tick(clk(pulse)).edges;
            prop_assert!(seen == 0 || due <= clk(pulse) || pulse == change);
            edges += seen;
        }
        prop_assert_eq!(coarse.tick(clk(end)).edges, edges);
    }
}
