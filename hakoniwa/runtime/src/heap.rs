//! The heap: blocks of powers of two, each size with its list of free blocks; grows by pages of the task's quota. Large
//! blocks are pages of their own, given back when they are freed.

use crate::calls::{page_alloc, page_unmap};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use hakoniwa_abi::{Access, PAGE, TaskId, layout};

/// The smallest block holds the pointer that links it.
const SMALLEST: u32 = 4;
const SIZES: usize = 32;
/// How much the heap grows at least.
const STEP: u64 = 64 * 1024;
/// From this size on a block is large.
const LARGE: usize = 128 * 1024;
/// Large blocks begin here, one after another; addresses are not used again.
const LARGE_BLOCKS: u64 = layout::HEAP + layout::HEAP_SIZE / 2;
/// The most pages that one call maps or unmaps.
const BATCH: u64 = 512;

struct State {
    free: [*mut u8; SIZES],
    next: u64,
    end: u64,
    large: u64,
}

struct Heap(UnsafeCell<State>);

// SAFETY: a task is one thread, and nothing in here is interrupted by the task itself.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(State {
    free: [core::ptr::null_mut(); SIZES],
    next: layout::HEAP,
    end: layout::HEAP,
    large: LARGE_BLOCKS,
}));

/// The power of two that a layout takes.
fn order(layout: Layout) -> u32 {
    layout.size().max(layout.align()).max(1 << SMALLEST).next_power_of_two().trailing_zeros()
}

impl State {
    /// Fresh memory of `size` bytes, aligned to it.
    fn fresh(&mut self, size: u64) -> Option<*mut u8> {
        let start = self.next.next_multiple_of(size);
        let end = start.checked_add(size).filter(|end| *end <= LARGE_BLOCKS)?;
        while self.end < end {
            let pages = (end - self.end).clamp(STEP, 512 * PAGE) / PAGE;
            page_alloc(self.end, Access::WRITE, pages).ok()?;
            self.end += pages * PAGE;
        }
        self.next = end;
        Some(start as *mut u8)
    }

    /// Pages for a large block. What was mapped before a failure stays mapped and unused: the task is out of memory.
    fn large(&mut self, size: usize) -> Option<*mut u8> {
        // What is as large as a large page is aligned to it: the kernel then takes frames that lie together, and can map
        // them for a guest as such pages.
        let align = if size as u64 >= hakoniwa_abi::LARGE { hakoniwa_abi::LARGE } else { PAGE };
        let start = self.large.next_multiple_of(align);
        let pages = (size as u64).div_ceil(PAGE);
        let end = start.checked_add(pages.checked_mul(PAGE)?)?;
        self.large = Some(end).filter(|end| *end <= layout::HEAP + layout::HEAP_SIZE)?;
        batches(start, pages).try_for_each(|(at, count)| page_alloc(at, Access::WRITE, count)).ok()?;
        Some(start as *mut u8)
    }
}

/// Pages in pieces that one call takes.
fn batches(start: u64, pages: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..pages).step_by(BATCH as usize).map(move |first| (start + first * PAGE, (pages - first).min(BATCH)))
}

/// Whether a layout is a large block's. Alignment beyond a page is had from the small ones only.
fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= PAGE as usize
}

// SAFETY: blocks are disjoint: fresh ones by `next`, used again only after they were freed, of the layout's size and
// aligned to it.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let order = order(layout);
        // SAFETY: see `Sync`.
        let state = unsafe { &mut *self.0.get() };
        if is_large(layout) {
            return state.large(layout.size()).unwrap_or(core::ptr::null_mut());
        }
        match state.free.get_mut(order as usize) {
            None => core::ptr::null_mut(),
            Some(list) if !list.is_null() => {
                let block = *list;
                // SAFETY: a free block begins with the link to the next.
                *list = unsafe { block.cast::<*mut u8>().read() };
                block
            }
            Some(_) => state.fresh(1 << order).unwrap_or(core::ptr::null_mut()),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(layout) {
            for (at, count) in batches(block as u64, (layout.size() as u64).div_ceil(PAGE)) {
                // The pages are there: `large` mapped them.
                let _ = page_unmap(TaskId::KERNEL, at, count);
            }
            return;
        }
        // SAFETY: see `Sync`.
        let state = unsafe { &mut *self.0.get() };
        if let Some(list) = state.free.get_mut(order(layout) as usize) {
            // SAFETY: the block is free, at least eight bytes long, and aligned.
            unsafe { block.cast::<*mut u8>().write(*list) };
            *list = block;
        }
    }
}
