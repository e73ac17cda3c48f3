//! One piece of host memory that backs guest RAM and ROM, with marks per page.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::{PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Word};

/// A byte offset into a [`Slab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SlabOffset(pub u64);

/// Marks of one page. A set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PageFlags(pub u16);

impl PageFlags {
    /// The page may differ from zero / from what it was when the mark was last cleared.
    pub const DIRTY: u16 = 1;
    /// The marks of all code caches.
    pub const CODE: u16 = 0xff00;

    /// A code cache holds instructions decoded from this page: the mark of CPU number `cpu`, of which eight have one
    /// of their own. A mark that is gone tells its cache that somebody else wrote to the page.
    pub const fn code(cpu: u8) -> u16 {
        0x100 << (cpu & 7)
    }

    /// Whether all of `bits` are set.
    pub fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }

    /// Whether one of `bits` is set.
    pub fn any(self, bits: u16) -> bool {
        self.0 & bits != 0
    }
}

/// Host memory that a slab is made of.
///
/// # Safety
/// `base()` must be valid for reads and writes of `len()` bytes, page-aligned and unchanging, as long as the value
/// lives; nothing else may hold Rust references into it.
pub unsafe trait Backing: Send + Sync {
    /// The first byte.
    fn base(&self) -> NonNull<u8>;
    /// Length in bytes, a multiple of the page size.
    fn len(&self) -> usize;
    /// Whether it holds nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Gives the storage of whole pages back to the host, so that they read as zeros; whether it did.
    fn discard(&self, _at: usize, _len: usize) -> bool {
        false
    }
}

/// Zeroed memory from the global allocator: for tests and for hosts without mmap.
struct Heap {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the allocation is owned by this value alone and is only reached through raw pointers.
unsafe impl Send for Heap {}
// SAFETY: as above; all accesses go through Slab's copying methods.
unsafe impl Sync for Heap {}
// SAFETY: base and layout describe one live allocation, page-aligned by construction.
unsafe impl Backing for Heap {
    fn base(&self) -> NonNull<u8> {
        self.base
    }
    fn len(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: allocated in `Slab::heap` with this very layout.
        unsafe { dealloc(self.base.as_ptr(), self.layout) }
    }
}

/// One piece of host memory plus marks for each of its pages.
///
/// All methods take `&self`: the memory is shared with CPUs on other threads and has no Rust references into it.
/// Offsets out of range read as all ones and write nothing, so no caller can leave the slab.
pub struct Slab {
    base: NonNull<u8>,
    len: u64,
    flags: Vec<AtomicU16>,
    code_epoch: AtomicU64,
    code_marks: AtomicU64,
    backing: Box<dyn Backing>,
}

// SAFETY: `base` points into `backing`, which is Send + Sync; accesses are copies through raw pointers.
unsafe impl Send for Slab {}
// SAFETY: as above.
unsafe impl Sync for Slab {}

impl Slab {
    /// A slab over the given memory.
    pub fn new(backing: Box<dyn Backing>) -> Slab {
        let len = backing.len() as u64;
        let mut flags = Vec::new();
        flags.resize_with((len >> PAGE_SHIFT) as usize, || AtomicU16::new(0));
        Slab {
            base: backing.base(),
            len,
            flags,
            code_epoch: AtomicU64::new(0),
            code_marks: AtomicU64::new(0),
            backing,
        }
    }

    /// A zeroed slab of `len` bytes (rounded up to pages, at least one) from the global allocator.
    pub fn heap(len: u64) -> Slab {
        let len = len.max(1).next_multiple_of(PAGE_SIZE) as usize;
        let layout = match Layout::from_size_align(len, PAGE_SIZE as usize) {
            Ok(layout) => layout,
            Err(_) => Layout::new::<[u8; PAGE_SIZE as usize]>(),
        };
        // SAFETY: the layout's size is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        match NonNull::new(base) {
            Some(base) => Slab::new(Box::new(Heap { base, layout })),
            None => alloc::alloc::handle_alloc_error(layout),
        }
    }

    /// Length in bytes, a multiple of the page size.
    #[inline(always)]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The host address of the first byte, for engines that map guest memory (KVM slots). Valid while the slab lives.
    pub fn host_base(&self) -> NonNull<u8> {
        self.base
    }

    /// A pointer to `size` bytes at `off`, or `None` if they do not all lie in the slab.
    #[inline(always)]
    fn at(&self, off: u64, size: u64) -> Option<*mut u8> {
        if size <= self.len && off <= self.len - size {
            // SAFETY: off + size <= len, so the pointer stays inside the backing memory.
            Some(unsafe { self.base.as_ptr().add(off as usize) })
        } else {
            None
        }
    }

    /// Reads one little-endian word; all ones out of range.
    #[inline(always)]
    pub fn load<T: Word>(&self, off: u64) -> T {
        match self.at(off, size_of::<T>() as u64) {
            // SAFETY: in range; read_unaligned copies the bytes out, and T takes any bit pattern.
            Some(p) => unsafe { p.cast::<T>().read_unaligned() },
            None => T::ONES,
        }
    }

    /// Writes one little-endian word without leaving marks; nothing happens out of range.
    ///
    /// For a CPU's fast path, whose write TLB has marked the page already. Everybody else uses [`Slab::write`] or
    /// calls [`Slab::note_write`].
    #[inline(always)]
    pub fn store<T: Word>(&self, off: u64, value: T) {
        if let Some(p) = self.at(off, size_of::<T>() as u64) {
            // SAFETY: in range.
            unsafe { p.cast::<T>().write_unaligned(value) }
        }
    }

    /// Copies bytes out; `false` and an untouched buffer when the range leaves the slab.
    pub fn read(&self, off: SlabOffset, buf: &mut [u8]) -> bool {
        match self.at(off.0, buf.len() as u64) {
            Some(p) => {
                // SAFETY: in range; `buf` is host memory outside the slab, so the ranges do not overlap.
                unsafe { core::ptr::copy_nonoverlapping(p, buf.as_mut_ptr(), buf.len()) };
                true
            }
            None => false,
        }
    }

    /// Copies bytes in and marks the pages; `false` and no change when the range leaves the slab.
    pub fn write(&self, off: SlabOffset, data: &[u8]) -> bool {
        match self.at(off.0, data.len() as u64) {
            Some(p) => {
                // SAFETY: in range; `data` is host memory outside the slab.
                unsafe { core::ptr::copy_nonoverlapping(data.as_ptr(), p, data.len()) };
                self.note_write(off, data.len() as u64);
                true
            }
            None => false,
        }
    }

    /// Gives the storage of the whole pages in a range back to the host, which then read as zeros, and marks them;
    /// `false` and no change where the backing memory cannot, or the range leaves the slab.
    pub fn discard(&self, off: SlabOffset, len: u64) -> bool {
        let Some(end) = off.0.checked_add(len).filter(|end| *end <= self.len) else { return false };
        let (first, end) = (off.0.next_multiple_of(PAGE_SIZE), end & !PAGE_MASK);
        if first >= end || !self.backing.discard(first as usize, (end - first) as usize) {
            return false;
        }
        self.note_write(SlabOffset(first), end - first);
        true
    }

    /// Sets `len` bytes to `value` and marks the pages; `false` and no change when the range leaves the slab.
    pub fn fill(&self, off: SlabOffset, len: u64, value: u8) -> bool {
        match self.at(off.0, len) {
            Some(p) => {
                // SAFETY: in range.
                unsafe { core::ptr::write_bytes(p, value, len as usize) };
                self.note_write(off, len);
                true
            }
            None => false,
        }
    }

    /// Copies `len` bytes inside the slab, as if through a buffer (the ranges may overlap), and marks the pages.
    pub fn copy_within(&self, from: SlabOffset, to: SlabOffset, len: u64) -> bool {
        match (self.at(from.0, len), self.at(to.0, len)) {
            (Some(s), Some(d)) => {
                // SAFETY: both in range; `copy` allows overlap.
                unsafe { core::ptr::copy(s, d, len as usize) };
                self.note_write(to, len);
                true
            }
            _ => false,
        }
    }

    /// Atomically replaces a naturally aligned word by `new` if it holds `old`; `Ok` with the old value, else `Err`
    /// with what is there. Out of range or misaligned: `Err` with all ones. Leaves no marks (as [`Slab::store`]).
    pub fn compare_exchange(&self, off: u64, bytes: u32, old: u64, new: u64) -> Result<u64, u64> {
        let (Some(p), true) = (self.at(off, bytes as u64), off.is_multiple_of(bytes as u64)) else {
            return Err(!0);
        };
        const O: Ordering = Ordering::SeqCst;
        macro_rules! cas {
            ($a:ty, $t:ty) => {{
                // SAFETY: in range, naturally aligned (the slab is page-aligned), and reached only by atomics and
                // copies through raw pointers.
                let a = unsafe { <$a>::from_ptr(p.cast::<$t>()) };
                a.compare_exchange(old as $t, new as $t, O, O).map(u64::from).map_err(u64::from)
            }};
        }
        match bytes {
            1 => cas!(AtomicU8, u8),
            2 => cas!(AtomicU16, u16),
            4 => cas!(AtomicU32, u32),
            8 => cas!(AtomicU64, u64),
            _ => Err(!0),
        }
    }

    /// The marks of the page that holds `off`; none out of range.
    #[inline]
    pub fn flags(&self, off: SlabOffset) -> PageFlags {
        PageFlags(self.flags.get((off.0 >> PAGE_SHIFT) as usize).map_or(0, |f| f.load(Ordering::Relaxed)))
    }

    /// Adds marks to the page that holds `off`.
    #[inline]
    pub fn set_flags(&self, off: SlabOffset, bits: u16) {
        if let Some(f) = self.flags.get((off.0 >> PAGE_SHIFT) as usize)
            && f.load(Ordering::Relaxed) & bits != bits
        {
            f.fetch_or(bits, Ordering::Relaxed);
        }
    }

    /// Removes marks from the page that holds `off`.
    pub fn clear_flags(&self, off: SlabOffset, bits: u16) {
        if let Some(f) = self.flags.get((off.0 >> PAGE_SHIFT) as usize) {
            f.fetch_and(!bits, Ordering::Relaxed);
        }
    }

    /// Reports a write of `len` bytes: marks the pages dirty, and tells code caches where they hold instructions.
    pub fn note_write(&self, off: SlabOffset, len: u64) {
        if len == 0 {
            return;
        }
        let first = (off.0 >> PAGE_SHIFT) as usize;
        let last = (off.0.saturating_add(len - 1) >> PAGE_SHIFT) as usize;
        let last = last.min(self.flags.len().saturating_sub(1));
        let Some(pages) = self.flags.get(first..=last) else { return };
        for f in pages {
            let old = f.load(Ordering::Relaxed);
            if old & PageFlags::CODE != 0 {
                f.fetch_or(PageFlags::DIRTY, Ordering::Relaxed);
                f.fetch_and(!PageFlags::CODE, Ordering::Release);
                self.code_epoch.fetch_add(1, Ordering::Release);
            } else if old & PageFlags::DIRTY == 0 {
                f.fetch_or(PageFlags::DIRTY, Ordering::Relaxed);
            }
        }
    }

    /// Reports a write to the page that holds `off` by the CPU whose code cache has the mark `own` and sees to itself:
    /// tells the other code caches that hold instructions of it.
    pub fn note_write_by(&self, off: SlabOffset, own: u16) {
        let others = PageFlags::CODE & !own;
        if self.flags(off).any(others) {
            self.clear_flags(off, others);
            self.code_epoch.fetch_add(1, Ordering::Release);
        }
    }

    /// Marks the page that holds `off` as one of which the code cache with the mark `own` holds instructions.
    pub fn mark_code(&self, off: SlabOffset, own: u16) {
        if !self.flags(off).has(own) {
            self.set_flags(off, own);
            self.code_marks.fetch_add(1, Ordering::Release);
        }
    }

    /// A number that changes whenever [`Slab::mark_code`] marks a page: who keeps translations for writing that need
    /// not look at the marks has to look again.
    #[inline(always)]
    pub fn code_marks(&self) -> u64 {
        self.code_marks.load(Ordering::Acquire)
    }

    /// A number that changes whenever a write hits a page that a code cache has marked. A code cache that sees it
    /// changed looks for pages of its own without its mark ([`PageFlags::code`]).
    #[inline(always)]
    pub fn code_epoch(&self) -> u64 {
        self.code_epoch.load(Ordering::Acquire)
    }

    /// Zeroes every page marked dirty and removes all marks: the slab is as new. Exact only for writers that leave
    /// marks (the soft engine, chips, firmware, loaders; not a guest on kvm).
    pub fn reset(&self) {
        for (i, flag) in self.flags.iter().enumerate() {
            if flag.load(Ordering::Relaxed) != 0 {
                let off = (i as u64) << PAGE_SHIFT;
                if let (true, Some(p)) =
                    (flag.load(Ordering::Relaxed) & PageFlags::DIRTY != 0, self.at(off, PAGE_SIZE))
                {
                    // SAFETY: a whole page in range.
                    unsafe { core::ptr::write_bytes(p, 0, PAGE_SIZE as usize) };
                }
                flag.store(0, Ordering::Relaxed);
            }
        }
        self.code_epoch.fetch_add(1, Ordering::Release);
    }
}
