//! FPREM and FPREM1.

use crate::cx::{Cx, Step};
use crate::fpu::soft::{DE, Env, Float, IE, Parts, class, nan_of_two, round_pack};
use crate::fpu::stack::{C0, C1, C2, C3, Filled};
use crate::fpu::state::F80;
use crate::op::Op;

/// What is left of the dividend, and what is known of the quotient.
enum Remainder {
    /// The end result, with the low bits of the quotient.
    Whole(F80, u8),
    /// A NaN.
    Nan(F80),
    /// The exponent has become smaller; more is to be done.
    Partial(F80),
}

/// ST(0) with the magnitude `sig` x 2^(`exp` - 63), which is exact.
fn exact(sign: bool, exp: i32, sig: u64, env: &mut Env) -> F80 {
    if sig == 0 {
        return F80::zero(sign);
    }
    let zeros = sig.leading_zeros();
    round_pack(sign, exp - zeros as i32, sig << zeros, 0, env)
}

/// The remainder of two finite numbers, neither of them zero. The quotient is rounded to nearest or truncated.
fn divide(value: F80, a: &Parts, b: &Parts, nearest: bool, env: &mut Env) -> Remainder {
    let distance = a.exp - b.exp;
    let divisor = u128::from(b.sig);
    if distance >= 64 {
        // As many bits as leave the exponents 64 or a multiple of 32 apart: between 32 and 63.
        let bits = distance & 31 | 32;
        let rest = (u128::from(a.sig) << bits) % divisor;
        return Remainder::Partial(exact(a.sign, b.exp + distance - bits, rest as u64, env));
    }
    if distance < -1 || distance == -1 && (!nearest || a.sig <= b.sig) {
        // The quotient is zero; the dividend is returned as it is, a denormal one normalised.
        let value = if a.class == class::DENORMAL { exact(a.sign, a.exp, a.sig, env) } else { value };
        return Remainder::Whole(value, 0);
    }
    if distance == -1 {
        // More than half of the divisor: the quotient is one, and what is left has the other sign.
        let rest = (divisor << 1) - u128::from(a.sig);
        let zeros = rest.leading_zeros();
        let rest = rest << zeros;
        let exp = b.exp + 63 - zeros as i32;
        let value = round_pack(!a.sign, exp, (rest >> 64) as u64, rest as u64, env);
        return Remainder::Whole(value, 1);
    }
    let dividend = u128::from(a.sig) << distance;
    let (mut quotient, mut rest) = (dividend / divisor, dividend % divisor);
    let mut sign = a.sign;
    if nearest && (rest * 2 > divisor || rest * 2 == divisor && quotient & 1 != 0) {
        (quotient, rest, sign) = (quotient + 1, divisor - rest, !sign);
    }
    let value = if rest == 0 { F80::zero(a.sign) } else { exact(sign, b.exp, rest as u64, env) };
    Remainder::Whole(value, quotient as u8)
}

fn remainder(x: F80, y: F80, nearest: bool, env: &mut Env) -> Remainder {
    let (a, b) = (x.parts(env), y.parts(env));
    let both = a.class | b.class;
    if both & class::NANS != 0 {
        return Remainder::Nan(nan_of_two(&a, &b, env));
    }
    if a.class == class::INF || b.class == class::ZERO {
        env.flags |= IE;
        return Remainder::Nan(F80::indefinite());
    }
    if both & class::DENORMAL != 0 && env.pre(DE) || a.class == class::ZERO {
        return Remainder::Whole(x, 0);
    }
    if b.class == class::INF {
        let value = if a.class == class::DENORMAL { exact(a.sign, a.exp, a.sig, env) } else { x };
        return Remainder::Whole(value, 0);
    }
    divide(x, &a, &b, nearest, env)
}

fn execute(cx: &mut Cx<'_>, op: &Op, nearest: bool) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    fpu.sw &= !C2;
    if fpu.filled([0, 1], 0) != Filled::Yes {
        return Ok(());
    }
    let mut env = fpu.full_env();
    let outcome = remainder(fpu.st(0), fpu.st(1), nearest, &mut env);
    fpu.finish(&env);
    if env.unmasked() & (IE | DE) != 0 {
        return Ok(());
    }
    match outcome {
        Remainder::Nan(value) => fpu.set_st(0, value),
        Remainder::Partial(value) => {
            fpu.set_st(0, value);
            fpu.set_cc(C2);
        }
        Remainder::Whole(value, quotient) => {
            fpu.set_st(0, value);
            let bit = |n: u8, cc| if quotient >> n & 1 != 0 { cc } else { 0 };
            fpu.set_cc(bit(2, C0) | bit(1, C3) | bit(0, C1));
        }
    }
    Ok(())
}

/// FPREM: the quotient is truncated.
pub(crate) fn fprem(cx: &mut Cx<'_>, op: &Op) -> Step {
    execute(cx, op, false)
}

/// FPREM1: the quotient is rounded to nearest.
pub(crate) fn fprem1(cx: &mut Cx<'_>, op: &Op) -> Step {
    execute(cx, op, true)
}
