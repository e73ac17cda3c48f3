//! F2XM1, FYL2X, FYL2XP1, FPATAN, FPTAN, FSIN, FCOS, FSINCOS: special operands and the stack; the functions themselves are
//! in [`crate::fpu::elementary`].

use super::arith::result;
use crate::cx::{Cx, Step};
use crate::fpu::elementary::{self as f, Angle, Wide};
use crate::fpu::soft::{self, DE, Env, Float, IE, PE, Parts, ZE, class, nan_of_one, nan_of_two};
use crate::fpu::stack::{C1, C2, Filled};
use crate::fpu::state::F80;
use crate::op::Op;

fn invalid(env: &mut Env) -> F80 {
    env.flags |= IE;
    F80::indefinite()
}

fn f2xm1_of(x: F80, env: &mut Env) -> F80 {
    let a = x.parts(env);
    match a.class {
        class::ZERO => return x,
        class::INF => return if a.sign { F80::assemble(true, F80::BIAS, 1 << 63) } else { x },
        class::DENORMAL if env.pre(DE) => return x,
        class::NORMAL | class::DENORMAL => {}
        _ => return nan_of_one(&a, env),
    }
    if a.exp >= 0 {
        // One gives one and minus one a half; beyond, the result is undefined: processors leave the operand.
        env.flags |= PE;
        let minus_one = a.sign && a.exp == 0 && a.sig == 1 << 63;
        return if minus_one { F80::assemble(true, F80::BIAS - 1, 1 << 63) } else { x };
    }
    f::two_to_x_minus_1(Wide::from_parts(&a)).round(env)
}

/// F2XM1.
pub(crate) fn f2xm1(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    if fpu.filled([0, 0], 0) == Filled::Yes {
        let mut env = fpu.full_env();
        let value = f2xm1_of(fpu.st(0), &mut env);
        result(fpu, 0, value, &env);
    }
    Ok(())
}

/// A function of ST(1) and ST(0), whose result replaces both.
fn of_two(cx: &mut Cx<'_>, op: &Op, function: fn(&Parts, &Parts, &mut Env) -> F80) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    match fpu.filled([0, 1], 1) {
        Filled::Yes => {}
        Filled::Indefinite => {
            fpu.pop();
            return Ok(());
        }
        Filled::No => return Ok(()),
    }
    let mut env = fpu.full_env();
    let (y, x) = (fpu.st(1).parts(&env), fpu.st(0).parts(&env));
    let value = if (x.class | y.class) & class::NANS != 0 {
        nan_of_two(&x, &y, &mut env)
    } else {
        function(&y, &x, &mut env)
    };
    if result(fpu, 1, value, &env) {
        fpu.pop();
    }
    Ok(())
}

/// y x log2(x) where one of them, or their product, is infinite or zero: the logarithm has the sign and class given.
/// `None` for finite ones.
fn special_product(y: &Parts, log_sign: bool, log_class: u8, denormal: bool, env: &mut Env) -> Option<F80> {
    let both = y.class | log_class;
    let sign = y.sign != log_sign;
    if both & (class::INF | class::ZERO) == class::INF | class::ZERO {
        return Some(invalid(env));
    }
    if denormal && env.pre(DE) {
        return Some(F80::zero(sign));
    }
    if both & class::INF != 0 {
        return Some(F80::infinity(sign));
    }
    (both & class::ZERO != 0).then(|| F80::zero(sign))
}

/// The product of a finite number and a logarithm.
fn product(y: &Parts, log: Wide, env: &mut Env) -> F80 {
    if log.sig as u64 == 0 {
        // A power of two: the logarithm is an integer. The product is called inexact all the same.
        let log = Parts { sig: (log.sig >> 64) as u64, exp: log.exp, class: class::NORMAL, sign: log.neg };
        let value = soft::mul_parts(Parts { class: class::NORMAL, ..*y }, log, env);
        env.flags |= PE;
        return value;
    }
    Wide::from_parts(y).mul(log).round(env)
}

/// ST(1) x log2(ST(0)).
fn y_log2_x(y: &Parts, x: &Parts, env: &mut Env) -> F80 {
    let denormal = (x.class | y.class) & class::DENORMAL != 0;
    if x.class == class::ZERO {
        if y.class & (class::ZERO | class::INF) == 0 {
            env.flags |= ZE;
        }
        let infinite = special_product(y, true, class::INF, false, env);
        return infinite.unwrap_or(F80::infinity(!y.sign));
    }
    if x.sign {
        return invalid(env);
    }
    let one = x.class == class::NORMAL && x.exp == 0 && x.sig == 1 << 63;
    let log_class = match x.class {
        class::INF => class::INF,
        _ if one => class::ZERO,
        _ => class::NORMAL,
    };
    if let Some(value) = special_product(y, x.exp < 0, log_class, denormal, env) {
        return value;
    }
    product(y, f::log2(Wide::from_parts(x)), env)
}

/// FYL2X.
pub(crate) fn fyl2x(cx: &mut Cx<'_>, op: &Op) -> Step {
    of_two(cx, op, y_log2_x)
}

/// ST(1) x log2(ST(0) + 1).
fn y_log2_x_plus_1(y: &Parts, x: &Parts, env: &mut Env) -> F80 {
    let denormal = (x.class | y.class) & class::DENORMAL != 0;
    if x.sign && x.class == class::INF {
        return invalid(env);
    }
    if let Some(value) = special_product(y, x.sign, x.class & (class::INF | class::ZERO), denormal, env) {
        return value;
    }
    if x.sign && x.class == class::NORMAL && x.exp >= 0 {
        // Undefined: processors leave the operand.
        env.flags |= PE;
        return F80::assemble(true, x.exp + F80::BIAS, x.sig);
    }
    product(y, f::log2_of_1_plus(Wide::from_parts(x)), env)
}

/// FYL2XP1.
pub(crate) fn fyl2xp1(cx: &mut Cx<'_>, op: &Op) -> Step {
    of_two(cx, op, y_log2_x_plus_1)
}

/// The angle of the point with ST(0) and ST(1) as coordinates (SDM Vol. 2, FPATAN, table 3-31).
fn arctangent(y: &Parts, x: &Parts, env: &mut Env) -> F80 {
    let denormal = (x.class | y.class) & class::DENORMAL != 0;
    if denormal && env.pre(DE) {
        return F80::zero(false);
    }
    let infinite = (y.class == class::INF, x.class == class::INF);
    let (y_like, x_like) = match infinite {
        // Both infinite: the diagonals; else one of the axes.
        (true, true) => (Wide::ONE, Wide::ONE),
        (true, false) => (Wide::ONE, Wide::ZERO),
        (false, true) => (Wide::ZERO, Wide::ONE),
        (false, false) => (Wide::from_parts(y), Wide::from_parts(x)),
    };
    if y_like.sig == 0 && !x.sign {
        return F80::zero(y.sign);
    }
    let x_like = if y_like.sig == 0 { Wide::ONE } else { x_like };
    f::arctangent(y_like.with_sign(y.sign), x_like.with_sign(x.sign)).round(env)
}

/// FPATAN.
pub(crate) fn fpatan(cx: &mut Cx<'_>, op: &Op) -> Step {
    of_two(cx, op, arctangent)
}

/// What there is to say of the operand of a trigonometric function.
enum Turn {
    /// An angle.
    Angle(Angle),
    /// Zero, a NaN, or an exception that stops the instruction: the operand or NaN to go on with.
    Special(F80),
    /// At least 2^63: C2 is set, and nothing happens.
    OutOfRange,
}

fn turn(x: F80, env: &mut Env) -> Turn {
    let a = x.parts(env);
    match a.class {
        class::ZERO => Turn::Special(x),
        class::INF => Turn::Special(invalid(env)),
        class::DENORMAL if env.pre(DE) => Turn::Special(x),
        class::NORMAL | class::DENORMAL if a.exp >= 63 => Turn::OutOfRange,
        class::NORMAL | class::DENORMAL => Turn::Angle(Angle::new(Wide::from_parts(&a))),
        _ => Turn::Special(nan_of_one(&a, env)),
    }
}

/// One.
const ONE: F80 = F80::new(0x3fff, 1 << 63);

/// FSIN and FCOS.
fn one_result(cx: &mut Cx<'_>, op: &Op, cosine: bool) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    fpu.sw &= !C2;
    if fpu.filled([0, 0], 0) != Filled::Yes {
        return Ok(());
    }
    let mut env = fpu.full_env();
    let x = fpu.st(0);
    let value = match turn(x, &mut env) {
        Turn::OutOfRange => {
            fpu.sw = fpu.sw & !C1 | C2;
            return Ok(());
        }
        Turn::Special(_) if cosine && x.parts(&env).class == class::ZERO => ONE,
        Turn::Special(value) => value,
        Turn::Angle(angle) => {
            let (sin, cos) = f::sine_cosine(angle);
            if cosine { cos } else { sin }.round(&mut env)
        }
    };
    result(fpu, 0, value, &env);
    Ok(())
}

/// FSIN.
pub(crate) fn fsin(cx: &mut Cx<'_>, op: &Op) -> Step {
    one_result(cx, op, false)
}

/// FCOS.
pub(crate) fn fcos(cx: &mut Cx<'_>, op: &Op) -> Step {
    one_result(cx, op, true)
}

/// FSINCOS and FPTAN: replaces ST(0) and pushes a second result.
fn two_results(cx: &mut Cx<'_>, op: &Op, tangent: bool) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    fpu.sw &= !(C1 | C2);
    if fpu.empty(0) || !fpu.empty(7) {
        let masked = if fpu.empty(0) { fpu.underflow() } else { fpu.overflow() };
        if masked {
            fpu.set_st(0, F80::indefinite());
            fpu.push(F80::indefinite());
        }
        return Ok(());
    }
    let mut env = fpu.full_env();
    let x = fpu.st(0);
    let (first, second) = match turn(x, &mut env) {
        Turn::OutOfRange => {
            fpu.sw |= C2;
            return Ok(());
        }
        Turn::Special(value) if x.parts(&env).class == class::ZERO => (value, ONE),
        Turn::Special(value) => (value, value),
        Turn::Angle(angle) => {
            let (sin, cos) = f::sine_cosine(angle);
            if tangent {
                (sin.div(cos).round(&mut env), ONE)
            } else {
                let first = sin.round(&mut env);
                (first, cos.round(&mut env))
            }
        }
    };
    if result(fpu, 0, first, &env) {
        fpu.push(second);
    }
    Ok(())
}

/// FSINCOS.
pub(crate) fn fsincos(cx: &mut Cx<'_>, op: &Op) -> Step {
    two_results(cx, op, false)
}

/// FPTAN.
pub(crate) fn fptan(cx: &mut Cx<'_>, op: &Op) -> Step {
    two_results(cx, op, true)
}
