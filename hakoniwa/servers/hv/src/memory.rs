//! A guest's memory: pages of this task, and the part of them that the guest's map shows.

use core::ptr::NonNull;

use alloc::boxed::Box;
use hako_mem::{Backing, Gpa, MemoryMap, RegionKind, Slab};
use hakoniwa_abi::{Access, Error, PAGE, TaskId, layout};
use hakoniwa_runtime as rt;

/// Guests' memories lie this far apart.
const APART: u64 = 1 << 36;
/// The most pages that one call maps.
const BATCH: u64 = 512;
/// What firmware can show and hide lies below this.
const CHANGING: u64 = 0x10_0000;

/// Pages at a place of their own in this task, never given back.
struct Pages {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the pages belong to this value alone and are reached through raw pointers only.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}
// SAFETY: the pages were mapped by `slab`, readable and writable, and stay so.
unsafe impl Backing for Pages {
    fn base(&self) -> NonNull<u8> {
        self.base
    }
    fn len(&self) -> usize {
        self.len
    }
}

/// Where the memory of a guest lies in this task.
fn place(number: u64) -> u64 {
    layout::WINDOWS + (number + 1) * APART
}

/// The page for the state of a processor of a guest, behind its memory.
pub fn state_page(number: u64, cpu: u8) -> Result<u64, Error> {
    let at = place(number) + APART - PAGE * (u64::from(cpu) + 1);
    rt::page_alloc(at, Access::WRITE, 1)?;
    Ok(at)
}

/// Fresh memory for a guest.
pub fn slab(number: u64, len: u64) -> Result<Slab, Error> {
    let base = place(number);
    let pages = len.div_ceil(PAGE);
    for first in (0..pages).step_by(BATCH as usize) {
        rt::page_alloc(base + first * PAGE, Access::WRITE, (pages - first).min(BATCH))?;
    }
    let base = NonNull::new(base as *mut u8).ok_or(Error::BadArgument)?;
    Ok(Slab::new(Box::new(Pages { base, len: (pages * PAGE) as usize })))
}

/// The EPT of a guest, as this task asked for it.
pub struct Shown {
    guest: TaskId,
    base: u64,
    map: MemoryMap,
}

fn access(kind: RegionKind) -> Access {
    match kind {
        RegionKind::Ram => Access::GUEST,
        RegionKind::Rom => Access::EXECUTE,
    }
}

impl Shown {
    /// Shows a guest all that `map` has.
    pub fn new(guest: TaskId, number: u64, map: &MemoryMap) -> Result<Shown, Error> {
        let shown = Shown { guest, base: place(number), map: map.clone() };
        for region in map.regions() {
            let pages = region.len / PAGE;
            let mut first = 0;
            while first < pages {
                let (from, to) = (region.offset.0 + first * PAGE, region.gpa.0 + first * PAGE);
                // Up to where a large page may begin, then whole ones: the kernel maps them as such.
                let count = (pages - first).min(BATCH - to / PAGE % BATCH);
                rt::page_map(guest, shown.base + from, to, access(region.kind), count)?;
                first += count;
            }
        }
        Ok(shown)
    }

    /// Brings what the guest sees up to a new map.
    pub fn change(&mut self, map: &MemoryMap) -> Result<(), Error> {
        let page = |map: &MemoryMap, at| map.lookup(Gpa(at)).map(|l| (l.kind, l.offset));
        for at in (0..CHANGING).step_by(PAGE as usize) {
            let (old, new) = (page(&self.map, at), page(map, at));
            if old == new {
                continue;
            }
            if old.is_some() {
                rt::page_unmap(self.guest, at, 1)?;
            }
            if let Some((kind, offset)) = new {
                rt::page_map(self.guest, self.base + offset.0, at, access(kind), 1)?;
            }
        }
        self.map = map.clone();
        Ok(())
    }
}
