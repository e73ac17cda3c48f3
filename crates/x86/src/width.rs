//! The width of an operand or access.

/// 1, 2, 4 or 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the variants say it
pub enum Width {
    B1 = 1,
    B2 = 2,
    B4 = 4,
    B8 = 8,
}

impl Width {
    /// The number of bytes.
    #[inline(always)]
    pub const fn bytes(self) -> usize {
        self as usize
    }

    /// The number of bits.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self as u32 * 8
    }

    /// A mask of as many low bits as the width has; also the value that a read of nothing returns.
    #[inline(always)]
    pub const fn mask(self) -> u64 {
        !0 >> (64 - self.bits())
    }

    /// The width of `bytes` bytes, if there is one.
    pub const fn from_bytes(bytes: usize) -> Option<Width> {
        match bytes {
            1 => Some(Width::B1),
            2 => Some(Width::B2),
            4 => Some(Width::B4),
            8 => Some(Width::B8),
            _ => None,
        }
    }
}
