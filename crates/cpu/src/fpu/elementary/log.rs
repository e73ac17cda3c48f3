//! Binary logarithms.

use super::wide::{Wide, polynomial, value_of};

/// 2/ln 2.
const TWO_BY_LN_2: Wide = Wide::constant(1, 0xb8aa_3b29_5c17_f0bb_be87_fed0_691d_3e88);
/// The square root of two, as a significand.
const SQRT_2: u128 = 0xb504_f333_f9de_6484_597d_89b3_754a_be9f;

/// 1/(2n + 1) in units of 2^-126: artanh(s)/s by powers of s^2.
const ODD: [u128; 24] = {
    let mut c = [0; 24];
    let mut n = 0;
    while n < 24 {
        c[n] = (1 << 126) / (2 * n as u128 + 1);
        n += 1;
    }
    c
};

/// log2((1 + s)/(1 - s)) for |s| <= 0.172.
fn by_artanh(s: Wide) -> Wide {
    s.mul(value_of(polynomial(&ODD, s.mul(s).fraction(), false))).mul(TWO_BY_LN_2)
}

/// log2(x) for positive x; exact for powers of two.
pub(crate) fn log2(x: Wide) -> Wide {
    let up = x.sig > SQRT_2;
    let power = x.exp + i32::from(up);
    let m = Wide { exp: -i32::from(up), ..x };
    let s = m.sub(Wide::ONE).div(m.add(Wide::ONE));
    Wide::from_int(power).add(by_artanh(s))
}

/// log2(1 + x) for x > -1, precise also for the smallest.
pub(crate) fn log2_of_1_plus(x: Wide) -> Wide {
    if x.exp >= -2 {
        return log2(Wide::ONE.add(x));
    }
    by_artanh(x.div(Wide::ONE.scaled(1).add(x)))
}
