//! 2^x - 1.

use super::wide::{Wide, polynomial, value_of};

const LN_2: Wide = Wide::constant(-1, 0xb172_17f7_d1cf_79ab_c9e3_b398_03f2_f6af);

/// 1/n! for n from 1 on, in units of 2^-126: (e^t - 1)/t.
const FACTORIALS: [u128; 30] = {
    let mut c = [0; 30];
    let (mut n, mut term) = (0, 1 << 126);
    while n < 30 {
        term /= n as u128 + 1;
        c[n] = term;
        n += 1;
    }
    c
};

/// 2^x - 1 for |x| <= 1.
pub(crate) fn two_to_x_minus_1(x: Wide) -> Wide {
    let t = x.mul(LN_2);
    t.mul(value_of(polynomial(&FACTORIALS, t.fraction(), t.neg)))
}
