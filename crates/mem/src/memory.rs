//! Guest memory as chips, firmware and loaders see it: guest-physical addresses, copies, errors.

use alloc::sync::Arc;

use crate::{Gpa, Lookup, MemoryMap, RegionKind, Slab, SlabOffset, Word};

/// Why guest memory can't be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemError {
    /// Part of the range is neither RAM nor ROM.
    #[error("guest address {0} is not RAM")]
    NotRam(Gpa),
    /// Part of the range is ROM.
    #[error("guest address {0} is read-only")]
    ReadOnly(Gpa),
}

/// The slab and the map of the moment. Cheap to clone; a change of the map makes a new value.
#[derive(Clone)]
pub struct GuestMemory {
    slab: Arc<Slab>,
    map: Arc<MemoryMap>,
}

impl GuestMemory {
    /// Guest memory that shows `slab` as `map` says.
    pub fn new(slab: Arc<Slab>, map: MemoryMap) -> GuestMemory {
        GuestMemory { slab, map: Arc::new(map) }
    }

    /// RAM of `len` bytes at guest address 0 on the heap, nothing else: for tests.
    pub fn flat(len: u64) -> GuestMemory {
        let slab = Slab::heap(len);
        let mut map = MemoryMap::new();
        let region =
            crate::Region { gpa: Gpa(0), len: slab.len(), kind: RegionKind::Ram, offset: SlabOffset(0) };
        // A heap slab has whole pages, so this cannot be refused; an empty map would be the harmless result.
        let _ = map.map(region);
        GuestMemory::new(Arc::new(slab), map)
    }

    /// The slab behind it.
    #[inline(always)]
    pub fn slab(&self) -> &Arc<Slab> {
        &self.slab
    }

    /// The map.
    #[inline(always)]
    pub fn map(&self) -> &MemoryMap {
        &self.map
    }

    /// Replaces the map (PAM, BAR moves). Engines see its generation change.
    pub fn set_map(&mut self, map: MemoryMap) {
        self.map = Arc::new(map);
    }

    /// Where `gpa` leads, or `None` for the bus.
    #[inline]
    pub fn lookup(&self, gpa: Gpa) -> Option<Lookup> {
        self.map.lookup(gpa)
    }

    /// Calls `f` with (slab offset, position in the range, length) for each piece of the range, after checking
    /// the whole of it.
    fn pieces(
        &self,
        gpa: Gpa,
        len: u64,
        write: bool,
        mut f: impl FnMut(SlabOffset, usize, usize),
    ) -> Result<(), MemError> {
        for pass in 0..2 {
            let mut done = 0;
            while done < len {
                let at = gpa.checked_add(done).ok_or(MemError::NotRam(gpa))?;
                let hit = self.map.lookup(at).ok_or(MemError::NotRam(at))?;
                if write && hit.kind == RegionKind::Rom {
                    return Err(MemError::ReadOnly(at));
                }
                let n = hit.left.min(len - done);
                if hit.offset.0.checked_add(n).is_none_or(|end| end > self.slab.len()) {
                    return Err(MemError::NotRam(at));
                }
                if pass == 1 {
                    f(hit.offset, done as usize, n as usize);
                }
                done += n;
            }
        }
        Ok(())
    }

    /// Copies guest memory into `buf`; all of it or an error and nothing.
    pub fn read(&self, gpa: Gpa, buf: &mut [u8]) -> Result<(), MemError> {
        self.pieces(gpa, buf.len() as u64, false, |off, at, n| {
            self.slab.read(off, &mut buf[at..at + n]);
        })
    }

    /// Copies `data` into guest RAM; all of it or an error and nothing.
    pub fn write(&self, gpa: Gpa, data: &[u8]) -> Result<(), MemError> {
        self.pieces(gpa, data.len() as u64, true, |off, at, n| {
            self.slab.write(off, &data[at..at + n]);
        })
    }

    /// Sets `len` bytes of guest RAM to `value`; all of it or an error and nothing.
    pub fn fill(&self, gpa: Gpa, len: u64, value: u8) -> Result<(), MemError> {
        self.pieces(gpa, len, true, |off, _, n| {
            self.slab.fill(off, n as u64, value);
        })
    }

    /// Reads a little-endian word.
    pub fn load<T: Word>(&self, gpa: Gpa) -> Result<T, MemError> {
        let mut bytes = [0; 16];
        let n = size_of::<T>();
        self.read(gpa, &mut bytes[..n])?;
        Ok(T::from_u128(u128::from_le_bytes(bytes)))
    }

    /// Writes a little-endian word.
    pub fn store<T: Word>(&self, gpa: Gpa, value: T) -> Result<(), MemError> {
        self.write(gpa, &value.to_u128().to_le_bytes()[..size_of::<T>()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_little_endian_and_bounds_checked() {
        let mem = GuestMemory::flat(0x2000);
        mem.store(Gpa(0xffe), 0x1122_3344u32).unwrap();
        assert_eq!(mem.load::<u8>(Gpa(0xffe)), Ok(0x44));
        assert_eq!(mem.load::<u32>(Gpa(0xffe)), Ok(0x1122_3344));
        assert_eq!(mem.load::<u32>(Gpa(0x1ffe)), Err(MemError::NotRam(Gpa(0x2000))));
        assert_eq!(mem.write(Gpa(u64::MAX), &[1, 2]), Err(MemError::NotRam(Gpa(u64::MAX))));
    }

    #[test]
    fn a_failed_write_changes_nothing() {
        let mem = GuestMemory::flat(0x1000);
        assert!(mem.write(Gpa(0xfff), &[7, 7]).is_err());
        assert_eq!(mem.load::<u8>(Gpa(0xfff)), Ok(0));
    }

    #[test]
    fn writes_leave_marks_and_reset_zeroes_only_them() {
        let mem = GuestMemory::flat(0x4000);
        mem.store(Gpa(0x2fff), 0xabcdu16).unwrap();
        assert!(mem.slab().flags(SlabOffset(0x2000)).has(crate::PageFlags::DIRTY));
        assert!(mem.slab().flags(SlabOffset(0x3000)).has(crate::PageFlags::DIRTY));
        assert!(!mem.slab().flags(SlabOffset(0x1000)).has(crate::PageFlags::DIRTY));
        mem.slab().reset();
        assert_eq!(mem.load::<u16>(Gpa(0x2fff)), Ok(0));
    }

    #[test]
    fn a_write_to_cached_code_moves_the_epoch() {
        let mem = GuestMemory::flat(0x2000);
        let slab = mem.slab();
        slab.mark_code(SlabOffset(0x1000), crate::PageFlags::code(0));
        let before = slab.code_epoch();
        mem.store(Gpa(0x10), 1u8).unwrap();
        assert_eq!(slab.code_epoch(), before);
        mem.store(Gpa(0x1010), 1u8).unwrap();
        assert_ne!(slab.code_epoch(), before);
        assert!(!slab.flags(SlabOffset(0x1000)).any(crate::PageFlags::CODE));
    }

    #[test]
    fn a_cpus_own_write_takes_the_marks_of_the_other_code_caches_away() {
        use crate::{PageFlags, Slab};
        let slab = Slab::heap(0x2000);
        let page = SlabOffset(0x1000);
        slab.mark_code(page, PageFlags::code(0));
        let before = slab.code_epoch();
        slab.note_write_by(page, PageFlags::code(0));
        assert_eq!(slab.code_epoch(), before, "nobody else caches it");
        slab.mark_code(page, PageFlags::code(1));
        slab.note_write_by(page, PageFlags::code(0));
        assert_ne!(slab.code_epoch(), before);
        assert!(slab.flags(page).has(PageFlags::code(0)) && !slab.flags(page).has(PageFlags::code(1)));
    }
}
