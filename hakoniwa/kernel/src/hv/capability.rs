//! What the processor must have for guests, and the words that say what is missing.

use super::controls::{self, Controls};
use core::fmt;

/// What is missing, by number for [`Info::HvMissing`](hakoniwa_abi::Info), in words for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// CPUID leaf 1, ECX bit 5.
    Vmx,
    /// IA32_FEATURE_CONTROL is locked without VMX outside SMX.
    Locked(u64),
    /// A control of this name.
    Control(&'static str),
    /// A property of EPT of this name.
    Ept(&'static str),
    /// VMXON failed.
    Vmxon,
}

impl Missing {
    /// Its number.
    pub fn number(self) -> u64 {
        match self {
            Missing::Vmx => 1,
            Missing::Locked(_) => 2,
            Missing::Control(_) => 3,
            Missing::Ept(_) => 4,
            Missing::Vmxon => 5,
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Missing::Vmx => write!(f, "VT-x is missing: CPUID leaf 1 has ECX bit 5 (VMX) clear"),
            Missing::Locked(value) => write!(
                f,
                "VT-x is off: firmware locked IA32_FEATURE_CONTROL at {value:#x} without bit 2; enable it in the setup"
            ),
            Missing::Control(name) => write!(f, "VT-x lacks the control \"{name}\""),
            Missing::Ept(name) => write!(f, "EPT lacks {name}"),
            Missing::Vmxon => write!(f, "VMXON failed, though every capability is there"),
        }
    }
}

/// How a processor answers.
pub trait Capabilities {
    /// ECX of CPUID leaf 1.
    fn features(&self) -> u32;
    /// An MSR; those of VMX only if CPUID has it.
    fn msr(&self, index: u32) -> u64;
    /// XCR0; 0 without XSAVE.
    fn xcr0(&self) -> u64;
}

/// IA32_FEATURE_CONTROL.
pub const FEATURE_CONTROL: u32 = 0x3a;
/// IA32_VMX_BASIC.
pub const BASIC: u32 = 0x480;
/// IA32_VMX_MISC.
pub const MISC: u32 = 0x485;
/// IA32_VMX_CR4_FIXED1.
const CR4_FIXED1: u32 = 0x489;
/// IA32_VMX_EPT_VPID_CAP.
const EPT_VPID: u32 = 0x48c;

/// The bit of that for 2 MiB pages.
const LARGE_PAGES: u32 = 16;
/// Bits of that: INVVPID, and of a single context.
const INVVPID: [u32; 2] = [32, 41];

/// What FEATURE_CONTROL has to become: `None` if it is right.
pub fn feature_control(value: u64) -> Result<Option<u64>, Missing> {
    const LOCK: u64 = 1;
    const VMX: u64 = 4;
    match (value & LOCK != 0, value & VMX != 0) {
        (true, true) => Ok(None),
        (true, false) => Err(Missing::Locked(value)),
        (false, _) => Ok(Some(value | LOCK | VMX)),
    }
}

/// Checks everything but VMXON itself and chooses the controls.
pub fn check(processor: &impl Capabilities) -> Result<Controls, Missing> {
    /// VMX_BASIC bit 55: the true controls, which may be off where the others must be on.
    const TRUE_CONTROLS: u64 = 1 << 55;
    if processor.features() >> 5 & 1 == 0 {
        return Err(Missing::Vmx);
    }
    feature_control(processor.msr(FEATURE_CONTROL))?;
    let shift = if processor.msr(BASIC) & TRUE_CONTROLS != 0 { 0x48d - 0x481 } else { 0 };
    let word = |table, index| controls::negotiate(table, processor.msr(index)).map_err(Missing::Control);
    let primary = word(controls::PRIMARY, 0x482 + shift)?;
    let ept = processor.msr(EPT_VPID);
    let mut secondary = word(controls::SECONDARY, 0x48b)?;
    if INVVPID.iter().any(|bit| ept >> bit & 1 == 0) {
        // Translations with a tag outlive entries and exits: there must be a way to drop them.
        secondary &= !controls::VPID;
    }
    let controls = Controls {
        pin: word(controls::PIN, 0x481 + shift)?,
        primary,
        secondary,
        exit: word(controls::EXIT, 0x483 + shift)?,
        entry: word(controls::ENTRY, 0x484 + shift)?,
        cr4: processor.msr(CR4_FIXED1),
        xcr0: processor.xcr0(),
        large_pages: ept >> LARGE_PAGES & 1 == 1,
    };
    for (bit, name) in
        [(6, "4-level tables"), (14, "write-back memory"), (20, "INVEPT"), (25, "single-context INVEPT")]
    {
        if ept >> bit & 1 == 0 {
            return Err(Missing::Ept(name));
        }
    }
    Ok(controls)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeMap;
    use std::string::ToString;

    struct Fake(BTreeMap<u32, u64>);

    impl Capabilities for Fake {
        fn features(&self) -> u32 {
            self.0.get(&1).copied().unwrap_or(0) as u32
        }

        fn msr(&self, index: u32) -> u64 {
            self.0[&index]
        }

        fn xcr0(&self) -> u64 {
            7
        }
    }

    fn haswell() -> Fake {
        let all = 0xffff_ffff_0000_0000;
        let mut msrs = BTreeMap::from([
            (1, 1 << 5),
            (FEATURE_CONTROL, 5),
            (BASIC, 1 << 55),
            (EPT_VPID, 0xf01_0630_6141),
            (CR4_FIXED1, 0x37_27ff),
        ]);
        for (index, must) in
            [(0x48d, 0x16), (0x48e, 0x400_6172), (0x48f, 0x3_6dfb), (0x490, 0x11fb), (0x48b, 0)]
        {
            msrs.insert(index, all | must);
        }
        *msrs.get_mut(&EPT_VPID).unwrap() |= 1 << 20 | 1 << 25;
        Fake(msrs)
    }

    #[test]
    fn a_good_processor_gets_its_controls() {
        let controls = check(&haswell()).unwrap();
        assert_eq!(controls.pin, 0x3f);
        assert_eq!(controls.secondary, 0x14ea);
    }

    #[test]
    fn there_are_no_tags_without_a_way_to_drop_what_has_them() {
        for bit in [32, 41] {
            let mut fake = haswell();
            *fake.0.get_mut(&EPT_VPID).unwrap() &= !(1 << bit);
            assert_eq!(check(&fake).unwrap().secondary & controls::VPID, 0);
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut fake = haswell();
        fake.0.insert(FEATURE_CONTROL, 1);
        assert_eq!(check(&fake), Err(Missing::Locked(1)));
        fake.0.insert(1, 0);
        assert_eq!(check(&fake), Err(Missing::Vmx));
        let mut fake = haswell();
        fake.0.insert(0x48b, 0xffff_ff7f << 32);
        assert_eq!(check(&fake).unwrap_err().to_string(), "VT-x lacks the control \"unrestricted guest\"");
        let mut fake = haswell();
        fake.0.insert(EPT_VPID, 1 << 6);
        assert_eq!(check(&fake).unwrap_err().to_string(), "EPT lacks write-back memory");
    }

    #[test]
    fn an_unlocked_feature_control_is_set_and_locked() {
        assert_eq!(feature_control(0), Ok(Some(5)));
        assert_eq!(feature_control(5), Ok(None));
        assert_eq!(feature_control(1), Err(Missing::Locked(1)));
    }
}
