//! Port 0x92, System Control Port A of the PS/2 (PIIX3 data sheet, section 2.7): fast A20 and fast reset.

use serde::{Deserialize, Serialize};

use crate::Wish;
use crate::saved::{RestoreError, Saved, check};

const VERSION: u32 = 1;
const RESET: u8 = 1;
const A20: u8 = 2;

/// The port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port92 {
    value: u8,
    reset: bool,
}

/// What the port holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port92State {
    /// Bits 0 and 1 as written.
    pub value: u8,
    /// A reset was asked for and not taken yet.
    pub reset: bool,
}

impl Port92 {
    /// The port after power-on: A20 not forced.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the port: bits 0 and 1 as written.
    pub fn read(&self) -> u8 {
        self.value
    }

    /// Writes the port: bit 1 forces A20 on, a rise of bit 0 resets.
    pub fn write(&mut self, value: u8) {
        self.reset |= value & !self.value & RESET != 0;
        self.value = value & (RESET | A20);
    }

    /// Whether the port lets address bit 20 through. The PC's A20 is this or that of the 8042.
    pub fn a20(&self) -> bool {
        self.value & A20 != 0
    }

    /// Sets bit 1, for firmware and loaders.
    pub fn set_a20(&mut self, on: bool) {
        self.value = (self.value & !A20) | if on { A20 } else { 0 };
    }

    /// Takes the wish that a write made.
    pub fn take_wish(&mut self) -> Option<Wish> {
        core::mem::take(&mut self.reset).then_some(Wish::Reset)
    }

    /// The state.
    pub fn save(&self) -> Saved<Port92State> {
        Saved { version: VERSION, state: Port92State { value: self.value, reset: self.reset } }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<Port92State>) -> Result<(), RestoreError> {
        let state = saved.open(VERSION)?;
        check(state.value & !(RESET | A20) == 0, "port 0x92 has two bits")?;
        *self = Self { value: state.value, reset: state.reset };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_1_is_a20() {
        let mut port = Port92::new();
        assert!(!port.a20());
        port.write(0x02);
        assert!(port.a20());
        assert_eq!(port.read(), 0x02);
    }

    #[test]
    fn a_rise_of_bit_0_resets_once() {
        let mut port = Port92::new();
        port.write(0x01);
        assert_eq!(port.take_wish(), Some(Wish::Reset));
        port.write(0x01);
        assert_eq!(port.take_wish(), None);
    }

    #[test]
    fn every_value_can_be_saved() {
        for value in 0..=0xff {
            let mut port = Port92::new();
            port.write(value);
            let mut other = Port92::new();
            other.restore(&port.save()).unwrap();
            assert_eq!(other, port);
        }
    }
}
