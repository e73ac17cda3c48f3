//! What CPUID tells the guest.

mod common;

use common::kvm;
use hako_engine_kvm::{CpuidMask, CpuidModel, CpuidReg, cpuid_extras, probe};

#[test]
fn bits_beyond_the_model_are_found() {
    if !kvm() {
        return;
    }
    let mask = |leaf, reg, keep| CpuidMask { leaf, subleaf: None, reg, keep };
    // Only FPU, TSC and MSRs.
    let masks = vec![
        mask(1, CpuidReg::Ecx, 0),
        mask(1, CpuidReg::Edx, 0x31),
        mask(7, CpuidReg::Ebx, 0),
        mask(7, CpuidReg::Ecx, 0),
        mask(7, CpuidReg::Edx, 0),
    ];
    let emulated = probe().usable.is_ok_and(|speed| speed.is_emulated());
    let extras = cpuid_extras(&CpuidModel { masks, emulated, ..CpuidModel::default() }).unwrap();
    if emulated {
        // Such a KVM may show the processor's features, but not CMPXCHG16B, which it obeys.
        assert!(extras.iter().all(|e| (e.leaf, e.reg) != (1, CpuidReg::Ecx) || e.bits & 1 << 13 == 0));
    } else {
        assert_eq!(extras, []);
    }
}

#[test]
fn a_model_without_masks_has_no_bits_beyond_it() {
    if !kvm() {
        return;
    }
    let model = CpuidModel { paravirt: true, ..CpuidModel::default() };
    assert_eq!(cpuid_extras(&model).unwrap(), []);
}
