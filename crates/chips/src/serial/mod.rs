//! The asynchronous port of a PC: a 16550A (National Semiconductor PC16550D data sheet, section 8 Registers).
//!
//! Transmission takes no time: a byte written to THR is at once in the output that [`Serial::take_output`] gives, and
//! LSR.THRE stays set. Bytes are passed with all eight bits, whatever word length LCR says, so that a guest that
//! never initialised the port is heard as well. Reception is paced by the backend: it offers a byte when
//! [`Serial::can_receive`] says so, which waits for the guest to listen: what arrives before the guest has set its
//! FIFOs up would be cleared with them. On a PC the INTR output reaches the wire only while MCR.OUT2 is set.

mod receiver;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use core::time::Duration;

use hako_engine::Time;
use serde::{Deserialize, Serialize};

use crate::saved::{RestoreError, Saved, check};
use receiver::{FIFO, errors};
pub use receiver::{Received, ReceiverState};

/// Layout of the saved state.
const VERSION: u32 = 2;

/// Bytes that are kept for a backend that does not take them; then THRE goes away and bytes are lost.
pub const OUTPUT: usize = 4096;

/// Input clock divided by 16: the baud rate of divisor 1.
const BAUD_BASE: u64 = 115_200;

/// How long INTR stays low when THR is written while the interrupt for its emptiness is pending: the 8259A needs an
/// edge for the next one.
const REFILL: Duration = Duration::from_micros(1);

/// Register numbers with DLAB = 0.
mod reg {
    pub const DATA: u8 = 0;
    pub const IER: u8 = 1;
    pub const IIR_FCR: u8 = 2;
    pub const LCR: u8 = 3;
    pub const MCR: u8 = 4;
    pub const LSR: u8 = 5;
    pub const MSR: u8 = 6;
    pub const SCR: u8 = 7;
}

/// Interrupt Enable Register bits.
mod ier {
    pub const RECEIVED: u8 = 1;
    pub const THR_EMPTY: u8 = 2;
    pub const LINE: u8 = 4;
    pub const MODEM: u8 = 8;
}

/// Line Status Register bits.
mod lsr {
    pub const DATA_READY: u8 = 0x01;
    pub const OVERRUN: u8 = 0x02;
    pub const THR_EMPTY: u8 = 0x20;
    pub const IDLE: u8 = 0x40;
    pub const FIFO_ERROR: u8 = 0x80;
}

const LCR_BREAK: u8 = 0x40;
const LCR_DLAB: u8 = 0x80;
const MCR_DTR: u8 = 0x01;
const MCR_RTS: u8 = 0x02;
const MCR_OUT2: u8 = 0x08;
const MCR_LOOP: u8 = 0x10;
const FCR_ENABLE: u8 = 0x01;

/// CTS, DSR and DCD: what a connected terminal asserts, in MSR's upper half.
const CONNECTED: u8 = 0xb0;

/// The chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serial {
    s: SerialState,
}

/// What the chip holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SerialState {
    /// Interrupt Enable Register.
    pub ier: u8,
    /// FIFO Control Register; bit 0 FIFOs enabled, bits 6 and 7 trigger level.
    pub fcr: u8,
    /// Line Control Register.
    pub lcr: u8,
    /// Modem Control Register.
    pub mcr: u8,
    /// Error bits (1 to 4) of the Line Status Register.
    pub line_errors: u8,
    /// Modem Status Register: inputs and what changed.
    pub msr: u8,
    /// Scratch Register.
    pub scr: u8,
    /// Divisor latch.
    pub divisor: u16,
    /// The receiver.
    pub receiver: ReceiverState,
    /// The guest has looked at the receiver since it was cleared.
    pub looked: bool,
    /// The guest has taken RTS away and kept DTR: it is there, but has no room.
    pub held: bool,
    /// The interrupt "THR empty" is pending.
    pub thr_interrupt: bool,
    /// When it will be.
    pub thr_interrupt_at: Option<Time>,
    /// What was sent and not taken.
    pub output: VecDeque<u8>,
}

impl Default for Serial {
    fn default() -> Self {
        Self::new()
    }
}

impl Serial {
    /// The chip after Master Reset (table II), a terminal connected, 9600 baud.
    pub fn new() -> Self {
        Self {
            s: SerialState {
                ier: 0,
                fcr: 0,
                lcr: 0,
                mcr: 0,
                line_errors: 0,
                msr: CONNECTED,
                scr: 0,
                divisor: 12,
                receiver: ReceiverState::default(),
                looked: false,
                held: false,
                thr_interrupt: false,
                thr_interrupt_at: None,
                output: VecDeque::new(),
            },
        }
    }

    /// Reads register 0 to 7; others read all ones.
    pub fn read(&mut self, reg: u8, now: Time) -> u8 {
        self.tick(now);
        let dlab = self.s.lcr & LCR_DLAB != 0;
        match reg {
            reg::DATA if dlab => self.s.divisor.to_le_bytes()[0],
            reg::IER if dlab => self.s.divisor.to_le_bytes()[1],
            reg::DATA => {
                self.s.looked = true;
                let byte = self.s.receiver.pop(self.timeout(now));
                self.s.line_errors |= self.s.receiver.arrived_errors();
                byte
            }
            reg::IER => self.s.ier,
            reg::IIR_FCR => {
                let source = self.source();
                if source == 0x02 {
                    self.s.thr_interrupt = false;
                }
                source | if self.fifo() { 0xc0 } else { 0 }
            }
            reg::LCR => self.s.lcr,
            reg::MCR => self.s.mcr,
            reg::LSR => {
                self.s.looked = true;
                let value = self.line_status();
                self.s.line_errors = 0;
                value
            }
            reg::MSR => {
                let value = self.s.msr;
                self.s.msr &= 0xf0;
                value
            }
            reg::SCR => self.s.scr,
            _ => 0xff,
        }
    }

    /// Writes register 0 to 7.
    pub fn write(&mut self, reg: u8, value: u8, now: Time) {
        self.tick(now);
        let dlab = self.s.lcr & LCR_DLAB != 0;
        let [low, high] = self.s.divisor.to_le_bytes();
        match reg {
            reg::DATA if dlab => self.s.divisor = u16::from_le_bytes([value, high]),
            reg::IER if dlab => self.s.divisor = u16::from_le_bytes([low, value]),
            reg::DATA => self.transmit(value, now),
            reg::IER => {
                // Enabling the interrupt while THR is empty raises it.
                if value & !self.s.ier & ier::THR_EMPTY != 0 && self.thr_empty() {
                    self.s.thr_interrupt = true;
                }
                self.s.ier = value & 0x0f;
            }
            reg::IIR_FCR => self.fifo_control(value),
            reg::LCR => {
                let starts_break = value & !self.s.lcr & LCR_BREAK != 0;
                self.s.lcr = value;
                if starts_break && self.s.mcr & MCR_LOOP != 0 {
                    self.receive_break(now);
                }
            }
            reg::MCR => {
                let takes_rts_away = self.s.mcr & !value & MCR_RTS != 0;
                self.s.held = value & (MCR_DTR | MCR_RTS) == MCR_DTR && (takes_rts_away || self.s.held);
                self.s.mcr = value & 0x1f;
                self.modem_inputs();
            }
            reg::SCR => self.s.scr = value,
            _ => {}
        }
    }

    /// Level of the interrupt wire.
    pub fn irq(&self) -> bool {
        self.s.mcr & MCR_OUT2 != 0 && self.source() & 1 == 0
    }

    /// When [`Serial::tick`] is wanted: a character timeout or the next "THR empty" comes.
    pub fn next_event(&self) -> Time {
        let timeout = if self.fifo() && self.s.ier & ier::RECEIVED != 0 {
            self.s.receiver.timeout_at.unwrap_or(Time::NEVER)
        } else {
            Time::NEVER
        };
        timeout.min(self.s.thr_interrupt_at.unwrap_or(Time::NEVER))
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Time) {
        if self.s.thr_interrupt_at.is_some_and(|at| at <= now) {
            self.s.thr_interrupt_at = None;
            self.s.thr_interrupt = self.thr_empty();
        }
        self.s.receiver.tick(now);
    }

    /// Whether a byte can be received without being lost: the guest listens (it asserts DTR or RTS, or has enabled
    /// the interrupt, or has looked), does not hold the line by RTS, does not talk to itself, and there is room.
    pub fn can_receive(&self) -> bool {
        let listens =
            self.s.mcr & (MCR_DTR | MCR_RTS) != 0 || self.s.ier & ier::RECEIVED != 0 || self.s.looked;
        listens && !self.s.held && self.s.mcr & MCR_LOOP == 0 && self.s.receiver.fifo.len() < self.depth()
    }

    /// A byte arrives on the line. Without [`Serial::can_receive`] it may be lost.
    pub fn receive(&mut self, byte: u8, now: Time) {
        if self.s.mcr & MCR_LOOP == 0 {
            self.arrive(Received { byte, errors: 0 }, now);
        }
    }

    /// A break arrives on the line: one zero character with framing error and break indication.
    pub fn receive_break(&mut self, now: Time) {
        self.arrive(Received { byte: 0, errors: errors::BREAK | errors::FRAMING }, now);
    }

    /// Takes what the guest has sent.
    pub fn take_output(&mut self) -> impl Iterator<Item = u8> {
        self.s.output.drain(..)
    }

    /// FIFO mode.
    fn fifo(&self) -> bool {
        self.s.fcr & FCR_ENABLE != 0
    }

    fn depth(&self) -> usize {
        if self.fifo() { FIFO } else { 1 }
    }

    /// Received bytes that raise an interrupt.
    fn trigger(&self) -> usize {
        if self.fifo() { [1, 4, 8, 14][usize::from(self.s.fcr >> 6)] } else { 1 }
    }

    fn thr_empty(&self) -> bool {
        self.s.output.len() < OUTPUT
    }

    fn line_status(&self) -> u8 {
        let ready = if self.s.receiver.fifo.is_empty() { 0 } else { lsr::DATA_READY };
        let empty = if self.thr_empty() { lsr::THR_EMPTY | lsr::IDLE } else { 0 };
        let error = if self.fifo() && self.s.receiver.has_errors() { lsr::FIFO_ERROR } else { 0 };
        self.s.line_errors | ready | empty | error
    }

    /// The interrupt of highest priority as IIR bits 3-0; 1 if there is none (table IV).
    fn source(&self) -> u8 {
        let (s, enabled) = (&self.s, |bit| self.s.ier & bit != 0);
        if enabled(ier::LINE) && s.line_errors != 0 {
            0x06
        } else if enabled(ier::RECEIVED) && s.receiver.fifo.len() >= self.trigger() {
            0x04
        } else if enabled(ier::RECEIVED) && self.fifo() && s.receiver.timed_out {
            0x0c
        } else if enabled(ier::THR_EMPTY) && s.thr_interrupt {
            0x02
        } else if enabled(ier::MODEM) && s.msr & 0x0f != 0 {
            0x00
        } else {
            0x01
        }
    }

    fn transmit(&mut self, byte: u8, now: Time) {
        let pending = core::mem::take(&mut self.s.thr_interrupt);
        if self.s.mcr & MCR_LOOP != 0 {
            self.arrive(Received { byte, errors: 0 }, now);
        } else if self.thr_empty() {
            self.s.output.push_back(byte);
        }
        if pending && self.s.ier & ier::THR_EMPTY != 0 {
            self.s.thr_interrupt_at = Some(now + REFILL);
        } else if self.s.thr_interrupt_at.is_none() {
            self.s.thr_interrupt = self.thr_empty();
        }
    }

    fn arrive(&mut self, received: Received, now: Time) {
        let timeout = self.timeout(now);
        if self.s.receiver.push(received, self.depth(), self.fifo(), timeout) {
            self.s.line_errors |= lsr::OVERRUN;
        }
        self.s.line_errors |= self.s.receiver.arrived_errors();
    }

    /// FIFO Control Register; its other bits count only together with bit 0.
    fn fifo_control(&mut self, value: u8) {
        let toggles = (value ^ self.s.fcr) & FCR_ENABLE != 0;
        if toggles || value & 0x03 == 0x03 {
            self.s.receiver = ReceiverState::default();
            self.s.looked = false;
        }
        self.s.fcr = if value & FCR_ENABLE != 0 { value & 0xc9 } else { 0 };
    }

    /// The modem inputs: those of a connected terminal, or in loopback the outputs RTS, DTR, OUT1, OUT2 as CTS, DSR,
    /// RI, DCD. Changes set the delta bits; RI does so when it ends.
    fn modem_inputs(&mut self) {
        let mcr = self.s.mcr;
        let inputs = if mcr & MCR_LOOP != 0 {
            (mcr & 0x0c) << 4 | (mcr & 0x02) << 3 | (mcr & 0x01) << 5
        } else {
            CONNECTED
        };
        let changed = (inputs ^ self.s.msr) >> 4;
        let ri_rose = changed & 0x04 != 0 && inputs & 0x40 != 0;
        self.s.msr = inputs | (self.s.msr & 0x0f) | if ri_rose { changed & !0x04 } else { changed };
    }

    /// When a character that nobody reads becomes a timeout: after four character times (section 8.4.1).
    fn timeout(&self, now: Time) -> Time {
        let lcr = self.s.lcr;
        let stop = if lcr & 0x04 != 0 { 2 } else { 1 };
        let bits = 1 + 5 + u64::from(lcr & 3) + u64::from(lcr >> 3 & 1) + stop;
        now + Duration::from_nanos(4 * bits * u64::from(self.s.divisor.max(1)) * 1_000_000_000 / BAUD_BASE)
    }

    /// The state.
    pub fn save(&self) -> Saved<SerialState> {
        Saved { version: VERSION, state: self.s.clone() }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<SerialState>) -> Result<(), RestoreError> {
        let s = saved.open(VERSION)?;
        let depth = if s.fcr & FCR_ENABLE != 0 { FIFO } else { 1 };
        check(s.receiver.fifo.len() <= depth, "more bytes received than the FIFO holds")?;
        check(s.output.len() <= OUTPUT, "more output than is kept")?;
        check(s.ier <= 0x0f && s.mcr <= 0x1f && s.fcr & !0xc9 == 0, "a bit that does not exist is set")?;
        check(s.line_errors & !0x1e == 0, "a bit that does not exist is set")?;
        check(s.receiver.fifo.iter().all(|r| r.errors & !0x1c == 0), "a bit that does not exist is set")?;
        self.s = s.clone();
        Ok(())
    }
}
