//! The high-precision event timers (IA-PC HPET Specification 1.0a): a 64-bit main counter of 100 MHz and three
//! comparators, each of 64 bits and able to be periodic; no FSB interrupts.
//!
//! The main counter derives from the time; a comparator's matches are counted when somebody looks.

mod comparator;
mod saved;
#[cfg(test)]
mod tests;

pub use comparator::ComparatorState;
pub use saved::HpetState;

use comparator::Comparator;
use hako_engine::Time;

/// Where a PC has it.
pub const BASE: u64 = 0xfed0_0000;
/// Bytes of registers.
pub const SIZE: u64 = 0x400;
/// Comparators.
pub const COMPARATORS: usize = 3;
/// Counts per second.
pub const HZ: u64 = 100_000_000;
/// Nanoseconds of a count.
const PERIOD: u64 = 1_000_000_000 / HZ;

/// Offsets of registers (2.3.1).
mod reg {
    pub const CAPABILITIES: u16 = 0x000;
    pub const CONFIGURATION: u16 = 0x010;
    pub const STATUS: u16 = 0x020;
    pub const COUNTER: u16 = 0x0f0;
    pub const COMPARATORS: u16 = 0x100;
}

/// General capabilities and ID: the period in femtoseconds, Intel, legacy replacement, 64 bits, three comparators,
/// revision 1.
pub const CAPABILITIES: u64 =
    (PERIOD * 1_000_000) << 32 | 0x8086 << 16 | 1 << 15 | 1 << 13 | (COMPARATORS as u64 - 1) << 8 | 1;

/// General configuration: the counter counts and interrupts are let out.
const ENABLE: u64 = 1 << 0;
/// General configuration: comparators 0 and 1 stand for PIT and RTC.
const LEGACY: u64 = 1 << 1;

/// Where a comparator's interrupt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Instead of the PIT's: ISA interrupt 0, which is input 2 of the I/O APIC.
    Pit,
    /// Instead of the RTC's: ISA interrupt 8.
    Rtc,
    /// To this input of the I/O APIC.
    Input(u8),
}

/// What a comparator's output does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where it goes.
    pub route: Route,
    /// Its level now; edge-triggered ones are low between their edges.
    pub level: bool,
    /// It has risen and fallen since the last look.
    pub edge: bool,
}

/// The chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hpet {
    /// ENABLE and LEGACY.
    configuration: u64,
    /// Level-triggered interrupts that are active, bit n for comparator n.
    status: u8,
    /// The counter while it stands; else what it is ahead of [`ticks`].
    counter: u64,
    comparators: [Comparator; COMPARATORS],
    /// Edges that nobody has seen yet.
    edges: u8,
    /// Up to when matches have been found.
    seen: Time,
}

/// Counts since power-on.
fn ticks(now: Time) -> u64 {
    now.0 / PERIOD
}

impl Default for Hpet {
    fn default() -> Self {
        Self::new()
    }
}

impl Hpet {
    /// The chip after power-on: halted at 0.
    pub fn new() -> Hpet {
        let comparators = [Comparator::new(); COMPARATORS];
        Hpet { configuration: 0, status: 0, counter: 0, comparators, edges: 0, seen: Time::ZERO }
    }

    fn is_running(&self) -> bool {
        self.configuration & ENABLE != 0
    }

    /// Whether comparators 0 and 1 stand for PIT and RTC, whose own interrupts go nowhere then.
    pub fn is_legacy(&self) -> bool {
        self.configuration & LEGACY != 0
    }

    /// The main counter.
    pub fn counter(&self, now: Time) -> u64 {
        if self.is_running() { self.counter.wrapping_add(ticks(now)) } else { self.counter }
    }

    /// Reads 64 bits at a multiple of 8; what is not there reads 0.
    pub fn read(&mut self, offset: u16, now: Time) -> u64 {
        self.tick(now);
        match offset & !7 {
            reg::CAPABILITIES => CAPABILITIES,
            reg::CONFIGURATION => self.configuration,
            reg::STATUS => self.status.into(),
            reg::COUNTER => self.counter(now),
            offset => self.comparator(offset).map_or(0, |(n, register)| self.comparators[n].read(register)),
        }
    }

    /// The comparator of an offset, and the offset within it.
    fn comparator(&self, offset: u16) -> Option<(usize, u16)> {
        let at = offset.checked_sub(reg::COMPARATORS)?;
        let n = usize::from(at / 0x20);
        (n < COMPARATORS).then_some((n, at % 0x20))
    }

    /// Writes the bits of `mask` in the 64 bits at a multiple of 8.
    pub fn write(&mut self, offset: u16, value: u64, mask: u64, now: Time) {
        self.tick(now);
        match offset & !7 {
            reg::CONFIGURATION => self.configure(self.configuration & !mask | value & mask, now),
            // Writing 1 takes the interrupt away.
            reg::STATUS => self.status &= !((value & mask) as u8),
            reg::COUNTER if !self.is_running() => self.counter = self.counter & !mask | value & mask,
            // The counter may be written while it is halted (2.3.7).
            reg::COUNTER => {}
            offset => {
                if let Some((n, register)) = self.comparator(offset) {
                    self.comparators[n].write(register, value, mask);
                    if !self.comparators[n].is_level() {
                        self.status &= !(1 << n);
                    }
                    if register == comparator::VALUE {
                        self.compare(n, now);
                    }
                }
            }
        }
    }

    fn configure(&mut self, value: u64, now: Time) {
        let (counter, ran) = (self.counter(now), self.is_running());
        self.configuration = value & (ENABLE | LEGACY);
        self.counter = if self.is_running() { counter.wrapping_sub(ticks(now)) } else { counter };
        if !ran {
            for n in 0..COMPARATORS {
                self.compare(n, now);
            }
        }
    }

    /// A comparator that was just set matches the count of the moment too.
    fn compare(&mut self, n: usize, now: Time) {
        let counter = self.counter(now);
        if self.is_running() && self.comparators[n].pass(counter, 1) {
            self.matched(n);
        }
    }

    fn matched(&mut self, n: usize) {
        let bit = 1 << n;
        if self.comparators[n].is_level() {
            self.status |= bit;
        } else if self.comparators[n].is_enabled() {
            self.edges |= bit;
        }
    }

    /// Lets every comparator do what it has done by `now`.
    pub fn tick(&mut self, now: Time) {
        let passed = ticks(now).saturating_sub(ticks(self.seen));
        if passed != 0 {
            let first = self.counter(self.seen).wrapping_add(1);
            self.seen = now;
            if self.is_running() {
                for n in 0..COMPARATORS {
                    if self.comparators[n].pass(first, passed) {
                        self.matched(n);
                    }
                }
            }
        }
    }

    /// What the output of a comparator does, if it leads anywhere; its edge is told once.
    pub fn take_output(&mut self, n: usize) -> Option<Output> {
        let comparator = self.comparators.get(n)?;
        let bit = 1 << n;
        let level = self.is_running() && self.status & bit != 0 && comparator.is_enabled();
        let edge = self.edges & bit != 0;
        self.edges &= !bit;
        Some(Output { route: self.route(n)?, level, edge })
    }

    /// Where a comparator's interrupt goes; `None` if software has chosen no input that is offered.
    pub fn route(&self, n: usize) -> Option<Route> {
        Some(match (n, self.is_legacy()) {
            (0, true) => Route::Pit,
            (1, true) => Route::Rtc,
            _ => Route::Input(self.comparators.get(n)?.route()?),
        })
    }

    /// When a comparator's interrupt comes next.
    pub fn next_event(&self) -> Time {
        (0..COMPARATORS).fold(Time::NEVER, |first, n| first.min(self.next_event_of(n)))
    }

    /// When this comparator's interrupt comes next. An active level has nothing to add.
    pub fn next_event_of(&self, n: usize) -> Time {
        let Some(comparator) = self.comparators.get(n) else { return Time::NEVER };
        if !self.is_running() || !comparator.is_enabled() || self.status >> n & 1 != 0 {
            return Time::NEVER;
        }
        let first = self.counter(self.seen).wrapping_add(1);
        let ahead = comparator.until(first).saturating_add(1);
        Time(ticks(self.seen).saturating_add(ahead).saturating_mul(PERIOD))
    }
}
