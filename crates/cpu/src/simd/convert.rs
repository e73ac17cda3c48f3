//! Conversions between floating-point formats and integers (SDM Vol. 1 11.4.1.6, 11.4.4.3).

use super::check;
use super::float::{Op, env, settle, source, with_low};
use super::number::Number;
use super::shape::{M32, M64, M128, Memory, get, mmx_source, set, set_mmx};
use super::vector::{Lane, V, low, pair};
use crate::cx::{Cx, Step};
use crate::fpu::soft::{self, Env, PE, Rounding};
use crate::op::{MEM, Op as Decoded};
use crate::operand::Operand;

/// To a signed integer of `bits` bits: rounded as MXCSR says, or truncated.
#[inline(always)]
fn integer<T: Number>(x: T, bits: u32, truncate: bool, env: &mut Env) -> i64 {
    // Most are cut off, and fit.
    if truncate && x.normal() {
        let value = x.host_truncate();
        if value.unsigned_abs() >> (bits - 1) == 0 && value != i64::MAX {
            env.flags |= if T::host_from(value) == x { 0 } else { PE };
            return value;
        }
    }
    let rounding = if truncate { Rounding::Zero } else { env.rounding };
    soft::to_int(x, bits, rounding, env)
}

/// From a signed integer.
#[inline(always)]
fn number<T: Number>(value: i64, env: &mut Env) -> T {
    // What has no more bits than a significand is exact.
    if value.unsigned_abs() >> T::P == 0 { T::host_from(value) } else { soft::from_int(value, env) }
}

/// Names conversions between XMM registers, as functions of destination, source and environment.
macro_rules! conversions {
    ($($name:ident($a:pat, $b:ident, $env:ident) => $e:expr;)*) => {$(
        pub(crate) struct $name;
        impl Op for $name {
            #[inline]
            fn apply($a: V, $b: V, _: u8, $env: &mut Env) -> V {
                $e
            }
        }
    )*};
}

/// Two doubles to the two low lanes.
#[inline(always)]
fn narrow(b: V, env: &mut Env, f: impl Fn(u64, &mut Env) -> u32) -> V {
    let b = u64::lanes(b);
    let (x, y) = (f(b[0], env), f(b[1], env));
    u32::vector([x, y, 0, 0])
}

/// The two low lanes to two doubles.
#[inline(always)]
fn widen(b: V, env: &mut Env, f: impl Fn(u32, &mut Env) -> u64) -> V {
    let b = u32::lanes(b);
    let (x, y) = (f(b[0], env), f(b[1], env));
    pair(x, y)
}

/// Each of four lanes.
#[inline(always)]
fn four(b: V, env: &mut Env, f: impl Fn(u32, &mut Env) -> u32) -> V {
    u32::vector(u32::lanes(b).map(|x| f(x, env)))
}

conversions! {
    PsToPd(_, b, env) => widen(b, env, soft::convert);
    PdToPs(_, b, env) => narrow(b, env, soft::convert);
    SsToSd(a, b, env) => with_low::<u64>(a, soft::convert(u32::lanes(b)[0], env));
    SdToSs(a, b, env) => with_low::<u32>(a, soft::convert(u64::lanes(b)[0], env));
    DqToPs(_, b, env) => four(b, env, |x, env| number(i64::from(x as i32), env));
    DqToPd(_, b, env) => widen(b, env, |x, env| number(i64::from(x as i32), env));
    PsToDq(_, b, env) => four(b, env, |x, env| integer(x, 32, false, env) as u32);
    PsToDqTruncated(_, b, env) => four(b, env, |x, env| integer(x, 32, true, env) as u32);
    PdToDq(_, b, env) => narrow(b, env, |x, env| integer(x, 32, false, env) as u32);
    PdToDqTruncated(_, b, env) => narrow(b, env, |x, env| integer(x, 32, true, env) as u32);
}

/// CVTSI2SS, CVTSI2SD from a general register or memory of `I`'s width.
#[inline(always)]
fn from_general<I: Operand, T: Number>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    check::sse(cx)?;
    let value = cx.rm::<I>(op)?.sext() as i64;
    let mut env = env(cx);
    let v = with_low::<T>(get(cx, op.reg), number(value, &mut env));
    settle(cx, &env)?;
    set(cx, op.reg, v);
    Ok(())
}

/// CVTSI2SS.
pub(crate) fn si_to_ss<I: Operand>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    from_general::<I, u32>(cx, op)
}

/// CVTSI2SD.
pub(crate) fn si_to_sd<I: Operand>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    from_general::<I, u64>(cx, op)
}

/// A number to a general register of `I`'s width.
#[inline(always)]
fn to_general<I: Operand, T: Number, M: Memory>(cx: &mut Cx<'_>, op: &Decoded, truncate: bool) -> Step {
    check::sse(cx)?;
    let x = T::lanes(source::<M>(cx, op)?)[0];
    let mut env = env(cx);
    let value = integer(x, I::BITS, truncate, &mut env);
    settle(cx, &env)?;
    cx.set_reg::<I>(op.reg, I::from_u64(value as u64));
    Ok(())
}

/// CVTSS2SI.
pub(crate) fn ss_to_si<I: Operand>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    to_general::<I, u32, M32>(cx, op, false)
}

/// CVTTSS2SI.
pub(crate) fn ss_to_si_truncated<I: Operand>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    to_general::<I, u32, M32>(cx, op, true)
}

/// CVTSD2SI.
pub(crate) fn sd_to_si<I: Operand>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    to_general::<I, u64, M64>(cx, op, false)
}

/// CVTTSD2SI.
pub(crate) fn sd_to_si_truncated<I: Operand>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    to_general::<I, u64, M64>(cx, op, true)
}

/// CVTPI2PS: two doublewords of an MMX register or memory to the two low singles.
pub(crate) fn pi_to_ps(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    check::sse(cx)?;
    check::mmx(cx)?;
    let b = pair(mmx_source::<M64>(cx, op)?, 0);
    let mut env = env(cx);
    let singles = float_of::<DqToPs>(b, &mut env);
    settle(cx, &env)?;
    cx.cpu.fpu.mmx_enter();
    let v = with_low::<u64>(get(cx, op.reg), low(singles));
    set(cx, op.reg, v);
    Ok(())
}

/// CVTPI2PD: to two doubles. With a memory operand no MMX state is touched.
pub(crate) fn pi_to_pd(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    check::sse(cx)?;
    let from_mmx = op.pfx & MEM == 0;
    if from_mmx {
        check::mmx(cx)?;
    }
    let b = pair(mmx_source::<M64>(cx, op)?, 0);
    let v = float_of::<DqToPd>(b, &mut env(cx));
    if from_mmx {
        cx.cpu.fpu.mmx_enter();
    }
    set(cx, op.reg, v);
    Ok(())
}

#[inline(always)]
fn float_of<O: Op>(b: V, env: &mut Env) -> V {
    O::apply(b, b, 0, env)
}

/// The low half of a conversion to an MMX register.
#[inline(always)]
fn to_mmx<O: Op, M: Memory>(cx: &mut Cx<'_>, op: &Decoded, keep: impl Fn(V) -> V) -> Step {
    check::sse(cx)?;
    check::mmx(cx)?;
    let b = keep(source::<M>(cx, op)?);
    let mut env = env(cx);
    let v = float_of::<O>(b, &mut env);
    settle(cx, &env)?;
    set_mmx(cx, op.reg, low(v));
    Ok(())
}

/// The upper half does not take part.
#[inline(always)]
fn low_half(v: V) -> V {
    pair(low(v), 0)
}

/// CVTPS2PI.
pub(crate) fn ps_to_pi(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    to_mmx::<PsToDq, M64>(cx, op, low_half)
}

/// CVTTPS2PI.
pub(crate) fn ps_to_pi_truncated(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    to_mmx::<PsToDqTruncated, M64>(cx, op, low_half)
}

/// CVTPD2PI.
pub(crate) fn pd_to_pi(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    to_mmx::<PdToDq, M128>(cx, op, |v| v)
}

/// CVTTPD2PI.
pub(crate) fn pd_to_pi_truncated(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    to_mmx::<PdToDqTruncated, M128>(cx, op, |v| v)
}
