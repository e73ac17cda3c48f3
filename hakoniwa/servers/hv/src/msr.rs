//! MSRs that neither the kernel nor the board keeps: those that every processor of the model has.

use hako_cpu::Cpu;

/// Their indices and values.
pub struct Msrs(alloc::vec::Vec<(u32, u64)>);

impl Msrs {
    /// As after reset: what hako's own CPU has besides those that the kernel keeps.
    pub fn new() -> Msrs {
        const PLATFORM_ID: u32 = 0x17;
        const BIOS_SIGN_ID: u32 = 0x8b;
        let mut list = Cpu::new(hako_cpu::Config::default()).state().msrs;
        // Read-only ones; the microcode's revision reads as hako's CPU tells it.
        list.extend([(PLATFORM_ID, 0), (BIOS_SIGN_ID, 1 << 32)]);
        Msrs(list)
    }

    /// Its value, if it is there.
    pub fn read(&self, index: u32) -> Option<u64> {
        self.0.iter().find(|m| m.0 == index).map(|m| m.1)
    }

    /// Whether it takes a value.
    pub fn write(&mut self, index: u32, value: u64) -> bool {
        let found = self.0.iter_mut().find(|m| m.0 == index);
        found.map(|m| m.1 = value).is_some()
    }
}

/// IA32_TSC_DEADLINE.
pub const TSC_DEADLINE: u32 = 0x6e0;
