//! Translation caches: linear page to slab page, one each for reads, writes and instruction fetches.
//!
//! An entry's tag is the linear page with the key of its time in the low 12 bits: privilege and a generation. A flush
//! takes a new generation and touches no entry.

use alloc::boxed::Box;
use alloc::vec;

/// Entries of each TLB; a power of two.
pub(crate) const ENTRIES: usize = 1024;

/// Key bit: accesses of CPL 3.
pub(crate) const USER: u64 = 1;
/// Key bit that no entry has: every access goes the slow way (alignment checks, data breakpoints).
pub(crate) const SLOW: u64 = 2;
/// Tag bit of entries in the write TLB whose page holds cached code: known to the slow way only.
pub(crate) const CODE: u64 = 4;
const GENERATION: u64 = 8;
const GENERATIONS: u64 = 0x1000;

/// One translation.
#[derive(Clone, Copy, Default)]
pub(crate) struct Entry {
    /// Linear page | key; 0 matches nothing.
    pub tag: u64,
    /// Slab offset minus linear address.
    pub addend: u64,
}

/// One direct-mapped TLB.
pub(crate) struct Table {
    entries: Box<[Entry; ENTRIES]>,
    generation: u64,
    key: u64,
    /// Both together: the low bits of the tags that instructions may use now.
    current: u64,
}

impl Table {
    fn new() -> Table {
        let entries = vec![Entry::default(); ENTRIES].into_boxed_slice();
        let entries = match entries.try_into() {
            Ok(entries) => entries,
            Err(_) => Box::new([Entry::default(); ENTRIES]),
        };
        Table { entries, generation: GENERATION, key: 0, current: GENERATION }
    }

    /// The slab offset of `n` bytes in one page, if the page is known and instructions may access it now.
    #[inline(always)]
    pub fn find(&self, lin: u64, n: u64) -> Option<u64> {
        let e = self.entry(lin);
        let page = lin.wrapping_add(n - 1) & !0xfff;
        (e.tag == page | self.current).then_some(lin.wrapping_add(e.addend))
    }

    /// [`Table::find`] among the pages that hold cached code.
    #[inline(always)]
    pub fn find_code(&self, lin: u64, n: u64) -> Option<u64> {
        let e = self.entry(lin);
        let page = lin.wrapping_add(n - 1) & !0xfff;
        (e.tag == page | self.current | CODE).then_some(lin.wrapping_add(e.addend))
    }

    /// The same for an access with the given privilege, whatever instructions may do now.
    #[inline(always)]
    pub fn find_as(&self, lin: u64, n: u64, user: bool) -> Option<u64> {
        let e = self.entry(lin);
        let page = lin.wrapping_add(n - 1) & !0xfff;
        let tag = page | self.generation | if user { USER } else { 0 };
        (e.tag == tag).then_some(lin.wrapping_add(e.addend))
    }

    /// Replaces the privilege and slowness of instructions.
    fn set_key(&mut self, key: u64) {
        self.key = key;
        self.current = self.generation | key;
    }

    /// The only entry that can hold the page of `lin`.
    #[inline(always)]
    pub fn entry(&self, lin: u64) -> &Entry {
        &self.entries[(lin >> 12) as usize & (ENTRIES - 1)]
    }

    /// The low bits of the tags that are valid now, for supervisor accesses.
    #[inline(always)]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Enters the page of `lin` at slab offset `off`, with [`USER`] and [`CODE`] as `bits`.
    pub fn fill(&mut self, lin: u64, bits: u64, off: u64) {
        let page = lin & !0xfff;
        let tag = page | self.generation | bits;
        self.entries[(lin >> 12) as usize & (ENTRIES - 1)] =
            Entry { tag, addend: (off & !0xfff).wrapping_sub(page) };
    }

    /// Drops everything.
    pub fn flush(&mut self) {
        self.generation += GENERATION;
        if self.generation >= GENERATIONS {
            self.generation = GENERATION;
            self.entries.fill(Entry::default());
        }
        self.current = self.generation | self.key;
    }

    /// Drops the page of `lin`.
    pub fn drop_page(&mut self, lin: u64) {
        let e = &mut self.entries[(lin >> 12) as usize & (ENTRIES - 1)];
        if (e.tag ^ lin) & !0xfff == 0 {
            *e = Entry::default();
        }
    }

    /// The slab page of `off` holds cached code from now on: its translations are known to the slow way only.
    pub fn mark_code(&mut self, off: u64) {
        let page = off & !0xfff;
        for e in self.entries.iter_mut() {
            if (e.tag & !0xfff).wrapping_add(e.addend) == page {
                e.tag |= CODE;
            }
        }
    }
}

/// The three TLBs.
pub(crate) struct Tlbs {
    /// Data reads.
    pub read: Table,
    /// Data writes, to RAM pages that are marked dirty, writable, and hold no cached code.
    pub write: Table,
    /// Instruction fetches.
    pub exec: Table,
    /// One bit for some of the 2 MiB regions, those alike sharing it, that have been entered out of a larger page: INVLPG
    /// has to drop all of that.
    large: [u64; 8],
}

impl Tlbs {
    pub fn new() -> Tlbs {
        Tlbs { read: Table::new(), write: Table::new(), exec: Table::new(), large: [0; 8] }
    }

    /// Says what instructions are: [`USER`], [`SLOW`].
    pub fn set_key(&mut self, key: u64) {
        self.read.set_key(key);
        self.write.set_key(key);
        self.exec.set_key(key & USER);
    }

    pub fn flush(&mut self) {
        self.read.flush();
        self.write.flush();
        self.exec.flush();
        self.large = [0; 8];
    }

    /// The address belongs to a page of 2^`shift` bytes.
    pub fn note_large(&mut self, lin: u64, shift: u32) {
        match shift {
            21 => self.large[(lin >> 27 & 7) as usize] |= 1 << (lin >> 21 & 63),
            22 => self.large[(lin >> 27 & 7) as usize] |= 3 << (lin >> 21 & 62),
            _ => self.large = [!0; 8],
        }
    }

    pub fn drop_page(&mut self, lin: u64) {
        if self.large[(lin >> 27 & 7) as usize] >> (lin >> 21 & 63) & 1 != 0 {
            return self.flush();
        }
        self.read.drop_page(lin);
        self.write.drop_page(lin);
        self.exec.drop_page(lin);
    }
}
