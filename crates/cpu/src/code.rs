//! The block cache: decoded instructions, found by where their bytes lie in the slab.
//!
//! A block is a run of instructions in one page that is entered at its start only. Blocks are found by key (slab
//! offset and code size) through buckets, or through the links that their predecessors keep; a link is a guess that is
//! checked against the key. Every page that holds cached bytes has a bitmap of 64-byte granules, so that writes
//! elsewhere in the page cost one test. Writes that hit make exactly those blocks stale whose bytes they overlap: such a
//! block is not found any more, but keeps its place, and when it is wanted again, only the instructions written to are
//! decoded anew ([`Block::mend`]).

use alloc::vec;
use alloc::vec::Vec;

use hako_mem::{PAGE_MASK, PAGE_SHIFT, PageFlags, Slab, SlabOffset};

use crate::decode::{self, Flow, Lacks};
use crate::op::Op;

/// The most instructions of one block.
pub(crate) const MAX_BLOCK: usize = 32;
/// The most bytes of one block.
pub(crate) const MAX_BLOCK_BYTES: usize = 128;
const BUCKETS: usize = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 14;
/// When so many instructions or blocks are cached, all are dropped.
pub(crate) const MAX_OPS: usize = 1 << 19;
const MAX_BLOCKS: usize = 1 << 16;
/// Writes to a page without blocks until it counts as data again.
const PATIENCE: u32 = 64;
/// Writes to a stale block until it is dropped.
const STALE_WRITES: u8 = 16;

/// "No block" in an index that is otherwise one more than the block's number.
const NONE: u32 = 0;
/// The key of a dropped block.
const DEAD: u64 = !0;
/// Bit in the key of a stale block.
const STALE: u64 = 0x80;

/// Links of a block.
const LINKS: usize = 4;

/// A way out of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    /// The block.
    pub block: u32,
    /// The number of the instruction that branched away, or of all instructions if the last one was passed.
    pub op: u32,
}

impl Exit {
    /// Not out of a cached block.
    pub const NONE: Exit = Exit { block: u32::MAX, op: 0 };

    fn link(self) -> usize {
        self.op as usize & (LINKS - 1)
    }
}

/// What the cache knows under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// A block.
    Fresh(u32),
    /// A block that has been written to.
    Stale(u32),
    /// No block.
    Nothing,
}

/// One block.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Block {
    /// Slab offset of the first byte << 8 | code size, perhaps with [`STALE`].
    pub key: u64,
    /// Number of its first instruction in the arena.
    pub first: u32,
    /// Instructions.
    pub len: u16,
    /// Bytes.
    pub bytes: u16,
    /// For each way out (some ways share a place) the block that followed last, with its key.
    links: [(u64, u32); LINKS],
    next_in_bucket: u32,
    next_in_page: u32,
    /// Which of its bytes have been written since it was decoded, and how often.
    written: (u16, u16),
    writes: u8,
}

impl Block {
    /// Where in its page it begins and ends.
    fn range(&self) -> (u64, u64) {
        let start = self.key >> 8 & PAGE_MASK;
        (start, start + u64::from(self.bytes))
    }

    /// Bytes `from` to `to` of its page, some of which are its own, are about to change. Returns whether that has
    /// happened too often since anybody wanted it.
    fn spoil(&mut self, from: u64, to: u64) -> bool {
        let (start, end) = self.range();
        let (from, to) = (from.max(start) - start, to.min(end) - start);
        let (from, to) = (from as u16, to as u16);
        let known = self.key & STALE != 0;
        self.written = if known { (self.written.0.min(from), self.written.1.max(to)) } else { (from, to) };
        self.writes = if known { self.writes.saturating_add(1) } else { 1 };
        self.key |= STALE;
        self.writes > STALE_WRITES
    }

    /// Decodes those of its instructions again that have been written to. Returns whether they are a block as before:
    /// every instruction where it was, and none but the last that ends a block.
    pub fn mend(&self, slab: &Slab, ops: &mut [Op], lacks: Lacks) -> bool {
        let (start, mode) = (self.key >> 8, (self.key & !STALE) as u8);
        let (from, to) = self.written;
        let last = ops.len().wrapping_sub(1);
        for (i, op) in ops.iter_mut().enumerate() {
            let (off, len) = (op.at.off, usize::from(op.len));
            if off + u16::from(op.len) <= from {
                continue;
            }
            if off >= to {
                break;
            }
            let at = start + u64::from(off);
            if at + 16 > slab.len() {
                return false;
            }
            let bytes = slab.load::<u128>(at).to_le_bytes();
            let mut new = Op::EMPTY;
            match decode::decode(&bytes[..len & 15], mode, lacks, off, &mut new) {
                Ok(flow) if usize::from(new.len) == len && (flow != Flow::Ends || i == last) => {
                    new.at.idx = op.at.idx;
                    *op = new;
                }
                _ => return false,
            }
        }
        true
    }
}

/// A page of the slab that holds cached bytes.
struct CodePage {
    number: u32,
    /// One bit for each 64 bytes.
    granules: u64,
    /// Its blocks.
    head: u32,
    idle_writes: u32,
    /// The last write that a single block of those overlaps: its bytes, and the block's number. Code that is patched is
    /// patched there again.
    patch: (u64, u64, u32),
}

/// No write.
const NO_PATCH: (u64, u64, u32) = (0, 0, 0);

/// The key of the block at a slab offset.
#[inline(always)]
pub(crate) fn key(off: u64, code_size: u8) -> u64 {
    off << 8 | u64::from(code_size)
}

#[inline(always)]
fn bucket(key: u64) -> usize {
    let h = (key >> 8).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (h >> (64 - BUCKET_BITS)) as usize & (BUCKETS - 1)
}

/// Bits of the granules that `[from, to)` touches; `from < to`, both within one page.
fn granules(from: u64, to: u64) -> u64 {
    let (first, last) = (from >> 6 & 63, (to - 1) >> 6 & 63);
    (!0 << first) & (!0 >> (63 - last))
}

/// All blocks but for their instructions.
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    buckets: Vec<u32>,
    pages: Vec<CodePage>,
    /// For each page of the slab one more than its index in `pages`, or 0.
    page_index: Vec<u32>,
    /// Our mark in the slab's pages.
    mark: u16,
    /// [`Slab::code_epoch`] that the cache agrees with.
    pub epoch: u64,
    /// [`Slab::code_marks`] that the write TLB agrees with.
    pub marks: u64,
    /// The block that runs.
    pub current: u32,
}

impl Blocks {
    /// The empty cache of CPU number `cpu`.
    pub fn new(cpu: u8) -> Blocks {
        Blocks {
            mark: PageFlags::code(cpu),
            marks: 0,
            blocks: Vec::new(),
            buckets: vec![NONE; BUCKETS],
            pages: Vec::new(),
            page_index: Vec::new(),
            epoch: 0,
            current: 0,
        }
    }

    /// Forgets everything; the marks in the slab go, too, if there still is one.
    pub fn clear(&mut self, slab: Option<&Slab>) {
        if self.blocks.len() < BUCKETS / 8 {
            for b in self.blocks.drain(..).filter(|b| b.key != DEAD) {
                self.buckets[bucket(b.key)] = NONE;
            }
        } else {
            self.blocks.clear();
            self.buckets.fill(NONE);
        }
        for page in self.pages.drain(..) {
            if let Some(i) = self.page_index.get_mut(page.number as usize) {
                *i = NONE;
            }
            if let Some(slab) = slab {
                slab.clear_flags(SlabOffset(u64::from(page.number) << PAGE_SHIFT), self.mark);
            }
        }
    }

    /// Makes room for the pages of a slab.
    pub fn attach(&mut self, slab: &Slab) {
        let pages = (slab.len() >> PAGE_SHIFT) as usize;
        if self.page_index.len() < pages {
            self.page_index = vec![NONE; pages];
        }
        self.blocks.reserve(MAX_BLOCKS);
    }

    /// Whether the next block may not fit.
    pub fn full(&self, ops: usize) -> bool {
        self.blocks.len() >= MAX_BLOCKS || ops + MAX_BLOCK > MAX_OPS
    }

    #[inline(always)]
    pub fn get(&self, id: u32) -> Option<&Block> {
        self.blocks.get(id as usize)
    }

    /// The block with `key`, by the link of the way by which its predecessor was left, or by the buckets.
    #[inline(always)]
    pub fn find(&mut self, from: Exit, key: u64) -> Option<u32> {
        if let Some(b) = self.blocks.get(from.block as usize) {
            let (wanted, id) = b.links[from.link()];
            if wanted == key && self.blocks.get(id as usize).is_some_and(|b| b.key == key) {
                return Some(id);
            }
        }
        self.find_by_key(from, key)
    }

    #[inline(never)]
    fn find_by_key(&mut self, from: Exit, key: u64) -> Option<u32> {
        let mut at = self.buckets[bucket(key)];
        while let Some(b) = self.blocks.get(at.wrapping_sub(1) as usize) {
            if b.key == key {
                self.link(from, key, at - 1);
                return Some(at - 1);
            }
            at = b.next_in_bucket;
        }
        None
    }

    /// Remembers that `to` followed `from`.
    fn link(&mut self, from: Exit, key: u64, to: u32) {
        if let Some(b) = self.blocks.get_mut(from.block as usize) {
            b.links[from.link()] = (key, to);
        }
    }

    /// What there is under `key`.
    pub fn look_up(&self, key: u64) -> Known {
        let mut at = self.buckets[bucket(key)];
        let mut known = Known::Nothing;
        while let Some(b) = self.blocks.get(at.wrapping_sub(1) as usize) {
            if b.key == key {
                return Known::Fresh(at - 1);
            }
            if b.key == key | STALE {
                known = Known::Stale(at - 1);
            }
            at = b.next_in_bucket;
        }
        known
    }

    /// A block that follows `from` is as its bytes are, if it was stale again.
    pub fn revive(&mut self, from: Exit, id: u32) {
        let Some(b) = self.blocks.get_mut(id as usize) else { return };
        b.key &= !STALE;
        let key = b.key;
        self.link(from, key, id);
    }

    /// Drops a stale block. If it had at least `len` instructions, a new block with its key can have its place: its
    /// number, and that of its first instruction in the arena.
    pub fn retire(&mut self, id: u32, len: u16) -> Option<(u32, u32)> {
        let b = *self.blocks.get(id as usize)?;
        let slot = self.page_index.get((b.key >> 8 >> PAGE_SHIFT) as usize).copied().unwrap_or(NONE);
        self.drop_blocks(slot, |other| other.key == b.key);
        (b.len >= len).then_some((id, b.first))
    }

    /// Adds a block whose first instruction is number `first` of the arena, in the place of the dropped block `old`, if
    /// there is one. Returns its number, and whether its page held no cached bytes before.
    #[allow(clippy::too_many_arguments)]
    pub fn insert(
        &mut self,
        slab: &Slab,
        from: Exit,
        key: u64,
        old: Option<u32>,
        first: u32,
        len: u16,
        bytes: u16,
    ) -> (u32, bool) {
        let off = key >> 8;
        let number = (off >> PAGE_SHIFT) as u32;
        let id = old.unwrap_or(self.blocks.len() as u32);
        let bucket = bucket(key);
        let slot = self.page_index.get(number as usize).copied().unwrap_or(NONE);
        let mut fresh = false;
        let slot = if slot == NONE {
            fresh = true;
            let agreed = self.marks == slab.code_marks();
            slab.mark_code(SlabOffset(off), self.mark);
            if agreed {
                self.marks = slab.code_marks();
            }
            self.pages.push(CodePage { number, granules: 0, head: NONE, idle_writes: 0, patch: NO_PATCH });
            let slot = self.pages.len() as u32;
            if let Some(i) = self.page_index.get_mut(number as usize) {
                *i = slot;
            }
            slot
        } else {
            slot
        };
        let mut next_in_page = NONE;
        if let Some(page) = self.pages.get_mut(slot.wrapping_sub(1) as usize) {
            page.granules |= granules(off & PAGE_MASK, (off & PAGE_MASK) + u64::from(bytes.max(1)));
            page.idle_writes = 0;
            page.patch = NO_PATCH;
            next_in_page = core::mem::replace(&mut page.head, id + 1);
        }
        let next_in_bucket = core::mem::replace(&mut self.buckets[bucket], id + 1);
        let links = [(DEAD, 0); LINKS];
        let new =
            Block { key, first, len, bytes, links, next_in_bucket, next_in_page, written: (0, 0), writes: 0 };
        match old.and_then(|id| self.blocks.get_mut(id as usize)) {
            // Its ways out are as good a guess as before.
            Some(b) => *b = Block { links: b.links, ..new },
            None => self.blocks.push(new),
        }
        self.link(from, key, id);
        (id, fresh)
    }

    /// Whether a write of `n` bytes at slab offset `off`, all in one page, touches a granule that holds cached bytes, a
    /// page that is about to be forgotten, or one that another CPU's cache knows.
    #[inline]
    pub fn touches(&self, slab: &Slab, off: u64, n: u64) -> bool {
        if slab.flags(SlabOffset(off)).any(PageFlags::CODE & !self.mark) {
            return true;
        }
        let slot = self.page_index.get((off >> PAGE_SHIFT) as usize).copied().unwrap_or(NONE);
        let Some(page) = self.pages.get(slot.wrapping_sub(1) as usize) else { return true };
        let from = off & PAGE_MASK;
        page.head == NONE || page.granules & granules(from, from + n) != 0
    }

    /// `n` bytes at slab offset `off`, all in one page, are written by this CPU: tells the other caches, and makes the
    /// blocks stale that overlap them. Returns whether the running block was among those.
    pub fn written(&mut self, slab: &Slab, off: u64, n: u64) -> bool {
        slab.note_write_by(SlabOffset(off), self.mark);
        let slot = self.page_index.get((off >> PAGE_SHIFT) as usize).copied().unwrap_or(NONE);
        let Some(page) = self.pages.get_mut(slot.wrapping_sub(1) as usize) else { return false };
        let from = off & PAGE_MASK;
        let to = (from + n).min(PAGE_MASK + 1);
        if page.granules & granules(from, to) == 0 {
            if page.head == NONE {
                page.idle_writes += 1;
                if page.idle_writes > PATIENCE {
                    self.forget_page(slab, slot);
                }
            }
            return false;
        }
        if (page.patch.0, page.patch.1) == (from, to)
            && let Some(b) = self.blocks.get_mut(page.patch.2 as usize)
        {
            let hit = self.current == page.patch.2;
            if b.spoil(from, to) {
                self.drop_worn(slot);
            }
            return hit;
        }
        let (mut hit, mut worn) = (false, false);
        let (mut overlapping, mut last) = (0, 0);
        let mut at = page.head;
        while let Some(b) = self.blocks.get_mut(at.wrapping_sub(1) as usize) {
            let (start, end) = b.range();
            if start < to && from < end {
                hit |= self.current == at - 1;
                worn |= b.spoil(from, to);
                (overlapping, last) = (overlapping + 1, at - 1);
            }
            at = b.next_in_page;
        }
        page.patch = if overlapping == 1 { (from, to, last) } else { NO_PATCH };
        if worn {
            self.drop_worn(slot);
        }
        hit
    }

    /// Drops the stale blocks of a page that have been written to too often.
    #[cold]
    fn drop_worn(&mut self, slot: u32) {
        self.drop_blocks(slot, |b| b.key & STALE != 0 && b.writes > STALE_WRITES);
    }

    /// Drops blocks of a page.
    fn drop_blocks(&mut self, slot: u32, which: impl Fn(&Block) -> bool) {
        let Some(page) = self.pages.get_mut(slot.wrapping_sub(1) as usize) else { return };
        let mut at = page.head;
        let (mut head, mut kept) = (NONE, 0);
        while let Some(b) = self.blocks.get_mut(at.wrapping_sub(1) as usize) {
            let next = b.next_in_page;
            if which(b) {
                let key = core::mem::replace(&mut b.key, DEAD);
                let after = b.next_in_bucket;
                self.unlink(key, at, after);
            } else {
                let (start, end) = b.range();
                kept |= granules(start, end);
                b.next_in_page = head;
                head = at;
            }
            at = next;
        }
        if let Some(page) = self.pages.get_mut(slot.wrapping_sub(1) as usize) {
            (page.head, page.granules, page.patch) = (head, kept, NO_PATCH);
        }
    }

    /// Takes a block out of its bucket.
    fn unlink(&mut self, key: u64, id: u32, after: u32) {
        let mut at = self.buckets[bucket(key)];
        if at == id {
            self.buckets[bucket(key)] = after;
            return;
        }
        while let Some(b) = self.blocks.get_mut(at.wrapping_sub(1) as usize) {
            if b.next_in_bucket == id {
                b.next_in_bucket = after;
                return;
            }
            at = b.next_in_bucket;
        }
    }

    /// A page without blocks is data from now on.
    fn forget_page(&mut self, slab: &Slab, slot: u32) {
        let index = slot.wrapping_sub(1) as usize;
        if index >= self.pages.len() {
            return;
        }
        let page = self.pages.swap_remove(index);
        slab.clear_flags(SlabOffset(u64::from(page.number) << PAGE_SHIFT), self.mark);
        if let Some(i) = self.page_index.get_mut(page.number as usize) {
            *i = NONE;
        }
        if let Some(moved) = self.pages.get(index)
            && let Some(i) = self.page_index.get_mut(moved.number as usize)
        {
            *i = slot;
        }
    }

    /// Agrees with what others have written: drops the blocks of pages that were written or lost their marks. Returns
    /// whether there was anything to do.
    pub fn sync(&mut self, slab: &Slab) -> bool {
        let now = slab.code_epoch();
        if self.epoch == now {
            return false;
        }
        self.epoch = now;
        let mut index = 0;
        while let Some(page) = self.pages.get(index) {
            let off = u64::from(page.number) << PAGE_SHIFT;
            if !slab.flags(SlabOffset(off)).has(self.mark) {
                self.drop_blocks(index as u32 + 1, |_| true);
                self.forget_page(slab, index as u32 + 1);
            } else {
                index += 1;
            }
        }
        true
    }
}

/// Decoded instructions of all blocks, by number.
pub(crate) type Arena = Vec<Op>;
