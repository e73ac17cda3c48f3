//! Port 0xf0, Coprocessor Error, and the gate between FERR#, IRQ 13 and IGNNE# (PIIX3 data sheet, section 2.7.3; SDM
//! Vol. 1, appendix D.2).
//!
//! While CR0.NE is clear a processor reports an x87 exception by FERR#, of which the board makes IRQ 13, and waits. The
//! handler writes the port: that takes IRQ 13 back and asserts IGNNE#, under which the processor goes on, until FERR#
//! falls since the exception's flags are cleared.

use serde::{Deserialize, Serialize};

use crate::saved::{RestoreError, Saved, check};

const VERSION: u32 = 1;

/// The gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coprocessor {
    ferr: u8,
    ignne: bool,
}

/// What the gate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoprocessorState {
    /// FERR#, bit n for processor n.
    pub ferr: u8,
    /// IGNNE#.
    pub ignne: bool,
}

impl Coprocessor {
    /// The gate after power-on: no error.
    pub fn new() -> Self {
        Self::default()
    }

    /// FERR# of a processor.
    pub fn set_ferr(&mut self, cpu: u8, asserted: bool) {
        let bit = 1u8.checked_shl(cpu.into()).unwrap_or(0);
        self.ferr = self.ferr & !bit | if asserted { bit } else { 0 };
        self.ignne &= self.ferr != 0;
    }

    /// A write of the port: IGNNE# is asserted if FERR# is.
    pub fn write(&mut self) {
        self.ignne = self.ferr != 0;
    }

    /// IRQ 13.
    pub fn irq(&self) -> bool {
        self.ferr != 0 && !self.ignne
    }

    /// IGNNE#: x87 exceptions are to be ignored.
    pub fn ignne(&self) -> bool {
        self.ignne
    }

    /// The state.
    pub fn save(&self) -> Saved<CoprocessorState> {
        Saved { version: VERSION, state: CoprocessorState { ferr: self.ferr, ignne: self.ignne } }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<CoprocessorState>) -> Result<(), RestoreError> {
        let &CoprocessorState { ferr, ignne } = saved.open(VERSION)?;
        check(ferr != 0 || !ignne, "IGNNE# is asserted under FERR# only")?;
        *self = Self { ferr, ignne };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ferr_is_irq_13_until_the_port_is_written() {
        let mut gate = Coprocessor::new();
        gate.set_ferr(0, true);
        assert!(gate.irq() && !gate.ignne());
        gate.write();
        assert!(!gate.irq() && gate.ignne());
    }

    #[test]
    fn ignne_falls_with_ferr() {
        let mut gate = Coprocessor::new();
        gate.set_ferr(0, true);
        gate.write();
        gate.set_ferr(0, false);
        assert!(!gate.irq() && !gate.ignne());
        gate.set_ferr(0, true);
        assert!(gate.irq(), "the next error interrupts again");
    }

    #[test]
    fn without_an_error_the_port_does_nothing() {
        let mut gate = Coprocessor::new();
        gate.write();
        assert!(!gate.ignne());
    }

    #[test]
    fn any_processor_asserts_ferr() {
        let mut gate = Coprocessor::new();
        gate.set_ferr(1, true);
        gate.set_ferr(0, false);
        assert!(gate.irq());
    }

    #[test]
    fn the_state_is_kept() {
        let mut gate = Coprocessor::new();
        gate.set_ferr(3, true);
        gate.write();
        let mut other = Coprocessor::new();
        other.restore(&gate.save()).unwrap();
        assert_eq!(other, gate);
        let impossible = CoprocessorState { ferr: 0, ignne: true };
        assert!(other.restore(&Saved { version: VERSION, state: impossible }).is_err());
    }
}
