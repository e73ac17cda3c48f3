//! FSCALE and FXTRACT.

use super::arith::result;
use crate::cx::{Cx, Step};
use crate::fpu::soft::{
    self, DE, Env, Float, IE, PE, Parts, Rounding, ZE, class, nan_of_one, nan_of_two, round_pack,
};
use crate::fpu::stack::{C1, Filled};
use crate::fpu::state::F80;
use crate::op::Op;

/// Beyond this every scaled number overflows or underflows, also with a wrapped exponent.
const FAR: i32 = 0x1_0000;

/// ST(1) truncated to an integer, as far as it matters.
fn truncated(b: &Parts) -> i32 {
    let magnitude = match b.exp {
        e if e < 0 => 0,
        e if e > 16 => FAR,
        e => (b.sig >> (63 - e)) as i32,
    };
    let n = magnitude.min(FAR);
    if b.sign { -n } else { n }
}

fn scale(x: F80, y: F80, env: &mut Env) -> F80 {
    let (a, b) = (x.parts(env), y.parts(env));
    let both = a.class | b.class;
    if both & class::NANS != 0 {
        return nan_of_two(&a, &b, env);
    }
    if b.class == class::INF && a.class == if b.sign { class::INF } else { class::ZERO } {
        env.flags |= IE;
        return F80::indefinite();
    }
    if both & class::DENORMAL != 0 && env.pre(DE) {
        return x;
    }
    if b.class == class::INF {
        return if b.sign { F80::zero(a.sign) } else { F80::infinity(a.sign) };
    }
    if a.class & (class::INF | class::ZERO) != 0 {
        return x;
    }
    let by = if b.class == class::ZERO { 0 } else { truncated(&b) };
    let value: F80 = round_pack(a.sign, a.exp + by, a.sig, 0, env);
    massive(a.sign, a.exp + by, value, env)
}

/// An unmasked overflow or underflow so massive that the wrapped exponent does not fit either gives infinity or zero
/// (SDM Vol. 1 8.5.4, 8.5.5).
fn massive(sign: bool, exp: i32, value: F80, env: &mut Env) -> F80 {
    const WRAP: i32 = 24576;
    let biased = exp + F80::BIAS;
    if env.unmasked() & soft::OE != 0 && biased - WRAP >= F80::EMAX {
        env.flags |= PE;
        env.up = true;
        return F80::infinity(sign);
    }
    if env.unmasked() & soft::UE != 0 && biased + WRAP <= 0 {
        env.flags |= PE;
        env.up = false;
        return F80::zero(sign);
    }
    value
}

/// FSCALE.
pub(crate) fn fscale(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    if fpu.filled([0, 1], 0) == Filled::Yes {
        let mut env = fpu.full_env();
        let value = scale(fpu.st(0), fpu.st(1), &mut env);
        result(fpu, 0, value, &env);
    }
    Ok(())
}

/// Exponent and significand of a number.
fn extract(x: F80, env: &mut Env) -> (F80, F80) {
    let p = x.parts(env);
    match p.class {
        class::ZERO => {
            env.flags |= ZE;
            (F80::infinity(true), x)
        }
        class::INF => (F80::infinity(false), x),
        class::NORMAL | class::DENORMAL => {
            if p.class == class::DENORMAL && env.pre(DE) {
                return (x, x);
            }
            let mut exact = Env { rounding: Rounding::Nearest, ..*env };
            (soft::from_int(i64::from(p.exp), &mut exact), F80::assemble(p.sign, F80::BIAS, p.sig))
        }
        _ => {
            let nan = nan_of_one(&p, env);
            (nan, nan)
        }
    }
}

/// FXTRACT.
pub(crate) fn fxtract(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    fpu.sw &= !C1;
    if fpu.empty(0) || !fpu.empty(7) {
        let masked = if fpu.empty(0) { fpu.underflow() } else { fpu.overflow() };
        if masked {
            fpu.set_st(0, F80::indefinite());
            fpu.push(F80::indefinite());
        }
        return Ok(());
    }
    let mut env = fpu.env();
    let (exponent, significand) = extract(fpu.st(0), &mut env);
    if result(fpu, 0, exponent, &env) {
        fpu.push(significand);
    }
    Ok(())
}
