//! The integer types that guest memory is read and written by.

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
    impl Sealed for u128 {}
}

/// An unsigned integer of 1 to 16 bytes for which every bit pattern is a value.
pub trait Word: sealed::Sealed + Copy + Eq + Send + Sync + 'static {
    /// All bits set: what a read of nothing returns.
    const ONES: Self;
    /// Zero-extended, or the low 64 bits.
    fn to_u64(self) -> u64;
    /// Truncated.
    fn from_u64(v: u64) -> Self;
    /// Zero-extended.
    fn to_u128(self) -> u128;
    /// Truncated.
    fn from_u128(v: u128) -> Self;
}

macro_rules! word {
    ($($t:ty)*) => {$(
        impl Word for $t {
            const ONES: $t = !0;
            #[inline(always)]
            fn to_u64(self) -> u64 {
                self as u64
            }
            #[inline(always)]
            fn from_u64(v: u64) -> $t {
                v as $t
            }
            #[inline(always)]
            fn to_u128(self) -> u128 {
                self as u128
            }
            #[inline(always)]
            fn from_u128(v: u128) -> $t {
                v as $t
            }
        }
    )*};
}
word!(u8 u16 u32 u64 u128);
