//! Who gets which guest memory: RAM as the memory map has it, less what has been given away.

use alloc::string::String;
use alloc::vec::Vec;

use hako_mem::Gpa;

use crate::{LoadError, MemoryRange, RangeKind};

/// Small things (command lines, tables for the kernel) lie from here on: above what a BIOS keeps, the boot sector and the
/// stack below it.
pub const LOW: u64 = 0x1_0000;
/// And end below this: the last pages of low memory belong to the BIOS or to a kernel's real-mode code.
const LOW_END: u64 = 0x9_0000;
/// The end of the first megabyte.
pub const MEGABYTE: u64 = 0x10_0000;
/// What 32-bit pointers reach.
pub const FOUR_GIB: u64 = 1 << 32;

/// A range that has been given away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// Its first address.
    pub start: Gpa,
    /// Its length in bytes.
    pub len: u64,
    /// What for.
    pub what: String,
}

impl Used {
    fn end(&self) -> u64 {
        self.start.0.saturating_add(self.len)
    }
}

/// RAM and what has been given away of it, by rising address.
pub struct Space<'a> {
    memory: &'a [MemoryRange],
    used: Vec<Used>,
}

impl<'a> Space<'a> {
    /// All RAM of `memory` is free.
    pub fn new(memory: &'a [MemoryRange]) -> Space<'a> {
        Space { memory, used: Vec::new() }
    }

    /// What has been given away.
    pub fn into_used(self) -> Vec<Used> {
        self.used
    }

    /// The end of the RAM that `at` lies in.
    fn ram_end(&self, at: u64) -> Option<u64> {
        let ram = self.memory.iter().filter(|r| r.kind == RangeKind::Usable);
        ram.filter(|r| r.start.0 <= at).map(MemoryRange::end).filter(|&end| end > at).max()
    }

    /// Takes a fixed place.
    pub fn claim(&mut self, what: impl Into<String>, start: u64, len: u64) -> Result<(), LoadError> {
        if len == 0 {
            return Ok(());
        }
        let what = what.into();
        let last = start.saturating_add(len - 1);
        let mut at = start;
        while at <= last {
            match self.ram_end(at) {
                Some(end) => at = end,
                None => {
                    let remedy = if at >= MEGABYTE {
                        "give more with --memory, or link the kernel lower"
                    } else {
                        "link the kernel at 1 MiB or above"
                    };
                    return Err(LoadError::NotRam { what, start, last, at, remedy });
                }
            }
        }
        let index = self.used.partition_point(|u| u.start.0 <= last);
        let before = index.checked_sub(1).and_then(|i| self.used.get(i));
        if let Some(other) = before.filter(|u| u.end() > start) {
            return Err(LoadError::Overlap {
                what,
                start,
                last,
                other: other.what.clone(),
                other_start: other.start.0,
                other_last: other.end().saturating_sub(1),
            });
        }
        self.used.insert(index, Used { start: Gpa(start), len, what });
        Ok(())
    }

    /// The first used range that [at, at + len) touches.
    fn blocked(&self, at: u64, len: u64) -> Option<&Used> {
        let end = at.saturating_add(len);
        let index = self.used.partition_point(|u| u.end() <= at);
        self.used.get(index).filter(|u| u.start.0 < end)
    }

    /// The highest free place in [from, below), aligned to a power of two.
    pub fn highest(
        &mut self,
        what: impl Into<String>,
        len: u64,
        align: u64,
        from: u64,
        below: u64,
    ) -> Result<u64, LoadError> {
        let (what, mask) = (what.into(), !(align.max(1) - 1));
        let mut best = None;
        for r in self.memory.iter().filter(|r| r.kind == RangeKind::Usable) {
            let floor = r.start.0.max(from);
            let mut top = r.end().min(below);
            while let Some(at) = top.checked_sub(len.max(1)).map(|at| at & mask).filter(|&at| at >= floor) {
                match self.blocked(at, len) {
                    Some(other) => top = other.start.0,
                    None => {
                        best = best.max(Some(at));
                        break;
                    }
                }
            }
        }
        self.take(best, what, len, from, below)
    }

    /// The lowest free place in [from, below), aligned to a power of two.
    pub fn lowest(
        &mut self,
        what: impl Into<String>,
        len: u64,
        align: u64,
        from: u64,
        below: u64,
    ) -> Result<u64, LoadError> {
        let (what, align) = (what.into(), align.max(1));
        let mut best: Option<u64> = None;
        for r in self.memory.iter().filter(|r| r.kind == RangeKind::Usable) {
            let end = r.end().min(below);
            let mut at = r.start.0.max(from);
            let fits = |aligned: &u64| aligned.checked_add(len.max(1)).is_some_and(|e| e <= end);
            while let Some(aligned) = at.checked_next_multiple_of(align).filter(fits) {
                match self.blocked(aligned, len) {
                    Some(other) => at = other.end(),
                    None => {
                        best = Some(best.map_or(aligned, |b| b.min(aligned)));
                        break;
                    }
                }
            }
        }
        self.take(best, what, len, from, below)
    }

    fn take(
        &mut self,
        at: Option<u64>,
        what: String,
        len: u64,
        from: u64,
        below: u64,
    ) -> Result<u64, LoadError> {
        match at {
            Some(at) => self.claim(what, at, len).map(|()| at),
            None => Err(LoadError::NoRoom { what, len, from, below }),
        }
    }

    /// A place for something small: in low memory if it fits there.
    pub fn small(&mut self, what: &'static str, len: u64, align: u64) -> Result<u64, LoadError> {
        let low = self.lowest(what, len, align, LOW, LOW_END);
        low.or_else(|_| self.lowest(what, len, align, MEGABYTE, FOUR_GIB))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ram(start: u64, end: u64) -> MemoryRange {
        MemoryRange { start: Gpa(start), len: end - start, kind: RangeKind::Usable }
    }

    fn pc() -> [MemoryRange; 3] {
        [
            ram(0, 0x9_fc00),
            MemoryRange { start: Gpa(0x9_fc00), len: 0x400, kind: RangeKind::Reserved },
            ram(MEGABYTE, 0x400_0000),
        ]
    }

    #[test]
    fn a_claim_outside_ram_names_the_first_bad_address() {
        let memory = pc();
        let e = Space::new(&memory).claim("x", 0x9_f000, 0x2000).unwrap_err();
        assert!(matches!(e, LoadError::NotRam { at: 0x9_fc00, .. }), "{e}");
        let e = Space::new(&memory).claim("x", 0x3ff_f000, u64::MAX).unwrap_err();
        assert!(matches!(e, LoadError::NotRam { at: 0x400_0000, .. }), "{e}");
    }

    #[test]
    fn neighbours_are_no_overlap() {
        let memory = pc();
        let mut space = Space::new(&memory);
        space.claim("a", 0x10_0000, 0x1000).unwrap();
        space.claim("b", 0x10_1000, 0x1000).unwrap();
        space.claim("c", 0xf000, 0x1000).unwrap();
        for (start, len) in [(0x10_0fff, 1), (0x10_1000, 1), (0x10_0000, 0x10_0000), (0x10_1fff, 2)] {
            assert!(matches!(space.claim("d", start, len), Err(LoadError::Overlap { .. })), "{start:#x}");
        }
    }

    #[test]
    fn the_highest_place_lies_below_what_is_taken() {
        let memory = pc();
        let mut space = Space::new(&memory);
        assert_eq!(space.highest("a", 0x1800, 0x1000, MEGABYTE, FOUR_GIB), Ok(0x3ff_e000));
        assert_eq!(space.highest("b", 0x1000, 0x1000, MEGABYTE, FOUR_GIB), Ok(0x3ff_d000));
        assert_eq!(space.highest("c", 0x1000, 0x1000, MEGABYTE, 0x38_0000), Ok(0x37_f000));
    }

    #[test]
    fn the_lowest_place_lies_above_what_is_taken() {
        let memory = pc();
        let mut space = Space::new(&memory);
        space.claim("kernel", MEGABYTE, 0x1234).unwrap();
        assert_eq!(space.lowest("a", 5, 0x1000, MEGABYTE, FOUR_GIB), Ok(0x10_2000));
        assert_eq!(space.small("b", 5, 8), Ok(LOW));
        assert_eq!(space.small("b", 5, 8), Ok(LOW + 8));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_limits() {
        let memory = pc();
        let e =
            Space::new(&memory).highest("the initrd", 0x400_0000, 0x1000, MEGABYTE, FOUR_GIB).unwrap_err();
        assert!(e.to_string().contains("--memory"), "{e}");
    }

    extern crate std;
    use std::string::ToString;
}
