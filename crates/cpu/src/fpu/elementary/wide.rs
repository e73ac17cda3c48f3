//! Numbers with 128 bits of significand, whose operations truncate.

use crate::fpu::soft::{Env, Float, Parts, class, round_pack};
use crate::fpu::state::F80;

/// The value `sig` x 2^(`exp` - 127), where bit 127 of `sig` is set, or zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wide {
    pub neg: bool,
    pub exp: i32,
    pub sig: u128,
}

/// The upper half of a product.
#[inline]
pub(super) fn mul_high(a: u128, b: u128) -> u128 {
    let (a1, a0) = (a >> 64, a as u64 as u128);
    let (b1, b0) = (b >> 64, b as u64 as u128);
    let (hl, lh) = (a1 * b0, a0 * b1);
    let middle = ((a0 * b0) >> 64) + (hl as u64 as u128) + (lh as u64 as u128);
    a1 * b1 + (hl >> 64) + (lh >> 64) + (middle >> 64)
}

impl Wide {
    /// Zero.
    pub const ZERO: Wide = Wide { neg: false, exp: i32::MIN / 4, sig: 0 };
    /// One.
    pub const ONE: Wide = Wide::constant(0, 1 << 127);

    /// A positive number.
    pub const fn constant(exp: i32, sig: u128) -> Wide {
        Wide { neg: false, exp, sig }
    }

    /// `sig` x 2^(`exp` - 127), whatever bits of `sig` are set.
    pub fn new(neg: bool, exp: i32, sig: u128) -> Wide {
        if sig == 0 {
            return Wide::ZERO;
        }
        let zeros = sig.leading_zeros();
        Wide { neg, exp: exp - zeros as i32, sig: sig << zeros }
    }

    /// A finite operand.
    pub fn from_parts(p: &Parts) -> Wide {
        if p.class == class::ZERO {
            return Wide::ZERO;
        }
        Wide { neg: p.sign, exp: p.exp, sig: u128::from(p.sig) << 64 }
    }

    /// An integer.
    pub fn from_int(n: i32) -> Wide {
        Wide::new(n < 0, 127, u128::from(n.unsigned_abs()))
    }

    /// The same with the sign asked for.
    pub fn with_sign(self, neg: bool) -> Wide {
        Wide { neg, ..self }
    }

    /// The same with the other sign.
    pub fn negated(self) -> Wide {
        self.with_sign(!self.neg)
    }

    /// The product.
    pub fn mul(self, other: Wide) -> Wide {
        if self.sig == 0 || other.sig == 0 {
            return Wide::ZERO;
        }
        Wide::new(self.neg != other.neg, self.exp + other.exp + 1, mul_high(self.sig, other.sig))
    }

    /// The sum.
    pub fn add(self, other: Wide) -> Wide {
        let (a, b) =
            if (self.exp, self.sig) < (other.exp, other.sig) { (other, self) } else { (self, other) };
        let distance = (a.exp - b.exp) as u32;
        if b.sig == 0 || distance > 127 {
            return a;
        }
        let small = b.sig >> distance;
        if a.neg != b.neg {
            return Wide::new(a.neg, a.exp, a.sig - small);
        }
        match a.sig.overflowing_add(small) {
            (sum, false) => Wide { sig: sum, ..a },
            (sum, true) => Wide { exp: a.exp + 1, sig: sum >> 1 | 1 << 127, ..a },
        }
    }

    /// The difference.
    pub fn sub(self, other: Wide) -> Wide {
        self.add(other.negated())
    }

    /// The quotient; the divisor is not zero.
    pub fn div(self, other: Wide) -> Wide {
        // The reciprocal to 64 bits, and one step of Newton's.
        let high = (other.sig >> 64).max(1);
        let r = Wide::new(other.neg, -other.exp, u128::MAX / high).scaled(62);
        let error = Wide::ONE.sub(other.mul(r));
        self.mul(r.add(r.mul(error)))
    }

    /// Times a power of two.
    pub fn scaled(self, by: i32) -> Wide {
        Wide { exp: self.exp + by, ..self }
    }

    /// The magnitude as a fraction of 2^128, for numbers below one.
    pub fn fraction(self) -> u128 {
        match -1 - self.exp {
            0 => self.sig,
            n @ 1..=127 => self.sig >> n,
            _ => 0,
        }
    }

    /// Rounded; what was truncated makes it inexact.
    pub fn round(self, env: &mut Env) -> F80 {
        if self.sig == 0 {
            return F80::zero(self.neg);
        }
        round_pack(self.neg, self.exp, (self.sig >> 64) as u64, self.sig as u64 | 1, env)
    }
}

/// A polynomial of `t`, a fraction of 2^128, with coefficients in units of 2^-126, all positive: the terms have alternating
/// signs if asked, and must fall.
pub(super) fn polynomial(coefficients: &[u128], t: u128, alternating: bool) -> u128 {
    coefficients.iter().rev().fold(0, |sum, c| {
        let rest = mul_high(sum, t);
        // One less than it seems, so that a rest too small to be seen still counts.
        if alternating && sum != 0 { c - rest - 1 } else { c + rest }
    })
}

/// A polynomial's value as a number.
pub(super) fn value_of(sum: u128) -> Wide {
    Wide::new(false, 1, sum)
}
