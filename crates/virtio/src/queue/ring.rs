//! Where the three parts of a split queue are, and access to their words.

use hako_mem::{Gpa, GuestMemory, Lookup, RegionKind};

use super::{Fault, MAX_SIZE};

/// Bytes of a descriptor (2.7.5).
pub const DESCRIPTOR: u64 = 16;
/// The alignment of the used ring in the legacy layout (2.7.2), and the unit of the queue address register.
const LEGACY_ALIGN: u64 = 4096;

/// Addresses and size of a queue as its driver set them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rings {
    /// Entries: a power of two up to [`MAX_SIZE`].
    pub size: u16,
    /// The descriptor table.
    pub desc: u64,
    /// The available ring (driver area).
    pub avail: u64,
    /// The used ring (device area).
    pub used: u64,
}

crate::saved::record!(Rings { size, desc, avail, used });

impl Rings {
    /// The legacy layout: one piece, found by its page number.
    pub fn legacy(size: u16, page: u32) -> Rings {
        let desc = u64::from(page) * LEGACY_ALIGN;
        let avail = desc + DESCRIPTOR * u64::from(size);
        // Flags, index, ring and used_event.
        let used = (avail + 2 * (3 + u64::from(size))).next_multiple_of(LEGACY_ALIGN);
        Rings { size, desc, avail, used }
    }

    /// Whether size and alignment are what 2.7 asks for.
    pub fn check(&self) -> Result<(), Fault> {
        if !self.size.is_power_of_two() || self.size > MAX_SIZE {
            return Err(Fault::Available(0, self.size));
        }
        let aligned = [(self.desc, 16), (self.avail, 2), (self.used, 4)];
        match aligned.into_iter().find(|(at, align)| !at.is_multiple_of(*align)) {
            Some((at, _)) => Err(Fault::Unaligned(Gpa(at))),
            None => Ok(()),
        }
    }
}

/// One part of a queue: the words of it are read and written by single accesses, since the other side may be another
/// CPU at work.
#[derive(Clone, Copy)]
pub struct Part(pub u64);

impl Part {
    fn find(self, memory: &GuestMemory, offset: u64, len: u64) -> Result<Lookup, Fault> {
        let at = Gpa(self.0).checked_add(offset).ok_or(Fault::Ring(Gpa(self.0)))?;
        memory.lookup(at).filter(|hit| hit.left >= len).ok_or(Fault::Ring(at))
    }

    fn find_writable(self, memory: &GuestMemory, offset: u64, len: u64) -> Result<Lookup, Fault> {
        let hit = self.find(memory, offset, len)?;
        if hit.kind == RegionKind::Ram { Ok(hit) } else { Err(Fault::Ring(Gpa(self.0))) }
    }

    /// A word.
    pub fn load(self, memory: &GuestMemory, offset: u64) -> Result<u16, Fault> {
        Ok(memory.slab().load(self.find(memory, offset, 2)?.offset.0))
    }

    /// Sixteen bytes, which is a descriptor.
    pub fn load_descriptor(self, memory: &GuestMemory, index: u16) -> Result<u128, Fault> {
        let offset = DESCRIPTOR * u64::from(index);
        match self.find(memory, offset, DESCRIPTOR) {
            Ok(hit) => Ok(memory.slab().load(hit.offset.0)),
            // Indirect tables need not be aligned, so that an entry may lie in two regions.
            Err(fault) => {
                let at = Gpa(self.0).checked_add(offset).ok_or(fault)?;
                memory.load(at).map_err(|_| fault)
            }
        }
    }

    /// Stores a word.
    pub fn store(self, memory: &GuestMemory, offset: u64, value: u16) -> Result<(), Fault> {
        let hit = self.find_writable(memory, offset, 2)?;
        memory.slab().store(hit.offset.0, value);
        memory.slab().note_write(hit.offset, 2);
        Ok(())
    }

    /// Stores an entry of the used ring.
    pub fn store_used(self, memory: &GuestMemory, offset: u64, id: u16, len: u32) -> Result<(), Fault> {
        let value = u64::from(len) << 32 | u64::from(id);
        let at = Gpa(self.0).checked_add(offset).ok_or(Fault::Ring(Gpa(self.0)))?;
        memory.store(at, value).map_err(|_| Fault::Ring(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_legacy_layout_has_the_used_ring_on_the_next_page() {
        let r = Rings::legacy(256, 0x10);
        assert_eq!((r.desc, r.avail, r.used), (0x1_0000, 0x1_1000, 0x1_2000));
        let r = Rings::legacy(8, 1);
        assert_eq!((r.desc, r.avail, r.used), (0x1000, 0x1080, 0x2000));
    }

    #[test]
    fn the_last_legacy_page_does_not_overflow() {
        assert_eq!(Rings::legacy(MAX_SIZE, u32::MAX).desc, 0xfff_ffff_f000);
    }

    #[test]
    fn sizes_are_powers_of_two_and_parts_are_aligned() {
        let good = Rings { size: 8, desc: 0x1000, avail: 0x2002, used: 0x3004 };
        assert_eq!(good.check(), Ok(()));
        assert!(Rings { size: 0, ..good }.check().is_err());
        assert!(Rings { size: 6, ..good }.check().is_err());
        assert_eq!(Rings { desc: 0x1008, ..good }.check(), Err(Fault::Unaligned(Gpa(0x1008))));
        assert_eq!(Rings { avail: 0x2001, ..good }.check(), Err(Fault::Unaligned(Gpa(0x2001))));
        assert_eq!(Rings { used: 0x3002, ..good }.check(), Err(Fault::Unaligned(Gpa(0x3002))));
    }
}
