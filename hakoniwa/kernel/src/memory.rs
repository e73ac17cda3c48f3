//! Pages: who has them, who maps them where, who pays.

use crate::Kernel;
use crate::frames::BLOCK;
use crate::kernel::{address, frame};
use crate::paging::{self, Ept, Leaf, MapError, User};
use crate::platform::Platform;
use core::ops::Range;
use hakoniwa_abi::{Access, Error, LARGE, PAGE, TaskId, layout};

/// The most pages that one call handles: the kernel does not let anybody wait longer than that. As many as a large page
/// has.
const BATCH: u64 = BLOCK as u64;

/// Checks a range of pages in a task's part of the address space.
fn range(at: u64, count: u64) -> Result<(), Error> {
    let aligned = at.is_multiple_of(PAGE) && count > 0 && count <= BATCH;
    let inside = (layout::LOWEST..=layout::END).contains(&at) && at + count.min(BATCH) * PAGE <= layout::END;
    if aligned && inside { Ok(()) } else { Err(Error::BadArgument) }
}

/// Checks a range of pages in a guest's physical memory.
fn guest_range(at: u64, count: u64) -> Result<(), Error> {
    /// One past the last guest-physical address: what every processor with EPT has at least.
    const END: u64 = 1 << 36;
    let good =
        at.is_multiple_of(PAGE) && (1..=BATCH).contains(&count) && at < END && at + count * PAGE <= END;
    if good { Ok(()) } else { Err(Error::BadArgument) }
}

/// Rights that a task's page may have: writable or executable, not both.
fn access(bits: u64) -> Result<Access, Error> {
    Access::from_bits(bits).filter(|a| *a != Access::GUEST).ok_or(Error::BadArgument)
}

impl<P: Platform> Kernel<'_, P> {
    /// Counts a page against a task's quota.
    fn pay(&mut self, slot: usize) -> Result<(), Error> {
        let task = &mut self.tasks[slot];
        if task.used >= task.quota {
            return Err(Error::Quota);
        }
        task.used += 1;
        Ok(())
    }

    pub(crate) fn refund(&mut self, payer: Option<usize>) {
        if let Some(task) = payer.and_then(|slot| self.tasks.get_mut(slot)) {
            task.used = task.used.saturating_sub(1);
        }
    }

    /// A zeroed frame for the kernel, paid by a task.
    pub(crate) fn take_kernel(&mut self, slot: usize) -> Result<u64, Error> {
        self.pay(slot)?;
        match self.frames.take_kernel(slot) {
            Some(frame) => {
                self.platform.clear_page(address(frame));
                Ok(address(frame))
            }
            None => {
                self.refund(Some(slot));
                Err(Error::NoMemory)
            }
        }
    }

    fn take_page(&mut self, slot: usize) -> Result<u32, Error> {
        self.pay(slot)?;
        match self.frames.take_page(slot) {
            Some(frame) => {
                self.platform.clear_page(address(frame));
                Ok(frame)
            }
            None => {
                self.refund(Some(slot));
                Err(Error::NoMemory)
            }
        }
    }

    /// Maps a page in a task and counts the mapping. Page tables are paid by the task.
    pub(crate) fn map_shared(
        &mut self,
        slot: usize,
        at: u64,
        number: u32,
        access: Access,
    ) -> Result<(), Error> {
        self.map_frames(slot, at, number..number.saturating_add(1), access)
    }

    /// Maps one frame, or a block of them as a large page of a guest.
    fn map_frames(&mut self, slot: usize, at: u64, frames: Range<u32>, access: Access) -> Result<(), Error> {
        if let Some(bad) = frames.clone().find(|number| !self.frames.share(*number)) {
            self.unshare(frames.start..bad);
            return Err(Error::NotMapped);
        }
        let leaf = Leaf { physical: address(frames.start), access };
        let large = frames.len() > 1;
        let done = self.put(slot, at, leaf, large);
        if done.is_err() {
            self.unshare(frames);
        }
        done
    }

    fn unshare(&mut self, frames: Range<u32>) {
        for number in frames {
            let payer = self.frames.unshare(number);
            self.refund(payer);
        }
    }

    fn put(&mut self, slot: usize, at: u64, leaf: Leaf, large: bool) -> Result<(), Error> {
        let root = self.tasks[slot].root;
        let Kernel { platform, frames, tasks, .. } = self;
        let task = &mut tasks[slot];
        let mut missing = Error::NoMemory;
        let is_guest = task.guest.is_some();
        let mut table = || {
            if task.used >= task.quota {
                missing = Error::Quota;
                return None;
            }
            let table = frames.take_kernel(slot)?;
            task.used += 1;
            Some(address(table))
        };
        let mapped = match (is_guest, large) {
            (true, true) => paging::map_large::<Ept>(platform, root, at, leaf, &mut table),
            (true, false) => paging::map::<Ept>(platform, root, at, leaf, &mut table),
            (false, _) => paging::map::<User>(platform, root, at, leaf, &mut table),
        };
        mapped.map_err(|error| match error {
            MapError::Mapped => Error::Mapped,
            MapError::Outside => Error::BadArgument,
            MapError::NoTable => missing,
        })
    }

    fn unmap_page(&mut self, slot: usize, at: u64) -> Result<(), Error> {
        let root = self.tasks[slot].root;
        let leaf = if self.tasks[slot].guest.is_some() {
            if paging::lookup_large::<Ept>(&self.platform, root, at).is_some() {
                let table = self.take_kernel(slot)?;
                paging::split::<Ept>(&mut self.platform, root, at, table).ok_or(Error::NotMapped)?;
            }
            let leaf = paging::unmap::<Ept>(&mut self.platform, root, at).ok_or(Error::NotMapped)?;
            // By the map's root, so for all processors of the guest. There is one real processor, which runs none of
            // them now: what it kept is gone before any of them is entered, and nobody else has to be told.
            self.platform.flush_guest(root);
            leaf
        } else {
            let leaf = paging::unmap::<User>(&mut self.platform, root, at).ok_or(Error::NotMapped)?;
            self.platform.flush();
            leaf
        };
        let payer = self.frames.unshare(frame(leaf.physical));
        self.refund(payer);
        Ok(())
    }

    /// Unmaps a large page of a guest, if one begins there.
    fn unmap_large(&mut self, slot: usize, at: u64) -> Option<()> {
        let root = self.tasks[slot].root;
        self.tasks[slot].guest.as_ref().filter(|_| at.is_multiple_of(LARGE))?;
        let leaf = paging::unmap_large::<Ept>(&mut self.platform, root, at)?;
        self.platform.flush_guest(root);
        let first = frame(leaf.physical);
        self.unshare(first..first.saturating_add(BLOCK));
        Some(())
    }

    /// Maps a fresh page in a task.
    pub fn page_fresh(&mut self, slot: usize, at: u64, access: Access) -> Result<u64, Error> {
        let number = self.take_page(slot)?;
        match self.map_shared(slot, at, number, access) {
            Ok(()) => Ok(address(number)),
            Err(error) => {
                // The page was never mapped, or its only mapping was undone, which freed and refunded it.
                let payer = self.frames.release(number);
                self.refund(payer);
                Err(error)
            }
        }
    }

    pub(crate) fn page_alloc(&mut self, me: usize, at: u64, bits: u64, count: u64) -> Result<(), Error> {
        range(at, count)?;
        let access = access(bits)?;
        let task = &self.tasks[me];
        if count > u64::from(task.quota.saturating_sub(task.used)) {
            return Err(Error::Quota);
        }
        if count == BATCH
            && at.is_multiple_of(LARGE)
            && let Some(first) = self.frames.take_block(me)
        {
            return self.block_alloc(me, at, access, first);
        }
        for index in 0..count {
            if let Err(error) = self.page_fresh(me, at + index * PAGE, access) {
                self.undo(me, at, index);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Maps the frames of a fresh block, so that a large page of a guest can be made of it.
    fn block_alloc(&mut self, me: usize, at: u64, access: Access, first: u32) -> Result<(), Error> {
        self.tasks[me].used += BLOCK;
        for index in 0..BLOCK {
            self.platform.clear_page(address(first + index));
            if let Err(error) = self.map_shared(me, at + u64::from(index) * PAGE, first + index, access) {
                self.undo(me, at, index.into());
                // The one that could not be mapped is free already if it was counted.
                for number in first + index..first + BLOCK {
                    let payer = self.frames.release(number);
                    self.refund(payer);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn undo(&mut self, slot: usize, at: u64, count: u64) {
        for index in 0..count {
            // What was just mapped is there.
            let _ = self.unmap_page(slot, at + index * PAGE);
        }
    }

    /// The task whose memory `me` may change: itself, or one whose pager it is.
    fn paged(&self, me: usize, id: TaskId) -> Result<usize, Error> {
        if id == TaskId::KERNEL || id == self.tasks[me].id {
            return Ok(me);
        }
        let slot = self.find(id).ok_or(Error::BadTask)?;
        if self.first_cpu(slot) != slot {
            // A guest's memory has one name: that of its first processor.
            return Err(Error::BadTask);
        }
        if self.tasks[slot].pager == self.tasks[me].id { Ok(slot) } else { Err(Error::Denied) }
    }

    /// Checks a range in a task or a guest, and says which it is.
    fn target(&self, slot: usize, at: u64, count: u64) -> Result<bool, Error> {
        let guest = self.tasks[slot].guest.is_some();
        if guest { guest_range(at, count) } else { range(at, count) }.map(|()| guest)
    }

    pub(crate) fn page_map(
        &mut self,
        me: usize,
        id: TaskId,
        from: u64,
        to: u64,
        bits: u64,
        count: u64,
    ) -> Result<(), Error> {
        let slot = self.paged(me, id)?;
        range(from, count)?;
        let wanted = self.target(slot, to, count).and_then(|guest| {
            if guest { Access::from_bits(bits).ok_or(Error::BadArgument) } else { access(bits) }
        })?;
        if let Some(first) = self.whole_block(me, slot, from, to, wanted, count) {
            match self.map_frames(slot, to, first..first + BLOCK, wanted) {
                // Something smaller is there, or was: page by page.
                Err(Error::Mapped) => {}
                done => return done,
            }
        }
        for index in 0..count {
            let offset = index * PAGE;
            let done = paging::lookup::<User>(&self.platform, self.tasks[me].root, from + offset)
                .filter(|leaf| mappable(leaf.access, wanted, slot == me))
                .ok_or(Error::NotMapped)
                .and_then(|leaf| self.map_shared(slot, to + offset, frame(leaf.physical), wanted));
            if let Err(error) = done {
                self.undo(slot, to, index);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The first of the frames behind a range of the caller's pages, if a large page of a guest can be made of them: as
    /// many as it has, one after another, aligned on both sides, and each mappable as wanted.
    fn whole_block(
        &self,
        me: usize,
        slot: usize,
        from: u64,
        to: u64,
        wanted: Access,
        count: u64,
    ) -> Option<u32> {
        let fits = self.large_pages && self.tasks[slot].guest.is_some();
        if !fits || count != BATCH || !to.is_multiple_of(LARGE) {
            return None;
        }
        let root = self.tasks[me].root;
        let physical = |index: u64| {
            paging::lookup::<User>(&self.platform, root, from + index * PAGE)
                .filter(|leaf| mappable(leaf.access, wanted, slot == me))
                .map(|leaf| leaf.physical)
        };
        let first = physical(0).filter(|first| first.is_multiple_of(LARGE))?;
        (1..count).all(|index| physical(index) == Some(first + index * PAGE)).then(|| frame(first))
    }

    pub(crate) fn page_unmap(&mut self, me: usize, id: TaskId, at: u64, count: u64) -> Result<(), Error> {
        let slot = self.paged(me, id)?;
        self.target(slot, at, count)?;
        if count == BATCH && self.unmap_large(slot, at).is_some() {
            return Ok(());
        }
        (0..count).try_for_each(|index| self.unmap_page(slot, at + index * PAGE))
    }
}

/// Whether a page held with `has` may be mapped with `wanted`. A pager may make what it can read executable in
/// another task; in its own address space a page that it can write never becomes executable under a second address.
fn mappable(has: Access, wanted: Access, own: bool) -> bool {
    let needed = if own { wanted } else { Access(wanted.0 & Access::WRITE.0) };
    has.covers(needed)
}
