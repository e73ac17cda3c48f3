//! Sine and cosine.

use super::wide::{Wide, polynomial, value_of};

/// Pi with the 66 bits that x87 has of it, in units of 2^-64 (SDM Vol. 1 8.3.8).
const PI_66: u128 = 0x3_243f_6a88_85a3_08d3;

/// 1/(2n + 1)! in units of 2^-126: sin(t)/t by powers of t^2.
const SINE: [u128; 17] = factorials(1);
/// 1/(2n)! in units of 2^-126.
const COSINE: [u128; 17] = factorials(0);

const fn factorials(start: u128) -> [u128; 17] {
    let mut c = [0; 17];
    let (mut i, mut n, mut term) = (0, start, 1u128 << 126);
    while i < 17 {
        c[i] = term;
        term /= (n + 1) * (n + 2);
        n += 2;
        i += 1;
    }
    c
}

/// A quarter turn counted off, and the angle that is left, at most an eighth of a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Angle {
    quarters: u8,
    rest: Wide,
}

impl Angle {
    /// Of an angle in radians below 2^63.
    pub fn new(x: Wide) -> Angle {
        if x.exp < -1 {
            return Angle { quarters: 0, rest: x };
        }
        // In units of 2^-65 a quarter turn is PI_66. Operands have 64 bits, so nothing is lost.
        let n = (x.sig >> 64) << (x.exp + 2);
        let (mut quarters, mut rest, mut neg) = ((n / PI_66) as u8, n % PI_66, x.neg);
        if rest * 2 > PI_66 {
            (quarters, rest, neg) = (quarters.wrapping_add(1), PI_66 - rest, !neg);
        }
        let quarters = if x.neg { quarters.wrapping_neg() } else { quarters } & 3;
        Angle { quarters, rest: Wide::new(neg, 62, rest) }
    }
}

/// Sine and cosine of an angle.
pub(crate) fn sine_cosine(angle: Angle) -> (Wide, Wide) {
    let t = angle.rest;
    let square = t.mul(t).fraction();
    let sine = t.mul(value_of(polynomial(&SINE, square, true)));
    let cosine = value_of(polynomial(&COSINE, square, true));
    match angle.quarters {
        0 => (sine, cosine),
        1 => (cosine, sine.negated()),
        2 => (sine.negated(), cosine.negated()),
        _ => (cosine.negated(), sine),
    }
}
