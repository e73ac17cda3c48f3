//! Cylinders, heads and sectors of a disk that only has a size.

use serde::{Deserialize, Serialize};

/// A CHS translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: u16,
    /// Heads, 1 to 16.
    pub heads: u8,
    /// Sectors per track, 1 to 255.
    pub sectors: u8,
}

impl Geometry {
    /// The default translation: 16 heads and 63 sectors, at most 16383 cylinders (ATA-4, 6.2.1). The last cylinder of
    /// a small disk counts even if it is not whole, so that CHS reaches every sector; past the end is IDNF.
    pub fn of_size(sectors: u64) -> Geometry {
        let cylinders = sectors.div_ceil(16 * 63).clamp(1, 16383);
        Geometry { cylinders: cylinders as u16, heads: 16, sectors: 63 }
    }

    /// The translation with `heads` and `sectors` that INITIALIZE DEVICE PARAMETERS asks for.
    pub fn translate(total: u64, heads: u8, sectors: u8) -> Option<Geometry> {
        let cylinder = u64::from(heads) * u64::from(sectors);
        let cylinders = total.checked_next_multiple_of(cylinder)? / cylinder;
        Some(Geometry { cylinders: cylinders.clamp(1, 0xffff) as u16, heads, sectors })
    }

    /// The sector's number, if the address is one.
    pub fn lba(&self, cylinder: u16, head: u8, sector: u8) -> Option<u64> {
        let ok = cylinder < self.cylinders && head < self.heads && (1..=self.sectors).contains(&sector);
        let track = u64::from(cylinder) * u64::from(self.heads) + u64::from(head);
        ok.then(|| track * u64::from(self.sectors) + u64::from(sector) - 1)
    }

    /// Cylinder, head and sector of a sector's number.
    pub fn chs(&self, lba: u64) -> (u16, u8, u8) {
        let (sectors, heads) = (u64::from(self.sectors.max(1)), u64::from(self.heads.max(1)));
        let (track, sector) = (lba / sectors, lba % sectors + 1);
        ((track / heads) as u16, (track % heads) as u8, sector as u8)
    }

    /// Sectors that CHS can address.
    pub fn capacity(&self) -> u32 {
        u32::from(self.cylinders) * u32::from(self.heads) * u32::from(self.sectors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_translation_has_16_heads_and_63_sectors() {
        assert_eq!(Geometry::of_size(1008 * 20), Geometry { cylinders: 20, heads: 16, sectors: 63 });
    }

    #[test]
    fn a_tiny_disk_has_one_cylinder() {
        assert_eq!(Geometry::of_size(1).cylinders, 1);
        assert_eq!(Geometry::of_size(0).cylinders, 1);
    }

    #[test]
    fn a_large_disk_has_16383_cylinders() {
        assert_eq!(Geometry::of_size(u64::MAX).cylinders, 16383);
    }

    #[test]
    fn sectors_count_from_one() {
        let g = Geometry::of_size(1 << 20);
        assert_eq!(
            (g.lba(0, 0, 1), g.lba(0, 0, 0), g.lba(0, 0, 64), g.lba(0, 16, 1)),
            (Some(0), None, None, None)
        );
        assert_eq!(g.lba(1, 2, 3), Some(1008 + 126 + 2));
        assert_eq!(g.chs(1008 + 126 + 2), (1, 2, 3));
    }

    #[test]
    fn no_translation_without_sectors() {
        assert_eq!(Geometry::translate(100, 16, 0), None);
        assert_eq!(Geometry::translate(u64::MAX, 16, 63), None);
    }
}
