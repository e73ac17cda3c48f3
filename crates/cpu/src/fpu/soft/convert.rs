//! Between formats, to and from integers, and to integral values.

use super::env::{DE, Env, IE, PE, Rounding};
use super::format::{Float, Parts, class};
use super::nan;
use super::round::round_pack;

/// To another format. x87 reports denormal operands when it loads them, not when it stores.
#[inline]
pub(crate) fn convert<S: Float, D: Float>(a: S, env: &mut Env) -> D {
    let p = a.parts(env);
    if p.class != class::NORMAL {
        if p.is_nan() {
            return nan::one(&p, env);
        }
        if p.class == class::INF {
            return D::infinity(p.sign);
        }
        if p.class == class::ZERO {
            return D::zero(p.sign);
        }
        if !S::X87 {
            env.flags |= DE;
        }
    }
    if D::P >= S::P {
        // Exact; x87 loads are not rounded to the precision asked for.
        return D::assemble(p.sign, p.exp + D::BIAS, p.sig);
    }
    round_pack(p.sign, p.exp, p.sig, 0, env)
}

/// A finite number's magnitude as an integer, rounded: `None` where it needs more than 64 bits. The flags tell whether
/// it is exact.
fn magnitude(p: &Parts, rounding: Rounding) -> (Option<u64>, bool, bool) {
    const HALF: u64 = 1 << 63;
    if p.exp > 63 {
        return (None, true, false);
    }
    // The integer, and the fraction left-aligned.
    let (int, fraction) = match 63 - p.exp {
        0 => (p.sig, 0),
        n @ 1..=63 => (p.sig >> n, p.sig << (64 - n)),
        64 => (0, p.sig),
        _ => (0, 1),
    };
    let up = match rounding {
        Rounding::Nearest => fraction > HALF || fraction == HALF && int & 1 != 0,
        Rounding::Down => p.sign && fraction != 0,
        Rounding::Up => !p.sign && fraction != 0,
        Rounding::Zero => false,
    };
    (int.checked_add(u64::from(up)), fraction == 0, up)
}

/// To a signed integer of `bits` bits, rounded as asked; what does not fit is invalid and gives the "integer indefinite",
/// the smallest number there is. Denormal operands raise nothing.
pub(crate) fn to_int<T: Float>(a: T, bits: u32, rounding: Rounding, env: &mut Env) -> i64 {
    let lowest = i64::MIN >> (64 - bits);
    let p = a.parts(env);
    let mut refuse = || {
        env.flags |= IE;
        lowest
    };
    if p.class == class::ZERO {
        return 0;
    }
    if p.class & (class::NANS | class::INF) != 0 {
        return refuse();
    }
    let (Some(value), exact, up) = magnitude(&p, rounding) else { return refuse() };
    let limit = 1u64 << (bits - 1);
    if value > limit || value == limit && !p.sign {
        return refuse();
    }
    if !exact {
        env.flags |= PE;
    }
    env.up = up;
    if p.sign { value.wrapping_neg() as i64 } else { value as i64 }
}

/// From a signed integer.
#[inline]
pub(crate) fn from_int<T: Float>(value: i64, env: &mut Env) -> T {
    if value == 0 {
        return T::zero(false);
    }
    let magnitude = value.unsigned_abs();
    let zeros = magnitude.leading_zeros();
    let (exp, sig) = (63 - zeros as i32, magnitude << zeros);
    if T::P == 64 {
        // Exact, whatever the precision asked for.
        return T::assemble(value < 0, exp + T::BIAS, sig);
    }
    round_pack(value < 0, exp, sig, 0, env)
}

/// To an integral value in the same format, rounded as asked. x87 reports denormal operands, SSE does not.
pub(crate) fn round_to_integral<T: Float>(a: T, rounding: Rounding, env: &mut Env) -> T {
    let p = a.parts(env);
    if p.is_nan() {
        return nan::one(&p, env);
    }
    if p.class & (class::ZERO | class::INF) != 0 {
        return T::assemble(p.sign, if p.class == class::ZERO { 0 } else { T::EMAX }, p.sig);
    }
    if T::X87 && p.class == class::DENORMAL && env.pre(DE) {
        return a;
    }
    if p.exp >= T::P as i32 - 1 {
        return a;
    }
    let (value, exact, up) = magnitude(&p, rounding);
    let value = value.unwrap_or(0);
    if !exact {
        env.flags |= PE;
    }
    env.up = up;
    if value == 0 {
        return T::zero(p.sign);
    }
    let zeros = value.leading_zeros();
    T::assemble(p.sign, 63 - zeros as i32 + T::BIAS, value << zeros)
}
