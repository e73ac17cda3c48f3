//! The keyboard on the other end of the cable (IBM PS/2 Hardware Interface Technical Reference, Keyboards).

use alloc::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::keys::KeyEvent;
use super::scancodes;
use crate::saved::{RestoreError, check};

/// Bytes that the keyboard remembers.
pub(super) const BUFFER: usize = 16;
/// Bytes that answers may add to them.
const ANSWERS: usize = 8;

/// Answers of keyboard and mouse.
pub(super) const ACK: u8 = 0xfa;
pub(super) const RESEND: u8 = 0xfe;
pub(super) const SELF_TEST_PASSED: u8 = 0xaa;

/// Commands.
mod command {
    pub const SET_LEDS: u8 = 0xed;
    pub const ECHO: u8 = 0xee;
    pub const SCAN_CODE_SET: u8 = 0xf0;
    pub const IDENTIFY: u8 = 0xf2;
    pub const TYPEMATIC: u8 = 0xf3;
    pub const ENABLE: u8 = 0xf4;
    pub const DISABLE: u8 = 0xf5;
    pub const DEFAULTS: u8 = 0xf6;
    /// Set 3: typematic or not, make/break or not, of all keys. Accepted; all keys stay make/break.
    pub const ALL_KEYS: core::ops::RangeInclusive<u8> = 0xf7..=0xfa;
    /// The same of single keys, which follow.
    pub const ONE_KEY: core::ops::RangeInclusive<u8> = 0xfb..=0xfd;
    pub const RESEND: u8 = 0xfe;
    pub const RESET: u8 = 0xff;
}

/// What the keyboard holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyboard {
    /// Bytes to be sent.
    pub(super) queue: VecDeque<u8>,
    /// Scan code set, 1 to 3.
    pub(super) set: u8,
    /// Scroll, Num and Caps Lock lights in bits 0 to 2.
    pub(super) leds: u8,
    /// Keys are scanned.
    pub(super) scanning: bool,
    /// The command whose argument is awaited.
    pub(super) awaiting: Option<u8>,
    /// The byte last sent, for Resend.
    pub(super) last: u8,
}

impl Keyboard {
    /// After its self-test: set 2, scanning.
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            set: 2,
            leds: 0,
            scanning: true,
            awaiting: None,
            last: SELF_TEST_PASSED,
        }
    }

    /// A key moves. A key whose codes do not fit is lost, and an overrun code takes its place.
    pub(super) fn key(&mut self, event: KeyEvent) {
        if !self.scanning {
            return;
        }
        let codes = scancodes::codes(event, self.set);
        let room = BUFFER.saturating_sub(self.queue.len());
        // The last place is kept for the overrun code.
        if codes.len() < room {
            self.queue.extend(codes);
        } else if room > 0 && !codes.is_empty() {
            self.queue.push_back(if self.set == 1 { 0xff } else { 0x00 });
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
        match self.awaiting.take() {
            Some(command) if self.argument(command, byte) => {}
            _ => self.command(byte),
        }
    }

    fn answer(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.queue.len() < BUFFER + ANSWERS {
                self.queue.push_back(byte);
            }
        }
    }

    fn command(&mut self, byte: u8) {
        match byte {
            command::ECHO => self.answer(&[command::ECHO]),
            command::SET_LEDS | command::SCAN_CODE_SET | command::TYPEMATIC => self.expect(byte),
            _ if command::ONE_KEY.contains(&byte) => self.expect(byte),
            command::IDENTIFY => self.answer(&[ACK, 0xab, 0x83]),
            command::ENABLE => {
                self.queue.clear();
                self.scanning = true;
                self.answer(&[ACK]);
            }
            command::DISABLE | command::DEFAULTS => {
                self.defaults(byte == command::DEFAULTS);
                self.answer(&[ACK]);
            }
            _ if command::ALL_KEYS.contains(&byte) => self.answer(&[ACK]),
            command::RESEND => self.answer(&[self.last]),
            command::RESET => {
                self.defaults(true);
                self.leds = 0;
                self.answer(&[ACK, SELF_TEST_PASSED]);
            }
            _ => self.answer(&[RESEND]),
        }
    }

    fn expect(&mut self, command: u8) {
        self.awaiting = Some(command);
        self.answer(&[ACK]);
    }

    fn defaults(&mut self, scanning: bool) {
        self.queue.clear();
        self.set = 2;
        self.scanning = scanning;
    }

    /// The argument of a command; false if it is a new command instead.
    fn argument(&mut self, command: u8, byte: u8) -> bool {
        if byte >= command::SET_LEDS {
            return false;
        }
        match (command, byte) {
            (command::SET_LEDS, leds) => self.leds = leds & 7,
            (command::SCAN_CODE_SET, 0) => {
                self.answer(&[ACK, self.set]);
                return true;
            }
            (command::SCAN_CODE_SET, set @ 1..=3) => self.set = set,
            (command::SCAN_CODE_SET, _) => {
                self.answer(&[RESEND]);
                return true;
            }
            // Further keys may follow.
            (command, _) if command::ONE_KEY.contains(&command) => self.awaiting = Some(command),
            _ => {}
        }
        self.answer(&[ACK]);
        true
    }

    /// Refuses a state that no keyboard can be in.
    pub(super) fn check(&self) -> Result<(), RestoreError> {
        check((1..=3).contains(&self.set), "no such scan code set")?;
        check(self.queue.len() <= BUFFER + ANSWERS, "more bytes than the keyboard remembers")?;
        check(self.leds < 8, "a keyboard has three lights")
    }
}
