//! ROM images under construction.

/// The bytes of a ROM from offset `BASE` on. To put something below or beyond them does not compile.
pub(crate) struct Image<const N: usize, const BASE: u16>(pub [u8; N]);

impl<const N: usize, const BASE: u16> Image<N, BASE> {
    /// With these bytes at an offset.
    pub const fn put(mut self, at: u16, bytes: &[u8]) -> Self {
        let mut i = 0;
        while i < bytes.len() {
            self.0[(at - BASE) as usize + i] = bytes[i];
            i += 1;
        }
        self
    }

    /// With the byte at an offset such that `len` bytes from another one on have the sum 0.
    pub const fn summed(mut self, at: u16, from: u16, len: u16) -> Self {
        let (mut sum, mut i) = (0u8, 0);
        while i < len as usize {
            sum = sum.wrapping_add(self.0[(from - BASE) as usize + i]);
            i += 1;
        }
        let at = (at - BASE) as usize;
        self.0[at] = self.0[at].wrapping_sub(sum);
        self
    }
}
