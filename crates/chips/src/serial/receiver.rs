//! The receiver of the 16550A: its FIFO with the errors of each character, and the character timeout.

use alloc::collections::VecDeque;

use hako_engine::Time;
use serde::{Deserialize, Serialize};

/// Characters that the FIFO holds.
pub(super) const FIFO: usize = 16;

/// Errors of a character, at their places in LSR.
pub(super) mod errors {
    pub const FRAMING: u8 = 0x08;
    pub const BREAK: u8 = 0x10;
}

/// A character in the FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Its data.
    pub byte: u8,
    /// LSR bits 2 to 4 that appear when it is the next to be read.
    pub errors: u8,
}

/// What the receiver holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverState {
    /// Characters received and not read.
    pub fifo: VecDeque<Received>,
    /// The last character read, which an empty receiver gives again.
    pub last: u8,
    /// When characters in the FIFO become a timeout.
    pub timeout_at: Option<Time>,
    /// They have.
    pub timed_out: bool,
}

impl ReceiverState {
    /// Adds a character; true if one was lost. A full FIFO keeps what it has; a full buffer is overwritten.
    pub(super) fn push(&mut self, received: Received, depth: usize, fifo: bool, timeout: Time) -> bool {
        let overrun = self.fifo.len() >= depth;
        if overrun && !fifo {
            self.fifo.clear();
        }
        if !overrun || !fifo {
            self.fifo.push_back(received);
        }
        self.timeout_at = Some(timeout);
        overrun
    }

    /// Takes the next character and starts the timeout for the rest.
    pub(super) fn pop(&mut self, timeout: Time) -> u8 {
        if let Some(received) = self.fifo.pop_front() {
            self.last = received.byte;
        }
        self.timed_out = false;
        self.timeout_at = (!self.fifo.is_empty()).then_some(timeout);
        self.last
    }

    /// The errors of the next character, once.
    pub(super) fn arrived_errors(&mut self) -> u8 {
        self.fifo.front_mut().map_or(0, |received| core::mem::take(&mut received.errors))
    }

    /// Whether a character with an error waits.
    pub(super) fn has_errors(&self) -> bool {
        self.fifo.iter().any(|received| received.errors != 0)
    }

    pub(super) fn tick(&mut self, now: Time) {
        if self.timeout_at.is_some_and(|at| at <= now) {
            self.timeout_at = None;
            self.timed_out = true;
        }
    }
}
