//! FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR with all operands, FSQRT, FRNDINT.

use super::sti;
use crate::cx::{Cx, Step};
use crate::fpu::soft::{self, DE, Env, Float, IE, Parts, ZE};
use crate::fpu::stack::Filled;
use crate::fpu::state::{F80, FpuState};
use crate::op::Op;
use crate::operand::{Address, Operand};

/// An operation of a destination and a source.
pub(crate) trait Binary {
    /// The result.
    fn run(dst: Parts, src: Parts, env: &mut Env) -> F80;
}

/// A number with the other sign, unless it is a NaN.
fn minus(mut p: Parts) -> Parts {
    p.sign ^= !p.is_nan();
    p
}

macro_rules! binaries {
    ($($(#[$doc:meta])* $name:ident |$d:ident, $s:ident, $e:ident| $run:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;
        impl Binary for $name {
            #[inline(always)]
            fn run($d: Parts, $s: Parts, $e: &mut Env) -> F80 {
                $run
            }
        }
    )*};
}
binaries! {
    /// Destination + source.
    Add |d, s, e| soft::add_parts(d, s, e);
    /// Destination x source.
    Mul |d, s, e| soft::mul_parts(d, s, e);
    /// Destination - source.
    Sub |d, s, e| soft::add_parts(d, minus(s), e);
    /// Source - destination.
    SubR |d, s, e| soft::add_parts(s, minus(d), e);
    /// Destination / source.
    Div |d, s, e| soft::div_parts(d, s, e);
    /// Source / destination.
    DivR |d, s, e| soft::div_parts(s, d, e);
}

/// Takes over a result for ST(i), unless an exception stopped the operation. Whether it was taken over.
#[inline(always)]
pub(super) fn result(fpu: &mut FpuState, i: u8, value: F80, env: &Env) -> bool {
    fpu.finish(env);
    let stopped = env.unmasked() & (IE | DE | ZE) != 0;
    if !stopped {
        fpu.set_st(i, value);
    }
    !stopped
}

// The operations stand once each, not in every handler: they are much longer than a call.

/// ST(i) = ST(i) op ST(j); whether it was done.
#[inline(never)]
fn registers<B: Binary>(fpu: &mut FpuState, i: u8, j: u8) -> bool {
    match fpu.filled([i, j], i) {
        Filled::Yes => {}
        Filled::Indefinite => return true,
        Filled::No => return false,
    }
    let mut env = fpu.env();
    let value = B::run(fpu.st(i).parts(&env), fpu.st(j).parts(&env), &mut env);
    result(fpu, i, value, &env)
}

/// ST(0) = ST(0) op ST(i).
pub(crate) fn st0_sti<B: Binary>(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    registers::<B>(cx.x(), 0, sti(op));
    Ok(())
}

/// ST(i) = ST(i) op ST(0), and pop where asked.
pub(crate) fn sti_st0<B: Binary, const POP: bool>(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    if registers::<B>(cx.x(), sti(op), 0) && POP {
        cx.x().pop();
    }
    Ok(())
}

/// ST(0) = ST(0) op source.
#[inline(never)]
fn with<B: Binary>(fpu: &mut FpuState, source: Parts) {
    if fpu.filled([0, 0], 0) == Filled::Yes {
        let mut env = fpu.env();
        let value = B::run(fpu.st(0).parts(&env), source, &mut env);
        result(fpu, 0, value, &env);
    }
}

/// ST(0) = ST(0) op m32 or m64.
pub(crate) fn st0_mem<T: Float + Operand, B: Binary, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let value: T = cx.operand::<T, A>(op)?;
    let source = value.parts(&cx.x().env());
    with::<B>(cx.x(), source);
    Ok(())
}

/// An integer operand, taken apart.
#[inline(never)]
pub(super) fn integer(value: i64, mut env: Env) -> Parts {
    soft::from_int::<F80>(value, &mut env).parts(&env)
}

/// ST(0) = ST(0) op integer.
pub(crate) fn st0_int<T: Operand, B: Binary, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let value = cx.operand::<T, A>(op)?.sext() as i64;
    let source = integer(value, cx.x().env());
    with::<B>(cx.x(), source);
    Ok(())
}

/// An operation on ST(0) alone.
fn unary(cx: &mut Cx<'_>, op: &Op, f: impl Fn(F80, &mut Env) -> F80) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    if fpu.filled([0, 0], 0) == Filled::Yes {
        let mut env = fpu.env();
        let value = f(fpu.st(0), &mut env);
        result(fpu, 0, value, &env);
    }
    Ok(())
}

/// FSQRT.
pub(crate) fn fsqrt(cx: &mut Cx<'_>, op: &Op) -> Step {
    unary(cx, op, soft::sqrt)
}

/// FRNDINT.
pub(crate) fn frndint(cx: &mut Cx<'_>, op: &Op) -> Step {
    unary(cx, op, |value, env| soft::round_to_integral(value, env.rounding, env))
}
