//! The MSRs that belong to a guest's state.

use hako_engine::EngineError;
use hako_x86::{StateError, msr};
use kvm_bindings::{Msrs, kvm_msr_entry};
use kvm_ioctls::{Error, VcpuFd};

use crate::error::host;

/// What a guest can change, with the values after RESET (SDM Vol. 3A table 9-1 and Vol. 4). Those that this KVM does
/// not have are left out. EFER, FS and GS base travel with the segments, the TSC has a field of its own.
const TABLE: &[(u32, u64)] = &[
    (msr::SYSENTER_CS, 0),
    (msr::SYSENTER_ESP, 0),
    (msr::SYSENTER_EIP, 0),
    (msr::STAR, 0),
    (msr::LSTAR, 0),
    (msr::CSTAR, 0),
    (msr::FMASK, 0),
    (msr::KERNEL_GS_BASE, 0),
    (msr::TSC_AUX, 0),
    (msr::TSC_ADJUST, 0),
    (msr::DEBUGCTL, 0),
    (msr::PAT, 0x0007_0406_0007_0406),
    (msr::MTRR_DEF_TYPE, 0),
    (msr::TSC_DEADLINE, 0),
];

/// The fixed-range MTRRs, then IA32_MTRR_PHYSBASE0 to PHYSMASK7 (SDM Vol. 3A 12.11.2); 0 after RESET.
const MTRRS: [u32; 11] = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
const VARIABLE_MTRRS: std::ops::RangeInclusive<u32> = 0x200..=0x20f;

/// Value after RESET of an MSR that [`known`] lists.
fn after_reset(index: u32) -> u64 {
    TABLE.iter().find(|m| m.0 == index).map_or(0, |m| m.1)
}

/// All of the table's indices.
fn known() -> impl Iterator<Item = u32> {
    TABLE.iter().map(|m| m.0).chain(MTRRS).chain(VARIABLE_MTRRS)
}

/// The MSRs of one vCPU at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MsrValues {
    pub(crate) tsc: u64,
    pub(crate) list: Vec<(u32, u64)>,
}

impl MsrValues {
    /// As after RESET.
    pub(crate) fn reset() -> MsrValues {
        MsrValues { tsc: 0, list: known().map(|i| (i, after_reset(i))).collect() }
    }

    fn get(&self, index: u32) -> Option<u64> {
        self.list.iter().find(|m| m.0 == index).map(|m| m.1)
    }
}

fn entries(of: impl Iterator<Item = (u32, u64)>) -> Result<Msrs, EngineError> {
    let list: Vec<_> = of.map(|(index, data)| kvm_msr_entry { index, data, ..Default::default() }).collect();
    Msrs::from_entries(&list).map_err(|_| host("MSR list")(Error::new(libc::E2BIG)))
}

/// Reads the TSC and all MSRs of the table. `indices` is the list to ask for, made at first and shortened here by what
/// this KVM does not have (KVM_GET_MSRS stops at the first such).
pub(crate) fn read(fd: &VcpuFd, indices: &mut Vec<u32>) -> Result<MsrValues, EngineError> {
    if indices.is_empty() {
        *indices = std::iter::once(msr::TSC).chain(known()).collect();
    }
    loop {
        let mut msrs = entries(indices.iter().map(|&i| (i, 0)))?;
        let done = fd.get_msrs(&mut msrs).map_err(host("KVM_GET_MSRS"))?;
        if done < indices.len() {
            indices.remove(done);
            continue;
        }
        let mut values = msrs.as_slice().iter().map(|e| (e.index, e.data));
        let tsc = if indices.first() == Some(&msr::TSC) { values.next().map_or(0, |v| v.1) } else { 0 };
        return Ok(MsrValues { tsc, list: values.collect() });
    }
}

/// Writes what differs between `old` (or everything) and `new`. An MSR of the table that `new` does not list gets its
/// value after RESET; one that KVM refuses is an error unless its value is that.
pub(crate) fn write(fd: &VcpuFd, old: Option<&MsrValues>, new: &MsrValues) -> Result<(), EngineError> {
    // What was read and is not there is an MSR that this KVM does not have.
    let differs = |index, value| {
        old.is_none_or(|old| old.get(index).map_or(value != after_reset(index), |old| old != value))
    };
    let mut list: Vec<_> = known()
        .filter(|&index| new.get(index).is_none())
        .map(|index| (index, after_reset(index)))
        .chain(new.list.iter().copied())
        .filter(|&(index, value)| differs(index, value))
        .collect();
    if old.is_none_or(|old| old.tsc != new.tsc) {
        // First, because the deadline of the APIC timer is compared with it.
        list.insert(0, (msr::TSC, new.tsc));
    }
    while !list.is_empty() {
        let msrs = entries(list.iter().copied())?;
        let done = fd.set_msrs(&msrs).map_err(host("KVM_SET_MSRS"))?;
        if let Some(&(index, value)) = list.get(done)
            && value != after_reset(index)
        {
            let field = msr::name(index).unwrap_or("an MSR that KVM does not have");
            return Err(StateError::Unsupported { field, value }.into());
        }
        list.drain(..=done.min(list.len() - 1));
    }
    Ok(())
}
