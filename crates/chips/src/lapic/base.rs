//! IA32_APIC_BASE: where the registers are, and the modes (SDM Vol. 3A 11.4.3, 11.4.4, 11.12.1 and 11.12.5).

use super::Lapic;

/// IA32_APIC_BASE.
pub const APIC_BASE: u32 = 0x1b;
/// IA32_TSC_DEADLINE.
pub const TSC_DEADLINE: u32 = 0x6e0;
/// The MSRs of the x2APIC.
pub const X2APIC_MSRS: core::ops::RangeInclusive<u32> = 0x800..=0x8ff;

/// The bootstrap processor.
const BSP: u64 = 1 << 8;
/// x2APIC mode.
const EXTD: u64 = 1 << 10;
/// The APIC is there.
const EN: u64 = 1 << 11;
/// The address, of 40 bits as the CPU model has them.
const ADDRESS: u64 = 0xff_ffff_f000;

/// The register's value after RESET.
pub(super) fn at_reset(bootstrap: bool) -> u64 {
    0xfee0_0000 | EN | if bootstrap { BSP } else { 0 }
}

/// Whether the register can have this value at all.
pub(super) fn possible(base: u64) -> bool {
    base & !(BSP | EXTD | EN | ADDRESS) == 0 && base & (EXTD | EN) != EXTD
}

impl Lapic {
    /// Whether the APIC is there: without it the CPU's pins are INTR and NMI.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.base & EN != 0
    }

    /// Whether the registers are MSRs.
    pub fn is_x2apic(&self) -> bool {
        self.base & (EN | EXTD) == EN | EXTD
    }

    /// Whether this is the processor that runs first.
    pub fn is_bootstrap(&self) -> bool {
        self.base & BSP != 0
    }

    /// Where the 4 KiB of registers are, if they are memory.
    #[inline]
    pub fn address(&self) -> Option<u64> {
        (self.base & (EN | EXTD) == EN).then_some(self.base & ADDRESS)
    }

    /// IA32_APIC_BASE.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Writes IA32_APIC_BASE; `None` for reserved bits and for the transitions that figure 11-28 does not have. Without
    /// the global enable the APIC loses its state (11.4.3); the ID is kept.
    pub(super) fn set_base(&mut self, value: u64) -> Option<()> {
        let (from, to) = (self.base & (EN | EXTD), value & (EN | EXTD));
        let from_x2apic_to_xapic = from == EN | EXTD && to == EN;
        let from_disabled_to_x2apic = from == 0 && to == EN | EXTD;
        if !possible(value) || from_x2apic_to_xapic || from_disabled_to_x2apic {
            return None;
        }
        self.base = value;
        if to == 0 && from != 0 {
            self.clear();
        } else if to != from && to == EN | EXTD {
            // The ID is the initial one again and the logical one follows from it.
            (self.id, self.ldr) = (self.initial_id, 0);
        }
        Some(())
    }
}
