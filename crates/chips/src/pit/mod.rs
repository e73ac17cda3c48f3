//! The interval timer of a PC: an 8254 (Intel data sheet 231164) at 1.193182 MHz, with the port 0x61 that gates its
//! counter 2 (PIIX3 data sheet, NMI Status and Control).
//!
//! Counter 0 makes IRQ0, counter 1 once made DRAM refresh, counter 2 drives the speaker. A counter's output is a
//! function of its programming and the time; nothing runs in between. The CLK pulse that loads a written count is
//! taken to coincide with the write, so that OUT of mode 0 rises N (not N + 1) CLK pulses after it.

mod counter;
mod mode;
mod port61;
mod saved;
#[cfg(test)]
mod tests;

pub use counter::{ChannelState, CounterState};
pub use saved::PitState;

use counter::Counter;
use hako_engine::Time;

/// CLK pulses per second.
pub const HZ: u64 = 1_193_182;

/// What happened to IRQ0 since the last [`Pit::tick`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Irq0 {
    /// The level of OUT 0 now.
    pub level: bool,
    /// How often OUT 0 rose. The board lowers and raises the wire if it is not 0. An 8259A remembers one edge, so all
    /// but one of them are lost to the guest if it has not acknowledged in between, as on a real PC.
    pub edges: u64,
}

/// The chip, with port 0x61.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pit {
    counters: [Counter; 3],
    /// Rising edges of OUT 0 that [`Pit::tick`] has not reported yet.
    edges: u64,
    /// Bits 0 to 3 of port 0x61 as written.
    port61: u8,
}

impl Default for Pit {
    fn default() -> Self {
        Self::new()
    }
}

impl Pit {
    /// The chip after power-on: nothing programmed, gates 0 and 1 high, gate 2 low.
    pub fn new() -> Self {
        Self { counters: [Counter::new(true), Counter::new(true), Counter::new(false)], edges: 0, port61: 0 }
    }

    /// Reads counter 0 to 2 (ports 0x40 to 0x42); register 3 cannot be read and gives all ones.
    pub fn read(&mut self, reg: u8, now: Time) -> u8 {
        self.advance(now);
        self.counters.get_mut(usize::from(reg)).map_or(0xff, |counter| counter.read(now))
    }

    /// Writes counter 0 to 2, or the control word register 3 (port 0x43).
    pub fn write(&mut self, reg: u8, value: u8, now: Time) {
        self.change(now, |pit| match (reg, value >> 6) {
            (3, 3) => pit.read_back(value, now),
            (3, select) => pit.counters[usize::from(select)].control(value, now),
            (counter, _) => {
                if let Some(counter) = pit.counters.get_mut(usize::from(counter)) {
                    counter.write(value, now);
                }
            }
        });
    }

    /// Reports what OUT 0 did up to `now`; also to be called after [`Pit::write`], which may move it.
    pub fn tick(&mut self, now: Time) -> Irq0 {
        self.advance(now);
        Irq0 { level: self.counters[0].output(now), edges: core::mem::take(&mut self.edges) }
    }

    /// When OUT 0 rises next.
    pub fn next_event(&self) -> Time {
        self.counters[0].next_rise()
    }

    /// The level of OUT `counter` (0 to 2).
    pub fn output(&mut self, counter: u8, now: Time) -> bool {
        self.advance(now);
        self.counters.get(usize::from(counter)).is_some_and(|counter| counter.output(now))
    }

    /// Sets the GATE input of a counter (0 to 2).
    pub fn set_gate(&mut self, counter: u8, level: bool, now: Time) {
        self.change(now, |pit| {
            if let Some(counter) = pit.counters.get_mut(usize::from(counter)) {
                counter.set_gate(level, now);
            }
        });
    }

    /// Brings the counters up to `now`, counting the edges of OUT 0.
    fn advance(&mut self, now: Time) {
        let [irq, refresh, speaker] = &mut self.counters;
        self.edges = self.edges.saturating_add(irq.advance(now));
        refresh.advance(now);
        speaker.advance(now);
    }

    /// Makes a change at `now`, which may itself raise OUT 0.
    fn change(&mut self, now: Time, change: impl FnOnce(&mut Self)) {
        self.advance(now);
        let before = self.counters[0].output(now);
        change(self);
        if !before && self.counters[0].output(now) {
            self.edges = self.edges.saturating_add(1);
        }
    }

    /// Read-Back Command: bit 5 low latches the counts, bit 4 low the status, of the counters with bits 1 to 3 set.
    fn read_back(&mut self, command: u8, now: Time) {
        for (index, counter) in self.counters.iter_mut().enumerate() {
            if command & 2 << index != 0 {
                if command & 0x20 == 0 {
                    counter.latch_count(now);
                }
                if command & 0x10 == 0 {
                    counter.latch_status(now);
                }
            }
        }
    }
}
