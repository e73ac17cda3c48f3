//! What a CPU is made as.

use hako_x86::Model;
use hako_x86::cpuid::X86_64_V2;

/// What a CPU is made as. Kept over resets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The virtual CPU's number, as chips see it, and its initial APIC ID.
    pub cpu: u8,
    /// How many CPUs the machine has, as the topology leaves of CPUID tell.
    pub cpus: u8,
    /// The bootstrap processor starts at the reset vector; the others wait for a SIPI.
    pub bsp: bool,
    /// The model that CPUID tells, of which this CPU offers what it implements.
    pub model: Model,
    /// The frequency of the time-stamp counter that CPUID leaf 15h tells; 0 tells none.
    pub tsc_hz: u64,
    /// What RDRAND and RDSEED start from: equal runs of machines with equal seeds get equal numbers.
    pub seed: u64,
    /// Decode each instruction anew and remember none: for a CPU that completes single instructions of a guest whose
    /// writes leave no marks in the slab. It takes little memory.
    pub uncached: bool,
}

impl Default for Config {
    /// The only CPU of its machine, of the default model.
    fn default() -> Config {
        Config { cpu: 0, cpus: 1, bsp: true, model: X86_64_V2, tsc_hz: 0, seed: 0, uncached: false }
    }
}

impl Config {
    /// CPU number `cpu` of `cpus`: the first one is the bootstrap processor.
    pub fn of(cpu: u8, cpus: u8) -> Config {
        Config { cpu, cpus, bsp: cpu == 0, ..Config::default() }
    }
}
