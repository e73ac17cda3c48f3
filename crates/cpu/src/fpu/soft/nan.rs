//! Results of operations on NaNs (SDM Vol. 1 table 4-7).

use super::env::{Env, IE};
use super::format::{Float, Parts, class};

/// A NaN, made quiet.
#[inline]
pub(super) fn quiet<T: Float>(nan: &Parts) -> T {
    T::assemble(nan.sign, T::EMAX, nan.sig | 3 << 62)
}

/// The result of an operation with one operand that is a NaN or unsupported.
#[cold]
pub(crate) fn one<T: Float>(a: &Parts, env: &mut Env) -> T {
    if a.class & (class::SNAN | class::UNSUPPORTED) != 0 {
        env.flags |= IE;
    }
    if a.class & class::UNSUPPORTED != 0 { T::indefinite() } else { quiet(a) }
}

/// The result of an operation of whose two operands at least one is a NaN or unsupported.
#[cold]
pub(crate) fn two<T: Float>(a: &Parts, b: &Parts, env: &mut Env) -> T {
    let both = a.class | b.class;
    if both & (class::SNAN | class::UNSUPPORTED) != 0 {
        env.flags |= IE;
    }
    if both & class::UNSUPPORTED != 0 {
        return T::indefinite();
    }
    let first = if !a.is_nan() {
        false
    } else if !b.is_nan() || !T::X87 {
        // SSE takes the first operand.
        true
    } else if a.class != b.class {
        // x87 prefers the quiet one,
        a.class == class::QNAN
    } else if a.sig != b.sig {
        // then the larger significand,
        a.sig > b.sig
    } else {
        // then the positive one.
        !a.sign
    };
    quiet(if first { a } else { b })
}
