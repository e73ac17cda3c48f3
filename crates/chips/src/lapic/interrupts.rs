//! Accepting, prioritising and ending interrupts (SDM Vol. 3A 11.6.2 and 11.8), and sending them.

use serde::{Deserialize, Serialize};

use super::lvt::Local;
use super::message::{Destination, Message, Mode};
use super::{Effects, Lapic};

/// Edges for the CPU that bring no vector through the APIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signals {
    /// A non-maskable interrupt.
    pub nmi: bool,
    /// INIT.
    pub init: bool,
    /// The vector of a start-up, after the INIT if there was one.
    pub sipi: Option<u8>,
}

/// Bits of the error status register (11.5.3).
pub(super) mod error {
    pub const SEND_ILLEGAL_VECTOR: u8 = 1 << 5;
    pub const RECEIVE_ILLEGAL_VECTOR: u8 = 1 << 6;
    pub const ILLEGAL_REGISTER: u8 = 1 << 7;
}

/// The lowest vector that is legal: those below are the processor's own exceptions.
const FIRST_VECTOR: u8 = 16;

/// SVR: the APIC is enabled by software.
const SOFTWARE_ENABLE: u32 = 1 << 8;
/// SVR: no EOI is broadcast.
const SUPPRESS_BROADCAST: u32 = 1 << 12;

impl Lapic {
    pub(super) fn is_software_enabled(&self) -> bool {
        self.svr & SOFTWARE_ENABLE != 0
    }

    /// Finds out which request the CPU is to see.
    pub(super) fn settle(&mut self) {
        let ppr = self.ppr();
        self.request = self.irr.highest().filter(|vector| vector >> 4 > ppr >> 4);
    }

    /// Processor-priority register (11.8.3.1).
    pub(super) fn ppr(&self) -> u8 {
        let serving = self.isr.highest().unwrap_or(0);
        if self.tpr >> 4 >= serving >> 4 { self.tpr } else { serving & 0xf0 }
    }

    /// Arbitration-priority register (11.6.2.4).
    pub(super) fn apr(&self) -> u8 {
        let requested = self.irr.highest().unwrap_or(0);
        let serving = self.isr.highest().unwrap_or(0);
        if self.tpr >> 4 >= requested >> 4 && self.tpr >> 4 > serving >> 4 {
            self.tpr
        } else {
            (self.tpr & serving & 0xf0).max(requested & 0xf0)
        }
    }

    /// Whether a vector waits for the CPU.
    #[inline]
    pub fn intr(&self) -> bool {
        self.request.is_some() && self.is_enabled()
    }

    /// Interrupt acknowledge: the request of highest priority goes into service. If it has been withdrawn or a higher
    /// task priority hides it by now, the CPU gets the spurious vector and nothing is in service (11.9).
    pub fn acknowledge(&mut self) -> u8 {
        let Some(vector) = self.request else { return self.svr as u8 };
        self.irr.set(vector, false);
        self.isr.set(vector, true);
        self.settle();
        vector
    }

    /// CR8, the task-priority class.
    pub fn task_priority(&self) -> u8 {
        self.tpr >> 4
    }

    /// Writes CR8 (11.8.6).
    pub fn set_task_priority(&mut self, class: u8) {
        self.set_tpr(class << 4);
    }

    pub(super) fn set_tpr(&mut self, value: u8) {
        self.tpr = value;
        self.settle();
    }

    /// End of interrupt (11.8.5).
    pub(super) fn end(&mut self) -> Effects {
        let Some(vector) = self.isr.highest() else { return Effects::default() };
        self.isr.set(vector, false);
        self.settle();
        if !self.tmr.has(vector) {
            return Effects::default();
        }
        self.end_level(vector);
        Effects { eoi: (self.svr & SUPPRESS_BROADCAST == 0).then_some(vector), ipi: None }
    }

    /// Writes the spurious-interrupt vector register (11.9).
    pub(super) fn set_svr(&mut self, value: u32) {
        self.svr = value & 0x13ff;
        if !self.is_software_enabled() {
            self.mask_all();
        }
    }

    /// Takes an interrupt, if it can. While software has the APIC disabled, it answers NMI, INIT and start-up alone
    /// (11.4.7.2).
    pub fn accept(&mut self, message: &Message) -> bool {
        if !self.is_enabled() {
            return false;
        }
        match message.mode {
            Mode::Fixed | Mode::LowestPriority => return self.request(message.vector, message.level),
            Mode::Nmi => self.signals.nmi = true,
            Mode::Init => {
                self.clear();
                self.signals = Signals { init: true, ..Signals::default() };
            }
            Mode::StartUp => self.signals.sipi = Some(message.vector),
            Mode::Smi | Mode::ExtInt => return false,
        }
        true
    }

    fn request(&mut self, vector: u8, level: bool) -> bool {
        if vector < FIRST_VECTOR {
            self.error(error::RECEIVE_ILLEGAL_VECTOR);
            return false;
        }
        if self.is_software_enabled() {
            self.irr.set(vector, true);
            self.tmr.set(vector, level);
            self.settle();
        }
        self.is_software_enabled()
    }

    /// NMI, INIT and start-up since the last call.
    pub fn take_signals(&mut self) -> Signals {
        core::mem::take(&mut self.signals)
    }

    /// What [`Lapic::take_signals`] would give.
    #[inline]
    pub fn signals(&self) -> Signals {
        self.signals
    }

    /// Notes an error. The first since ESR was last written asks for an interrupt (11.5.3).
    pub(super) fn error(&mut self, bit: u8) {
        let armed = self.errors == 0;
        self.errors |= bit;
        if armed {
            self.local(Local::Error);
        }
    }

    /// Sends what ICR says (11.6.1). Combinations that table 11-3 calls invalid send nothing.
    pub(super) fn send(&mut self) -> Effects {
        let low = self.icr as u32;
        let high = (self.icr >> 32) as u32;
        let Some(mode) = Mode::of(low) else { return Effects::default() };
        let vector = low as u8;
        if mode.has_vector() && vector < FIRST_VECTOR {
            self.error(error::SEND_ILLEGAL_VECTOR);
            return Effects::default();
        }
        let deassert = mode == Mode::Init && low & 1 << 15 != 0 && low & 1 << 14 == 0;
        let logical = low & 1 << 11 != 0;
        let destination = match low >> 18 & 3 {
            0 if self.is_x2apic() => Destination::wide(high, logical),
            0 => Destination::narrow((high >> 24) as u8, logical),
            1 => Destination::Myself,
            2 => Destination::All,
            _ => Destination::Others,
        };
        let to_self = matches!(low >> 18 & 3, 1 | 2);
        if deassert || mode == Mode::ExtInt || (to_self && mode != Mode::Fixed) {
            return Effects::default();
        }
        Effects { eoi: None, ipi: Some(Message { destination, mode, vector, level: false }) }
    }

    /// Whether a message is for this APIC; `own` if it sent it. (11.6.2)
    pub fn is_addressed(&self, to: Destination, own: bool) -> bool {
        match to {
            Destination::All => true,
            Destination::Others => !own,
            Destination::Myself => own,
            Destination::Physical(id) => id == self.id(),
            Destination::Logical(ids) if self.is_x2apic() => {
                ids >> 16 == self.logical_id() >> 16 && ids & self.logical_id() & 0xffff != 0
            }
            Destination::Logical(ids) => match u8::try_from(ids) {
                // Cluster model: a cluster and four of its members, or all clusters.
                Ok(ids) if self.model == 0 => {
                    (ids >> 4 == self.ldr >> 4 || ids >> 4 == 0xf) && ids & self.ldr & 0xf != 0
                }
                Ok(ids) => ids & self.ldr != 0,
                Err(_) => false,
            },
        }
    }

    /// What lowest-priority arbitration compares, the smaller the readier; `None` if this APIC takes no part.
    pub fn arbitration(&self) -> Option<u8> {
        (self.is_enabled() && self.is_software_enabled()).then(|| self.ppr())
    }

    /// The APIC ID of the mode.
    pub(super) fn id(&self) -> u32 {
        if self.is_x2apic() { self.initial_id.into() } else { self.id.into() }
    }

    /// The logical ID of x2APIC mode (11.12.10.2).
    pub(super) fn logical_id(&self) -> u32 {
        let id = u32::from(self.initial_id);
        id >> 4 << 16 | 1 << (id & 0xf)
    }
}
