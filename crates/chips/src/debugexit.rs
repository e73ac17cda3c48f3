//! The debug-exit port (QEMU's isa-debug-exit): a write of any width ends the run with the value written. It has no
//! state of its own.

use crate::Wish;

/// What a read gives.
pub const READ: u8 = 0;

/// The wish made by a write of 1, 2 or 4 little-endian bytes; more are ignored, none count as 0.
pub fn write(data: &[u8]) -> Wish {
    Wish::Exit(data.iter().take(4).rev().fold(0, |value, &byte| value << 8 | u32::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_little_endian_of_any_width() {
        assert_eq!(write(&[0x10]), Wish::Exit(0x10));
        assert_eq!(write(&[0x34, 0x12]), Wish::Exit(0x1234));
        assert_eq!(write(&[0x78, 0x56, 0x34, 0x12]), Wish::Exit(0x1234_5678));
    }

    #[test]
    fn odd_sizes_are_harmless() {
        assert_eq!(write(&[]), Wish::Exit(0));
        assert_eq!(write(&[1, 0, 0, 0, 9]), Wish::Exit(1));
    }
}
