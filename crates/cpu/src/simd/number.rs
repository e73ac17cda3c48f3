//! Single and double precision as bits, and what the host's arithmetic on them can do without anybody noticing.

use core::ops::BitAnd;

use super::vector::{Lane, mask};
use crate::fpu::soft::{Float, Relation};

/// A number that vectors hold: single (`u32`) or double (`u64`) precision.
pub(crate) trait Number: Float + Lane + BitAnd<Output = Self> {
    /// Whether the exponent is neither at the ends of its range nor next to them.
    fn normal(self) -> bool;
    /// Whether it is zero, of either sign.
    fn is_zero(self) -> bool;
    /// Whether it is less than another.
    fn below(self, other: Self) -> bool;
    /// How it compares to another, when neither is a NaN.
    fn relation(self, other: Self) -> Relation;
    /// From an integer, rounded to nearest.
    fn host_from(value: i64) -> Self;
    /// Its integral part, as near as an `i64` gets.
    fn host_truncate(self) -> i64;

    /// All ones if it is [`Number::normal`] or zero.
    #[inline(always)]
    fn usual(self) -> Self {
        mask(self.normal() | self.is_zero())
    }
}

macro_rules! number {
    ($($t:ty, $f:ty;)*) => {$(
        impl Number for $t {
            #[inline(always)]
            fn normal(self) -> bool {
                const UNIT: $t = 1 << (<$t as Float>::P - 1);
                const EMAX: $t = <$t as Float>::EMAX as $t;
                (self << 1 >> 1).wrapping_sub(2 * UNIT) < (EMAX - 3) * UNIT
            }
            #[inline(always)]
            fn is_zero(self) -> bool {
                self << 1 == 0
            }
            #[inline(always)]
            fn below(self, other: $t) -> bool {
                <$f>::from_bits(self) < <$f>::from_bits(other)
            }
            #[inline(always)]
            fn relation(self, other: $t) -> Relation {
                if self.below(other) {
                    Relation::Less
                } else if other.below(self) {
                    Relation::Greater
                } else {
                    Relation::Equal
                }
            }
            #[inline(always)]
            fn host_from(value: i64) -> $t {
                (value as $f).to_bits()
            }
            #[inline(always)]
            fn host_truncate(self) -> i64 {
                <$f>::from_bits(self) as i64
            }
        }
    )*};
}
number! {
    u32, f32;
    u64, f64;
}
