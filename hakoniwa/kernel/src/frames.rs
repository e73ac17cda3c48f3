//! Physical memory: one descriptor per page frame, who pays for it, and how many mappings it has.

/// What a frame is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    /// Not RAM, or taken before the kernel ran.
    Reserved,
    Free,
    /// A page table or another object of the kernel's.
    Kernel,
    /// A page that tasks map.
    Page,
}

/// A frame's descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    next: u32,
    previous: u32,
    mappings: u16,
    /// Of the first frame of a block: how many of the block are free.
    inside: u16,
    owner: u8,
    used: Use,
}

/// Frames of a block: a large page's, aligned to their number.
pub const BLOCK: u32 = 512;

impl Frame {
    /// A frame that nobody may use.
    pub const RESERVED: Frame =
        Frame { next: NONE, previous: NONE, mappings: 0, inside: 0, owner: 0, used: Use::Reserved };
}

const NONE: u32 = u32::MAX;

/// The frames of the machine, named by number (address / 4096).
pub struct Frames<'a> {
    frames: &'a mut [Frame],
    first: u32,
    free: u32,
    /// No block before this one is free as a whole.
    hint: u32,
}

impl<'a> Frames<'a> {
    /// No free frame yet.
    pub fn new(frames: &'a mut [Frame]) -> Frames<'a> {
        frames.fill(Frame::RESERVED);
        Frames { frames, first: NONE, free: 0, hint: 0 }
    }

    /// Free frames.
    pub fn free(&self) -> u32 {
        self.free
    }

    fn get(&mut self, number: u32) -> Option<&mut Frame> {
        self.frames.get_mut(number as usize)
    }

    /// Makes a reserved frame free: at boot.
    pub fn add(&mut self, number: u32) {
        if self.get(number).is_some_and(|f| f.used == Use::Reserved) {
            self.push(number);
        }
    }

    /// Counts a frame more or less that is free in its block.
    fn count(&mut self, number: u32, change: i16) {
        let block = number - number % BLOCK;
        if let Some(first) = self.get(block) {
            first.inside = first.inside.wrapping_add_signed(change);
            if first.inside == BLOCK as u16 {
                self.hint = self.hint.min(block);
            }
        }
    }

    fn push(&mut self, number: u32) {
        let first = self.first;
        if let Some(frame) = self.get(number) {
            *frame = Frame { used: Use::Free, next: first, inside: frame.inside, ..Frame::RESERVED };
            if let Some(next) = self.get(first) {
                next.previous = number;
            }
            self.first = number;
            self.free += 1;
            self.count(number, 1);
        }
    }

    /// Takes a free frame off the list.
    fn unlink(&mut self, number: u32, owner: usize, used: Use) -> Option<()> {
        let frame = self.get(number)?;
        let (next, previous) = (frame.next, frame.previous);
        *frame = Frame { used, owner: owner as u8, inside: frame.inside, ..Frame::RESERVED };
        if let Some(next) = self.get(next) {
            next.previous = previous;
        }
        match self.get(previous) {
            Some(previous) => previous.next = next,
            None => self.first = next,
        }
        self.free -= 1;
        self.count(number, -1);
        Some(())
    }

    fn take(&mut self, owner: usize, used: Use) -> Option<u32> {
        let number = self.first;
        self.unlink(number, owner, used).map(|()| number)
    }

    /// A whole block of frames for pages with no mapping yet, paid by `owner`; the first of them comes back.
    pub fn take_block(&mut self, owner: usize) -> Option<u32> {
        let end = self.frames.len() as u32;
        let is_free = |frames: &[Frame], block: u32| frames.get(block as usize).map(|f| f.inside);
        let mut blocks = (self.hint..end).step_by(BLOCK as usize);
        let found = blocks.find(|block| is_free(self.frames, *block) == Some(BLOCK as u16));
        self.hint = found.map_or(end - end % BLOCK, |block| block + BLOCK);
        let block = found?;
        (block..block + BLOCK).try_for_each(|number| self.unlink(number, owner, Use::Page))?;
        Some(block)
    }

    /// A frame for the kernel itself, paid by `owner`.
    pub fn take_kernel(&mut self, owner: usize) -> Option<u32> {
        self.take(owner, Use::Kernel)
    }

    /// A frame for a page with no mapping yet, paid by `owner`.
    pub fn take_page(&mut self, owner: usize) -> Option<u32> {
        self.take(owner, Use::Page)
    }

    /// Turns a reserved frame (the boot archive's) into a page of `owner` with no mapping.
    pub fn adopt(&mut self, number: u32, owner: usize) -> bool {
        match self.get(number) {
            Some(frame) if frame.used == Use::Reserved => {
                *frame =
                    Frame { used: Use::Page, owner: owner as u8, inside: frame.inside, ..Frame::RESERVED };
                true
            }
            _ => false,
        }
    }

    /// Counts one more mapping of a page; false if it is none or has too many.
    pub fn share(&mut self, number: u32) -> bool {
        match self.get(number) {
            Some(frame) if frame.used == Use::Page && frame.mappings < u16::MAX => {
                frame.mappings += 1;
                true
            }
            _ => false,
        }
    }

    /// Counts one mapping less; with the last the frame is free. Returns who paid for it if so.
    pub fn unshare(&mut self, number: u32) -> Option<usize> {
        let frame = self.get(number).filter(|f| f.used == Use::Page && f.mappings > 0)?;
        frame.mappings -= 1;
        let (mappings, owner) = (frame.mappings, frame.owner);
        (mappings == 0).then(|| {
            self.push(number);
            owner.into()
        })
    }

    /// Frees a frame of the kernel's, or a page that has no mapping. Returns who paid for it.
    pub fn release(&mut self, number: u32) -> Option<usize> {
        let frame =
            self.get(number).filter(|f| matches!(f.used, Use::Kernel | Use::Page) && f.mappings == 0)?;
        let owner = frame.owner.into();
        self.push(number);
        Some(owner)
    }

    /// Lets `to` pay for what `from` paid; returns how many frames.
    pub fn bequeath(&mut self, from: usize, to: usize) -> u32 {
        let mut count = 0;
        for frame in self.frames.iter_mut() {
            if matches!(frame.used, Use::Kernel | Use::Page) && usize::from(frame.owner) == from {
                frame.owner = to as u8;
                count += 1;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn frames(descriptors: &mut [Frame]) -> Frames<'_> {
        let mut frames = Frames::new(descriptors);
        (1..8).for_each(|n| frames.add(n));
        frames
    }

    #[test]
    fn every_frame_is_given_once() {
        let mut descriptors = [Frame::RESERVED; 8];
        let mut frames = frames(&mut descriptors);
        let taken: std::collections::BTreeSet<_> = core::iter::from_fn(|| frames.take_page(1)).collect();
        assert_eq!(taken, (1..8).collect());
        assert_eq!(frames.free(), 0);
    }

    #[test]
    fn a_page_is_free_when_its_last_mapping_goes() {
        let mut descriptors = [Frame::RESERVED; 8];
        let mut frames = frames(&mut descriptors);
        let page = frames.take_page(3).unwrap();
        assert!(frames.share(page) && frames.share(page));
        assert_eq!(frames.unshare(page), None);
        assert_eq!(frames.unshare(page), Some(3));
        assert_eq!(frames.unshare(page), None, "not twice");
        assert_eq!(frames.free(), 7);
    }

    #[test]
    fn tables_reserved_and_unknown_frames_are_never_shared() {
        let mut descriptors = [Frame::RESERVED; 8];
        let mut frames = frames(&mut descriptors);
        let table = frames.take_kernel(1).unwrap();
        assert!(!frames.share(table));
        assert!(!frames.share(0), "reserved");
        assert!(!frames.share(1000), "beyond memory");
        assert!(!frames.share(u32::MAX));
    }

    #[test]
    fn a_block_is_taken_whole_and_found_again() {
        let mut descriptors = std::vec![Frame::RESERVED; 4 * BLOCK as usize + 100];
        let mut frames = Frames::new(&mut descriptors);
        (1..4 * BLOCK + 100).for_each(|n| frames.add(n));
        let free = frames.free();
        assert_eq!(frames.take_block(1), Some(BLOCK), "the first lacks its first frame");
        assert_eq!(frames.free(), free - BLOCK);
        assert_eq!(frames.take_block(1), Some(2 * BLOCK));
        assert_eq!(frames.take_block(1), Some(3 * BLOCK));
        assert_eq!(frames.take_block(1), None, "the last is no whole one");
        for number in (2 * BLOCK..3 * BLOCK).rev() {
            assert_eq!(frames.release(number), Some(1));
        }
        let one = frames.take_page(2).unwrap();
        assert_eq!(frames.take_block(1), None, "one of it is in use");
        frames.release(one);
        assert_eq!(frames.take_block(1), Some(2 * BLOCK));
        let rest: std::collections::BTreeSet<_> = core::iter::from_fn(|| frames.take_page(1)).collect();
        assert_eq!(rest.len() as u32, free - 3 * BLOCK);
        assert_eq!(frames.free(), 0);
    }

    #[test]
    fn what_outlives_its_payer_is_inherited() {
        let mut descriptors = [Frame::RESERVED; 8];
        let mut frames = frames(&mut descriptors);
        let page = frames.take_page(3).unwrap();
        frames.share(page);
        assert_eq!(frames.bequeath(3, 2), 1);
        assert_eq!(frames.unshare(page), Some(2));
    }
}
