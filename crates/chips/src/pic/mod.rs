//! The interrupt controllers of a PC: two 8259A in cascade, as PIIX3 has them (82371SB data sheet, section 2.5; Intel
//! 8259A data sheet 231468).
//!
//! Differences between PIIX3 and the single 8259A: ICW1.LTIM and ICW1.SNGL have no effect (edge or level is chosen
//! line by line in ELCR1/ELCR2, and the pair is always cascaded on IR2), and only 8086 vectors exist.

mod chip;
#[cfg(test)]
mod tests;

pub use chip::{Pic, PicState};

use serde::{Deserialize, Serialize};

use crate::saved::{RestoreError, Saved};

/// The master's input that the slave's INT output drives.
const CASCADE: u8 = 2;

/// Layout of the saved state.
const VERSION: u32 = 1;

/// Registers of the pair, in the order of [`Pics::read`] and [`Pics::write`]: the PC puts them at ports 0x20, 0x21,
/// 0xa0, 0xa1, 0x4d0 and 0x4d1.
pub const REGISTERS: u8 = 6;

/// Master and slave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pics {
    master: Pic,
    slave: Pic,
}

/// Saved state of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PicsState {
    /// What KVM_GET_IRQCHIP gives for KVM_IRQCHIP_PIC_MASTER.
    pub master: PicState,
    /// What KVM_GET_IRQCHIP gives for KVM_IRQCHIP_PIC_SLAVE.
    pub slave: PicState,
}

impl Default for Pics {
    fn default() -> Self {
        Self::new()
    }
}

impl Pics {
    /// The pair after power-on: not initialised, nothing masked, all lines edge-triggered and low.
    ///
    /// ELCR bits of IRQ 0, 1, 2, 8 and 13 are fixed at edge (PIIX3, section 2.5.6).
    pub fn new() -> Self {
        Self { master: Pic::new(0xf8), slave: Pic::new(0xde) }
    }

    /// Reads register 0 to 5 (ports 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1); others read all ones.
    pub fn read(&mut self, reg: u8) -> u8 {
        let value = match reg {
            0 | 1 => self.master.read(reg),
            2 | 3 => self.slave.read(reg - 2),
            4 => self.master.elcr(),
            5 => self.slave.elcr(),
            _ => 0xff,
        };
        self.cascade();
        value
    }

    /// Writes register 0 to 5.
    pub fn write(&mut self, reg: u8, value: u8) {
        match reg {
            0 | 1 => self.master.write(reg, value),
            2 | 3 => self.slave.write(reg - 2, value),
            4 => self.master.set_elcr(value),
            5 => self.slave.set_elcr(value),
            _ => {}
        }
        self.cascade();
    }

    /// Sets the level of line 0 to 15. Line 2 is the cascade and cannot be driven; others do nothing.
    pub fn set_irq(&mut self, line: u8, level: bool) {
        match line {
            CASCADE => {}
            0..=7 => self.master.set_line(line, level),
            8..=15 => self.slave.set_line(line - 8, level),
            _ => {}
        }
        self.cascade();
    }

    /// The INT output to the CPU.
    pub fn intr(&self) -> bool {
        self.master.intr()
    }

    /// The INTA sequence: puts the request into service and gives its vector. Without a request it gives the vector
    /// of IR7 and leaves the ISR alone ("default IR7", 8259A data sheet, Edge and Level Triggered Modes).
    pub fn acknowledge(&mut self) -> u8 {
        let line = self.master.acknowledge();
        let vector = if line == Some(CASCADE) {
            let vector = self.slave.vector();
            // INT drops while INTA is active, so that a further request makes a new edge at the master.
            self.master.set_line(CASCADE, false);
            vector
        } else {
            self.master.vector_of(line)
        };
        self.cascade();
        vector
    }

    /// The slave's INT output drives the master's IR2. A request of the slave that is withdrawn before INTA
    /// (masked, polled) takes the master's with it.
    fn cascade(&mut self) {
        let level = self.slave.intr();
        self.master.set_line(CASCADE, level);
        if !level {
            self.master.withdraw(CASCADE);
        }
    }

    /// The state, in KVM's terms.
    pub fn save(&self) -> Saved<PicsState> {
        Saved { version: VERSION, state: PicsState { master: self.master.save(), slave: self.slave.save() } }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<PicsState>) -> Result<(), RestoreError> {
        let state = saved.open(VERSION)?;
        let mut restored = self.clone();
        restored.master.restore(&state.master)?;
        restored.slave.restore(&state.slave)?;
        *self = restored;
        Ok(())
    }
}
