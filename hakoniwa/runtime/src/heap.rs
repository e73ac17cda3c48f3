//! The heap: blocks of powers of two, each size with its list of free blocks; grows by pages of the task's quota.

use crate::calls::page_alloc;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use hakoniwa_abi::{Access, PAGE, layout};

/// The smallest block holds the pointer that links it.
const SMALLEST: u32 = 4;
const SIZES: usize = 32;
/// How much the heap grows at least.
const STEP: u64 = 64 * 1024;

struct State {
    free: [*mut u8; SIZES],
    next: u64,
    end: u64,
}

struct Heap(UnsafeCell<State>);

// SAFETY: a task is one thread, and nothing in here is interrupted by the task itself.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(State {
    free: [core::ptr::null_mut(); SIZES],
    next: layout::HEAP,
    end: layout::HEAP,
}));

/// The power of two that a layout takes.
fn order(layout: Layout) -> u32 {
    layout.size().max(layout.align()).max(1 << SMALLEST).next_power_of_two().trailing_zeros()
}

impl State {
    /// Fresh memory of `size` bytes, aligned to it.
    fn fresh(&mut self, size: u64) -> Option<*mut u8> {
        let start = self.next.next_multiple_of(size);
        let end = start.checked_add(size).filter(|end| *end <= layout::HEAP + layout::HEAP_SIZE)?;
        while self.end < end {
            let pages = (end - self.end).clamp(STEP, 512 * PAGE) / PAGE;
            page_alloc(self.end, Access::WRITE, pages).ok()?;
            self.end += pages * PAGE;
        }
        self.next = end;
        Some(start as *mut u8)
    }
}

// SAFETY: blocks are disjoint: fresh ones by `next`, used again only after they were freed, of the layout's size and
// aligned to it.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let order = order(layout);
        // SAFETY: see `Sync`.
        let state = unsafe { &mut *self.0.get() };
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
        // SAFETY: see `Sync`.
        let state = unsafe { &mut *self.0.get() };
        if let Some(list) = state.free.get_mut(order(layout) as usize) {
            // SAFETY: the block is free, at least eight bytes long, and aligned.
            unsafe { block.cast::<*mut u8>().write(*list) };
            *list = block;
        }
    }
}
