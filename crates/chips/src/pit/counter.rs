//! One counter of the 8254: its registers, latches and gate.

use hako_engine::Time;
use serde::{Deserialize, Serialize};

use super::HZ;
use super::mode::Mode;

/// Which byte a read or write is about: KVM's RW_STATE values.
pub(super) mod rw {
    /// Before the first control word; counts as `LSB`, as in KVM.
    pub const NONE: u8 = 0;
    pub const LSB: u8 = 1;
    pub const MSB: u8 = 2;
    pub const WORD_LOW: u8 = 3;
    pub const WORD_HIGH: u8 = 4;
}

/// `mode` before the first control word.
pub(super) const NEVER_PROGRAMMED: u8 = 0xff;

/// The content of KVM's `kvm_pit_channel_state`. Flags are 0 or 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelState {
    /// The count as written, 0x10000 for 0; in BCD if `bcd`.
    pub count: u32,
    /// The count that was latched.
    pub latched_count: u16,
    /// Which byte of it is read next: 0 none, 1 low, 2 high, 3 low and then high.
    pub count_latched: u8,
    /// A status byte was latched.
    pub status_latched: u8,
    /// It.
    pub status: u8,
    /// Next byte to be read: 0 and 1 low only, 2 high only, 3 low of two, 4 high of two.
    pub read_state: u8,
    /// Next byte to be written.
    pub write_state: u8,
    /// The low byte that waits for its high byte.
    pub write_latch: u8,
    /// RW1-RW0 of the control word.
    pub rw_mode: u8,
    /// M2-M0 of the control word; 0xff before the first one.
    pub mode: u8,
    /// BCD of the control word.
    pub bcd: u8,
    /// Level of GATE.
    pub gate: u8,
    /// When the count was loaded, in nanoseconds of guest time. KVM has the host's clock here, so that whoever
    /// exchanges states with it has to convert; and it restarts the counts when its state is set.
    pub count_load_time: i64,
}

/// A counter: what KVM's in-kernel PIT holds, and what that one leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterState {
    /// What KVM holds.
    pub channel: ChannelState,
    /// Not counting yet: a count (modes 0, 2, 3, 4) or the trigger (modes 1, 5) is awaited.
    pub idle: bool,
    /// A count that was written but not loaded yet, in the terms of `channel.count`.
    pub next_count: Option<u32>,
    /// When GATE fell, if that stopped the counting; nanoseconds.
    pub stopped_at: Option<i64>,
    /// Up to when edges have been counted.
    pub seen: Time,
}

/// A counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counter(pub(super) CounterState);

/// CLK pulses and nanoseconds in a second.
const CLOCKS: i64 = HZ as i64;
const SECOND: i64 = 1_000_000_000;

/// Nanoseconds of guest time as KVM counts them.
fn nanoseconds(t: Time) -> i64 {
    i64::try_from(t.0).unwrap_or(i64::MAX)
}

/// Number of the last CLK pulse at or before `ns`. CLK runs freely from power-on on.
fn clk(ns: i64) -> i64 {
    ns.div_euclid(SECOND) * CLOCKS + ns.rem_euclid(SECOND) * CLOCKS / SECOND
}

/// When a CLK pulse comes; `clk(at_clk(n)) == n` where that is in range.
fn at_clk(pulse: i64) -> i64 {
    let part = (pulse.rem_euclid(CLOCKS) * SECOND + CLOCKS - 1) / CLOCKS;
    pulse.div_euclid(CLOCKS).saturating_mul(SECOND).saturating_add(part)
}

/// The number that a written count stands for.
fn number(count: u32, bcd: bool) -> u64 {
    let count = count.clamp(1, 0x10000);
    let number = match (bcd, count) {
        (false, _) => count,
        (true, 0x10000) => 10_000,
        (true, _) => (0..4).rev().fold(0, |sum, digit| sum * 10 + (count >> (4 * digit) & 0xf)),
    };
    u64::from(number)
}

impl Counter {
    /// After power-on, when mode and count are undefined: high and silent until programmed.
    pub(super) fn new(gate: bool) -> Self {
        let channel = ChannelState {
            count: 0x10000,
            read_state: rw::WORD_LOW,
            write_state: rw::WORD_LOW,
            rw_mode: rw::WORD_LOW,
            mode: NEVER_PROGRAMMED,
            gate: gate.into(),
            ..ChannelState::default()
        };
        Self(CounterState { channel, idle: true, next_count: None, stopped_at: None, seen: Time::ZERO })
    }

    fn mode(&self) -> Mode {
        Mode::from_bits(self.0.channel.mode)
    }

    /// The loaded count.
    fn n(&self) -> u64 {
        number(self.0.channel.count, self.0.channel.bcd != 0)
    }

    /// CLK pulses counted since the load.
    fn pulses(&self, now: Time) -> u64 {
        let at = self.0.stopped_at.unwrap_or_else(|| nanoseconds(now));
        let pulses = clk(at).saturating_sub(clk(self.0.channel.count_load_time));
        u64::try_from(pulses).unwrap_or(0)
    }

    /// The level of OUT.
    pub(super) fn output(&self, now: Time) -> bool {
        let (mode, c) = (self.mode(), &self.0.channel);
        if mode == Mode::TerminalCount && c.write_state == rw::WORD_HIGH {
            return false; // the first byte of a new count sets OUT low
        }
        if self.0.idle || (mode.periodic() && c.gate == 0) {
            return mode.idle_output() || c.mode == NEVER_PROGRAMMED;
        }
        mode.output(self.pulses(now), self.n())
    }

    /// When OUT rises next.
    pub(super) fn next_rise(&self) -> Time {
        let (s, mode) = (&self.0, self.mode());
        if s.idle
            || s.stopped_at.is_some()
            || (mode == Mode::TerminalCount && s.channel.write_state == rw::WORD_HIGH)
        {
            return Time::NEVER;
        }
        let pulses = self.pulses(s.seen);
        // A new count may move the edge: look again when it is taken over.
        let load = s.next_count.filter(|_| mode.periodic()).map(|_| mode.next_load(pulses, self.n()));
        let rise = mode.next_rise(pulses, self.n());
        match load.into_iter().chain(rise).min() {
            Some(pulse) => self.time_of(pulse),
            None => Time::NEVER,
        }
    }

    /// The time of a pulse since the load.
    fn time_of(&self, pulse: u64) -> Time {
        let pulse = i64::try_from(pulse).unwrap_or(i64::MAX);
        let at = at_clk(clk(self.0.channel.count_load_time).saturating_add(pulse));
        if at == i64::MAX { Time::NEVER } else { Time(u64::try_from(at).unwrap_or(0)) }
    }

    /// Brings the counter up to `now` and gives the number of rising edges of OUT on the way.
    pub(super) fn advance(&mut self, now: Time) -> u64 {
        if now <= self.0.seen {
            return 0;
        }
        let mut edges = 0;
        let mode = self.mode();
        if mode.periodic()
            && !self.0.idle
            && self.0.stopped_at.is_none()
            && let Some(count) = self.0.next_count
        {
            let load = mode.next_load(self.pulses(self.0.seen), self.n());
            let at = self.time_of(load);
            if at <= now {
                edges += self.rises_to(at);
                self.take_over(count, load, at);
            }
        }
        edges + self.rises_to(now)
    }

    /// Counts the edges between `seen` and `to`, and makes that the new `seen`.
    fn rises_to(&mut self, to: Time) -> u64 {
        let silent = self.0.idle
            || (self.mode() == Mode::TerminalCount && self.0.channel.write_state == rw::WORD_HIGH);
        let (from, mode, n) = (self.0.seen, self.mode(), self.n());
        self.0.seen = to;
        if silent {
            return 0;
        }
        mode.rises(self.pulses(to), n).saturating_sub(mode.rises(self.pulses(from), n))
    }

    /// Loads a new count in mode 2 or 3 at the boundary `load`, which is at the time `at`.
    fn take_over(&mut self, count: u32, load: u64, at: Time) {
        let ends_period = load.is_multiple_of(self.n());
        self.0.channel.count = count;
        self.0.next_count = None;
        // At the end of the high half the new low half begins: as if its own high half lay just behind.
        let behind = if ends_period { 0 } else { self.n().div_ceil(2) as i64 };
        self.0.channel.count_load_time = at_clk(clk(nanoseconds(at)).saturating_sub(behind));
    }

    /// Loads a count now and starts counting.
    fn load(&mut self, count: u32, now: Time) {
        let s = &mut self.0;
        s.channel.count = count;
        s.channel.count_load_time = nanoseconds(now);
        s.next_count = None;
        s.idle = false;
        s.stopped_at =
            (s.channel.gate == 0 && !Mode::from_bits(s.channel.mode).triggered()).then(|| nanoseconds(now));
    }

    /// Control Word, or Counter Latch Command if RW is 0.
    pub(super) fn control(&mut self, word: u8, now: Time) {
        let access = word >> 4 & 3;
        if access == 0 {
            return self.latch_count(now);
        }
        let s = &mut self.0;
        s.channel.rw_mode = access;
        s.channel.read_state = access;
        s.channel.write_state = access;
        s.channel.mode = word >> 1 & 7;
        s.channel.bcd = word & 1;
        s.channel.count_latched = 0;
        s.channel.status_latched = 0;
        s.idle = true;
        s.next_count = None;
        s.stopped_at = None;
    }

    /// Writes a byte of the count.
    pub(super) fn write(&mut self, value: u8, now: Time) {
        let c = &mut self.0.channel;
        let count = match c.write_state {
            rw::NONE | rw::LSB => u16::from(value),
            rw::MSB => u16::from(value) << 8,
            rw::WORD_LOW => {
                c.write_latch = value;
                c.write_state = rw::WORD_HIGH;
                return;
            }
            _ => {
                c.write_state = rw::WORD_LOW;
                u16::from_le_bytes([c.write_latch, value])
            }
        };
        let count = if count == 0 { 0x10000 } else { u32::from(count) };
        let mode = self.mode();
        if self.0.channel.mode == NEVER_PROGRAMMED {
            // Without a control word there is no mode to count in.
        } else if mode.triggered() || (mode.periodic() && !self.0.idle) {
            self.0.next_count = Some(count);
        } else {
            self.load(count, now);
        }
    }

    /// Reads a latched status, a latched count or the count itself, in that order.
    pub(super) fn read(&mut self, now: Time) -> u8 {
        let count = self.count(now);
        let c = &mut self.0.channel;
        if c.status_latched != 0 {
            c.status_latched = 0;
            return c.status;
        }
        let [low, high] = c.latched_count.to_le_bytes();
        match c.count_latched {
            0 => {}
            rw::LSB => {
                c.count_latched = 0;
                return low;
            }
            rw::MSB => {
                c.count_latched = 0;
                return high;
            }
            _ => {
                c.count_latched = rw::MSB;
                return low;
            }
        }
        let [low, high] = count.to_le_bytes();
        match c.read_state {
            rw::NONE | rw::LSB => low,
            rw::MSB => high,
            rw::WORD_LOW => {
                c.read_state = rw::WORD_HIGH;
                low
            }
            _ => {
                c.read_state = rw::WORD_LOW;
                high
            }
        }
    }

    /// The counting element as it is read.
    fn count(&self, now: Time) -> u16 {
        let pulses = if self.0.idle { 0 } else { self.pulses(now) };
        let count = self.mode().count(pulses, self.n());
        if self.0.channel.bcd == 0 {
            return count as u16;
        }
        // A decade counter runs from 0 to 9999.
        let wrapped = (count as i64).rem_euclid(10_000) as u16;
        (0..4).fold(0, |bcd, digit| bcd | (wrapped / 10u16.pow(digit) % 10) << (4 * digit))
    }

    /// Counter Latch Command; ignored while an earlier one is not read.
    pub(super) fn latch_count(&mut self, now: Time) {
        if self.0.channel.count_latched == 0 {
            self.0.channel.latched_count = self.count(now);
            self.0.channel.count_latched = self.0.channel.rw_mode;
        }
    }

    /// Latches the status byte: OUT, null count, and the control word; ignored while an earlier one is not read.
    pub(super) fn latch_status(&mut self, now: Time) {
        let c = self.0.channel;
        if c.status_latched == 0 {
            let null = self.0.next_count.is_some() || (self.0.idle && !self.mode().triggered());
            self.0.channel.status = u8::from(self.output(now)) << 7
                | u8::from(null) << 6
                | c.rw_mode << 4
                | (c.mode & 7) << 1
                | c.bcd;
            self.0.channel.status_latched = 1;
        }
    }

    /// GATE: stops and resumes modes 0 and 4, stops and restarts modes 2 and 3, triggers modes 1 and 5.
    pub(super) fn set_gate(&mut self, level: bool, now: Time) {
        let was = self.0.channel.gate != 0;
        self.0.channel.gate = level.into();
        let mode = self.mode();
        match (was, level) {
            (true, false) if !mode.triggered() && !self.0.idle => self.0.stopped_at = Some(nanoseconds(now)),
            (false, true) if mode.triggered() && self.0.channel.mode != NEVER_PROGRAMMED => {
                if let Some(count) = self.0.next_count.or((!self.0.idle).then_some(self.0.channel.count)) {
                    self.load(count, now);
                }
            }
            (false, true) if mode.periodic() && !self.0.idle => {
                self.load(self.0.next_count.unwrap_or(self.0.channel.count), now);
            }
            (false, true) => {
                if let Some(stopped) = self.0.stopped_at.take() {
                    let pause = clk(nanoseconds(now)).saturating_sub(clk(stopped));
                    let load = clk(self.0.channel.count_load_time).saturating_add(pause);
                    self.0.channel.count_load_time = at_clk(load);
                }
            }
            _ => {}
        }
    }
}
