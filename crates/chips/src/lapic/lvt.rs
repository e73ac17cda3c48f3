//! The local vector table (SDM Vol. 3A 11.5.1) and the pins LINT0 and LINT1.

use super::message::Mode;
use super::timer::TimerMode;
use super::{Destination, Lapic, Message};

/// Local interrupt sources, in the order of their LVT registers but for CMCI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    Cmci,
    Timer,
    Thermal,
    Performance,
    Lint0,
    Lint1,
    Error,
}

impl Local {
    pub const COUNT: usize = 7;
    pub const ALL: [Local; Local::COUNT] = [
        Local::Cmci,
        Local::Timer,
        Local::Thermal,
        Local::Performance,
        Local::Lint0,
        Local::Lint1,
        Local::Error,
    ];

    /// The source whose entry is at a register's offset.
    pub fn at(offset: u16) -> Option<Local> {
        Local::ALL.into_iter().find(|local| local.offset() == offset)
    }

    /// The offset of its register.
    pub fn offset(self) -> u16 {
        match self {
            Local::Cmci => 0x2f0,
            _ => 0x310 + 0x10 * self as u16,
        }
    }

    /// The bits of its entry that software can write.
    pub fn writable(self) -> u32 {
        match self {
            Local::Timer => 0x0007_00ff,
            Local::Cmci | Local::Thermal | Local::Performance => 0x0001_07ff,
            Local::Lint0 | Local::Lint1 => 0x0001_a7ff,
            Local::Error => 0x0001_00ff,
        }
    }

    /// The bits of its entry that exist: delivery status, and remote IRR of the pins.
    pub fn present(self) -> u32 {
        match self {
            Local::Lint0 | Local::Lint1 => self.writable() | 1 << 12 | REMOTE_IRR,
            _ => self.writable() | 1 << 12,
        }
    }
}

/// The entry is masked.
pub(super) const MASKED: u32 = 1 << 16;
/// Unmasked, ExtINT.
pub(super) const EXTINT: u32 = 7 << 8;
/// Level-triggered.
const LEVEL: u32 = 1 << 15;
/// A level-triggered interrupt was accepted and has not ended.
const REMOTE_IRR: u32 = 1 << 14;

impl Lapic {
    pub(super) fn entry(&self, local: Local) -> u32 {
        self.lvt[local as usize]
    }

    /// Whether a source is not masked.
    pub(super) fn is_open(&self, local: Local) -> bool {
        self.entry(local) & MASKED == 0 && self.is_enabled()
    }

    /// Writes an entry. While software has the APIC disabled, mask bits cannot be cleared (11.4.7.2).
    pub(super) fn set_entry(&mut self, local: Local, value: u32) {
        let old = self.entry(local);
        let mut entry = value & local.writable() | old & local.present() & !local.writable();
        if !self.is_software_enabled() {
            entry |= MASKED;
        }
        let deadline = |entry| TimerMode::of(entry) == TimerMode::TscDeadline;
        if local == Local::Timer && deadline(old) != deadline(entry) {
            self.due = None;
        }
        self.lvt[local as usize] = entry;
        for (pin, lint) in [Local::Lint0, Local::Lint1].into_iter().enumerate() {
            if lint == local {
                self.assert_level(pin, lint);
            }
        }
    }

    /// Masks all entries: what disabling the APIC by software does (11.4.7.2).
    pub(super) fn mask_all(&mut self) {
        for entry in &mut self.lvt {
            *entry |= MASKED;
        }
    }

    /// A local source wants attention.
    pub(super) fn local(&mut self, local: Local) {
        let entry = self.entry(local);
        if !self.is_open(local) {
            return;
        }
        if let Some(mode @ (Mode::Fixed | Mode::Smi | Mode::Nmi | Mode::Init)) = Mode::of(entry) {
            let level = self.is_level(local);
            let accepted =
                self.accept(&Message { destination: Destination::Myself, mode, vector: entry as u8, level });
            if accepted && level {
                self.lvt[local as usize] |= REMOTE_IRR;
            }
        }
    }

    /// Only fixed interrupts of LINT0 can be level-triggered (11.5.1, Trigger Mode).
    fn is_level(&self, local: Local) -> bool {
        let entry = self.entry(local);
        local == Local::Lint0 && entry & LEVEL != 0 && Mode::of(entry) == Some(Mode::Fixed)
    }

    /// Whether pin LINT0 (0) or LINT1 (1) is asserted.
    pub fn set_lint(&mut self, pin: usize, asserted: bool) {
        let Some(level) = self.lint.get_mut(pin) else { return };
        let rises = asserted && !*level;
        *level = asserted;
        let lint = if pin == 0 { Local::Lint0 } else { Local::Lint1 };
        if self.is_level(lint) {
            self.assert_level(pin, lint);
        } else if rises {
            self.local(lint);
        }
    }

    /// Asks for a level-triggered interrupt if its pin does and none is on its way.
    fn assert_level(&mut self, pin: usize, lint: Local) {
        let asserted = self.lint.get(pin).copied().unwrap_or(false);
        if asserted && self.is_level(lint) && self.entry(lint) & REMOTE_IRR == 0 {
            self.local(lint);
        }
    }

    /// A level-triggered interrupt has ended: the pin may ask again.
    pub(super) fn end_level(&mut self, vector: u8) {
        let entry = self.entry(Local::Lint0);
        if entry & REMOTE_IRR != 0 && entry as u8 == vector {
            self.lvt[Local::Lint0 as usize] &= !REMOTE_IRR;
            self.assert_level(0, Local::Lint0);
        }
    }

    /// Whether the 8259A pair at LINT0 reaches the CPU: through the pin as INTR, or as ExtINT (11.5.1).
    #[inline]
    pub fn takes_extint(&self) -> bool {
        let entry = self.entry(Local::Lint0);
        !self.is_enabled() || (entry & MASKED == 0 && Mode::of(entry) == Some(Mode::ExtInt))
    }
}
