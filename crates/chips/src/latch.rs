//! Ports that only remember a byte: POST codes (0x80) and the APM registers APMC and APMS (0xb2, 0xb3; PIIX3 data
//! sheet, section 2.8).

use serde::{Deserialize, Serialize};

use crate::saved::{RestoreError, Saved};

const VERSION: u32 = 1;

/// One such port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latch {
    value: u8,
}

/// What the port holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatchState {
    /// The byte last written.
    pub value: u8,
}

impl Latch {
    /// The port after power-on: 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the byte last written.
    pub fn read(&self) -> u8 {
        self.value
    }

    /// Writes the byte.
    pub fn write(&mut self, value: u8) {
        self.value = value;
    }

    /// The state.
    pub fn save(&self) -> Saved<LatchState> {
        Saved { version: VERSION, state: LatchState { value: self.value } }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<LatchState>) -> Result<(), RestoreError> {
        self.value = saved.open(VERSION)?.value;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latch_reads_what_was_written_and_survives_a_save() {
        let mut latch = Latch::new();
        latch.write(0xa5);
        let mut other = Latch::new();
        other.restore(&latch.save()).unwrap();
        assert_eq!(other.read(), 0xa5);
    }
}
