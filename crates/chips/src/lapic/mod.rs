//! The local APIC of one CPU (SDM Vol. 3A, chapter 11), as xAPIC at 4 KiB of memory and as x2APIC behind MSRs.
//!
//! The chip knows no other CPU: what it sends comes back from a write as [`Effects`], and whoever connects the APICs
//! asks each of them whether it [is addressed](Lapic::is_addressed) and gives it the [`Message`]. Its timer counts
//! nanoseconds, as KVM's does, and the time-stamp counter it compares with is the time itself.
//!
//! Choices where the SDM leaves one:
//! - the pins LINT0 and LINT1 are told whether their line is *asserted*; the polarity bits are kept and mean nothing;
//! - after RESET and INIT the bootstrap processor's LINT0 is unmasked and ExtINT, so that the 8259A pair is heard before
//!   anybody sets the APIC up ("virtual wire", as firmware leaves it and as KVM starts);
//! - fixed IPIs are edge-triggered whatever their trigger mode bit says, and INIT level de-assert does nothing.

mod base;
mod interrupts;
mod lvt;
mod message;
mod msr;
mod registers;
mod saved;
mod timer;
mod vectors;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_interrupts;
#[cfg(test)]
mod tests_msr;
#[cfg(test)]
mod tests_timer;

pub use base::{APIC_BASE, TSC_DEADLINE, X2APIC_MSRS};
pub use interrupts::Signals;
pub use message::{Destination, Message, Mode};
pub use saved::{LapicState, PAGE};

use hako_engine::Time;
use lvt::Local;
use vectors::Vectors;

/// What a write does outside this APIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// A level-triggered interrupt of this vector has ended: the I/O APICs are to know.
    pub eoi: Option<u8>,
    /// An interprocessor interrupt, whose [`Destination`] is as this APIC sees it.
    pub ipi: Option<Message>,
}

/// The local APIC of one CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lapic {
    /// The ID that the CPU had at power-on; the x2APIC's.
    initial_id: u8,
    /// IA32_APIC_BASE.
    base: u64,
    /// The ID register's upper byte, which software may change (xAPIC).
    id: u8,
    /// Task-priority register.
    tpr: u8,
    /// Logical destination register's upper byte (xAPIC).
    ldr: u8,
    /// The model in the destination format register's upper four bits: 0xf flat, 0 cluster.
    model: u8,
    /// Spurious-interrupt vector register.
    svr: u32,
    irr: Vectors,
    isr: Vectors,
    tmr: Vectors,
    /// The error status register as last latched.
    esr: u8,
    /// Errors since then.
    errors: u8,
    /// Interrupt command register; the upper half as written, in the format of the mode.
    icr: u64,
    /// The local vector table, in the order of [`Local`].
    lvt: [u32; Local::COUNT],
    initial_count: u32,
    divide: u8,
    /// When the timer gets to zero, or the deadline in TSC-deadline mode; `None` if it does not run.
    due: Option<Time>,
    /// Levels of LINT0 and LINT1.
    lint: [bool; 2],
    /// NMI, INIT and SIPI on their way to the CPU.
    signals: Signals,
    /// The request of highest priority, if the CPU's priority lets it through. Follows from the registers.
    request: Option<u8>,
}

impl Lapic {
    /// The APIC of the CPU with this ID at power-on; `bootstrap` for the one that runs first.
    pub fn new(id: u8, bootstrap: bool) -> Lapic {
        let mut lapic = Lapic {
            initial_id: id,
            base: base::at_reset(bootstrap),
            id,
            tpr: 0,
            ldr: 0,
            model: 0,
            svr: 0,
            irr: Vectors::default(),
            isr: Vectors::default(),
            tmr: Vectors::default(),
            esr: 0,
            errors: 0,
            icr: 0,
            lvt: [0; Local::COUNT],
            initial_count: 0,
            divide: 0,
            due: None,
            lint: [false; 2],
            signals: Signals::default(),
            request: None,
        };
        lapic.clear();
        lapic
    }

    /// RESET: everything as at power-on.
    pub fn reset(&mut self) {
        *self = Lapic { lint: self.lint, ..Lapic::new(self.initial_id, self.is_bootstrap()) };
    }

    /// The registers that both RESET and INIT clear: all but the ID and IA32_APIC_BASE (11.4.7.1, 11.4.7.3).
    fn clear(&mut self) {
        (self.tpr, self.ldr, self.model, self.svr) = (0, 0, 0xf, 0xff);
        (self.irr, self.isr, self.tmr) = Default::default();
        (self.esr, self.errors, self.icr) = (0, 0, 0);
        (self.initial_count, self.divide, self.due) = (0, 0, None);
        self.lvt = [lvt::MASKED; Local::COUNT];
        if self.is_bootstrap() {
            self.lvt[Local::Lint0 as usize] = lvt::EXTINT;
        }
        self.settle();
    }
}
