//! Addition, multiplication, division and square root.

use super::env::{DE, Env, IE, Rounding, ZE};
use super::format::{Float, Parts, class};
use super::nan;
use super::round::{jam, round_pack};

/// An invalid operation.
#[cold]
fn invalid<T: Float>(env: &mut Env) -> T {
    env.flags |= IE;
    T::indefinite()
}

/// a + b.
#[inline]
pub(crate) fn add<T: Float>(a: T, b: T, env: &mut Env) -> T {
    if env.fast && a.plain() && b.plain() {
        let sum = a.host_add(b);
        if sum.plain() {
            return sum;
        }
    }
    add_parts(a.parts(env), b.parts(env), env)
}

/// a - b.
#[inline]
pub(crate) fn sub<T: Float>(a: T, b: T, env: &mut Env) -> T {
    if env.fast && a.plain() && b.plain() {
        let difference = a.host_add(b.negated());
        if difference.plain() {
            return difference;
        }
    }
    // A NaN keeps its sign.
    let mut b = b.parts(env);
    b.sign ^= !b.is_nan();
    add_parts(a.parts(env), b, env)
}

/// a x b.
#[inline]
pub(crate) fn mul<T: Float>(a: T, b: T, env: &mut Env) -> T {
    if env.fast && a.plain() && b.plain() {
        let product = a.host_mul(b);
        if product.plain() {
            return product;
        }
    }
    mul_parts(a.parts(env), b.parts(env), env)
}

/// a / b.
#[inline]
pub(crate) fn div<T: Float>(a: T, b: T, env: &mut Env) -> T {
    if env.fast && a.plain() && b.plain() {
        let quotient = a.host_div(b);
        if quotient.plain() {
            return quotient;
        }
    }
    div_parts(a.parts(env), b.parts(env), env)
}

/// The sum of two operands taken apart.
pub(crate) fn add_parts<T: Float>(mut a: Parts, mut b: Parts, env: &mut Env) -> T {
    let both = a.class | b.class;
    if both != class::NORMAL {
        if both & class::NANS != 0 {
            return nan::two(&a, &b, env);
        }
        if both & class::INF != 0 && a.class == b.class && a.sign != b.sign {
            return invalid(env);
        }
        if both & class::DENORMAL != 0 && env.pre(DE) {
            return T::zero(false);
        }
        if both & class::INF != 0 {
            return T::infinity(if a.class == class::INF { a.sign } else { b.sign });
        }
        if both & class::ZERO != 0 {
            return match (a.class, b.class) {
                (class::ZERO, class::ZERO) if a.sign == b.sign => T::zero(a.sign),
                (class::ZERO, class::ZERO) => T::zero(env.rounding == Rounding::Down),
                (class::ZERO, _) => round_pack(b.sign, b.exp, b.sig, 0, env),
                _ => round_pack(a.sign, a.exp, a.sig, 0, env),
            };
        }
    }
    if (a.exp, a.sig) < (b.exp, b.sig) {
        core::mem::swap(&mut a, &mut b);
    }
    // One bit of room for the carry.
    let large = u128::from(a.sig) << 63;
    let small = jam(u128::from(b.sig) << 63, (a.exp - b.exp) as u32);
    let sum = if a.sign == b.sign { large + small } else { large - small };
    if sum == 0 {
        return T::zero(env.rounding == Rounding::Down);
    }
    let zeros = sum.leading_zeros();
    let sum = sum << zeros;
    round_pack(a.sign, a.exp + 1 - zeros as i32, (sum >> 64) as u64, sum as u64, env)
}

/// The product of two operands taken apart.
pub(crate) fn mul_parts<T: Float>(a: Parts, b: Parts, env: &mut Env) -> T {
    let both = a.class | b.class;
    let sign = a.sign != b.sign;
    if both != class::NORMAL {
        if both & class::NANS != 0 {
            return nan::two(&a, &b, env);
        }
        if both & (class::INF | class::ZERO) == class::INF | class::ZERO {
            return invalid(env);
        }
        if both & class::DENORMAL != 0 && env.pre(DE) {
            return T::zero(sign);
        }
        if both & class::INF != 0 {
            return T::infinity(sign);
        }
        if both & class::ZERO != 0 {
            return T::zero(sign);
        }
    }
    let product = u128::from(a.sig) * u128::from(b.sig);
    let zeros = product.leading_zeros();
    let product = product << zeros;
    round_pack(sign, a.exp + b.exp + 1 - zeros as i32, (product >> 64) as u64, product as u64, env)
}

/// The quotient of two operands taken apart.
pub(crate) fn div_parts<T: Float>(a: Parts, b: Parts, env: &mut Env) -> T {
    let both = a.class | b.class;
    let sign = a.sign != b.sign;
    if both != class::NORMAL {
        if both & class::NANS != 0 {
            return nan::two(&a, &b, env);
        }
        if a.class == b.class && both & (class::INF | class::ZERO) != 0 {
            return invalid(env);
        }
        if b.class == class::ZERO && a.class != class::INF {
            env.flags |= ZE;
            return T::infinity(sign);
        }
        if both & class::DENORMAL != 0 && env.pre(DE) {
            return T::zero(sign);
        }
        if a.class == class::INF {
            return T::infinity(sign);
        }
        if both & (class::INF | class::ZERO) != 0 {
            return T::zero(sign);
        }
    }
    let divisor = u128::from(b.sig);
    let dividend = u128::from(a.sig) << 63;
    let (hi, rest) = ((dividend / divisor) as u64, (dividend % divisor) as u64);
    let lo = if T::P == 64 {
        let dividend = u128::from(rest) << 64;
        (dividend / divisor) as u64 | u64::from(dividend % divisor != 0)
    } else {
        u64::from(rest != 0)
    };
    // The quotient is between 1/2 and 2.
    let zeros = hi.leading_zeros();
    let (hi, lo) = if zeros == 0 { (hi, lo) } else { (hi << 1 | lo >> 63, lo << 1 | lo & 1) };
    round_pack(sign, a.exp - b.exp - zeros as i32, hi, lo, env)
}

/// The square root.
pub(crate) fn sqrt<T: Float>(a: T, env: &mut Env) -> T {
    let p = a.parts(env);
    if p.is_nan() {
        return nan::one(&p, env);
    }
    if p.class == class::ZERO {
        return T::zero(p.sign);
    }
    if p.sign {
        return invalid(env);
    }
    if p.class == class::INF {
        return T::infinity(false);
    }
    if p.class == class::DENORMAL && env.pre(DE) {
        return a;
    }
    // With an even exponent the root of a number between 1/4 and 1 is between 1/2 and 1.
    let odd = p.exp & 1 != 0;
    let square = u128::from(p.sig) << if odd { 64 } else { 63 };
    let root = square.isqrt();
    let rest = square - root * root;
    // Next comes a one if what is left is more than the root itself: (root + 1/2)^2 = root^2 + root + 1/4.
    let lo = u64::from(rest > root) << 63 | u64::from(rest != 0);
    round_pack(false, p.exp >> 1, root as u64, lo, env)
}
