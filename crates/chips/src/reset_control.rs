//! Port 0xcf9, Reset Control Register (PIIX3 data sheet, section 2.7.4).

use serde::{Deserialize, Serialize};

use crate::Wish;
use crate::saved::{RestoreError, Saved, check};

const VERSION: u32 = 1;
/// SRST: hard or soft reset.
const HARD: u8 = 2;
/// RCPU: its rise resets.
const RESET: u8 = 4;

/// The register.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResetControl {
    value: u8,
    reset: bool,
}

/// What the register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetControlState {
    /// Bits 1 and 2 as written.
    pub value: u8,
    /// A reset was asked for and not taken yet.
    pub reset: bool,
}

impl ResetControl {
    /// The register after power-on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the register.
    pub fn read(&self) -> u8 {
        self.value
    }

    /// Writes the register; bit 2 going from 0 to 1 resets, hard or soft alike.
    pub fn write(&mut self, value: u8) {
        self.reset |= value & !self.value & RESET != 0;
        self.value = value & (HARD | RESET);
    }

    /// Takes the wish that a write made.
    pub fn take_wish(&mut self) -> Option<Wish> {
        core::mem::take(&mut self.reset).then_some(Wish::Reset)
    }

    /// The state.
    pub fn save(&self) -> Saved<ResetControlState> {
        Saved { version: VERSION, state: ResetControlState { value: self.value, reset: self.reset } }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<ResetControlState>) -> Result<(), RestoreError> {
        let state = saved.open(VERSION)?;
        check(state.value & !(HARD | RESET) == 0, "the reset control register has two bits")?;
        *self = Self { value: state.value, reset: state.reset };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choosing_the_kind_of_reset_does_not_reset() {
        let mut register = ResetControl::new();
        register.write(0x02);
        assert_eq!((register.take_wish(), register.read()), (None, 0x02));
    }

    #[test]
    fn a_rise_of_bit_2_resets() {
        for value in [0x04, 0x06, 0x0e] {
            let mut register = ResetControl::new();
            register.write(value);
            assert_eq!(register.take_wish(), Some(Wish::Reset));
            register.write(value);
            assert_eq!(register.take_wish(), None);
        }
    }

    #[test]
    fn every_value_can_be_saved() {
        for value in 0..=0xff {
            let mut register = ResetControl::new();
            register.write(value);
            let mut other = ResetControl::new();
            other.restore(&register.save()).unwrap();
            assert_eq!(other, register);
        }
    }
}
