//! What the boot loader says: memory and modules, by Multiboot 1 or PVH, and the memory that is free at first.

/// EAX of a Multiboot 1 loader.
pub const MULTIBOOT: u32 = 0x2bad_b002;
/// The first word of a PVH start info.
pub const PVH: u32 = 0x336e_c578;

/// The most ranges and modules that are kept.
const MOST: usize = 32;

/// A range of physical memory: start and end.
pub type Range = (u64, u64);

/// A list of ranges that ignores what does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    ranges: [Range; MOST],
    count: usize,
}

impl Ranges {
    /// Adds a range; an empty one is ignored.
    pub fn push(&mut self, range: Range) {
        if range.0 < range.1
            && let Some(place) = self.ranges.get_mut(self.count)
        {
            *place = range;
            self.count += 1;
        }
    }

    /// The ranges.
    pub fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.ranges.iter().take(self.count).copied()
    }

    /// Takes `hole` out of every range.
    pub fn subtract(&mut self, hole: Range) {
        let old = *self;
        *self = Ranges::default();
        for (start, end) in old.iter() {
            self.push((start, end.min(hole.0)));
            self.push((start.max(hole.1), end));
        }
    }

    /// Cuts every range to whole units of `unit` bytes inside it.
    pub fn align(&mut self, unit: u64) {
        let old = *self;
        *self = Ranges::default();
        for (start, end) in old.iter() {
            self.push((start.next_multiple_of(unit), end - end % unit));
        }
    }

    /// Takes `size` bytes from the first range that has them below `limit`.
    pub fn take(&mut self, size: u64, limit: u64) -> Option<u64> {
        let fits = |r: &&mut Range| r.1 - r.0 >= size && r.0 + size <= limit;
        let range = self.ranges.iter_mut().take(self.count).find(fits)?;
        let start = range.0;
        range.0 += size;
        Some(start)
    }
}

/// What the loader passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// RAM.
    pub memory: Ranges,
    /// Files that it loaded.
    pub modules: Ranges,
}

/// Reads a loader's information at physical address `info`; `load` reads an aligned quadword.
pub fn parse(magic: u32, info: u64, load: &impl Fn(u64) -> u64) -> Option<Boot> {
    let reader = Reader { load };
    match magic {
        MULTIBOOT => reader.multiboot(info),
        _ if reader.u32(info) == PVH => reader.pvh(info),
        _ => None,
    }
}

struct Reader<'a, F> {
    load: &'a F,
}

impl<F: Fn(u64) -> u64> Reader<'_, F> {
    fn u32(&self, at: u64) -> u32 {
        let byte = |i: u64| (self.load)((at + i) & !7).to_le_bytes()[((at + i) & 7) as usize];
        u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
    }

    fn u64(&self, at: u64) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }

    /// Multiboot 0.6.96, 3.3.
    fn multiboot(&self, info: u64) -> Option<Boot> {
        const MODULES: u32 = 1 << 3;
        const MAP: u32 = 1 << 6;
        let flags = self.u32(info);
        let mut boot = Boot::default();
        if flags & MAP == 0 {
            return None;
        }
        let (length, start) = (u64::from(self.u32(info + 44)), u64::from(self.u32(info + 48)));
        let mut at = start;
        while at < start + length {
            let (base, size) = (self.u64(at + 4), self.u64(at + 12));
            if self.u32(at + 20) == 1 {
                boot.memory.push((base, base.saturating_add(size)));
            }
            at += u64::from(self.u32(at)) + 4;
        }
        if flags & MODULES != 0 {
            let list = u64::from(self.u32(info + 24));
            for index in 0..u64::from(self.u32(info + 20)).min(MOST as u64) {
                let entry = list + index * 16;
                boot.modules.push((self.u32(entry).into(), self.u32(entry + 4).into()));
            }
        }
        Some(boot)
    }

    /// Xen's public/arch-x86/hvm/start_info.h.
    fn pvh(&self, info: u64) -> Option<Boot> {
        let mut boot = Boot::default();
        if self.u32(info + 4) < 1 {
            return None;
        }
        let (map, entries) = (self.u64(info + 40), self.u32(info + 48));
        for index in 0..u64::from(entries.min(256)) {
            let entry = map + index * 24;
            let (base, size) = (self.u64(entry), self.u64(entry + 8));
            if self.u32(entry + 16) == 1 {
                boot.memory.push((base, base.saturating_add(size)));
            }
        }
        let list = self.u64(info + 16);
        for index in 0..u64::from(self.u32(info + 12)).min(MOST as u64) {
            let entry = list + index * 32;
            let (base, size) = (self.u64(entry), self.u64(entry + 8));
            boot.modules.push((base, base.saturating_add(size)));
        }
        Some(boot)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn boot(magic: u32, words: &[u32]) -> Option<Boot> {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let load = |at: u64| {
            let byte = |i| bytes.get(at as usize + i).copied().unwrap_or(0);
            u64::from_le_bytes(core::array::from_fn(byte))
        };
        parse(magic, 4, &load)
    }

    #[test]
    fn multiboot_memory_of_type_one_and_modules() {
        let mut words = [0u32; 40];
        words[1] = 1 << 3 | 1 << 6;
        words[1 + 5] = 1;
        words[1 + 6] = 31 * 4;
        words[1 + 11] = 48;
        words[1 + 12] = 19 * 4;
        words[19..25].copy_from_slice(&[20, 0x10_0000, 0, 0x700_0000, 0, 1]);
        words[25..31].copy_from_slice(&[20, 0xf000_0000, 0, 0x1000, 0, 2]);
        words[31..33].copy_from_slice(&[0x20_0000, 0x20_1234]);
        let boot = boot(MULTIBOOT, &words).unwrap();
        assert_eq!(boot.memory.iter().collect::<Vec<_>>(), [(0x10_0000, 0x710_0000)]);
        assert_eq!(boot.modules.iter().collect::<Vec<_>>(), [(0x20_0000, 0x20_1234)]);
    }

    #[test]
    fn pvh_memory_and_modules() {
        let mut words = [0u32; 40];
        words[1..15].copy_from_slice(&[PVH, 1, 0, 1, 64, 0, 0, 0, 0, 0, 96, 0, 1, 0]);
        words[16..18].copy_from_slice(&[0x20_0000, 0]);
        words[18..20].copy_from_slice(&[0x1234, 0]);
        words[24..30].copy_from_slice(&[0x10_0000, 0, 0x700_0000, 1, 1, 0]);
        let boot = boot(0, &words).unwrap();
        assert_eq!(boot.memory.iter().collect::<Vec<_>>(), [(0x10_0000, 0x1_0710_0000)]);
        assert_eq!(boot.modules.iter().collect::<Vec<_>>(), [(0x20_0000, 0x20_1234)]);
    }

    #[test]
    fn an_unknown_loader_is_none() {
        assert_eq!(boot(0, &[0; 40]), None);
    }

    #[test]
    fn what_is_taken_is_gone() {
        let mut ranges = Ranges::default();
        ranges.push((0, 0x9_fc00));
        ranges.push((0x10_0000, 0x80_0000));
        ranges.subtract((0, 0x10_0000));
        ranges.subtract((0x20_0000, 0x20_1234));
        ranges.align(0x1000);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(0x10_0000, 0x20_0000), (0x20_2000, 0x80_0000)]);
        assert_eq!(ranges.take(0x20_0000, u64::MAX), Some(0x20_2000));
        assert_eq!(ranges.take(0x1000, 0x10_0fff), None, "above the limit");
        assert_eq!(ranges.take(0x1000, u64::MAX), Some(0x10_0000));
    }
}
