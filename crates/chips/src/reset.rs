//! The two registers of a PC that reset it by the rise of a bit: port 0x92, System Control Port A of the PS/2, with the
//! fast A20 gate, and port 0xcf9, Reset Control (PIIX3 data sheet, sections 2.7 and 2.7.4).

use serde::{Deserialize, Serialize};

use crate::Wish;
use crate::saved::{RestoreError, Saved, check};

const VERSION: u32 = 1;

/// A register that keeps the bits `KEPT`, of which a rise of `RESET` resets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResetRegister<const KEPT: u8, const RESET: u8> {
    value: u8,
    reset: bool,
}

/// What such a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetState {
    /// The bits kept, as written.
    pub value: u8,
    /// A reset was asked for and not taken yet.
    pub reset: bool,
}

/// Bit 1 of port 0x92.
const A20: u8 = 2;
/// Port 0x92: bit 0 resets, bit 1 is A20; after power-on A20 is not forced.
pub type Port92 = ResetRegister<{ A20 | 1 }, 1>;
/// Port 0xcf9: bit 2 resets, hard or soft, as bit 1 says, alike.
pub type ResetControl = ResetRegister<6, 4>;

impl<const KEPT: u8, const RESET: u8> ResetRegister<KEPT, RESET> {
    /// The register after power-on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the register: the bits kept.
    pub fn read(&self) -> u8 {
        self.value
    }

    /// Writes the register.
    pub fn write(&mut self, value: u8) {
        self.reset |= value & !self.value & RESET != 0;
        self.value = value & KEPT;
    }

    /// Takes the wish that a write made.
    pub fn take_wish(&mut self) -> Option<Wish> {
        core::mem::take(&mut self.reset).then_some(Wish::Reset)
    }

    /// The state.
    pub fn save(&self) -> Saved<ResetState> {
        Saved { version: VERSION, state: ResetState { value: self.value, reset: self.reset } }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<ResetState>) -> Result<(), RestoreError> {
        let state = saved.open(VERSION)?;
        check(state.value & !KEPT == 0, "the register has two bits")?;
        *self = Self { value: state.value, reset: state.reset };
        Ok(())
    }
}

impl Port92 {
    /// Whether the port lets address bit 20 through. The PC's A20 is this or that of the 8042.
    pub fn a20(&self) -> bool {
        self.value & A20 != 0
    }

    /// Sets bit 1, for firmware and loaders.
    pub fn set_a20(&mut self, on: bool) {
        self.value = (self.value & !A20) | if on { A20 } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_1_of_port_92_is_a20() {
        let mut port = Port92::new();
        assert!(!port.a20());
        port.write(0x02);
        assert!(port.a20());
        assert_eq!(port.read(), 0x02);
    }

    #[test]
    fn a_rise_of_bit_0_of_port_92_resets_once() {
        let mut port = Port92::new();
        port.write(0x01);
        assert_eq!(port.take_wish(), Some(Wish::Reset));
        port.write(0x01);
        assert_eq!(port.take_wish(), None);
    }

    #[test]
    fn choosing_the_kind_of_reset_does_not_reset() {
        let mut register = ResetControl::new();
        register.write(0x02);
        assert_eq!((register.take_wish(), register.read()), (None, 0x02));
    }

    #[test]
    fn a_rise_of_bit_2_of_reset_control_resets() {
        for value in [0x04, 0x06, 0x0e] {
            let mut register = ResetControl::new();
            register.write(value);
            assert_eq!(register.take_wish(), Some(Wish::Reset));
            register.write(value);
            assert_eq!(register.take_wish(), None);
        }
    }

    fn every_value_can_be_saved<const KEPT: u8, const RESET: u8>() {
        for value in 0..=0xff {
            let mut register = ResetRegister::<KEPT, RESET>::new();
            register.write(value);
            let mut other = ResetRegister::new();
            other.restore(&register.save()).unwrap();
            assert_eq!(other, register);
        }
    }

    #[test]
    fn every_value_of_both_can_be_saved() {
        every_value_can_be_saved::<3, 1>();
        every_value_can_be_saved::<6, 4>();
    }
}
