//! RCPPS, RSQRTPS and their kin: approximations, without exceptions or rounding modes (SDM Vol. 1 11.4.3).
//!
//! Their exact values are each processor's own; the SDM asks for a relative error of at most 1.5 x 2^-12. These are the
//! quotients to nearest. Denormal operands count as zero, tiny results become zero.

use core::marker::PhantomData;

use super::float::with_low;
use super::shape::Op;
use super::vector::{Lane, V, map};
use crate::fpu::soft::{self, Env};

/// An approximation.
pub(crate) trait Approximation {
    /// Of a single.
    fn of(b: u32) -> u32;
}

/// RCPPS, RSQRTPS.
pub(crate) struct Approximate<A>(PhantomData<A>);
/// RCPSS, RSQRTSS.
pub(crate) struct ApproximateSingle<A>(PhantomData<A>);

impl<A: Approximation> Op for Approximate<A> {
    fn xmm(_: V, b: V, _: u8) -> V {
        map(b, A::of)
    }
}

impl<A: Approximation> Op for ApproximateSingle<A> {
    fn xmm(a: V, b: V, _: u8) -> V {
        with_low(a, A::of(u32::lanes(b)[0]))
    }
}

const SIGN: u32 = 0x8000_0000;
const INFINITY: u32 = 0x7f80_0000;
const QUIET: u32 = 0x0040_0000;
/// The NaN that invalid operations give.
const INDEFINITE: u32 = 0xffc0_0000;
/// All exceptions masked, to nearest, denormal operands and results zero: how approximations are computed.
const SILENT: u32 = 0x9fc0;

fn is_nan(b: u32) -> bool {
    b & !SIGN > INFINITY
}

/// 1/x.
pub(crate) struct Reciprocal;

impl Approximation for Reciprocal {
    fn of(b: u32) -> u32 {
        if is_nan(b) { b | QUIET } else { soft::div(1f32.to_bits(), b, &mut Env::sse(SILENT)) }
    }
}

/// 1/sqrt(x).
pub(crate) struct ReciprocalRoot;

impl Approximation for ReciprocalRoot {
    fn of(b: u32) -> u32 {
        let mut env = Env::sse(SILENT);
        if is_nan(b) {
            return b | QUIET;
        }
        if b & SIGN != 0 && b & INFINITY != 0 {
            return INDEFINITE;
        }
        let root = soft::sqrt(b, &mut env);
        soft::div(1f32.to_bits(), root, &mut env)
    }
}
