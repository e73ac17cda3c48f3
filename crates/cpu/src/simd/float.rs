//! Floating-point arithmetic on packed and single numbers (SDM Vol. 1 11.4, 11.5), by [`crate::fpu::soft`].
//!
//! All lanes of an instruction share one environment. What MXCSR does not mask is raised after the last lane, before the
//! destination is written.

use core::marker::PhantomData;

use hako_x86::{Cr4, Vector};

use super::check;
use super::number::Number;
use super::shape::{Memory, get, load, set};
use super::vector::{Lane, V, each, mask};
use crate::cx::{Cx, Step, Trap};
use crate::flags::Flags;
use crate::fpu::soft::{self, DE, Env, IE, PE, Relation, Rounding, ZE};
use crate::op::{MEM, Op as Decoded};
use crate::why::Why;

/// Exceptions that are found before anything is computed.
const PRE: u32 = IE | DE | ZE;

/// An operation on a destination and a source that rounds and raises exceptions.
pub(crate) trait Op {
    /// The new destination.
    fn apply(a: V, b: V, imm: u8, env: &mut Env) -> V;
    /// The same by the host's arithmetic, if no flag that is not set in MXCSR would be raised.
    #[inline(always)]
    fn host(_a: V, _b: V, _imm: u8, _mxcsr: u32) -> Option<V> {
        None
    }
}

/// What MXCSR says now.
#[inline(always)]
pub(super) fn env(cx: &Cx<'_>) -> Env {
    Env::sse(cx.cpu.fpu.mxcsr)
}

/// Takes over the flags of an operation, and raises what is not masked.
#[inline(always)]
pub(super) fn settle(cx: &mut Cx<'_>, env: &Env) -> Step {
    // Nothing new, and nothing unmasked.
    if env.flags & !(env.masks & cx.cpu.fpu.mxcsr) == 0 { Ok(()) } else { settle_flags(cx, env) }
}

#[inline(never)]
fn settle_flags(cx: &mut Cx<'_>, env: &Env) -> Step {
    let unmasked = env.unmasked();
    // One lane that stops before computing stops the others too (SDM Vol. 1 11.5.3).
    let flags = if unmasked & PRE != 0 { env.flags & PRE } else { env.flags };
    cx.cpu.fpu.mxcsr |= flags;
    if unmasked == 0 { Ok(()) } else { Err(raise(cx)) }
}

#[cold]
fn raise(cx: &mut Cx<'_>) -> Trap {
    if cx.cpu.cr4 & Cr4::OSXMMEXCPT.bits() == 0 {
        return cx.ud(Why::SimdExceptionUnexpected);
    }
    cx.fault(Vector::XM, None, Why::SimdException)
}

/// XMM, XMM.
pub(crate) fn reg<O: Op>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    check::sse(cx)?;
    let b = get(cx, op.base);
    finish::<O>(cx, op, b)
}

/// XMM, memory.
pub(crate) fn mem<O: Op, M: Memory>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    check::sse(cx)?;
    let b = load::<M>(cx, op)?;
    finish::<O>(cx, op, b)
}

#[inline(always)]
fn finish<O: Op>(cx: &mut Cx<'_>, op: &Decoded, b: V) -> Step {
    match O::host(get(cx, op.reg), b, op.imm as u8, cx.cpu.fpu.mxcsr) {
        Some(v) => {
            set(cx, op.reg, v);
            Ok(())
        }
        None => finish_slow::<O>(cx, op, b),
    }
}

#[inline(never)]
fn finish_slow<O: Op>(cx: &mut Cx<'_>, op: &Decoded, b: V) -> Step {
    let mut env = env(cx);
    let v = O::apply(get(cx, op.reg), b, op.imm as u8, &mut env);
    settle(cx, &env)?;
    set(cx, op.reg, v);
    Ok(())
}

/// An XMM register or memory.
#[inline(always)]
pub(super) fn source<M: Memory>(cx: &mut Cx<'_>, op: &Decoded) -> Result<V, Trap> {
    if op.pfx & MEM != 0 { load::<M>(cx, op) } else { Ok(get(cx, op.base)) }
}

/// Lane 0 replaced.
#[inline(always)]
pub(super) fn with_low<T: Lane>(v: V, low: T) -> V {
    let mut lanes = T::lanes(v);
    lanes[0] = low;
    T::vector(lanes)
}

/// An operation on numbers.
pub(crate) trait Scalar {
    /// Whether there is [`Scalar::host`].
    const HOST: bool = false;
    /// Whether results are rounded, so that the host may only compute them when nobody asks how.
    const ROUNDS: bool = true;
    /// Of a destination and a source.
    fn of<T: Number>(a: T, b: T, imm: u8, env: &mut Env) -> T;
    /// The same by the host's arithmetic, and all ones if that is right: of operands that are [`Number::usual`], in an
    /// environment where inexact results change nothing and are rounded to nearest, no flag would be raised.
    #[inline(always)]
    fn host<T: Number>(a: T, _: T, _: u8) -> (T, T) {
        (a, T::ZERO)
    }
}

/// Whether the host may compute at all: results are rounded to nearest, and inexact ones are masked and known already.
#[inline(always)]
fn by_host<S: Scalar>(mxcsr: u32) -> bool {
    const PRECISION_FLAG: u32 = 1 << 5;
    const PRECISION_MASK: u32 = 1 << 12;
    const ROUNDING: u32 = 3 << 13;
    let all = PRECISION_FLAG | PRECISION_MASK | ROUNDING;
    S::HOST && (!S::ROUNDS || mxcsr & all == PRECISION_FLAG | PRECISION_MASK)
}

/// A [`Scalar`] on each lane.
pub(crate) struct Packed<S, T>(PhantomData<(S, T)>);
/// A [`Scalar`] on lane 0; the destination keeps the rest.
pub(crate) struct Single<S, T>(PhantomData<(S, T)>);

impl<S: Scalar, T: Number> Op for Packed<S, T> {
    #[inline(always)]
    fn apply(a: V, b: V, imm: u8, env: &mut Env) -> V {
        let (a, b) = (T::lanes(a), T::lanes(b));
        let mut r = T::ZEROES;
        for i in 0..T::N {
            r[i] = S::of(a[i], b[i], imm, env);
        }
        T::vector(r)
    }

    #[inline(always)]
    fn host(a: V, b: V, imm: u8, mxcsr: u32) -> Option<V> {
        if !by_host::<S>(mxcsr) {
            return None;
        }
        let (a, b) = (T::lanes(a), T::lanes(b));
        let (mut r, mut right) = (T::ZEROES, T::ZEROES);
        for i in 0..T::N {
            let (value, ok) = S::host(a[i], b[i], imm);
            (r[i], right[i]) = (value, ok & a[i].usual() & b[i].usual());
        }
        (u128::from_le_bytes(T::vector(right)) == !0).then(|| T::vector(r))
    }
}

impl<S: Scalar, T: Number> Op for Single<S, T> {
    #[inline(always)]
    fn apply(a: V, b: V, imm: u8, env: &mut Env) -> V {
        with_low(a, S::of(T::lanes(a)[0], T::lanes(b)[0], imm, env))
    }

    #[inline(always)]
    fn host(a: V, b: V, imm: u8, mxcsr: u32) -> Option<V> {
        if !by_host::<S>(mxcsr) {
            return None;
        }
        let (x, y) = (T::lanes(a)[0], T::lanes(b)[0]);
        let (value, ok) = S::host(x, y, imm);
        (ok & x.usual() & y.usual() == T::ONES).then(|| with_low(a, value))
    }
}

/// Names operations, by [`soft`] and, where it says so after `host`, by the host.
macro_rules! scalars {
    ($($name:ident($a:ident, $b:ident, $imm:ident, $env:ident) => $e:expr $(, host($rounds:expr) $h:expr)?;)*) => {$(
        pub(crate) struct $name;
        impl Scalar for $name {
            #[inline(always)]
            fn of<T: Number>($a: T, $b: T, $imm: u8, $env: &mut Env) -> T {
                let _ = ($a, $imm);
                $e
            }
            $(
                const HOST: bool = true;
                const ROUNDS: bool = $rounds;
                #[inline(always)]
                fn host<T: Number>($a: T, $b: T, $imm: u8) -> (T, T) {
                    let _ = $imm;
                    $h
                }
            )?
        }
    )*};
}
scalars! {
    Add(a, b, imm, env) => soft::add(a, b, env), host(true) { let r = a.host_add(b); (r, r.usual()) };
    Sub(a, b, imm, env) => soft::sub(a, b, env), host(true) { let r = a.host_add(b.negated()); (r, r.usual()) };
    Mul(a, b, imm, env) => soft::mul(a, b, env), host(true) {
        let r = a.host_mul(b);
        // A product that is zero without a zero factor is an underflow.
        (r, mask(r.normal() | a.is_zero() | b.is_zero()))
    };
    Div(a, b, imm, env) => soft::div(a, b, env), host(true) {
        let r = a.host_div(b);
        (r, mask(r.normal() | (a.is_zero() & b.normal())))
    };
    Min(a, b, imm, env) => soft::min(a, b, env), host(false) (if a.below(b) { a } else { b }, T::ONES);
    Max(a, b, imm, env) => soft::max(a, b, env), host(false) (if b.below(a) { a } else { b }, T::ONES);
    Sqrt(a, b, imm, env) => soft::sqrt(b, env);
    Compare(a, b, imm, env) => mask(compare(a, b, imm, env)), host(false) (mask(compare_usual(a, b, imm)), T::ONES);
    Round(a, b, imm, env) => round(b, imm, env);
}

/// [`compare`] of numbers that are ordered and no denormals.
#[inline(always)]
fn compare_usual<T: Number>(a: T, b: T, imm: u8) -> bool {
    let (less, greater) = (a.below(b), b.below(a));
    let holds = match imm & 3 {
        0 => !(less | greater),
        1 => less,
        2 => !greater,
        _ => false,
    };
    holds != (imm & 4 != 0)
}

/// CMPPS and its kin: by the immediate's low three bits equal, less, less or equal, unordered, and their contraries.
/// Orders are asked of ordered numbers: a quiet NaN is invalid then.
fn compare<T: Number>(a: T, b: T, imm: u8, env: &mut Env) -> bool {
    let quiet = matches!(imm & 3, 0 | 3);
    let relation = soft::compare(a, b, quiet, env);
    let holds = match imm & 3 {
        0 => relation == Relation::Equal,
        1 => relation == Relation::Less,
        2 => matches!(relation, Relation::Less | Relation::Equal),
        _ => relation == Relation::Unordered,
    };
    holds != (imm & 4 != 0)
}

/// ROUNDPS and its kin: bits 1:0 of the immediate are the rounding mode unless bit 2 chooses MXCSR's; bit 3 keeps inexact
/// results silent.
fn round<T: Number>(b: T, imm: u8, env: &mut Env) -> T {
    let rounding = if imm & 4 != 0 { env.rounding } else { Rounding::from_bits(u32::from(imm)) };
    let before = env.flags;
    let v = soft::round_to_integral(b, rounding, env);
    if imm & 8 != 0 {
        env.flags = env.flags & !PE | before & PE;
    }
    v
}

/// HADDPS and its kin: neighbours of `a`, then of `b`, put together.
pub(crate) struct Horizontal<S, T>(PhantomData<(S, T)>);

impl<S: Scalar, T: Number> Op for Horizontal<S, T> {
    #[inline(always)]
    fn apply(a: V, b: V, imm: u8, env: &mut Env) -> V {
        let (a, b) = (T::lanes(a), T::lanes(b));
        let mut r = T::ZEROES;
        for i in 0..T::N {
            let (from, at) = if i < T::N / 2 { (&a, 2 * i) } else { (&b, 2 * i - T::N) };
            r[i] = S::of(from[at], from[at + 1], imm, env);
        }
        T::vector(r)
    }
}

/// ADDSUBPS, ADDSUBPD: even lanes subtracted, odd lanes added.
pub(crate) struct AddSub<T>(PhantomData<T>);

impl<T: Number> Op for AddSub<T> {
    #[inline(always)]
    fn apply(a: V, b: V, _: u8, env: &mut Env) -> V {
        let (a, b) = (T::lanes(a), T::lanes(b));
        let mut r = T::ZEROES;
        for i in 0..T::N {
            r[i] = if i & 1 == 0 { soft::sub(a[i], b[i], env) } else { soft::add(a[i], b[i], env) };
        }
        T::vector(r)
    }
}

/// DPPS, DPPD: the products that the immediate's upper half chooses, summed up in pairs, where its lower half says.
pub(crate) struct DotProduct<T>(PhantomData<T>);

impl<T: Number> Op for DotProduct<T> {
    fn apply(a: V, b: V, imm: u8, env: &mut Env) -> V {
        let (a, b) = (T::lanes(a), T::lanes(b));
        let mut products = T::ZEROES;
        for i in 0..T::N {
            if imm >> (4 + i) & 1 != 0 {
                products[i] = soft::mul(a[i], b[i], env);
            }
        }
        // Each step's unmasked exceptions keep the next from happening.
        let mut sum = T::ZERO;
        if env.unmasked() == 0 {
            sum = soft::add(products[0], products[1], env);
            if T::N == 4 {
                let upper = soft::add(products[2], products[3], env);
                if env.unmasked() == 0 {
                    sum = soft::add(sum, upper, env);
                }
            }
        }
        each(|i| if imm >> i & 1 != 0 { sum } else { T::ZERO })
    }
}

#[inline(never)]
fn relation_slow<T: Number, const QUIET: bool>(cx: &mut Cx<'_>, a: T, b: T) -> Result<Relation, Trap> {
    let mut env = env(cx);
    let relation = soft::compare(a, b, QUIET, &mut env);
    settle(cx, &env)?;
    Ok(relation)
}

/// COMISS, COMISD (and UCOMISS, UCOMISD, for which quiet NaNs are not invalid).
pub(crate) fn comi<T: Number, M: Memory, const QUIET: bool>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    const CF: u64 = 1;
    const PF: u64 = 4;
    const ZF: u64 = 0x40;
    check::sse(cx)?;
    let b = source::<M>(cx, op)?;
    let (a, b) = (T::lanes(get(cx, op.reg))[0], T::lanes(b)[0]);
    let relation =
        if a.usual() & b.usual() == T::ONES { a.relation(b) } else { relation_slow::<T, QUIET>(cx, a, b)? };
    cx.cpu.fl = Flags::from_bits(match relation {
        Relation::Unordered => ZF | PF | CF,
        Relation::Less => CF,
        Relation::Equal => ZF,
        Relation::Greater => 0,
    });
    Ok(())
}
