//! Translation caches: linear page to slab page, one each for reads, writes and instruction fetches.
//!
//! An entry's tag is the linear page with the key of its time in the low 12 bits: privilege and a generation. A flush
//! takes a new generation and touches no entry. Each process-context identifier (PCID) has a generation of its own, so
//! that going back to an address space finds what it left (SDM Vol. 3A 4.10.1).

use alloc::boxed::Box;
use alloc::vec;

use crate::protection::KeysInUse;

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
/// Address spaces remembered at a time.
const CONTEXTS: usize = 16;
/// User pages that may be open to the supervisor before all of them are dropped together.
const OPENED: usize = 8;

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
    /// The generation given out last.
    newest: u64,
    /// Those of all contexts; 0 is none.
    generations: [u64; CONTEXTS],
    context: usize,
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
        let mut table = Table {
            entries,
            generation: 0,
            newest: 0,
            generations: [0; CONTEXTS],
            context: 0,
            key: 0,
            current: 0,
        };
        table.flush();
        table
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

    /// The same for an access with the given key, whatever instructions may do now.
    #[inline(always)]
    pub fn find_as(&self, lin: u64, n: u64, key: u64) -> Option<u64> {
        let e = self.entry(lin);
        let page = lin.wrapping_add(n - 1) & !0xfff;
        let tag = page | self.generation | key;
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

    /// Drops everything, in all contexts.
    pub fn flush(&mut self) {
        self.generations = [0; CONTEXTS];
        self.renew();
    }

    /// Drops everything in the present context.
    fn renew(&mut self) {
        self.newest += GENERATION;
        if self.newest >= GENERATIONS {
            self.newest = GENERATION;
            self.entries.fill(Entry::default());
            self.generations = [0; CONTEXTS];
        }
        self.generations[self.context & (CONTEXTS - 1)] = self.newest;
        self.generation = self.newest;
        self.current = self.generation | self.key;
    }

    /// Makes a context the present one.
    fn select(&mut self, context: usize) {
        self.context = context;
        self.generation = self.generations[context & (CONTEXTS - 1)];
        if self.generation == 0 {
            self.renew();
        }
        self.current = self.generation | self.key;
    }

    /// Drops everything in a context.
    fn flush_context(&mut self, context: usize) {
        if context == self.context {
            self.renew();
        } else {
            self.generations[context & (CONTEXTS - 1)] = 0;
        }
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

/// One bit for each of some 2 MiB regions, those alike sharing it; the halves of the address space share none.
type Regions = [u64; 8];

/// Which bit of [`Regions`] an address belongs to.
fn region(lin: u64) -> u64 {
    (lin >> 31 | lin >> 47) << 8 & 0x100 | lin >> 21 & 0xff
}

/// The three TLBs.
pub(crate) struct Tlbs {
    /// Data reads.
    pub read: Table,
    /// Data writes, to RAM pages that are marked dirty, writable, and hold no cached code.
    pub write: Table,
    /// Instruction fetches.
    pub exec: Table,
    /// The PCIDs of the contexts; `None` is nobody's yet.
    pcids: [Option<u16>; CONTEXTS],
    context: usize,
    /// The context to be given away next.
    victim: usize,
    /// For each context the regions that have been entered out of a larger page: INVLPG has to drop all of that.
    large: [Regions; CONTEXTS],
    /// User pages that the supervisor may access only as long as EFLAGS.AC is set.
    opened: [u64; OPENED],
    /// How many; more than there is room for is all.
    open: usize,
    /// Protection keys of translations.
    pub keys: KeysInUse,
}

impl Tlbs {
    pub fn new() -> Tlbs {
        let mut pcids = [None; CONTEXTS];
        pcids[0] = Some(0);
        Tlbs {
            read: Table::new(),
            write: Table::new(),
            exec: Table::new(),
            pcids,
            context: 0,
            victim: 0,
            large: [[0; 8]; CONTEXTS],
            opened: [0; OPENED],
            open: 0,
            keys: KeysInUse::default(),
        }
    }

    /// Says what instructions are: [`USER`], [`SLOW`].
    pub fn set_key(&mut self, key: u64) {
        self.read.set_key(key);
        self.write.set_key(key);
        self.exec.set_key(key & USER);
    }

    fn tables(&mut self) -> [&mut Table; 3] {
        [&mut self.read, &mut self.write, &mut self.exec]
    }

    /// Drops everything.
    pub fn flush(&mut self) {
        for table in self.tables() {
            table.flush();
        }
        self.large = [[0; 8]; CONTEXTS];
        self.open = 0;
        self.keys = KeysInUse::default();
    }

    /// Drops everything of the present context.
    pub fn flush_present(&mut self) {
        self.flush_context(self.context);
    }

    /// Drops everything of a PCID.
    pub fn flush_pcid(&mut self, pcid: u16) {
        if let Some(context) = self.pcids.iter().position(|&p| p == Some(pcid)) {
            self.flush_context(context);
        }
    }

    fn flush_context(&mut self, context: usize) {
        for table in self.tables() {
            table.flush_context(context);
        }
        self.large[context & (CONTEXTS - 1)] = [0; 8];
    }

    /// Goes on with the translations of a PCID.
    pub fn select(&mut self, pcid: u16) {
        if self.pcids[self.context & (CONTEXTS - 1)] == Some(pcid) {
            return;
        }
        self.close();
        let known = self.pcids.iter().position(|&p| p == Some(pcid));
        let context = known.unwrap_or_else(|| {
            self.victim = (self.victim + 1) % CONTEXTS;
            if self.victim == self.context {
                self.victim = (self.victim + 1) % CONTEXTS;
            }
            let victim = self.victim;
            self.flush_context(victim);
            self.pcids[victim] = Some(pcid);
            victim
        });
        self.context = context;
        for table in self.tables() {
            table.select(context);
        }
    }

    /// The address belongs to a page of 2^`shift` bytes.
    pub fn note_large(&mut self, lin: u64, shift: u32) {
        let regions = &mut self.large[self.context & (CONTEXTS - 1)];
        let bit = region(lin);
        match shift {
            21 => regions[(bit >> 6) as usize] |= 1 << (bit & 63),
            22 => regions[(bit >> 6) as usize] |= 3 << (bit & 62),
            // A larger one covers all bits of its half.
            _ => regions[(bit >> 6 & 4) as usize..][..4].fill(!0),
        }
    }

    /// Drops the page of `lin` in all contexts.
    pub fn drop_page(&mut self, lin: u64) {
        let bit = region(lin);
        if self.large.iter().any(|r| r[(bit >> 6) as usize] >> (bit & 63) & 1 != 0) {
            return self.flush();
        }
        for table in self.tables() {
            table.drop_page(lin);
        }
    }

    // ---- supervisor-mode access prevention ----

    /// The supervisor has been let into a user page because EFLAGS.AC is set.
    pub fn note_opened(&mut self, lin: u64) {
        if let Some(slot) = self.opened.get_mut(self.open) {
            *slot = lin;
        }
        self.open = (self.open + 1).min(OPENED + 1);
    }

    /// Whether there are translations that system accesses may not use.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.open != 0
    }

    /// EFLAGS.AC is clear: the supervisor is out of user pages again.
    #[inline]
    pub fn close(&mut self) {
        if self.open != 0 {
            self.close_all();
        }
    }

    fn close_all(&mut self) {
        if let Some(opened) = self.opened.get(..self.open) {
            for &lin in opened {
                self.read.drop_page(lin);
                self.write.drop_page(lin);
            }
        } else {
            self.read.flush();
            self.write.flush();
        }
        self.open = 0;
    }
}
