//! What an operating system is told of the board: ACPI tables and the MP configuration table.

mod acpi;
mod dsdt;
mod linker;
mod mp;
mod resources;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

pub use linker::{ALIGN, Bundle};

/// Local APIC addresses of all CPUs.
pub const LAPIC: u32 = 0xfee0_0000;
/// The I/O APIC.
pub const IOAPIC: u32 = 0xfec0_0000;
/// The HPET.
pub const HPET: u32 = 0xfed0_0000;
/// The global interrupt of PIRQA; B to D follow.
pub const PIRQ_GSI: u8 = 16;
/// The I/O APIC's input of the interval timer; the others of the ISA bus have their own numbers.
pub const TIMER_GSI: u8 = 2;

/// What differs from one PC to another.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// CPUs; their APIC and ACPI numbers count from 0.
    pub cpus: u8,
    /// Which of COM1 to COM4 exist.
    pub coms: [bool; 4],
    /// Slots of PCI devices with an interrupt pin, and the pin: 1 to 4 for INTA# to INTD#.
    pub pins: Vec<(u8, u8)>,
}

impl Facts {
    /// The I/O APIC's number: the first that no CPU has.
    fn ioapic_id(&self) -> u8 {
        self.cpus
    }
}

/// The ACPI tables.
pub fn acpi(facts: &Facts) -> Bundle {
    acpi::bundle(facts)
}

/// The MP floating pointer structure and, behind it, the configuration table, for address `at`.
pub fn mp(facts: &Facts, at: u32) -> Vec<u8> {
    mp::tables(facts, at)
}

/// The byte that makes all of `bytes` sum up to 0.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte))
}
