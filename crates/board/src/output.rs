//! What the guest has said and the machine has not yet fetched.

use alloc::vec::Vec;

/// Bytes on their way out of the board, by channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// COM1, or port 0x01 of the bare machine.
    pub serial: Vec<u8>,
    /// COM2 to COM4.
    pub coms: [Vec<u8>; 3],
    /// A console on the PCI bus.
    pub console: Vec<u8>,
    /// Ports 0x402 and 0xe9.
    pub debugcon: Vec<u8>,
    /// Characters that INT 10h of the built-in firmware printed.
    pub printed: Vec<u8>,
}

impl Output {
    /// Whether there is nothing to fetch.
    pub fn is_empty(&self) -> bool {
        let coms = self.coms.iter().all(Vec::is_empty);
        let own = self.serial.is_empty() && self.debugcon.is_empty() && self.printed.is_empty();
        own && coms && self.console.is_empty()
    }

    /// What a serial port has sent, 0 for COM1.
    pub fn com(&mut self, n: usize) -> &mut Vec<u8> {
        n.checked_sub(1).and_then(|n| self.coms.get_mut(n)).unwrap_or(&mut self.serial)
    }

    /// Forgets everything and keeps the buffers.
    pub fn clear(&mut self) {
        self.serial.clear();
        self.console.clear();
        self.debugcon.clear();
        self.printed.clear();
        self.coms.iter_mut().for_each(Vec::clear);
    }
}
