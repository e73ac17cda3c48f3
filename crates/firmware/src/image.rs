//! ROM images under construction.

/// The bytes of a ROM.
pub(crate) struct Image<const N: usize>(pub [u8; N]);

impl<const N: usize> Image<N> {
    /// With these bytes at an offset.
    pub const fn put(mut self, at: u16, bytes: &[u8]) -> Image<N> {
        let mut i = 0;
        while i < bytes.len() {
            self.0[at as usize + i] = bytes[i];
            i += 1;
        }
        self
    }

    /// With the byte at an offset such that `len` bytes from another one on have the sum 0.
    pub const fn summed(mut self, at: u16, from: u16, len: u16) -> Image<N> {
        let (mut sum, mut i) = (0u8, 0);
        while i < len as usize {
            sum = sum.wrapping_add(self.0[from as usize + i]);
            i += 1;
        }
        self.0[at as usize] = self.0[at as usize].wrapping_sub(sum);
        self
    }
}
