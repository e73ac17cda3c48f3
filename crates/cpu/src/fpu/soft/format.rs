//! The three encodings, and numbers taken apart.

use super::env::Env;
use crate::fpu::state::F80;

/// What an operand is, as bits, so that the classes of two can be looked at together.
pub(crate) mod class {
    /// A normal number.
    pub const NORMAL: u8 = 0;
    /// A denormal number, pseudo-denormals included.
    pub const DENORMAL: u8 = 1;
    /// Zero.
    pub const ZERO: u8 = 2;
    /// Infinity.
    pub const INF: u8 = 4;
    /// A quiet NaN.
    pub const QNAN: u8 = 8;
    /// A signaling NaN.
    pub const SNAN: u8 = 16;
    /// An encoding of double extended precision that is no number (SDM Vol. 1 8.2.2).
    pub const UNSUPPORTED: u8 = 32;
    /// Not a number, of whatever kind.
    pub const NANS: u8 = QNAN | SNAN | UNSUPPORTED;
}

/// An operand taken apart: for finite ones the value is `sig` x 2^(`exp` - 63), with bit 63 of `sig` set. Of a NaN `sig`
/// is the significand, left-aligned, with bit 63 set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub sig: u64,
    pub exp: i32,
    pub class: u8,
    pub sign: bool,
}

impl Parts {
    /// Whether it is a NaN or an unsupported encoding.
    pub const fn is_nan(&self) -> bool {
        self.class & class::NANS != 0
    }
}

/// An encoding.
pub(crate) trait Float: Copy + Eq + core::fmt::Debug {
    /// Bits of the significand, the integer bit included.
    const P: u32;
    /// The biased exponent of infinities and NaNs.
    const EMAX: i32;
    /// What is added to exponents.
    const BIAS: i32;
    /// x87's rules for NaNs, and its precision control.
    const X87: bool;

    /// Takes it apart; denormals are zero if the environment says so.
    fn parts(self, env: &Env) -> Parts;
    /// Puts sign, biased exponent and left-aligned significand together. The integer bit is dropped where it is implied.
    fn assemble(sign: bool, biased: i32, sig: u64) -> Self;
    /// The sign bit.
    fn sign(self) -> bool;
    /// The same with the other sign.
    fn negated(self) -> Self;

    /// Exponent neither at the ends nor next to them, so that the host's arithmetic on it can neither meet nor make
    /// anything special. False where the host has no arithmetic.
    #[inline(always)]
    fn plain(self) -> bool {
        false
    }
    /// The host's sum, rounded to nearest.
    #[inline(always)]
    fn host_add(self, _: Self) -> Self {
        self
    }
    /// The host's product.
    #[inline(always)]
    fn host_mul(self, _: Self) -> Self {
        self
    }
    /// The host's quotient.
    #[inline(always)]
    fn host_div(self, _: Self) -> Self {
        self
    }

    /// Zero.
    #[inline]
    fn zero(sign: bool) -> Self {
        Self::assemble(sign, 0, 0)
    }
    /// Infinity.
    #[inline]
    fn infinity(sign: bool) -> Self {
        Self::assemble(sign, Self::EMAX, 1 << 63)
    }
    /// The NaN that invalid operations give: "real indefinite".
    #[inline]
    fn indefinite() -> Self {
        Self::assemble(true, Self::EMAX, 3 << 62)
    }
}

macro_rules! ieee {
    ($t:ty, $f:ty, $p:expr, $ebits:expr) => {
        impl Float for $t {
            const P: u32 = $p;
            const EMAX: i32 = (1 << $ebits) - 1;
            const BIAS: i32 = (1 << ($ebits - 1)) - 1;
            const X87: bool = false;

            #[inline(always)]
            fn parts(self, env: &Env) -> Parts {
                const UNIT: $t = 1 << ($p - 1);
                let exp = (self >> ($p - 1)) as i32 & Self::EMAX;
                let sig = ((self & (UNIT - 1)) as u64) << (64 - $p);
                let sign = Float::sign(self);
                if exp != 0 && exp != Self::EMAX {
                    return Parts { sig: sig | 1 << 63, exp: exp - Self::BIAS, class: class::NORMAL, sign };
                }
                special(sign, exp, sig, exp != 0, Self::BIAS, env)
            }
            #[inline(always)]
            fn assemble(sign: bool, biased: i32, sig: u64) -> $t {
                let fraction = (sig << 1 >> 1 >> (64 - $p)) as $t;
                (sign as $t) << (<$t>::BITS - 1) | (biased as $t) << ($p - 1) | fraction
            }
            #[inline(always)]
            fn sign(self) -> bool {
                self >> (<$t>::BITS - 1) != 0
            }
            #[inline(always)]
            fn negated(self) -> $t {
                self ^ 1 << (<$t>::BITS - 1)
            }
            #[inline(always)]
            fn plain(self) -> bool {
                let exp = (self >> ($p - 1)) as i32 & Self::EMAX;
                (2..Self::EMAX - 1).contains(&exp)
            }
            #[inline(always)]
            fn host_add(self, other: $t) -> $t {
                (<$f>::from_bits(self) + <$f>::from_bits(other)).to_bits()
            }
            #[inline(always)]
            fn host_mul(self, other: $t) -> $t {
                (<$f>::from_bits(self) * <$f>::from_bits(other)).to_bits()
            }
            #[inline(always)]
            fn host_div(self, other: $t) -> $t {
                (<$f>::from_bits(self) / <$f>::from_bits(other)).to_bits()
            }
        }
    };
}
ieee!(u32, f32, 24, 8);
ieee!(u64, f64, 53, 11);

/// Zeros, denormals, infinities and NaNs; of `sig` the fraction is there.
fn special(sign: bool, exp: i32, sig: u64, top: bool, bias: i32, env: &Env) -> Parts {
    let parts = |class, exp, sig| Parts { sig, exp, class, sign };
    if top {
        let class = match (sig << 1, sig >> 62 & 1) {
            (0, _) => class::INF,
            (_, 0) => class::SNAN,
            _ => class::QNAN,
        };
        return parts(class, exp - bias, sig | 1 << 63);
    }
    if sig == 0 || env.daz {
        return parts(class::ZERO, 0, 0);
    }
    let zeros = sig.leading_zeros();
    parts(class::DENORMAL, 1 - bias - zeros as i32, sig << zeros)
}

impl Float for F80 {
    const P: u32 = 64;
    const EMAX: i32 = 0x7fff;
    const BIAS: i32 = 0x3fff;
    const X87: bool = true;

    #[inline(always)]
    fn parts(self, env: &Env) -> Parts {
        let exp = i32::from(self.se & 0x7fff);
        let sign = self.se >> 15 != 0;
        let integer = self.mant >> 63 != 0;
        if integer && exp != 0 && exp != Self::EMAX {
            return Parts { sig: self.mant, exp: exp - Self::BIAS, class: class::NORMAL, sign };
        }
        if exp != 0 && !integer {
            return Parts { sig: self.mant, exp, class: class::UNSUPPORTED, sign };
        }
        special(sign, exp, self.mant, exp != 0, Self::BIAS, env)
    }
    #[inline(always)]
    fn assemble(sign: bool, biased: i32, sig: u64) -> F80 {
        F80 { mant: sig, se: (sign as u16) << 15 | biased as u16 & 0x7fff }
    }
    #[inline(always)]
    fn sign(self) -> bool {
        self.se >> 15 != 0
    }
    #[inline(always)]
    fn negated(self) -> F80 {
        F80 { se: self.se ^ 0x8000, ..self }
    }
}
