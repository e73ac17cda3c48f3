//! The I/O APIC: Intel's 82093AA (data sheet 290566) with 24 inputs, and the EOI register of its successors
//! (version 20h, as in the ICH).
//!
//! An input is told whether its line is *asserted*; the polarity bit is kept and means nothing, as in KVM: a guest that
//! has it wrong would not work on hardware, one that has it right cannot tell. Messages arrive at once, so the delivery
//! status always reads idle. ExtINT entries send nothing: the 8259A pair is at LINT0 of the local APICs.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::lapic::{Message, Mode};
use crate::saved::{RestoreError, Saved, check};

/// Inputs.
pub const PINS: usize = 24;

/// Where a PC has its I/O APIC.
pub const BASE: u64 = 0xfec0_0000;

/// Layout of the saved state.
const VERSION: u32 = 1;

/// Offsets of the registers that are in memory.
mod reg {
    /// IOREGSEL.
    pub const SELECT: u16 = 0x00;
    /// IOWIN.
    pub const WINDOW: u16 = 0x10;
    /// EOI, write-only.
    pub const EOI: u16 = 0x40;
}

/// Registers behind IOWIN.
mod index {
    pub const ID: u8 = 0x00;
    pub const VERSION: u8 = 0x01;
    pub const ARBITRATION: u8 = 0x02;
    pub const TABLE: u8 = 0x10;
}

/// The version register: 23 the highest entry, version 20h.
const VERSION_REGISTER: u32 = 23 << 16 | 0x20;
/// Where the ID's four bits are in its register.
const ID_SHIFT: u32 = 24;
/// The highest ID.
const MAX_ID: u32 = 0xf;

/// Bits of a redirection entry (3.2.4).
mod entry {
    /// Level-triggered and accepted by a local APIC, not ended yet.
    pub const REMOTE_IRR: u64 = 1 << 14;
    pub const LEVEL: u64 = 1 << 15;
    pub const MASKED: u64 = 1 << 16;
    /// What software can write.
    pub const WRITABLE: u64 = 0xff00_0000_0001_afff;
    /// The bits that exist, but for the delivery status.
    pub const PRESENT: u64 = WRITABLE | REMOTE_IRR;
}

/// The chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoApic {
    s: IoApicState,
}

/// The content of KVM's `kvm_ioapic_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoApicState {
    /// Where the chip is.
    pub base_address: u64,
    /// The register selected.
    pub ioregsel: u32,
    /// Its APIC ID, 0 to 15.
    pub id: u32,
    /// Inputs that are asserted, bit n for input n.
    pub irr: u32,
    /// The redirection table.
    pub redirtbl: [u64; PINS],
}

/// Takes a message to the local APICs; whether one of them accepted it.
pub type Deliver<'a> = &'a mut dyn FnMut(&Message) -> bool;

impl Default for IoApic {
    fn default() -> Self {
        Self::new()
    }
}

impl IoApic {
    /// The chip after RESET: all entries masked, all inputs low.
    pub fn new() -> IoApic {
        let redirtbl = [entry::MASKED; PINS];
        IoApic { s: IoApicState { base_address: BASE, ioregsel: 0, id: 0, irr: 0, redirtbl } }
    }

    /// Reads the 32 bits at an offset from the chip's address.
    pub fn read(&self, offset: u16) -> u32 {
        match offset & 0xff {
            reg::SELECT => self.s.ioregsel,
            reg::WINDOW => match self.s.ioregsel as u8 {
                index::ID | index::ARBITRATION => self.s.id << ID_SHIFT,
                index::VERSION => VERSION_REGISTER,
                // Registers that are not there read 0.
                i => self.entry_of(i).map_or(0, |(pin, shift)| (self.s.redirtbl[pin] >> shift) as u32),
            },
            _ => 0,
        }
    }

    /// Writes them.
    pub fn write(&mut self, offset: u16, value: u32, deliver: Deliver<'_>) {
        match offset & 0xff {
            reg::SELECT => self.s.ioregsel = value & 0xff,
            reg::WINDOW => match self.s.ioregsel as u8 {
                index::ID => self.s.id = value >> ID_SHIFT & MAX_ID,
                i => {
                    if let Some((pin, shift)) = self.entry_of(i) {
                        self.write_entry(pin, shift, value, deliver);
                    }
                }
            },
            reg::EOI => self.eoi(value as u8, deliver),
            _ => {}
        }
    }

    /// The redirection entry of a register, and which half of it.
    fn entry_of(&self, index: u8) -> Option<(usize, u32)> {
        let n = usize::from(index.checked_sub(index::TABLE)?);
        (n / 2 < PINS).then_some((n / 2, 32 * (n as u32 % 2)))
    }

    fn write_entry(&mut self, pin: usize, shift: u32, value: u32, deliver: Deliver<'_>) {
        let half = 0xffff_ffff << shift;
        let e = &mut self.s.redirtbl[pin];
        let written = (*e & !half | u64::from(value) << shift) & entry::WRITABLE;
        *e = written | *e & entry::REMOTE_IRR;
        // Remote IRR has no meaning for edges; software that makes an entry edge-triggered and level-triggered again
        // ends an interrupt so, where there is no EOI register.
        if *e & entry::LEVEL == 0 {
            *e &= !entry::REMOTE_IRR;
        }
        self.assert_level(pin, deliver);
    }

    /// Whether an input is asserted. Inputs that are not there do nothing.
    pub fn set_pin(&mut self, pin: u8, asserted: bool, deliver: Deliver<'_>) {
        let pin = usize::from(pin);
        let Some(&e) = self.s.redirtbl.get(pin) else { return };
        let bit = 1 << pin;
        let rises = asserted && self.s.irr & bit == 0;
        self.s.irr = if asserted { self.s.irr | bit } else { self.s.irr & !bit };
        if e & entry::LEVEL != 0 {
            self.assert_level(pin, deliver);
        } else if rises && e & entry::MASKED == 0 {
            // An edge at a masked input is lost (3.2.4, Interrupt Mask).
            self.send(pin, deliver);
        }
    }

    /// Asks for a level-triggered interrupt if the input is asserted and none of it is on its way.
    fn assert_level(&mut self, pin: usize, deliver: Deliver<'_>) {
        const QUIET: u64 = entry::MASKED | entry::REMOTE_IRR;
        let e = self.s.redirtbl[pin];
        if self.s.irr >> pin & 1 != 0 && e & (entry::LEVEL | QUIET) == entry::LEVEL && self.send(pin, deliver)
        {
            self.s.redirtbl[pin] |= entry::REMOTE_IRR;
        }
    }

    /// Sends an entry's message. Whether it is one whose end will be told, and was accepted.
    fn send(&mut self, pin: usize, deliver: Deliver<'_>) -> bool {
        match Message::of_redirection(self.s.redirtbl[pin]) {
            None | Some(Message { mode: Mode::ExtInt | Mode::StartUp, .. }) => false,
            Some(message) if message.mode.has_vector() => deliver(&message),
            // SMI, NMI and INIT are edges, whatever the trigger mode says.
            Some(message) => {
                deliver(&message);
                false
            }
        }
    }

    /// An EOI for a vector, from a local APIC or by the EOI register: level-triggered entries of it are ready again, and
    /// ask again if their inputs still do.
    pub fn eoi(&mut self, vector: u8, deliver: Deliver<'_>) {
        for pin in 0..PINS {
            let e = &mut self.s.redirtbl[pin];
            if *e & entry::REMOTE_IRR != 0 && *e as u8 == vector {
                *e &= !entry::REMOTE_IRR;
                self.assert_level(pin, deliver);
            }
        }
    }

    /// Whether an input's interrupts are let through.
    pub fn is_open(&self, pin: u8) -> bool {
        self.s.redirtbl.get(usize::from(pin)).is_some_and(|e| e & entry::MASKED == 0)
    }

    /// The state, as KVM has it.
    pub fn save(&self) -> Saved<IoApicState> {
        Saved { version: VERSION, state: self.s }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<IoApicState>) -> Result<(), RestoreError> {
        let s = saved.open(VERSION)?;
        check(s.base_address == BASE, "the I/O APIC is somewhere else")?;
        check(s.ioregsel <= 0xff, "no such register is selected")?;
        check(s.id <= MAX_ID, "an ID of more than four bits")?;
        check(s.irr >> PINS == 0, "an input that does not exist is asserted")?;
        check(s.redirtbl.iter().all(|e| e & !entry::PRESENT == 0), "an entry's reserved bit is set")?;
        let edges = |e: &u64| e & entry::LEVEL != 0 || e & entry::REMOTE_IRR == 0;
        check(s.redirtbl.iter().all(edges), "an edge waits for its end")?;
        self.s = *s;
        Ok(())
    }
}
