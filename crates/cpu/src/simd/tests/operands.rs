//! Random operands with a liking for edges.

use std::vec::Vec;

/// Repeatable random numbers (xorshift).
pub struct Random(pub u64);

const SINGLES: [u32; 20] = [
    0,
    0x8000_0000,
    0x3f80_0000,
    0xbf80_0000,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0x7f80_0001,
    0xffc1_2345,
    0x0000_0001,
    0x007f_ffff,
    0x8012_3456,
    0x0080_0000,
    0x7f7f_ffff,
    0x4f00_0000,
    0xcf00_0000,
    0x4b7f_ffff,
    0x3f00_0000,
    0x4020_0000,
    0x5f00_0000,
];
const DOUBLES: [u64; 20] = [
    0,
    1 << 63,
    0x3ff0_0000_0000_0000,
    0xbff0_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x7ff8_0000_0000_0000,
    0x7ff0_0000_0000_0001,
    0xfff9_1234_5678_9abc,
    1,
    0x000f_ffff_ffff_ffff,
    0x8001_2345_6789_abcd,
    0x0010_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
    0x41df_ffff_ffe0_0000,
    0xc1e0_0000_0000_0000,
    0x43e0_0000_0000_0000,
    0x3fe0_0000_0000_0000,
    0x47ef_ffff_f000_0000,
    0x3690_0000_0000_0000,
];

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    /// A single: special, of middling size, or any.
    fn single(&mut self) -> u32 {
        match self.below(8) {
            0..=2 => SINGLES[self.below(20) as usize],
            3 => SINGLES[self.below(20) as usize] ^ 1 << self.below(32),
            // Few bits: exact results.
            4 => (0x3f80_0000 + (self.below(8) << 23) as u32) | (self.below(16) << 19) as u32,
            5..=6 => (self.next() as u32 & 0x807f_ffff) | ((0x70 + self.below(0x20)) << 23) as u32,
            _ => self.next() as u32,
        }
    }

    fn double(&mut self) -> u64 {
        match self.below(8) {
            0..=2 => DOUBLES[self.below(20) as usize],
            3 => DOUBLES[self.below(20) as usize] ^ 1 << self.below(64),
            4 => (0x3ff0_0000_0000_0000 + (self.below(8) << 52)) | self.below(16) << 48,
            5..=6 => (self.next() & 0x800f_ffff_ffff_ffff) | (0x3e0 + self.below(0x40)) << 52,
            _ => self.next(),
        }
    }

    fn byte(&mut self) -> u8 {
        const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0x81, 0xff, 0xfe, 8];
        if self.chance(2) { EDGES[self.below(8) as usize] } else { self.next() as u8 }
    }

    /// 16 bytes of one kind of number.
    pub fn vector(&mut self) -> [u8; 16] {
        let mut v = [0; 16];
        match self.below(8) {
            0..=1 => v.chunks_exact_mut(4).for_each(|c| c.copy_from_slice(&self.single().to_le_bytes())),
            2..=3 => v.chunks_exact_mut(8).for_each(|c| c.copy_from_slice(&self.double().to_le_bytes())),
            4 => v.iter_mut().for_each(|b| *b = self.byte()),
            // Few values, so that texts match.
            5 => v.iter_mut().for_each(|b| *b = [0, 1, 2, 0xff, 0x61, 0x62][self.below(6) as usize]),
            // A small count.
            6 => v[0] = self.below(80) as u8,
            _ => v.chunks_exact_mut(8).for_each(|c| c.copy_from_slice(&self.next().to_le_bytes())),
        }
        v
    }

    /// Bytes of memory.
    pub fn memory(&mut self, len: usize) -> Vec<u8> {
        (0..len / 16).flat_map(|_| self.vector()).collect()
    }

    /// MXCSR: any rounding, sticky flags, DAZ and FTZ; exceptions masked unless told otherwise.
    pub fn mxcsr(&mut self, masked: bool) -> u32 {
        let mut csr = 0x1f80 | (self.below(4) as u32) << 13;
        if self.chance(2) {
            csr |= 0x20;
        }
        if self.chance(8) {
            csr |= self.next() as u32 & 0x3f;
        }
        if self.chance(4) {
            csr |= 0x40;
        }
        if self.chance(4) {
            csr |= 0x8000;
        }
        if masked { csr } else { csr & !(self.next() as u32 & 0x1f80) }
    }
}
