//! Memory slots: what KVM knows of the guest's memory, kept equal to a [`hako_mem::MemoryMap`].
//!
//! KVM's rules: slots may not overlap, and neither the size, the host address nor the read-only flag of a slot may
//! change. So a change of the map deletes every slot that is not wanted any more, then creates what is missing under
//! the lowest free numbers; slots that stay keep their numbers and are not touched (KVM forgets all page tables of a
//! deleted slot, which is dear for the big ones).

use std::sync::Arc;

use hako_engine::EngineError;
use hako_mem::{GuestMemory, RegionKind};
use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;

use crate::error::host_with;

/// A map with more than one region is cut here, so that what a PC does below (shadow RAM, PAM, SMRAM) never touches
/// the slot of the RAM above.
const CUT: u64 = 1 << 20;

/// One slot: a range of guest-physical addresses that shows host memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    gpa: u64,
    len: u64,
    host: u64,
    kind: RegionKind,
}

/// The slots of one VM.
#[derive(Default)]
pub(crate) struct Slots {
    /// What KVM has, by slot number.
    slots: Vec<Option<Slot>>,
    /// The memory the slots show; keeps it alive.
    memory: Option<GuestMemory>,
}

/// The slots that show `memory`.
fn wanted(memory: &GuestMemory) -> Vec<Slot> {
    let slab = memory.slab();
    let regions = memory.map().regions();
    let mut out = Vec::with_capacity(regions.len() + 1);
    for r in regions {
        // What lies past the end of the slab has no memory to show: it stays with the bus.
        let len = r.len.min(slab.len().saturating_sub(r.offset.0));
        if len == 0 {
            continue;
        }
        let host = slab.host_base().as_ptr() as u64 + r.offset.0;
        let slot = Slot { gpa: r.gpa.0, len, host, kind: r.kind };
        let below = CUT.saturating_sub(slot.gpa);
        if regions.len() > 1 && below > 0 && below < len {
            out.push(Slot { len: below, ..slot });
            out.push(Slot { gpa: CUT, len: len - below, host: host + below, ..slot });
        } else {
            out.push(slot);
        }
    }
    out
}

impl Slots {
    /// Whether the slots show exactly this memory already: the same map of the same slab. Comparing addresses is exact,
    /// because a change makes a new map value and the old one is kept here.
    fn show(&self, memory: &GuestMemory) -> bool {
        self.memory.as_ref().is_some_and(|have| {
            std::ptr::eq(have.map(), memory.map()) && Arc::ptr_eq(have.slab(), memory.slab())
        })
    }

    /// Makes the slots show `memory`.
    pub(crate) fn follow(&mut self, vm: &VmFd, memory: &GuestMemory) -> Result<(), EngineError> {
        if self.show(memory) {
            return Ok(());
        }
        let want = wanted(memory);
        for (id, entry) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = *entry
                && !want.contains(&slot)
            {
                set(vm, id, &Slot { len: 0, ..slot })?;
                *entry = None;
            }
        }
        // Every slot that is left is wanted, so the old memory may go once the new one is shown.
        for slot in want {
            if self.slots.contains(&Some(slot)) {
                continue;
            }
            let id = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
            set(vm, id, &slot)?;
            match self.slots.get_mut(id) {
                Some(entry) => *entry = Some(slot),
                None => self.slots.push(Some(slot)),
            }
        }
        self.memory = Some(memory.clone());
        Ok(())
    }
}

/// Tells KVM about one slot; length 0 deletes it.
fn set(vm: &VmFd, id: usize, slot: &Slot) -> Result<(), EngineError> {
    let region = kvm_userspace_memory_region {
        slot: id as u32,
        flags: if slot.kind == RegionKind::Rom { KVM_MEM_READONLY } else { 0 },
        guest_phys_addr: slot.gpa,
        memory_size: slot.len,
        userspace_addr: slot.host,
    };
    // SAFETY: the range lies inside a slab (see `wanted`), which `Slots::memory` keeps alive as long as the VM has the
    // slot; a guest's accesses to it are not seen by Rust, which has no references into a slab.
    unsafe { vm.set_user_memory_region(region) }.map_err(|errno| {
        host_with(
            "KVM_SET_USER_MEMORY_REGION",
            errno,
            &format!("the slot was {:#x} bytes at guest address {:#x}", slot.len, slot.gpa),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hako_mem::{Gpa, Region, SlabOffset};

    fn memory(regions: &[(u64, u64, u64, RegionKind)]) -> GuestMemory {
        let mut memory = GuestMemory::flat(0x40_0000);
        let mut map = hako_mem::MemoryMap::new();
        for &(gpa, len, offset, kind) in regions {
            map.map(Region { gpa: Gpa(gpa), len, kind, offset: SlabOffset(offset) }).unwrap();
        }
        memory.set_map(map);
        memory
    }

    #[test]
    fn one_region_is_one_slot() {
        let slots = wanted(&memory(&[(0, 0x40_0000, 0, RegionKind::Ram)]));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn a_pc_map_is_cut_at_one_mebibyte() {
        let slots = wanted(&memory(&[
            (0, 0xa_0000, 0, RegionKind::Ram),
            (0xc_0000, 0x34_0000, 0xc_0000, RegionKind::Ram),
        ]));
        let ranges: Vec<_> = slots.iter().map(|s| (s.gpa, s.len)).collect();
        assert_eq!(ranges, [(0, 0xa_0000), (0xc_0000, 0x4_0000), (0x10_0000, 0x30_0000)]);
        assert_eq!(slots[2].host - slots[1].host, 0x4_0000);
    }

    #[test]
    fn what_lies_past_the_slab_has_no_slot() {
        let slots = wanted(&memory(&[
            (0, 0x1000, 0x3f_f000, RegionKind::Ram),
            (0x2000, 0x2000, 0x3f_f000, RegionKind::Ram),
            (0x8000, 0x1000, 0x80_0000, RegionKind::Rom),
        ]));
        let ranges: Vec<_> = slots.iter().map(|s| (s.gpa, s.len)).collect();
        assert_eq!(ranges, [(0, 0x1000), (0x2000, 0x1000)]);
    }
}
