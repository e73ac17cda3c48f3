//! The named CPU models, and the parser of what users write: `MODEL[,+FEATURE][,-FEATURE]...`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::cpuid::Model;
use crate::features::Features;

/// The features that make the x86-64-v2 level, and those that every processor of that level has besides.
const V2: Features = Features::FPU
    .with(Features::VME)
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
    .with(Features::MMX)
    .with(Features::FXSR)
    .with(Features::SSE)
    .with(Features::SSE2)
    .with(Features::SSE3)
    .with(Features::SSSE3)
    .with(Features::CX16)
    .with(Features::SSE41)
    .with(Features::SSE42)
    .with(Features::X2APIC)
    .with(Features::MOVBE)
    .with(Features::POPCNT)
    .with(Features::TSC_DEADLINE)
    .with(Features::HYPERVISOR)
    .with(Features::FSGSBASE)
    .with(Features::TSC_ADJUST)
    .with(Features::SMEP)
    .with(Features::ERMS)
    .with(Features::SMAP)
    .with(Features::UMIP)
    .with(Features::SPEC_CTRL)
    .with(Features::ARCH_CAPABILITIES)
    .with(Features::SYSCALL)
    .with(Features::NX)
    .with(Features::PDPE1GB)
    .with(Features::RDTSCP)
    .with(Features::LM)
    .with(Features::LAHF64)
    .with(Features::PREFETCHW)
    .with(Features::INVARIANT_TSC);

/// Everything that hako's own CPU implements.
const ALL: Features = V2
    .with(Features::PCLMULQDQ)
    .with(Features::AES)
    .with(Features::PCID)
    .with(Features::XSAVE)
    .with(Features::XSAVEOPT)
    .with(Features::RDRAND)
    .with(Features::RDSEED)
    .with(Features::INVPCID)
    .with(Features::CLFLUSHOPT)
    .with(Features::CLWB)
    .with(Features::PCOMMIT)
    .with(Features::PKU)
    .with(Features::PKS)
    .with(Features::RDPID)
    .with(Features::STIBP)
    .with(Features::SSBD);

/// The default model on every engine. Family 6, model 1Ah, stepping 3: the first Intel processors of this level, for
/// which no kernel has a work-around that would hurt.
pub const X86_64_V2: Model = Model {
    name: "x86-64-v2",
    vendor: b"GenuineIntel",
    brand: "hako x86-64-v2 CPU",
    signature: 0x0001_06a3,
    features: V2,
    physical_bits: 40,
    linear_bits: 48,
};

/// Everything that hako's own CPU implements.
pub const MAX: Model = Model { name: "max", brand: "hako max CPU", features: ALL, ..X86_64_V2 };

/// All models, the default first.
pub const MODELS: [Model; 2] = [X86_64_V2, MAX];

/// A model as `hako run --cpu help` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The name users give.
    pub name: &'static str,
    /// What it is.
    pub text: &'static str,
    /// Its features.
    pub features: Features,
}

/// The models, with a sentence on each.
pub fn describe() -> impl Iterator<Item = Description> {
    const TEXTS: [&str; MODELS.len()] = [
        "the default, the same on every engine: x86-64-v2 and what every processor of that level has",
        "everything that hako's own CPU implements",
    ];
    MODELS.iter().zip(TEXTS).map(|(m, text)| Description { name: m.name, text, features: m.features })
}

/// Why a CPU model is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuModelError {
    /// No model has this name.
    #[error("there is no CPU model {0:?}; there are {list}", list = List(MODELS.iter().map(|m| m.name)))]
    Model(String),
    /// No feature has this name.
    #[error("there is no CPU feature {0:?}; there are {list}", list = List(Features::all_names()))]
    Feature(String),
    /// What follows the model is neither `+FEATURE` nor `-FEATURE`.
    #[error("{0:?} is no change to a CPU model; write +FEATURE to add a feature, -FEATURE to take one away")]
    Change(String),
    /// Features that cannot be had.
    #[error("hako's CPU does not implement {}", List(.0.iter().copied()))]
    NotImplemented(Vec<&'static str>),
}

/// Names with commas.
struct List<I>(I);

impl<I: Iterator<Item = &'static str> + Clone> fmt::Display for List<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.clone().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// Reads `MODEL[,+FEATURE][,-FEATURE]...`. A feature comes with those it is built on and goes with those built on it.
///
/// # Errors
/// When the model or a feature is not known or not implemented.
pub fn parse_cpu(text: &str) -> Result<Model, CpuModelError> {
    let mut parts = text.split(',').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let mut model =
        *MODELS.iter().find(|m| m.name == name).ok_or_else(|| CpuModelError::Model(name.to_string()))?;
    for change in parts {
        let feature =
            |name: &str| Features::named(name).ok_or_else(|| CpuModelError::Feature(name.to_string()));
        if let Some(name) = change.strip_prefix('+') {
            model.features = model.features.with(feature(name)?).with_needs();
        } else if let Some(name) = change.strip_prefix('-') {
            model.features = model.features.without_dependents(feature(name)?);
        } else {
            return Err(CpuModelError::Change(change.to_string()));
        }
    }
    let missing: Vec<_> = model.features.without(ALL).names().collect();
    if missing.is_empty() { Ok(model) } else { Err(CpuModelError::NotImplemented(missing)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_model() {
        assert_eq!(parse_cpu("x86-64-v2"), Ok(X86_64_V2));
        assert_eq!(parse_cpu("max"), Ok(MAX));
        assert!(describe().map(|d| d.name).eq(["x86-64-v2", "max"]));
    }

    #[test]
    fn features_are_added_and_taken_away_with_what_belongs_to_them() {
        let m = parse_cpu("x86-64-v2,+aes,-sse4.1").unwrap();
        assert!(m.features.has(Features::AES));
        assert!(!m.features.has(Features::SSE41) && !m.features.has(Features::SSE42));
        assert!(m.features.has(Features::SSSE3));
        let m = parse_cpu("x86-64-v2,-fpu,+sse2").unwrap();
        assert!(m.features.has(Features::FPU | Features::FXSR | Features::SSE2));
        assert!(!m.features.has(Features::MMX));
    }

    #[test]
    fn errors_say_what_there_is() {
        let error = |s| parse_cpu(s).unwrap_err().to_string();
        assert_eq!(error("host"), "there is no CPU model \"host\"; there are x86-64-v2, max");
        assert!(error("max,+mmx2").starts_with("there is no CPU feature \"mmx2\"; there are fpu, vme, de,"));
        assert!(error("max,sse").contains("write +FEATURE"));
        assert_eq!(error("max,+vmx,+monitor"), "hako's CPU does not implement monitor, vmx");
        assert!(error("").starts_with("there is no CPU model"));
    }

    #[test]
    fn every_model_has_what_its_features_are_built_on() {
        for m in MODELS {
            assert_eq!(m.features.with_needs(), m.features, "{}", m.name);
        }
    }
}
