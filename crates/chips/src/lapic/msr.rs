//! The registers as MSRs: x2APIC mode (SDM Vol. 3A 11.12.1.2 and table 11-6), IA32_APIC_BASE, IA32_TSC_DEADLINE.

use hako_engine::Time;

use super::base::{APIC_BASE, TSC_DEADLINE, X2APIC_MSRS};
use super::lvt::Local;
use super::registers::reg;
use super::{Effects, Lapic};

/// The register of an MSR in 0x800-0x8ff, as an offset in the page.
fn offset(index: u32) -> Option<u16> {
    let n = u16::try_from(index.checked_sub(*X2APIC_MSRS.start())?).ok()?;
    // Offsets end with the page's first 1 KiB; the MSRs go on to 0x8ff without any register.
    (n < 0x40).then_some(n << 4)
}

/// What a WRMSR may set; `None` if the register is not there or cannot be written.
fn writable(offset: u16) -> Option<u64> {
    Some(match offset {
        reg::TPR | reg::SELF_IPI => 0xff,
        // Only 0 may be written.
        reg::EOI | reg::ESR => 0,
        reg::SVR => 0x13ff,
        reg::ICR => 0xffff_ffff_000c_cfff,
        reg::INITIAL_COUNT => 0xffff_ffff,
        reg::DIVIDE => 0xb,
        _ => Local::at(offset)?.present().into(),
    })
}

impl Lapic {
    /// RDMSR of one of [`APIC_BASE`], [`TSC_DEADLINE`] and [`X2APIC_MSRS`]; `None` is #GP.
    pub fn read_msr(&mut self, index: u32, now: Time) -> Option<u64> {
        self.tick(now);
        match index {
            APIC_BASE => return Some(self.base()),
            TSC_DEADLINE => return Some(self.deadline()),
            _ => {}
        }
        match offset(index).filter(|_| self.is_x2apic())? {
            reg::APR | reg::EOI | reg::RRD | reg::DFR | reg::ICR_HIGH => None,
            reg::ICR => Some(self.icr),
            offset => self.register(offset, now).map(u64::from),
        }
    }

    /// WRMSR of one of them; `None` is #GP.
    pub fn write_msr(&mut self, index: u32, value: u64, now: Time) -> Option<Effects> {
        self.tick(now);
        match index {
            APIC_BASE => self.set_base(value)?,
            TSC_DEADLINE => self.set_deadline(value, now),
            _ => {
                let offset = offset(index).filter(|_| self.is_x2apic())?;
                if value & !writable(offset)? != 0 {
                    return None;
                }
                return Some(match offset {
                    reg::ICR => self.write_icr(value),
                    reg::SELF_IPI => self.send_to_self(value as u8),
                    _ => self.write_common(offset, value as u32, now),
                });
            }
        }
        Some(Effects::default())
    }

    /// SELF IPI (11.12.11): a fixed, edge-triggered interrupt without touching ICR.
    fn send_to_self(&mut self, vector: u8) -> Effects {
        let icr = self.icr;
        self.icr = 1 << 18 | u64::from(vector);
        let effects = self.send();
        self.icr = icr;
        effects
    }
}
