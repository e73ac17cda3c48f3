//! CPUID: the model, less what this CPU does not do yet.

use hako_x86::cpuid::{Model, Moment, X86_64_V2};
use hako_x86::{Cr4, Features, msr};

use crate::Cpu;
use crate::cx::{Cx, Step};
use crate::op::Op;

/// What this CPU implements. Of x86-64-v2 x87, MMX, SSE to SSE4.2 (and with it the flag for CRC32, which works), FXSAVE,
/// FSGSBASE, SMEP, SMAP, x2APIC and the TSC deadline are missing; the local APIC is there where the bus has one.
const IMPLEMENTED: Features = Features::VME
    .with(Features::DE)
    .with(Features::PSE)
    .with(Features::TSC)
    .with(Features::MSR)
    .with(Features::PAE)
    .with(Features::MCE)
    .with(Features::CX8)
    .with(Features::APIC)
    .with(Features::SEP)
    .with(Features::MTRR)
    .with(Features::PGE)
    .with(Features::MCA)
    .with(Features::CMOV)
    .with(Features::PAT)
    .with(Features::PSE36)
    .with(Features::CLFSH)
    .with(Features::CX16)
    .with(Features::MOVBE)
    .with(Features::POPCNT)
    .with(Features::HYPERVISOR)
    .with(Features::TSC_ADJUST)
    .with(Features::ERMS)
    .with(Features::UMIP)
    .with(Features::ARCH_CAPABILITIES)
    .with(Features::SYSCALL)
    .with(Features::NX)
    .with(Features::PDPE1GB)
    .with(Features::RDTSCP)
    .with(Features::LM)
    .with(Features::LAHF64)
    .with(Features::PREFETCHW)
    .with(Features::INVARIANT_TSC);

/// The model that CPUID tells.
pub(crate) const MODEL: Model = X86_64_V2.limited_to(IMPLEMENTED);

/// CR4 bits of the features that are offered; all others are reserved.
pub(crate) const fn cr4_offered() -> Cr4 {
    Cr4::VME
        .union(Cr4::PVI)
        .union(Cr4::TSD)
        .union(Cr4::DE)
        .union(Cr4::PSE)
        .union(Cr4::PAE)
        .union(Cr4::MCE)
        .union(Cr4::PGE)
        .union(Cr4::PCE)
        .union(Cr4::UMIP)
}

impl Cpu {
    /// The CPU model as this CPU offers it.
    pub fn model() -> &'static Model {
        &MODEL
    }
}

/// CPUID.
pub(crate) fn cpuid(cx: &mut Cx<'_>, _op: &Op) -> Step {
    const APIC_ENABLED: u64 = 1 << 11;
    let (leaf, subleaf) = (cx.reg::<u32>(0), cx.reg::<u32>(1));
    let at = cx.at();
    let apic_enabled = cx.bus.msr_read(at, msr::APIC_BASE).is_some_and(|base| base & APIC_ENABLED != 0);
    let now = Moment {
        cr4: Cr4::from_bits_retain(cx.cpu.cr4),
        apic_id: cx.cpu.config.cpu,
        apic_enabled,
        tsc_hz: cx.cpu.config.tsc_hz,
    };
    let [eax, ebx, ecx, edx] = MODEL.cpuid(leaf, subleaf, &now);
    for (reg, value) in [(0, eax), (3, ebx), (1, ecx), (2, edx)] {
        cx.set_reg(reg, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_implemented_is_not_offered() {
        for missing in
            [Features::FPU, Features::MMX, Features::FXSR, Features::SSE, Features::SSE42, Features::XSAVE]
        {
            assert!(!MODEL.features.has(missing), "{missing:?}");
        }
        assert!(MODEL.features.has(Features::LM | Features::NX | Features::SYSCALL | Features::CX16));
    }

    #[test]
    fn everything_implemented_belongs_to_the_model() {
        assert_eq!(MODEL.features, IMPLEMENTED);
    }
}
