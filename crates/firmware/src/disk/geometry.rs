//! How INT 13h counts cylinders, heads and sectors.

/// The shape of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub cylinders: u16,
    pub heads: u16,
    pub sectors: u8,
}

/// Floppy formats: sectors in all, their shape, and the CMOS type of the drive that they need.
const FLOPPIES: [(u64, u16, u16, u8, u8); 9] = [
    (320, 40, 1, 8, 1),
    (360, 40, 1, 9, 1),
    (640, 40, 2, 8, 1),
    (720, 40, 2, 9, 1),
    (1440, 80, 2, 9, 3),
    (2400, 80, 2, 15, 2),
    (2880, 80, 2, 18, 4),
    (3360, 80, 2, 21, 4),
    (5760, 80, 2, 36, 5),
];

impl Geometry {
    /// The translated geometry of a hard disk: 63 sectors, and the fewest heads of 16, 32, 64, 128, 255 that bring the
    /// cylinders down to 1,024. The last cylinder may be incomplete, so that every sector of a small image is reached.
    pub fn of_hard_disk(sectors: u64) -> Geometry {
        let heads =
            [16u16, 32, 64, 128].into_iter().find(|&h| sectors <= 1024 * u64::from(h) * 63).unwrap_or(255);
        let cylinders = sectors.div_ceil(u64::from(heads) * 63).clamp(1, 1024) as u16;
        Geometry { cylinders, heads, sectors: 63 }
    }

    /// The geometry of a floppy and its drive's CMOS type. An image of no standard size is taken for the beginning of
    /// a 1.44 MB floppy, or of the smallest format that holds it.
    pub fn of_floppy(sectors: u64) -> (Geometry, u8) {
        const STANDARD: u64 = 2880;
        let exact = FLOPPIES.iter().find(|f| f.0 == sectors);
        let larger = FLOPPIES.iter().find(|f| f.0 >= sectors.max(STANDARD));
        let format = exact.or(larger).unwrap_or(&FLOPPIES[8]);
        let &(_, cylinders, heads, sectors, kind) = format;
        (Geometry { cylinders, heads, sectors }, kind)
    }

    /// The sector's number on the disk, or `None` if there is no such place.
    pub fn lba(&self, cylinder: u16, head: u8, sector: u8) -> Option<u64> {
        if cylinder >= self.cylinders || u16::from(head) >= self.heads || sector == 0 || sector > self.sectors
        {
            return None;
        }
        let track = u64::from(cylinder) * u64::from(self.heads) + u64::from(head);
        Some(track * u64::from(self.sectors) + u64::from(sector) - 1)
    }

    /// How many sectors it reaches.
    pub fn capacity(&self) -> u64 {
        u64::from(self.cylinders) * u64::from(self.heads) * u64::from(self.sectors)
    }

    /// CX and DH of INT 13h/08h: the highest cylinder, sector and head.
    pub fn highest(&self) -> (u16, u8) {
        let cylinder = self.cylinders - 1;
        let cx = (cylinder & 0xff) << 8 | (cylinder >> 2 & 0xc0) | u16::from(self.sectors);
        (cx, (self.heads - 1) as u8)
    }

    /// The 16 bytes that INT 41h and 46h point to: cylinders, heads, no precompensation, control byte, landing zone,
    /// sectors.
    pub fn parameter_table(&self) -> [u8; 16] {
        let mut t = [0; 16];
        t[..2].copy_from_slice(&self.cylinders.to_le_bytes());
        t[2] = self.heads as u8;
        t[5..7].copy_from_slice(&0xffffu16.to_le_bytes());
        t[8] = if self.heads > 8 { 8 } else { 0 };
        t[12..14].copy_from_slice(&self.cylinders.to_le_bytes());
        t[14] = self.sectors;
        t
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_has_16_heads_and_a_last_incomplete_cylinder() {
        assert_eq!(Geometry::of_hard_disk(1), Geometry { cylinders: 1, heads: 16, sectors: 63 });
        assert_eq!(Geometry::of_hard_disk(1009), Geometry { cylinders: 2, heads: 16, sectors: 63 });
    }

    #[test]
    fn heads_grow_until_1024_cylinders_suffice() {
        for (sectors, heads) in
            [(1_032_192, 16), (1_032_193, 32), (4_128_768, 64), (8_257_536, 128), (u64::MAX, 255)]
        {
            let g = Geometry::of_hard_disk(sectors);
            assert_eq!(g.heads, heads);
            assert!(g.cylinders <= 1024);
        }
    }

    #[test]
    fn floppies_are_told_by_their_size() {
        assert_eq!(Geometry::of_floppy(2880), (Geometry { cylinders: 80, heads: 2, sectors: 18 }, 4));
        assert_eq!(Geometry::of_floppy(720), (Geometry { cylinders: 40, heads: 2, sectors: 9 }, 1));
        assert_eq!(Geometry::of_floppy(1).0.sectors, 18);
        assert_eq!(Geometry::of_floppy(2881).0.sectors, 21);
        assert_eq!(Geometry::of_floppy(u64::MAX).0.sectors, 36);
    }

    #[test]
    fn sectors_count_from_one() {
        let g = Geometry { cylinders: 80, heads: 2, sectors: 18 };
        assert_eq!(g.lba(0, 0, 1), Some(0));
        assert_eq!(g.lba(1, 1, 18), Some(71));
        for bad in [(80, 0, 1), (0, 2, 1), (0, 0, 0), (0, 0, 19)] {
            assert_eq!(g.lba(bad.0, bad.1, bad.2), None);
        }
    }

    #[test]
    fn the_highest_cylinder_has_ten_bits() {
        assert_eq!(Geometry { cylinders: 1024, heads: 255, sectors: 63 }.highest(), (0xffff, 254));
        assert_eq!(Geometry { cylinders: 80, heads: 2, sectors: 18 }.highest(), (0x4f12, 1));
    }
}
