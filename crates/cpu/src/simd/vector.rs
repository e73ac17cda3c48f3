//! Vectors as bytes, and the lanes in them.
//!
//! Operations take and return byte arrays and go through arrays of lanes between: compilers make one vector instruction of
//! that where the host has it.

use core::array;
use core::ops::IndexMut;

/// 16 bytes, as they lie in memory.
pub(crate) type V = [u8; 16];

/// All bits clear.
pub(crate) const ZERO: V = [0; 16];

/// A number that a vector holds several of.
pub(crate) trait Lane: Copy {
    /// As many as a vector has.
    type Array: Copy + IndexMut<usize, Output = Self>;
    /// How many that is.
    const N: usize;
    /// Zero in all lanes.
    const ZEROES: Self::Array;
    /// All bits set.
    const ONES: Self;
    /// All bits clear.
    const ZERO: Self;

    /// The lanes of a vector.
    fn lanes(v: V) -> Self::Array;
    /// The vector of lanes.
    fn vector(lanes: Self::Array) -> V;
    /// Each lane by itself.
    fn map(a: V, f: impl Fn(Self) -> Self) -> V;
    /// Each lane with the same lane of another vector.
    fn zip(a: V, b: V, f: impl Fn(Self, Self) -> Self) -> V;
}

macro_rules! lane {
    ($($t:ty)*) => {$(
        impl Lane for $t {
            type Array = [$t; 16 / size_of::<$t>()];
            const N: usize = 16 / size_of::<$t>();
            const ZEROES: Self::Array = [0; 16 / size_of::<$t>()];
            const ONES: $t = !0;
            const ZERO: $t = 0;

            #[inline(always)]
            fn lanes(v: V) -> Self::Array {
                let (chunks, _) = v.as_chunks::<{ size_of::<$t>() }>();
                array::from_fn(|i| <$t>::from_le_bytes(chunks[i]))
            }

            #[inline(always)]
            fn vector(lanes: Self::Array) -> V {
                let mut v = ZERO;
                let (chunks, _) = v.as_chunks_mut::<{ size_of::<$t>() }>();
                for (chunk, lane) in chunks.iter_mut().zip(lanes) {
                    *chunk = lane.to_le_bytes();
                }
                v
            }

            #[inline(always)]
            fn map(a: V, f: impl Fn($t) -> $t) -> V {
                let a = <$t>::lanes(a);
                <$t>::vector(array::from_fn(|i| f(a[i])))
            }

            #[inline(always)]
            fn zip(a: V, b: V, f: impl Fn($t, $t) -> $t) -> V {
                let (a, b) = (<$t>::lanes(a), <$t>::lanes(b));
                <$t>::vector(array::from_fn(|i| f(a[i], b[i])))
            }
        }
    )*};
}
lane!(u8 i8 u16 i16 u32 i32 u64 i64);

/// Each lane by itself.
#[inline(always)]
pub(crate) fn map<T: Lane>(a: V, f: impl Fn(T) -> T) -> V {
    T::map(a, f)
}

/// Each lane with the same lane of another vector.
#[inline(always)]
pub(crate) fn zip<T: Lane>(a: V, b: V, f: impl Fn(T, T) -> T) -> V {
    T::zip(a, b, f)
}

/// Each lane of the result from its number.
#[inline(always)]
pub(crate) fn each<T: Lane>(f: impl Fn(usize) -> T) -> V {
    let mut r = T::ZEROES;
    for i in 0..T::N {
        r[i] = f(i);
    }
    T::vector(r)
}

/// All bits of a lane set or clear: what comparisons give.
#[inline(always)]
pub(crate) fn mask<T: Lane>(set: bool) -> T {
    if set { T::ONES } else { T::ZERO }
}

/// The lower half of a vector.
#[inline(always)]
pub(crate) fn low(v: V) -> u64 {
    u64::lanes(v)[0]
}

/// The upper half.
#[inline(always)]
pub(crate) fn high(v: V) -> u64 {
    u64::lanes(v)[1]
}

/// A vector of two halves.
#[inline(always)]
pub(crate) fn pair(low: u64, high: u64) -> V {
    u64::vector([low, high])
}
