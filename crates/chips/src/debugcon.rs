//! The debug console of Bochs (port 0xe9) and QEMU (SeaBIOS uses port 0x402): every byte written is text for the
//! host, and a read gives 0xe9, by which guests find it.

use alloc::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::saved::{RestoreError, Saved, check};

const VERSION: u32 = 1;

/// What a read gives.
pub const SIGNATURE: u8 = 0xe9;

/// Bytes that are kept for a backend that does not take them; later ones are lost.
pub const OUTPUT: usize = 4096;

/// The port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Debugcon {
    output: VecDeque<u8>,
}

/// What the port holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebugconState {
    /// What was written and not taken.
    pub output: VecDeque<u8>,
}

impl Debugcon {
    /// The port.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the port.
    pub fn read(&self) -> u8 {
        SIGNATURE
    }

    /// Writes a byte of text.
    pub fn write(&mut self, value: u8) {
        if self.output.len() < OUTPUT {
            self.output.push_back(value);
        }
    }

    /// Takes what was written.
    pub fn take_output(&mut self) -> impl Iterator<Item = u8> {
        self.output.drain(..)
    }

    /// The state.
    pub fn save(&self) -> Saved<DebugconState> {
        Saved { version: VERSION, state: DebugconState { output: self.output.clone() } }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<DebugconState>) -> Result<(), RestoreError> {
        let state = saved.open(VERSION)?;
        check(state.output.len() <= OUTPUT, "more output than is kept")?;
        self.output = state.output.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_read_gives_e9() {
        assert_eq!(Debugcon::new().read(), 0xe9);
    }

    #[test]
    fn output_is_kept_in_order_and_within_bounds() {
        let mut port = Debugcon::new();
        for n in 0..=OUTPUT {
            port.write(n as u8);
        }
        let mut other = Debugcon::new();
        other.restore(&port.save()).unwrap();
        let output: Vec<u8> = other.take_output().collect();
        assert_eq!(output.len(), OUTPUT);
        assert_eq!(output[..3], [0, 1, 2]);
        assert_eq!(other.take_output().count(), 0);
    }
}
