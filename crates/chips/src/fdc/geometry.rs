//! What kind of disk an image is, by its size.

/// Tracks and sectors of a floppy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: u8,
    /// Sides.
    pub heads: u8,
    /// Sectors of a track.
    pub sectors: u8,
    /// The data rates at which drives read it, as bits of the rate register's codes.
    rates: u8,
}

const RATE_500: u8 = 1 << 0;
/// Double density: 250 kbit/s, or 300 in a drive that turns faster.
const RATE_250: u8 = 1 << 1 | 1 << 2;
const RATE_1000: u8 = 1 << 3;

const fn of(cylinders: u8, heads: u8, sectors: u8, rates: u8) -> Geometry {
    Geometry { cylinders, heads, sectors, rates }
}

/// The PC's formats, the smallest first.
const FORMATS: [Geometry; 9] = [
    of(40, 1, 8, RATE_250),   // 160 KiB
    of(40, 1, 9, RATE_250),   // 180 KiB
    of(40, 2, 8, RATE_250),   // 320 KiB
    of(40, 2, 9, RATE_250),   // 360 KiB
    of(80, 2, 9, RATE_250),   // 720 KiB
    of(80, 2, 15, RATE_500),  // 1.2 MiB
    of(80, 2, 18, RATE_500),  // 1.44 MiB
    of(80, 2, 21, RATE_500),  // 1.68 MiB
    of(80, 2, 36, RATE_1000), // 2.88 MiB
];
const COMMON: usize = 6;

impl Geometry {
    /// The format with exactly so many sectors; else 1.44 MiB, or 2.88 MiB for what does not fit that.
    pub fn of_size(sectors: u64) -> Geometry {
        let exact = FORMATS.iter().find(|f| f.total() == sectors);
        let larger = FORMATS[COMMON..].iter().find(|f| f.total() >= sectors);
        *exact.or(larger).unwrap_or(&FORMATS[FORMATS.len() - 1])
    }

    /// Sectors of the disk.
    pub fn total(&self) -> u64 {
        u64::from(self.cylinders) * u64::from(self.heads) * u64::from(self.sectors)
    }

    /// The sector's number; `sector` counts from 1.
    pub fn lba(&self, cylinder: u8, head: u8, sector: u8) -> Option<u64> {
        let ok = cylinder < self.cylinders && head < self.heads && (1..=self.sectors).contains(&sector);
        let track = u64::from(cylinder) * u64::from(self.heads) + u64::from(head);
        ok.then(|| track * u64::from(self.sectors) + u64::from(sector) - 1)
    }

    /// Whether the disk can be read at the rate register's setting.
    pub fn fits_rate(&self, rate: u8) -> bool {
        self.rates >> (rate & 3) & 1 != 0
    }
}
