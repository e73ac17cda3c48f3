//! What the guest has said and the machine has not yet fetched.

use alloc::vec::Vec;

/// Bytes on their way out of the board, by channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// COM1, or port 0x01 of the bare machine.
    pub serial: Vec<u8>,
    /// Ports 0x402 and 0xe9.
    pub debugcon: Vec<u8>,
    /// Characters that INT 10h of the built-in firmware printed.
    pub printed: Vec<u8>,
}

impl Output {
    /// Whether there is nothing to fetch.
    pub fn is_empty(&self) -> bool {
        self.serial.is_empty() && self.debugcon.is_empty() && self.printed.is_empty()
    }

    /// Forgets everything and keeps the buffers.
    pub fn clear(&mut self) {
        self.serial.clear();
        self.debugcon.clear();
        self.printed.clear();
    }
}
