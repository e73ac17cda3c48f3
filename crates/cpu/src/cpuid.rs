//! CPUID: the model, less what this CPU does not do.

use hako_x86::cpuid::leaf::{HYPERVISOR, XSAVE};
use hako_x86::cpuid::{MAX, Model, Moment, xsave};
use hako_x86::{Cr4, Features, msr};

use crate::Cpu;
use crate::cx::{Cx, Step};
use crate::msr::{LIMIT_CPUID, XD_DISABLE};
use crate::op::Op;

/// What this CPU implements; the local APIC and what belongs to it are there where the bus has one.
pub(crate) const IMPLEMENTED: Features = MAX.features;

/// CR4 bits, each with the feature that it belongs to; the others are reserved.
const CR4_BITS: [(Cr4, Features); 19] = [
    (Cr4::VME, Features::VME),
    (Cr4::PVI, Features::VME),
    (Cr4::TSD, Features::TSC),
    (Cr4::DE, Features::DE),
    (Cr4::PSE, Features::PSE),
    (Cr4::PAE, Features::PAE),
    (Cr4::MCE, Features::MCE),
    (Cr4::PGE, Features::PGE),
    (Cr4::PCE, Features::NONE),
    (Cr4::OSFXSR, Features::FXSR),
    (Cr4::OSXMMEXCPT, Features::SSE),
    (Cr4::UMIP, Features::UMIP),
    (Cr4::FSGSBASE, Features::FSGSBASE),
    (Cr4::PCIDE, Features::PCID),
    (Cr4::OSXSAVE, Features::XSAVE),
    (Cr4::SMEP, Features::SMEP),
    (Cr4::SMAP, Features::SMAP),
    (Cr4::PKE, Features::PKU),
    (Cr4::PKS, Features::PKS),
];

/// The CR4 bits of a CPU with these features.
pub(crate) fn cr4_of(features: &Features) -> Cr4 {
    CR4_BITS.iter().filter(|(_, f)| features.has(*f)).fold(Cr4::empty(), |all, (bit, _)| all | *bit)
}

impl Cpu {
    /// What software CPUs implement; a model with more is told without the rest.
    pub const fn implemented() -> Features {
        IMPLEMENTED
    }

    /// The CPU model as this CPU offers it.
    pub fn model(&self) -> &Model {
        &self.config.model
    }

    /// Whether the model has a feature.
    #[inline]
    pub(crate) fn has(&self, feature: Features) -> bool {
        self.config.model.features.has(feature)
    }
}

/// CPUID.
pub(crate) fn cpuid(cx: &mut Cx<'_>, _op: &Op) -> Step {
    const APIC_ENABLED: u64 = 1 << 11;
    /// The highest basic leaf that IA32_MISC_ENABLE can limit CPUID to.
    const LIMIT: u32 = 2;
    let (mut leaf, subleaf) = (cx.reg::<u32>(0), cx.reg::<u32>(1));
    let misc_enable = cx.cpu.sys.misc_enable;
    let limited = misc_enable & LIMIT_CPUID != 0 && leaf < HYPERVISOR;
    if limited {
        leaf = leaf.min(LIMIT);
    }
    let at = cx.at();
    let apic_enabled = cx.bus.msr_read(at, msr::APIC_BASE).is_some_and(|base| base & APIC_ENABLED != 0);
    let config = &cx.cpu.config;
    let now = Moment {
        cr4: Cr4::from_bits_retain(cx.cpu.cr4),
        apic_id: config.cpu,
        cpus: config.cpus,
        apic_enabled,
        tsc_hz: config.tsc_hz,
    };
    let mut model = config.model;
    if misc_enable & XD_DISABLE != 0 {
        model.features = model.features.without(Features::NX);
    }
    let [mut eax, mut ebx, ecx, edx] = model.cpuid(leaf, subleaf, &now);
    if limited && leaf == 0 {
        eax = eax.min(LIMIT);
    }
    if (leaf, subleaf) == (XSAVE, 0) && ebx != 0 {
        ebx = xsave::size(cx.cpu.fpu.xcr0);
    }
    for (reg, value) in [(0, eax), (3, ebx), (1, ecx), (2, edx)] {
        cx.set_reg(reg, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use hako_x86::cpuid::X86_64_V2;

    #[test]
    fn models_are_told_as_they_are() {
        for model in [X86_64_V2, MAX] {
            let cpu = Cpu::new(Config { model, ..Config::default() });
            assert_eq!(cpu.model().features, model.features);
        }
    }

    #[test]
    fn every_bit_of_cr4_has_its_feature() {
        assert_eq!(cr4_of(&Features::NONE), Cr4::PCE);
        assert_eq!(cr4_of(&MAX.features), Cr4::all() & !(Cr4::LA57 | Cr4::VMXE));
    }
}
