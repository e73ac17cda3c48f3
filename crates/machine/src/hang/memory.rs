//! A copy of all memory that was ever written, to be compared with later.

use hako_mem::{PAGE_SIZE, PageFlags, Slab, SlabOffset};

/// Guests that wrote to more pages than this are not copied: 8 MiB.
const MOST: usize = 2048;

const PAGE: usize = PAGE_SIZE as usize;

/// The pages that differ from zero, and what they held.
pub(super) struct Copy {
    pages: Vec<u64>,
    bytes: Vec<u8>,
}

/// First offsets of the pages marked dirty.
fn dirty(slab: &Slab) -> impl Iterator<Item = u64> + '_ {
    (0..slab.len()).step_by(PAGE).filter(|at| slab.flags(SlabOffset(*at)).has(PageFlags::DIRTY))
}

impl Copy {
    /// The memory of the moment, if it is not too much.
    pub fn of(slab: &Slab) -> Option<Copy> {
        let pages: Vec<u64> = dirty(slab).take(MOST + 1).collect();
        if pages.len() > MOST {
            return None;
        }
        let mut bytes = vec![0; pages.len() * PAGE];
        for (at, page) in pages.iter().zip(bytes.chunks_exact_mut(PAGE)) {
            slab.read(SlabOffset(*at), page);
        }
        Some(Copy { pages, bytes })
    }

    /// Whether memory is the same now, but for the bytes that `except` accepts by their offset.
    pub fn same(&self, slab: &Slab, except: impl Fn(u64) -> bool) -> bool {
        let mut now = [0; PAGE];
        let mut count = 0;
        for at in dirty(slab) {
            count += 1;
            let Ok(i) = self.pages.binary_search(&at) else { return false };
            let Some(then) = self.bytes.get(i * PAGE..(i + 1) * PAGE) else { return false };
            slab.read(SlabOffset(at), &mut now);
            if now != then {
                let differs = |(i, (a, b)): (usize, (&u8, &u8))| a != b && !except(at + i as u64);
                if now.iter().zip(then).enumerate().any(differs) {
                    return false;
                }
            }
        }
        count == self.pages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_and_a_new_page_are_noticed() {
        let slab = Slab::heap(0x4000);
        slab.write(SlabOffset(0x1000), &[1, 2, 3]);
        let copy = Copy::of(&slab).unwrap();
        assert!(copy.same(&slab, |_| false));
        slab.write(SlabOffset(0x1001), &[9]);
        assert!(!copy.same(&slab, |_| false));
        assert!(copy.same(&slab, |at| at == 0x1001));
        slab.write(SlabOffset(0x1001), &[2]);
        slab.write(SlabOffset(0x2000), &[0]);
        assert!(!copy.same(&slab, |_| false));
    }
}
