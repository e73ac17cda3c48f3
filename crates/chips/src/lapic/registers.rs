//! The registers by their offsets (SDM Vol. 3A 11.4.1, table 11-1).

use hako_engine::Time;

use super::interrupts::error;
use super::lvt::Local;
use super::{Effects, Lapic};

/// Offsets of registers.
pub(super) mod reg {
    pub const ID: u16 = 0x020;
    pub const VERSION: u16 = 0x030;
    pub const TPR: u16 = 0x080;
    pub const APR: u16 = 0x090;
    pub const PPR: u16 = 0x0a0;
    pub const EOI: u16 = 0x0b0;
    pub const RRD: u16 = 0x0c0;
    pub const LDR: u16 = 0x0d0;
    pub const DFR: u16 = 0x0e0;
    pub const SVR: u16 = 0x0f0;
    pub const ISR: u16 = 0x100;
    pub const TMR: u16 = 0x180;
    pub const IRR: u16 = 0x200;
    pub const ESR: u16 = 0x280;
    pub const ICR: u16 = 0x300;
    pub const ICR_HIGH: u16 = 0x310;
    pub const INITIAL_COUNT: u16 = 0x380;
    pub const CURRENT_COUNT: u16 = 0x390;
    pub const DIVIDE: u16 = 0x3e0;
    pub const SELF_IPI: u16 = 0x3f0;
}

/// Version 14h, seven LVT entries, EOI broadcasts can be suppressed (11.4.8).
pub(super) const VERSION: u32 = 1 << 24 | 6 << 16 | 0x14;

/// The bits of ICR's lower half that software can write.
const ICR_LOW: u32 = 0x000c_cfff;

impl Lapic {
    /// Reads the register at an offset in the page; 0 and an error where there is none.
    pub fn read(&mut self, offset: u16, now: Time) -> u32 {
        self.tick(now);
        match self.register(offset & 0xff0, now) {
            Some(value) => value,
            None => {
                self.error(error::ILLEGAL_REGISTER);
                0
            }
        }
    }

    /// A register's value.
    pub(super) fn register(&self, offset: u16, now: Time) -> Option<u32> {
        let word = |base: u16| usize::from((offset - base) >> 4);
        Some(match offset {
            reg::ID if self.is_x2apic() => self.id(),
            reg::ID => self.id() << 24,
            reg::VERSION => VERSION,
            reg::TPR => self.tpr.into(),
            reg::APR => self.apr().into(),
            reg::PPR => self.ppr().into(),
            reg::EOI | reg::RRD => 0,
            reg::LDR if self.is_x2apic() => self.logical_id(),
            reg::LDR => u32::from(self.ldr) << 24,
            reg::DFR => u32::from(self.model) << 28 | 0x0fff_ffff,
            reg::SVR => self.svr,
            reg::ISR..=0x17f => self.isr.word(word(reg::ISR)),
            reg::TMR..=0x1ff => self.tmr.word(word(reg::TMR)),
            reg::IRR..=0x27f => self.irr.word(word(reg::IRR)),
            reg::ESR => self.esr.into(),
            reg::ICR => self.icr as u32,
            reg::ICR_HIGH => (self.icr >> 32) as u32,
            reg::INITIAL_COUNT => self.initial_count,
            reg::CURRENT_COUNT => self.current_count(now),
            reg::DIVIDE => self.divide.into(),
            _ => self.entry(Local::at(offset)?),
        })
    }

    /// Writes the register at an offset in the page; an error where there is none.
    pub fn write(&mut self, offset: u16, value: u32, now: Time) -> Effects {
        self.tick(now);
        let offset = offset & 0xff0;
        match offset {
            reg::ID => self.id = (value >> 24) as u8,
            reg::LDR => self.ldr = (value >> 24) as u8,
            reg::DFR => self.model = (value >> 28) as u8,
            reg::ICR_HIGH => self.icr = self.icr & 0xffff_ffff | u64::from(value & 0xff00_0000) << 32,
            reg::ICR => {
                self.icr = self.icr & !0xffff_ffff | u64::from(value & ICR_LOW);
                return self.send();
            }
            _ => return self.write_common(offset, value, now),
        }
        Effects::default()
    }

    /// Writes a register that is the same in both modes.
    pub(super) fn write_common(&mut self, offset: u16, value: u32, now: Time) -> Effects {
        match offset {
            reg::TPR => self.set_tpr(value as u8),
            reg::EOI => return self.end(),
            reg::SVR => self.set_svr(value),
            // A write of any value latches what has gone wrong since the last one.
            reg::ESR => self.esr = core::mem::take(&mut self.errors),
            reg::INITIAL_COUNT => self.set_initial_count(value, now),
            reg::DIVIDE => self.set_divide(value, now),
            _ => match Local::at(offset) {
                Some(local) => self.set_entry(local, value),
                // Read-only registers ignore writes.
                None if self.register(offset, now).is_some() => {}
                None => self.error(error::ILLEGAL_REGISTER),
            },
        }
        Effects::default()
    }

    /// Writes the whole of ICR, as x2APIC mode does, and sends.
    pub(super) fn write_icr(&mut self, value: u64) -> Effects {
        self.icr = value & (!0xffff_ffff | u64::from(ICR_LOW));
        self.send()
    }
}
