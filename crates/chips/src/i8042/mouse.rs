//! A PS/2 mouse that nobody moves: it answers every command (IBM PS/2 Hardware Interface Technical Reference, Mouse).

use alloc::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::keyboard::{ACK, RESEND, SELF_TEST_PASSED};
use crate::saved::{RestoreError, check};

/// Bytes that may wait to be sent.
const BUFFER: usize = 16;

/// Commands.
mod command {
    pub const SCALING_1: u8 = 0xe6;
    pub const SCALING_2: u8 = 0xe7;
    pub const RESOLUTION: u8 = 0xe8;
    pub const STATUS: u8 = 0xe9;
    pub const STREAM: u8 = 0xea;
    pub const READ_DATA: u8 = 0xeb;
    pub const RESET_WRAP: u8 = 0xec;
    pub const WRAP: u8 = 0xee;
    pub const REMOTE: u8 = 0xf0;
    pub const IDENTIFY: u8 = 0xf2;
    pub const RATE: u8 = 0xf3;
    pub const ENABLE: u8 = 0xf4;
    pub const DISABLE: u8 = 0xf5;
    pub const DEFAULTS: u8 = 0xf6;
    pub const RESEND: u8 = 0xfe;
    pub const RESET: u8 = 0xff;
}

/// What the mouse holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mouse {
    /// Bytes to be sent.
    pub(super) queue: VecDeque<u8>,
    /// Remote, enabled and 2:1 scaling as bits 6, 5 and 4 of the status.
    pub(super) modes: u8,
    /// Resolution, 0 to 3: 1, 2, 4, 8 counts per millimetre.
    pub(super) resolution: u8,
    /// Samples per second.
    pub(super) rate: u8,
    /// Every byte is sent back.
    pub(super) wrap: bool,
    /// The command whose argument is awaited.
    pub(super) awaiting: Option<u8>,
    /// The byte last sent, for Resend.
    pub(super) last: u8,
}

const REMOTE: u8 = 0x40;
const ENABLED: u8 = 0x20;
const SCALING: u8 = 0x10;

impl Mouse {
    /// After its self-test.
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            modes: 0,
            resolution: 2,
            rate: 100,
            wrap: false,
            awaiting: None,
            last: SELF_TEST_PASSED,
        }
    }

    /// The next byte for the controller.
    pub(super) fn send(&mut self) -> Option<u8> {
        let byte = self.queue.pop_front()?;
        self.last = byte;
        Some(byte)
    }

    /// A byte from the controller.
    pub(super) fn receive(&mut self, byte: u8) {
        if self.wrap && byte != command::RESET && byte != command::RESET_WRAP {
            return self.answer(&[byte]);
        }
        match self.awaiting.take() {
            Some(command::RATE) => self.rate = byte,
            Some(_) => self.resolution = byte & 3,
            None => return self.command(byte),
        }
        self.answer(&[ACK]);
    }

    fn answer(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.queue.len() < BUFFER {
                self.queue.push_back(byte);
            }
        }
    }

    fn command(&mut self, byte: u8) {
        match byte {
            command::SCALING_1 => self.modes &= !SCALING,
            command::SCALING_2 => self.modes |= SCALING,
            command::RESOLUTION | command::RATE => self.awaiting = Some(byte),
            command::STATUS => return self.answer(&[ACK, self.modes, self.resolution, self.rate]),
            command::STREAM => self.modes &= !REMOTE,
            command::READ_DATA => return self.answer(&[ACK, 0x08, 0, 0]),
            command::RESET_WRAP => self.wrap = false,
            command::WRAP => self.wrap = true,
            command::REMOTE => self.modes |= REMOTE,
            command::IDENTIFY => return self.answer(&[ACK, 0]),
            command::ENABLE => self.modes |= ENABLED,
            command::DISABLE => self.modes &= !ENABLED,
            command::DEFAULTS => {
                *self = Self { queue: core::mem::take(&mut self.queue), last: self.last, ..Self::new() }
            }
            command::RESEND => return self.answer(&[self.last]),
            command::RESET => {
                *self = Self::new();
                return self.answer(&[ACK, SELF_TEST_PASSED, 0]);
            }
            _ => return self.answer(&[RESEND]),
        }
        self.answer(&[ACK]);
    }

    /// Refuses a state that no mouse can be in.
    pub(super) fn check(&self) -> Result<(), RestoreError> {
        check(self.queue.len() <= BUFFER, "more bytes than the mouse remembers")?;
        check(self.modes & !(REMOTE | ENABLED | SCALING) == 0, "no such mode of the mouse")?;
        check(self.resolution < 4, "no such resolution of the mouse")
    }
}
