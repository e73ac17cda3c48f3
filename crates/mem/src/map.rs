//! Which guest-physical addresses show which part of the slab.

use alloc::vec::Vec;

use crate::{Gpa, PAGE_MASK, SlabOffset};

/// What a region of the map does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// Read and write.
    Ram,
    /// Read and execute; writes go to the bus (and are usually dropped there).
    Rom,
}

/// A range of guest-physical addresses that shows a range of the slab. Page-aligned, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub gpa: Gpa,
    /// Length in bytes.
    pub len: u64,
    /// Read-write or read-only.
    pub kind: RegionKind,
    /// Where in the slab its first byte is.
    pub offset: SlabOffset,
}

impl Region {
    /// The first address after the region.
    pub fn end(&self) -> u64 {
        self.gpa.0 + self.len
    }
}

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// RAM or ROM.
    pub kind: RegionKind,
    /// The byte in the slab.
    pub offset: SlabOffset,
    /// How many bytes from this address on lie in the same region.
    pub left: u64,
}

/// Why a region can't be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// Address, length or offset is not a multiple of the page size, or the length is 0.
    #[error("the region at {0} is not made of whole 4 KiB pages")]
    Unaligned(Gpa),
    /// The region's end does not fit into 64 bits.
    #[error("the region at {0} runs past the end of the address space")]
    TooLong(Gpa),
}

/// A sorted list of regions that do not overlap; addresses in no region belong to the bus.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MemoryMap {
    regions: Vec<Region>,
    generation: u64,
}

impl MemoryMap {
    /// A map of nothing.
    pub fn new() -> MemoryMap {
        MemoryMap::default()
    }

    /// The regions by rising address. What the engines diff.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// A number that grows with every change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Maps a region over whatever was there.
    pub fn map(&mut self, region: Region) -> Result<(), MapError> {
        if (region.gpa.0 | region.len | region.offset.0) & PAGE_MASK != 0 || region.len == 0 {
            return Err(MapError::Unaligned(region.gpa));
        }
        if region.gpa.0.checked_add(region.len).is_none() || region.offset.0.checked_add(region.len).is_none()
        {
            return Err(MapError::TooLong(region.gpa));
        }
        self.cut(region.gpa, region.len);
        let at = self.regions.partition_point(|r| r.gpa < region.gpa);
        self.regions.insert(at, region);
        self.merge();
        Ok(())
    }

    /// Gives a range back to the bus.
    pub fn unmap(&mut self, gpa: Gpa, len: u64) -> Result<(), MapError> {
        if (gpa.0 | len) & PAGE_MASK != 0 || len == 0 {
            return Err(MapError::Unaligned(gpa));
        }
        gpa.checked_add(len).ok_or(MapError::TooLong(gpa))?;
        self.cut(gpa, len);
        Ok(())
    }

    /// Removes [gpa, gpa+len) from all regions, splitting those it cuts.
    fn cut(&mut self, gpa: Gpa, len: u64) {
        self.generation += 1;
        let end = gpa.0 + len;
        let mut out = Vec::with_capacity(self.regions.len() + 2);
        for r in &self.regions {
            if r.gpa.0 < gpa.0.min(r.end()) {
                out.push(Region { len: r.end().min(gpa.0) - r.gpa.0, ..*r });
            }
            if r.end() > end.max(r.gpa.0) {
                let from = end.max(r.gpa.0);
                out.push(Region {
                    gpa: Gpa(from),
                    len: r.end() - from,
                    offset: SlabOffset(r.offset.0 + (from - r.gpa.0)),
                    ..*r
                });
            }
        }
        self.regions = out;
    }

    /// Joins neighbours that continue each other, so that equal maps have equal lists.
    fn merge(&mut self) {
        self.regions.dedup_by(|b, a| {
            let joined = a.end() == b.gpa.0 && a.kind == b.kind && a.offset.0 + a.len == b.offset.0;
            if joined {
                a.len += b.len;
            }
            joined
        });
    }

    /// Where `gpa` leads, or `None` if it belongs to the bus.
    #[inline]
    pub fn lookup(&self, gpa: Gpa) -> Option<Lookup> {
        let i = self.regions.partition_point(|r| r.gpa <= gpa).checked_sub(1)?;
        let r = self.regions.get(i)?;
        let into = gpa.0 - r.gpa.0;
        (into < r.len).then(|| Lookup {
            kind: r.kind,
            offset: SlabOffset(r.offset.0 + into),
            left: r.len - into,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ram(gpa: u64, len: u64, offset: u64) -> Region {
        Region { gpa: Gpa(gpa), len, kind: RegionKind::Ram, offset: SlabOffset(offset) }
    }

    #[test]
    fn a_later_region_wins_and_splits_the_earlier() {
        let mut map = MemoryMap::new();
        map.map(ram(0, 0x10000, 0)).unwrap();
        map.map(Region { kind: RegionKind::Rom, ..ram(0x4000, 0x1000, 0x20000) }).unwrap();
        assert_eq!(map.regions().len(), 3);
        assert_eq!(map.lookup(Gpa(0x4fff)).unwrap().offset, SlabOffset(0x20fff));
        assert_eq!(map.lookup(Gpa(0x5000)).unwrap().offset, SlabOffset(0x5000));
        assert_eq!(map.lookup(Gpa(0x3fff)).unwrap().left, 1);
    }

    #[test]
    fn neighbours_that_continue_each_other_are_one() {
        let mut map = MemoryMap::new();
        map.map(ram(0, 0x1000, 0)).unwrap();
        map.map(ram(0x1000, 0x1000, 0x1000)).unwrap();
        assert_eq!(map.regions(), [ram(0, 0x2000, 0)]);
    }

    #[test]
    fn holes_belong_to_the_bus() {
        let mut map = MemoryMap::new();
        map.map(ram(0, 0x3000, 0)).unwrap();
        map.unmap(Gpa(0x1000), 0x1000).unwrap();
        assert_eq!(map.lookup(Gpa(0x1000)), None);
        assert_eq!(map.lookup(Gpa(0x2000)).unwrap().offset, SlabOffset(0x2000));
        assert_eq!(map.lookup(Gpa(0x3000)), None);
    }

    #[test]
    fn odd_and_endless_regions_are_refused() {
        let mut map = MemoryMap::new();
        assert_eq!(map.map(ram(1, 0x1000, 0)), Err(MapError::Unaligned(Gpa(1))));
        assert_eq!(map.map(ram(0, 0, 0)), Err(MapError::Unaligned(Gpa(0))));
        let far = !0xfff;
        assert_eq!(map.map(ram(far, 0x1000, 0)), Err(MapError::TooLong(Gpa(far))));
    }
}
