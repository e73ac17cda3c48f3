//! What CPUID tells the guest: what this KVM supports, less what the named CPU model does not have.

use hako_engine::EngineError;
use hako_x86::Model;
use hako_x86::features::{Register, Word};
use kvm_bindings::{CpuId, KVM_CAP_X86_SMM, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};
use kvm_ioctls::{Cap, Error, Kvm};

use crate::error::host;

/// A result register of CPUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as in the SDM
pub enum CpuidReg {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

/// Which bits of one result register the model may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuidMask {
    /// EAX on entry.
    pub leaf: u32,
    /// ECX on entry; `None` for all subleaves.
    pub subleaf: Option<u32>,
    /// The register.
    pub reg: CpuidReg,
    /// The bits that stay, where KVM has them.
    pub keep: u32,
}

/// A CPU model as a list of masks over what KVM supports. Leaves without a mask stay as KVM has them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CpuidModel {
    /// The masks.
    pub masks: Vec<CpuidMask>,
    /// Whether the guest sees that it runs on KVM (leaves 0x40000000 on, and the hypervisor bit).
    pub paravirt: bool,
    /// This KVM executes ring 0 by emulation ([`crate::Speed::is_emulated`]): CMPXCHG16B is hidden, which its emulator
    /// refuses although KVM offers it.
    pub emulated: bool,
}

/// A bit that the guest sees although the model does not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuidExtra {
    /// EAX on entry.
    pub leaf: u32,
    /// ECX on entry.
    pub subleaf: u32,
    /// The register.
    pub reg: CpuidReg,
    /// The bits.
    pub bits: u32,
}

/// Where feature bits are: (leaf, subleaf).
pub(crate) const FEATURE_LEAVES: [(u32, u32); 4] = [(1, 0), (7, 0), (0xd, 1), (0x8000_0001, 0)];

/// Length of an XSAVE image without extended components.
const XSAVE_BASE: u32 = 576;
/// Leaf 1, ECX: CR4.OSXSAVE.
const OSXSAVE: u32 = 1 << 27;
/// Leaf 1, ECX: CMPXCHG16B and "runs under a hypervisor".
const CX16: u32 = 1 << 13;
const HYPERVISOR: u32 = 1 << 31;
/// The leaves by which hypervisors make themselves known.
const PARAVIRT_LEAVES: std::ops::Range<u32> = 0x4000_0000..0x4000_1000;

impl CpuidReg {
    /// All four.
    pub const ALL: [CpuidReg; 4] = [CpuidReg::Eax, CpuidReg::Ebx, CpuidReg::Ecx, CpuidReg::Edx];

    fn of(self, e: &kvm_cpuid_entry2) -> u32 {
        match self {
            CpuidReg::Eax => e.eax,
            CpuidReg::Ebx => e.ebx,
            CpuidReg::Ecx => e.ecx,
            CpuidReg::Edx => e.edx,
        }
    }

    fn of_mut(self, e: &mut kvm_cpuid_entry2) -> &mut u32 {
        match self {
            CpuidReg::Eax => &mut e.eax,
            CpuidReg::Ebx => &mut e.ebx,
            CpuidReg::Ecx => &mut e.ecx,
            CpuidReg::Edx => &mut e.edx,
        }
    }
}

/// Leaf Dh: the components of XCR0, by subleaf.
const XSAVE_LEAF: u32 = 0xd;
/// x87 and SSE, all that models with XSAVE and without AVX have (SDM Vol. 1 13.1).
const X87_SSE: u32 = 3;
/// Leaf 80000008h, EBX: what AMD processors have against speculation, and other features that no model has.
const EXTENDED: u32 = 0x8000_0008;

impl CpuidModel {
    /// The masks of a named model: its features, and no state components beside those of x87 and SSE.
    pub fn of(model: &Model) -> CpuidModel {
        let mut masks: Vec<CpuidMask> = Word::ALL
            .into_iter()
            .map(|word| {
                let (leaf, subleaf, reg) = word.place();
                let reg = match reg {
                    Register::Eax => CpuidReg::Eax,
                    Register::Ebx => CpuidReg::Ebx,
                    Register::Ecx => CpuidReg::Ecx,
                    Register::Edx => CpuidReg::Edx,
                };
                // OSXSAVE follows CR4.
                let own = if word == Word::Leaf1Ecx { OSXSAVE } else { 0 };
                CpuidMask { leaf, subleaf: Some(subleaf), reg, keep: model.features.word(word) | own }
            })
            .collect();
        let whole = |leaf, subleaf, reg, keep| CpuidMask { leaf, subleaf, reg, keep };
        masks.extend([
            whole(XSAVE_LEAF, Some(0), CpuidReg::Eax, X87_SSE),
            whole(XSAVE_LEAF, Some(0), CpuidReg::Edx, 0),
            whole(EXTENDED, None, CpuidReg::Ebx, 0),
        ]);
        CpuidModel { masks, ..CpuidModel::default() }
    }

    /// The bits of `entry`'s register that a guest of this model may see.
    fn allowed(&self, entry: &kvm_cpuid_entry2, reg: CpuidReg) -> u32 {
        let mut keep = self
            .masks
            .iter()
            .filter(|m| m.leaf == entry.function && m.reg == reg)
            .filter(|m| m.subleaf.is_none_or(|s| s == entry.index))
            .fold(!0, |keep, m| keep & m.keep);
        if entry.function == 1 && reg == CpuidReg::Ecx {
            // KVM sets the hypervisor bit in none or all of its answers; whether the guest sees it is our choice.
            keep = keep & !HYPERVISOR | if self.paravirt { HYPERVISOR } else { 0 };
            if self.emulated {
                keep &= !CX16;
            }
        }
        keep
    }

    fn apply(&self, entries: &mut Vec<kvm_cpuid_entry2>) {
        if !self.paravirt {
            entries.retain(|e| !PARAVIRT_LEAVES.contains(&e.function));
        }
        for e in entries.iter_mut() {
            for reg in CpuidReg::ALL {
                *reg.of_mut(e) &= self.allowed(e, reg);
            }
        }
        // The image ends where the last component does that is left: behind the header.
        if let Some(e) = entries.iter_mut().find(|e| e.function == XSAVE_LEAF && e.index == 0)
            && e.eax & !X87_SSE == 0
            && e.edx == 0
        {
            (e.ebx, e.ecx) = (XSAVE_BASE, XSAVE_BASE);
        }
    }
}

fn list(entries: &[kvm_cpuid_entry2]) -> Result<CpuId, EngineError> {
    CpuId::from_entries(entries).map_err(|_| host("CPUID list")(Error::new(libc::E2BIG)))
}

/// Whether this KVM emulates: every KVM that runs on a processor's virtualisation has one of these.
pub(crate) fn emulates(kvm: &Kvm) -> bool {
    !kvm.check_extension(Cap::TscControl) && kvm.check_extension_raw(KVM_CAP_X86_SMM.into()) == 0
}

/// What KVM supports, masked to the model.
pub(crate) fn of_model(kvm: &Kvm, model: &CpuidModel) -> Result<CpuId, EngineError> {
    let supported =
        kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(host("KVM_GET_SUPPORTED_CPUID"))?;
    let mut entries = supported.as_slice().to_vec();
    let model = CpuidModel { emulated: model.emulated || emulates(kvm), ..model.clone() };
    model.apply(&mut entries);
    list(&entries)
}

/// The same for CPU number `id`: its initial APIC id, and no neighbours (leaf 1 EBX, leaf 0xb and 0x1f).
pub(crate) fn of_cpu(cpuid: &CpuId, id: u8) -> CpuId {
    let mut cpuid = cpuid.clone();
    for e in cpuid.as_mut_slice() {
        match e.function {
            1 => e.ebx = e.ebx & 0x0000_ffff | 1 << 16 | u32::from(id) << 24,
            0xb | 0x1f => e.edx = id.into(),
            _ => {}
        }
    }
    cpuid
}

/// What `answers`, the results of CPUID as a guest got them, show beyond the model: (leaf, subleaf, [eax, ebx, ecx,
/// edx]). OSXSAVE follows CR4 and is not counted.
pub(crate) fn extras(model: &CpuidModel, answers: &[(u32, u32, [u32; 4])]) -> Vec<CpuidExtra> {
    // Family and model, APIC id and the like, and how many subleaves leaf 7 has: no features.
    const NO_FEATURES: [(u32, CpuidReg); 5] = [
        (1, CpuidReg::Eax),
        (1, CpuidReg::Ebx),
        (7, CpuidReg::Eax),
        (0x8000_0001, CpuidReg::Eax),
        (0x8000_0001, CpuidReg::Ebx),
    ];
    let mut out = Vec::new();
    for &(leaf, subleaf, [eax, ebx, ecx, edx]) in answers {
        let entry =
            kvm_cpuid_entry2 { function: leaf, index: subleaf, eax, ebx, ecx, edx, ..Default::default() };
        for reg in CpuidReg::ALL {
            let mut bits = reg.of(&entry) & !model.allowed(&entry, reg);
            if leaf == 1 && reg == CpuidReg::Ecx {
                bits &= !OSXSAVE;
            }
            if bits != 0 && !NO_FEATURES.contains(&(leaf, reg)) {
                out.push(CpuidExtra { leaf, subleaf, reg, bits });
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf1(ecx: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 { function: 1, ecx, ..Default::default() }
    }

    #[test]
    fn a_mask_takes_bits_away_and_adds_none() {
        let mask = CpuidMask { leaf: 1, subleaf: None, reg: CpuidReg::Ecx, keep: 0b101 };
        let model = CpuidModel { masks: vec![mask], ..Default::default() };
        let mut entries =
            vec![leaf1(0b011), kvm_cpuid_entry2 { function: 7, ecx: 0b11, ..Default::default() }];
        model.apply(&mut entries);
        assert_eq!((entries[0].ecx, entries[1].ecx), (0b001, 0b11));
    }

    #[test]
    fn a_named_model_has_neither_avx_nor_its_state() {
        let model = CpuidModel::of(&hako_x86::cpuid::X86_64_V2);
        let state =
            kvm_cpuid_entry2 { function: 0xd, eax: 0x2e7, ebx: 2440, ecx: 2440, ..Default::default() };
        let mut entries = vec![leaf1(!0), state];
        model.apply(&mut entries);
        assert_eq!(entries[0].ecx & (1 << 28 | 1 << 12), 0, "AVX, FMA");
        assert_ne!(entries[0].ecx & OSXSAVE, 0);
        assert_eq!((entries[1].eax, entries[1].ebx), (entries[1].eax & 3, 576));
    }

    #[test]
    fn cmpxchg16b_is_hidden_only_where_kvm_emulates() {
        for emulated in [false, true] {
            let mut entries = vec![leaf1(CX16)];
            CpuidModel { emulated, ..Default::default() }.apply(&mut entries);
            assert_eq!(entries[0].ecx == 0, emulated);
        }
    }

    #[test]
    fn kvm_is_hidden_unless_asked_for() {
        let kvm = kvm_cpuid_entry2 { function: 0x4000_0001, eax: 1, ..Default::default() };
        let mut entries = vec![leaf1(HYPERVISOR), kvm];
        CpuidModel { paravirt: true, ..Default::default() }.apply(&mut entries);
        assert_eq!((entries.len(), entries[0].ecx), (2, HYPERVISOR));
        CpuidModel::default().apply(&mut entries);
        assert_eq!((entries.len(), entries[0].ecx), (1, 0));
    }

    #[test]
    fn what_a_guest_sees_beyond_the_model_is_listed() {
        let mask = CpuidMask { leaf: 1, subleaf: None, reg: CpuidReg::Ecx, keep: 1 };
        let model = CpuidModel { masks: vec![mask], ..Default::default() };
        let extra = CpuidExtra { leaf: 1, subleaf: 0, reg: CpuidReg::Ecx, bits: 1 << 23 };
        assert_eq!(extras(&model, &[(1, 0, [0, 0, 1 | 1 << 23 | 1 << 27, 0])]), [extra]);
    }
}
