//! The real-time clock of a PC: an MC146818A (Motorola data sheet) with 128 bytes of CMOS RAM, of which the PC's
//! firmware keeps its configuration ([`cmos`]).
//!
//! The clock registers are computed from the guest's time when they are looked at. While the SET bit or the divider
//! reset holds the clock, they are plain bytes. Of the divider settings only "reset" (11x) stops the clock; all others
//! count as that of the PC's 32.768 kHz crystal. Daylight saving (DSE) and the square wave pin are not there.

mod calendar;
pub mod cmos;
mod saved;
#[cfg(test)]
mod tests;

pub use saved::RtcState;

use core::time::Duration;

use calendar::{DateTime, Format};
use hako_engine::Time;

/// Bytes of CMOS RAM, the clock's registers included.
pub const SIZE: usize = 128;

/// Registers (table 1 of the data sheet).
mod reg {
    pub const SECONDS: u8 = 0x00;
    pub const SECONDS_ALARM: u8 = 0x01;
    pub const MINUTES: u8 = 0x02;
    pub const MINUTES_ALARM: u8 = 0x03;
    pub const HOURS: u8 = 0x04;
    pub const HOURS_ALARM: u8 = 0x05;
    pub const WEEKDAY: u8 = 0x06;
    pub const DAY: u8 = 0x07;
    pub const MONTH: u8 = 0x08;
    pub const YEAR: u8 = 0x09;
    pub const A: u8 = 0x0a;
    pub const B: u8 = 0x0b;
    pub const C: u8 = 0x0c;
    pub const D: u8 = 0x0d;
    /// The PC's century byte, in the clock's format; counted by this chip.
    pub const CENTURY: u8 = 0x32;
}

/// Register A: an update is in progress or about to begin.
const A_UIP: u8 = 0x80;
/// Register B: halt updates; the enables; binary; 24 hours.
const B_SET: u8 = 0x80;
const B_PIE: u8 = 0x40;
const B_AIE: u8 = 0x20;
const B_UIE: u8 = 0x10;
const B_SQWE: u8 = 0x08;
/// The bits of register B that enable interrupts; those of register C stand at the same places.
const SOURCES: u8 = B_PIE | B_AIE | B_UIE;
/// Register C: an enabled interrupt is pending.
const C_IRQF: u8 = 0x80;
/// Register D: RAM and time are valid.
const D_VRT: u8 = 0x80;

const SECOND: u64 = 1_000_000_000;
/// UIP is set 244 microseconds before an update, which takes 1984 microseconds; the new time shows at its end.
const UPDATE: u64 = 244_000 + 1_984_000;
/// After the divider's reset the first update comes half a second later.
const DIVIDER_RESET: Duration = Duration::from_millis(500);

/// The chip behind ports 0x70 and 0x71.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtc {
    s: RtcState,
}

impl Rtc {
    /// A running clock that shows `epoch` (seconds since 1970-01-01 00:00 UTC) at power-on, in BCD and 24 hours.
    pub fn new(epoch: i64) -> Self {
        let mut cmos = [0; SIZE];
        cmos[usize::from(reg::A)] = 0x26;
        cmos[usize::from(reg::B)] = 0x02;
        Self { s: RtcState { cmos, index: 0, base: epoch, phase: 0, weekday_shift: 0, seen: Time::ZERO } }
    }

    /// RESET pin: disables the interrupts and clears their flags; time and RAM go on.
    pub fn reset(&mut self, now: Time) {
        self.tick(now);
        *self.byte_mut(reg::B) &= !(SOURCES | B_SQWE);
        *self.byte_mut(reg::C) = 0;
    }

    /// Reads port 0x70 (0: all ones) or 0x71 (1: the byte selected).
    pub fn read(&mut self, port: u8, now: Time) -> u8 {
        if port == 1 { self.read_register(self.s.index, now) } else { 0xff }
    }

    /// Writes port 0x70 (0: selects a byte; bit 7, the NMI mask, is not the chip's) or 0x71 (1: the byte selected).
    pub fn write(&mut self, port: u8, value: u8, now: Time) {
        match port {
            0 => self.s.index = value & 0x7f,
            1 => self.write_register(self.s.index, value, now),
            _ => {}
        }
    }

    /// Reads byte `index & 0x7f` as the guest would.
    pub fn read_register(&mut self, index: u8, now: Time) -> u8 {
        self.tick(now);
        match index & 0x7f {
            reg::A => self.byte(reg::A) | if self.updating(now) { A_UIP } else { 0 },
            reg::C => {
                let value = self.byte(reg::C) | if self.irq() { C_IRQF } else { 0 };
                *self.byte_mut(reg::C) = 0;
                value
            }
            reg::D => D_VRT,
            index if is_clock(index) && self.running() => self.clock_byte(index, now),
            index => self.byte(index),
        }
    }

    /// Writes byte `index & 0x7f` as the guest would. Registers C and D and the UIP bit cannot be written.
    pub fn write_register(&mut self, index: u8, value: u8, now: Time) {
        self.tick(now);
        let index = index & 0x7f;
        match index {
            reg::A => self.control(|rtc| *rtc.byte_mut(reg::A) = value & !A_UIP, now),
            reg::B => self.control(
                |rtc| *rtc.byte_mut(reg::B) = value & !if value & B_SET != 0 { B_UIE } else { 0 },
                now,
            ),
            reg::C | reg::D => {}
            _ if is_clock(index) && self.running() => {
                // Undefined by the data sheet unless SET is on; here the other registers keep their values.
                self.hold(now);
                *self.byte_mut(index) = value;
                self.release(now);
            }
            _ => *self.byte_mut(index) = value,
        }
    }

    /// Level of the IRQ output (active when IRQF is set).
    pub fn irq(&self) -> bool {
        self.byte(reg::B) & self.byte(reg::C) & SOURCES != 0
    }

    /// When the next enabled interrupt comes. None does while one is pending.
    pub fn next_event(&self) -> Time {
        let (enabled, rate, seen) = (self.byte(reg::B), self.periodic_hz(), self.s.seen);
        if self.irq() || !self.divider_running() {
            return Time::NEVER;
        }
        let periodic = (enabled & B_PIE != 0 && rate != 0).then(|| self.next_tick(seen, rate));
        let update = (enabled & B_UIE != 0 && self.running()).then(|| self.next_tick(seen, 1));
        let alarm = (enabled & B_AIE != 0 && self.running()).then(|| self.next_alarm(seen)).flatten();
        periodic.into_iter().chain(update).chain(alarm).min().unwrap_or(Time::NEVER)
    }

    /// Lets time pass: sets the flags of register C.
    pub fn tick(&mut self, now: Time) {
        let from = self.s.seen;
        if now <= from {
            return;
        }
        self.s.seen = now;
        let mut flags = 0;
        let rate = self.periodic_hz();
        if self.divider_running() && rate != 0 && self.ticks(from, rate) != self.ticks(now, rate) {
            flags |= B_PIE;
        }
        if self.running() && self.ticks(from, 1) != self.ticks(now, 1) {
            flags |= B_UIE;
            if self.next_alarm(from).is_some_and(|at| at <= now) {
                flags |= B_AIE;
            }
        }
        *self.byte_mut(reg::C) |= flags;
    }

    /// A byte of RAM; every index has one.
    fn byte(&self, index: u8) -> u8 {
        self.s.cmos[usize::from(index & 0x7f)]
    }

    fn byte_mut(&mut self, index: u8) -> &mut u8 {
        &mut self.s.cmos[usize::from(index & 0x7f)]
    }

    fn divider_running(&self) -> bool {
        self.byte(reg::A) & 0x60 != 0x60
    }

    /// The clock counts: neither SET nor the divider's reset holds it.
    fn running(&self) -> bool {
        self.divider_running() && self.byte(reg::B) & B_SET == 0
    }

    /// Periods of `hz` since power-on, so that a second begins at each multiple of `hz`.
    fn ticks(&self, at: Time, hz: u64) -> u64 {
        Time(at.0.saturating_add(SECOND - self.s.phase)).ticks(hz)
    }

    /// When the next period of `hz` begins.
    fn next_tick(&self, after: Time, hz: u64) -> Time {
        let begin = Time::at_tick(self.ticks(after, hz).saturating_add(1), hz);
        if begin == Time::NEVER { begin } else { Time(begin.0.saturating_sub(SECOND - self.s.phase)) }
    }

    /// Frequency of the periodic interrupt (table 5, 32.768 kHz); 0 for none.
    fn periodic_hz(&self) -> u64 {
        match self.byte(reg::A) & 0x0f {
            0 => 0,
            rate @ 1..=2 => 512 >> rate,
            rate => 65_536 >> rate,
        }
    }

    /// Seconds since 1970 that the running clock shows.
    fn seconds(&self, at: Time) -> i64 {
        self.s.base.saturating_add_unsigned(self.ticks(at, 1)).saturating_sub(1)
    }

    fn updating(&self, now: Time) -> bool {
        self.running() && (now.0.saturating_add(SECOND - self.s.phase)) % SECOND >= SECOND - UPDATE
    }

    fn format(&self) -> Format {
        Format::from_register_b(self.byte(reg::B))
    }

    /// A register of the running clock.
    fn clock_byte(&self, index: u8, now: Time) -> u8 {
        let (t, format) = (DateTime::from_seconds(self.seconds(now)), self.format());
        match index {
            reg::SECONDS => format.number(t.second),
            reg::MINUTES => format.number(t.minute),
            reg::HOURS => format.hour(t.hour),
            reg::WEEKDAY => (t.weekday + self.s.weekday_shift) % 7 + 1,
            reg::DAY => format.number(t.day),
            reg::MONTH => format.number(t.month),
            reg::YEAR => format.number((t.year.rem_euclid(100)) as u8),
            _ => format.number((t.year.div_euclid(100).rem_euclid(100)) as u8),
        }
    }

    /// Makes a change to registers A or B, which may hold or release the clock.
    fn control(&mut self, change: impl FnOnce(&mut Self), now: Time) {
        let (ran, divided) = (self.running(), self.divider_running());
        if ran {
            self.hold(now);
        }
        change(self);
        if !divided && self.divider_running() {
            self.s.phase = (now + DIVIDER_RESET).0 % SECOND;
        }
        if !ran && self.running() {
            self.release(now);
        }
    }

    /// Puts the running clock's values into its registers.
    fn hold(&mut self, now: Time) {
        for index in CLOCK {
            *self.byte_mut(index) = self.clock_byte(index, now);
        }
    }

    /// Lets the clock run from the values in its registers. Values that no clock has are carried over into the next
    /// larger unit.
    fn release(&mut self, now: Time) {
        let format = self.format();
        let number = |index| i64::from(format.value(self.byte(index)));
        let t = calendar::seconds(
            [reg::CENTURY, reg::YEAR, reg::MONTH, reg::DAY].map(number),
            [i64::from(format.hour_value(self.byte(reg::HOURS))), number(reg::MINUTES), number(reg::SECONDS)],
        );
        self.s.base = 0;
        self.s.base = t.saturating_sub(self.seconds(now));
        let shift = i16::from(self.byte(reg::WEEKDAY)) - 1 - i16::from(DateTime::from_seconds(t).weekday);
        self.s.weekday_shift = shift.rem_euclid(7) as u8;
    }

    /// When the alarm comes next, after `after`.
    fn next_alarm(&self, after: Time) -> Option<Time> {
        let (format, now) = (self.format(), self.seconds(after));
        let field = |index, decode: fn(Format, u8) -> u8| {
            let value = self.byte(index);
            // 0xc0 to 0xff: "don't care".
            (value < 0xc0).then(|| decode(format, value))
        };
        let wait = calendar::next_alarm(
            now.rem_euclid(86_400) as u32,
            field(reg::HOURS_ALARM, Format::hour_value),
            field(reg::MINUTES_ALARM, Format::value),
            field(reg::SECONDS_ALARM, Format::value),
        )?;
        let next = self.next_tick(after, 1);
        Some(Time(next.0.saturating_add(u64::from(wait - 1) * SECOND)))
    }
}

/// The registers that the running clock drives.
const CLOCK: [u8; 8] =
    [reg::SECONDS, reg::MINUTES, reg::HOURS, reg::WEEKDAY, reg::DAY, reg::MONTH, reg::YEAR, reg::CENTURY];

fn is_clock(index: u8) -> bool {
    CLOCK.contains(&index)
}
