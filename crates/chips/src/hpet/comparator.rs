//! One comparator (2.3.8 and 2.3.9): one-shot or periodic, of 64 or 32 bits.

use serde::{Deserialize, Serialize};

/// Offset of the configuration within a comparator's registers.
pub(super) const CONFIGURATION: u16 = 0x00;
/// Offset of the value to be met.
pub(super) const VALUE: u16 = 0x08;

/// Level-triggered.
const LEVEL: u64 = 1 << 1;
/// Interrupts are let out.
const ENABLE: u64 = 1 << 2;
const PERIODIC: u64 = 1 << 3;
/// It can be periodic.
const PERIODIC_CAPABLE: u64 = 1 << 4;
/// It has 64 bits.
const WIDE: u64 = 1 << 5;
/// The next write of the comparator sets the value to be met, too.
const SET_VALUE: u64 = 1 << 6;
/// It is used with 32 bits.
const NARROW: u64 = 1 << 8;
/// Where the route is.
const ROUTE_SHIFT: u32 = 9;
/// Routes that can be chosen: inputs of the I/O APIC that nothing else is at.
const ROUTES: u64 = 0x00f0_0000;
/// What is written in the configuration and stays.
const WRITABLE: u64 = LEVEL | ENABLE | PERIODIC | SET_VALUE | NARROW | 0x1f << ROUTE_SHIFT;
/// What cannot be written.
const FIXED: u64 = ROUTES << 32 | WIDE | PERIODIC_CAPABLE;

/// A comparator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comparator(pub(super) ComparatorState);

/// What a comparator holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparatorState {
    /// The configuration's writable bits.
    pub configuration: u64,
    /// The value to be met.
    pub value: u64,
    /// What is added to it then, in periodic mode: the value last written.
    pub period: u64,
}

/// Whether a configuration can be.
pub(super) fn possible(s: &ComparatorState) -> bool {
    let narrow = s.configuration & NARROW != 0;
    s.configuration & !WRITABLE == 0 && (!narrow || (s.value | s.period) >> 32 == 0)
}

impl Comparator {
    pub fn new() -> Comparator {
        Comparator(ComparatorState { configuration: 0, value: u64::MAX, period: 0 })
    }

    fn has(&self, bit: u64) -> bool {
        self.0.configuration & bit != 0
    }

    pub fn is_level(&self) -> bool {
        self.has(LEVEL)
    }

    pub fn is_enabled(&self) -> bool {
        self.has(ENABLE)
    }

    /// The input that software has chosen, if it is one that is offered.
    pub fn route(&self) -> Option<u8> {
        let route = (self.0.configuration >> ROUTE_SHIFT) as u8 & 0x1f;
        (ROUTES >> route & 1 != 0).then_some(route)
    }

    /// The bits that are compared.
    fn mask(&self) -> u64 {
        if self.has(NARROW) { u32::MAX.into() } else { u64::MAX }
    }

    /// Reads a register. FSB routes read 0: there are none.
    pub fn read(&self, register: u16) -> u64 {
        match register {
            // VAL_SET is write-only.
            CONFIGURATION => self.0.configuration & !SET_VALUE | FIXED,
            VALUE => self.0.value,
            _ => 0,
        }
    }

    /// Writes the bits of `mask` of a register.
    pub fn write(&mut self, register: u16, value: u64, mask: u64) {
        match register {
            CONFIGURATION => {
                let old = self.0.configuration;
                self.0.configuration = (old & !mask | value & mask) & WRITABLE;
                // A route that is not offered is not taken: the field reads 0 then (2.3.8, INT_ROUTE_CNF).
                if self.route().is_none() {
                    self.0.configuration &= !(0x1f << ROUTE_SHIFT);
                }
            }
            VALUE => {
                let s = &mut self.0;
                let write = |old: u64| old & !mask | value & mask;
                if s.configuration & PERIODIC == 0 || s.configuration & SET_VALUE != 0 {
                    s.value = write(s.value);
                }
                s.period = write(s.period);
                // It clears itself, with the upper half if the halves are written one by one.
                if mask >> 32 != 0 || s.configuration & NARROW != 0 {
                    s.configuration &= !SET_VALUE;
                }
            }
            _ => {}
        }
        let keep = self.mask();
        self.0.value &= keep;
        self.0.period &= keep;
    }

    /// Counts from `counter` to the next match; 0 if it is one.
    pub fn until(&self, counter: u64) -> u64 {
        self.0.value.wrapping_sub(counter) & self.mask()
    }

    /// The counter takes `count` values from `first` on. Whether one of them was met; in periodic mode the next value
    /// to be met lies behind them.
    pub fn pass(&mut self, first: u64, count: u64) -> bool {
        let ahead = self.until(first);
        if ahead >= count {
            return false;
        }
        if self.has(PERIODIC) && self.0.period != 0 {
            let times = (count - 1 - ahead) / self.0.period + 1;
            self.0.value = self.0.value.wrapping_add(times.wrapping_mul(self.0.period)) & self.mask();
        }
        true
    }
}
