//! Where a PC keeps its memory: the fixed map, and what the PAM registers of the 440FX make of 0xC0000-0xFFFFF.

use alloc::sync::Arc;
use alloc::vec::Vec;

use hako_chips::pci::i440fx::{SEGMENTS, Segment, pam_segments};
use hako_firmware::{MemoryRange, RangeKind};
use hako_mem::{Gpa, GuestMemory, MapError, MemoryMap, PAGE_SIZE, Region, RegionKind, Slab, SlabOffset};

/// RAM below 4 GiB ends here at the latest; PCI memory begins.
pub const LOW_RAM_END: u64 = 0xc000_0000;
/// RAM that does not fit below goes on here.
pub const HIGH_RAM: u64 = 1 << 32;
/// The window of PCI's enhanced configuration access, 1 MiB for each of 256 buses.
pub const ECAM: u64 = 0xe000_0000;
/// Bytes of it.
pub const ECAM_SIZE: u64 = 256 << 20;
/// Where PCI devices' memory may be, by first and last address: between RAM, the ECAM window and the interrupt
/// controllers.
pub const PCI_MEMORY: [(u64, u64); 2] = [(0xf000_0000, 0xfebf_ffff), (LOW_RAM_END, ECAM - 1)];
/// The ports of ACPI power management.
pub const PM_PORT: u16 = 0x600;
/// Where PCI devices' ports may be.
pub const PCI_PORTS: (u64, u64) = (0xc000, 0xffff);
/// Video memory: plain RAM to the CPU, read by the display.
pub const VIDEO: u64 = 0xa_0000;
/// The end of the first megabyte.
pub const MEGABYTE: u64 = 0x10_0000;
/// How far a closed A20 gate is shown by the map: a slot of the engine for each megabyte below, and each takes
/// milliseconds to change on some hosts.
pub const A20_REACH: u64 = 64 * MEGABYTE;
/// The BIOS area: the last 64 KiB below 1 MiB, where the ROM and its tables show.
const BIOS: u64 = 0xf_0000;
/// How much of a firmware ROM shows below 1 MiB at most.
const ROM_WINDOW: u64 = 0x2_0000;

/// The sizes that a PC's slab is made of: RAM first, then the firmware ROM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of RAM, whole pages, at least 1 MiB.
    pub ram: u64,
    /// Bytes of the ROM, whole pages.
    pub rom: u64,
}

impl Layout {
    /// Sizes are rounded up to pages; a PC has at least its first megabyte.
    pub fn new(ram: u64, rom: usize) -> Layout {
        Layout {
            ram: ram.max(MEGABYTE).next_multiple_of(PAGE_SIZE),
            rom: (rom as u64).next_multiple_of(PAGE_SIZE),
        }
    }

    /// Bytes of slab needed.
    pub fn slab_len(&self) -> u64 {
        self.ram + self.rom
    }

    /// Where the ROM is in the slab.
    pub fn rom_offset(&self) -> SlabOffset {
        SlabOffset(self.ram)
    }

    /// RAM below 4 GiB.
    pub fn low_ram(&self) -> u64 {
        self.ram.min(LOW_RAM_END)
    }

    /// RAM above 4 GiB.
    pub fn high_ram(&self) -> u64 {
        self.ram - self.low_ram()
    }

    /// The memory of a PC after power-on. `slab` has at least [`Layout::slab_len`] bytes; the ROM is put into it without
    /// leaving marks, so that [`Slab::reset`] lets it be.
    pub fn memory(&self, slab: Arc<Slab>, rom: &[u8]) -> Result<GuestMemory, MapError> {
        for (i, byte) in rom.iter().enumerate() {
            slab.store(self.rom_offset().0 + i as u64, *byte);
        }
        Ok(GuestMemory::new(slab, self.map([0; 7])?))
    }

    /// The map with these PAM registers.
    fn map(&self, pam: [u8; 7]) -> Result<MemoryMap, MapError> {
        let mut map = MemoryMap::new();
        let ram = |gpa, len, offset| Region {
            gpa: Gpa(gpa),
            len,
            kind: RegionKind::Ram,
            offset: SlabOffset(offset),
        };
        map.map(ram(0, self.low_ram(), 0))?;
        if self.high_ram() != 0 {
            map.map(ram(HIGH_RAM, self.high_ram(), self.low_ram()))?;
        }
        if self.rom != 0 {
            map.map(Region {
                gpa: Gpa(HIGH_RAM - self.rom),
                len: self.rom,
                kind: RegionKind::Rom,
                offset: self.rom_offset(),
            })?;
        }
        for segment in pam_segments(pam) {
            self.show(&mut map, segment)?;
        }
        Ok(map)
    }

    /// Changes the segments whose PAM bits changed; whether any did.
    pub fn repam(&self, map: &mut MemoryMap, old: [u8; 7], new: [u8; 7]) -> Result<bool, MapError> {
        let (old, new) = (pam_segments(old), pam_segments(new));
        let mut changed = false;
        for i in 0..SEGMENTS {
            if old[i] != new[i] {
                self.show(map, new[i])?;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Shows what a CPU with address bit 20 masked sees, or what is there: for engines that cannot mask the bit. Of the
    /// odd megabytes each shows the one below it, up to [`A20_REACH`] and to the end of RAM below 4 GiB: every megabyte
    /// costs the engine a slot. Beyond, and where nothing is, the gate changes nothing.
    pub fn set_a20(&self, map: &mut MemoryMap, open: bool) -> Result<(), MapError> {
        let end = self.low_ram().next_multiple_of(2 * MEGABYTE).clamp(2 * MEGABYTE, A20_REACH);
        for odd in (MEGABYTE..end).step_by(2 * MEGABYTE as usize) {
            map.unmap(Gpa(odd), MEGABYTE)?;
            if open {
                let len = self.low_ram().saturating_sub(odd).min(MEGABYTE);
                if len != 0 {
                    let offset = SlabOffset(odd);
                    map.map(Region { gpa: Gpa(odd), len, kind: RegionKind::Ram, offset })?;
                }
                continue;
            }
            let even = odd - MEGABYTE;
            let below: Vec<Region> =
                map.regions().iter().filter(|r| r.gpa.0 < odd && r.end() > even).copied().collect();
            for r in below {
                let from = r.gpa.0.max(even);
                let (len, skip) = (r.end().min(odd) - from, from - r.gpa.0);
                let offset = SlabOffset(r.offset.0 + skip);
                map.map(Region { gpa: Gpa(from + MEGABYTE), len, offset, ..r })?;
            }
        }
        Ok(())
    }

    /// Maps one PAM segment. Where only writes go to RAM, reads come from the ROM and the bus does the writes.
    fn show(&self, map: &mut MemoryMap, s: Segment) -> Result<(), MapError> {
        let (start, len) = (u64::from(s.start), u64::from(s.len));
        let region = |kind, offset| Region { gpa: Gpa(start), len, kind, offset: SlabOffset(offset) };
        match (s.read_ram, s.write_ram) {
            (true, true) => return map.map(region(RegionKind::Ram, start)),
            (true, false) => return map.map(region(RegionKind::Rom, start)),
            (false, _) => map.unmap(Gpa(start), len)?,
        }
        // The window of the ROM may cover the segment in part.
        let window = MEGABYTE - self.rom.min(ROM_WINDOW);
        let from = start.max(window);
        if from < start + len {
            let offset = self.ram + self.rom - (MEGABYTE - from);
            let len = start + len - from;
            map.map(Region { gpa: Gpa(from), len, kind: RegionKind::Rom, offset: SlabOffset(offset) })?;
        }
        Ok(())
    }

    /// RAM and what the board reserves, for E820 and fw_cfg.
    pub fn memory_ranges(&self) -> Vec<MemoryRange> {
        let range = |start, len, kind| MemoryRange { start: Gpa(start), len, kind };
        let mut list = alloc::vec![range(0, VIDEO, RangeKind::Usable)];
        if self.rom != 0 {
            list.push(range(BIOS, MEGABYTE - BIOS, RangeKind::Reserved));
        }
        if self.low_ram() > MEGABYTE {
            list.push(range(MEGABYTE, self.low_ram() - MEGABYTE, RangeKind::Usable));
        }
        list.push(range(ECAM, ECAM_SIZE, RangeKind::Reserved));
        if self.rom != 0 {
            list.push(range(HIGH_RAM - self.rom, self.rom, RangeKind::Reserved));
        }
        if self.high_ram() != 0 {
            list.push(range(HIGH_RAM, self.high_ram(), RangeKind::Usable));
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_ROM: [u8; 7] = [0; 7];
    const ALL_RAM: [u8; 7] = [0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33];

    fn at(map: &MemoryMap, gpa: u64) -> Option<(RegionKind, u64)> {
        map.lookup(Gpa(gpa)).map(|l| (l.kind, l.offset.0))
    }

    #[test]
    fn the_rom_shows_its_end_below_1_mib_and_all_of_it_below_4_gib() {
        let l = Layout::new(64 << 20, 256 << 10);
        let map = l.map(ALL_ROM).unwrap();
        let rom = 64 << 20;
        assert_eq!(at(&map, 0xffff_fff0), Some((RegionKind::Rom, rom + 0x3_fff0)));
        assert_eq!(at(&map, 0xfffc_0000), Some((RegionKind::Rom, rom)));
        assert_eq!(at(&map, 0xe_0000), Some((RegionKind::Rom, rom + 0x2_0000)));
        assert_eq!(at(&map, 0xd_ffff), None);
    }

    #[test]
    fn a_small_rom_shows_once_only() {
        let l = Layout::new(16 << 20, 64 << 10);
        let map = l.map(ALL_ROM).unwrap();
        assert_eq!(at(&map, 0xf_0000), Some((RegionKind::Rom, 16 << 20)));
        assert_eq!(at(&map, 0xe_ffff), None);
    }

    #[test]
    fn pam_shadows_the_rom_with_ram() {
        let l = Layout::new(16 << 20, 64 << 10);
        let mut map = l.map(ALL_ROM).unwrap();
        assert_eq!(l.repam(&mut map, ALL_ROM, ALL_RAM), Ok(true));
        assert_eq!(at(&map, 0xc_0000), Some((RegionKind::Ram, 0xc_0000)));
        assert_eq!(at(&map, 0xf_fff0), Some((RegionKind::Ram, 0xf_fff0)));
        assert_eq!(l.repam(&mut map, ALL_RAM, ALL_RAM), Ok(false));
        let read_only = [0x10, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11];
        assert_eq!(l.repam(&mut map, ALL_RAM, read_only), Ok(true));
        assert_eq!(at(&map, 0xc_0000), Some((RegionKind::Rom, 0xc_0000)));
    }

    #[test]
    fn a_closed_a20_shows_the_first_megabyte_twice() {
        let l = Layout::new(16 << 20, 64 << 10);
        let open = l.map(ALL_ROM).unwrap();
        let mut map = open.clone();
        l.set_a20(&mut map, false).unwrap();
        assert_eq!(at(&map, 0x10_0500), Some((RegionKind::Ram, 0x500)));
        assert_eq!(at(&map, 0x1f_fff0), Some((RegionKind::Rom, (16 << 20) + 0xfff0)));
        assert_eq!(at(&map, 0x20_0000), Some((RegionKind::Ram, 0x20_0000)));
        l.set_a20(&mut map, true).unwrap();
        assert_eq!(map.regions(), open.regions());
    }

    #[test]
    fn a_closed_a20_shows_every_even_megabyte_twice() {
        let l = Layout::new(15 << 20, 64 << 10);
        let open = l.map(ALL_ROM).unwrap();
        let mut map = open.clone();
        l.set_a20(&mut map, false).unwrap();
        for address in [0x20_0000, 0x2f_fff0, 0x30_0010, 0x3f_ffff, 0xd4_5678, 0xe0_0000, 0xf0_0000] {
            let shown = address & !0x10_0000;
            assert_eq!(at(&map, address), Some((RegionKind::Ram, shown)), "{address:#x}");
        }
        assert_eq!(at(&map, 0x100_0000), None, "there is no RAM");
        l.set_a20(&mut map, true).unwrap();
        assert_eq!(map.regions(), open.regions());
    }

    #[test]
    fn a20_takes_a_bounded_number_of_regions() {
        let l = Layout::new(3 << 30, 64 << 10);
        let mut map = l.map(ALL_ROM).unwrap();
        l.set_a20(&mut map, false).unwrap();
        assert_eq!(at(&map, A20_REACH - 1), Some((RegionKind::Ram, A20_REACH - 1 - MEGABYTE)));
        assert_eq!(at(&map, A20_REACH + MEGABYTE), Some((RegionKind::Ram, A20_REACH + MEGABYTE)));
        assert!(map.regions().len() < 80);
    }

    #[test]
    fn memory_beyond_3_gib_goes_on_above_4_gib() {
        let l = Layout::new(5 << 30, 128 << 10);
        let map = l.map(ALL_ROM).unwrap();
        assert_eq!(at(&map, LOW_RAM_END), None);
        assert_eq!(at(&map, HIGH_RAM), Some((RegionKind::Ram, LOW_RAM_END)));
        assert_eq!(l.memory_ranges().last().map(|r| r.len), Some((5 << 30) - LOW_RAM_END));
    }
}
