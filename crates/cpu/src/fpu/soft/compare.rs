//! Comparisons, minimum and maximum.

use super::env::{DE, Env, IE};
use super::format::{Float, Parts, class};

/// How two numbers relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Less,
    Equal,
    Greater,
    /// At least one is a NaN.
    Unordered,
}

/// Compares two encodings. A `quiet` comparison raises invalid only for signaling NaNs and unsupported encodings.
#[inline]
pub(crate) fn compare<T: Float>(a: T, b: T, quiet: bool, env: &mut Env) -> Relation {
    compare_parts(a.parts(env), b.parts(env), quiet, env)
}

/// Compares two operands taken apart.
#[inline]
pub(crate) fn compare_parts(a: Parts, b: Parts, quiet: bool, env: &mut Env) -> Relation {
    let both = a.class | b.class;
    if both & class::NANS != 0 {
        if !quiet || both & (class::SNAN | class::UNSUPPORTED) != 0 {
            env.flags |= IE;
        }
        return Relation::Unordered;
    }
    if both & class::DENORMAL != 0 {
        env.flags |= DE;
    }
    // Something that grows with the magnitude, also between formats.
    let magnitude = |p: &Parts| match p.class {
        class::ZERO => (i32::MIN, 0),
        class::INF => (i32::MAX, 0),
        _ => (p.exp, p.sig),
    };
    let (m, n) = (magnitude(&a), magnitude(&b));
    let order = match (a.sign, b.sign) {
        _ if a.class == class::ZERO && b.class == class::ZERO => return Relation::Equal,
        (false, true) => return Relation::Greater,
        (true, false) => return Relation::Less,
        (false, false) => m.cmp(&n),
        (true, true) => n.cmp(&m),
    };
    match order {
        core::cmp::Ordering::Less => Relation::Less,
        core::cmp::Ordering::Equal => Relation::Equal,
        core::cmp::Ordering::Greater => Relation::Greater,
    }
}

/// SSE's minimum: the second operand if one is a NaN or both are zero (SDM Vol. 2, MINPS).
pub(crate) fn min<T: Float>(a: T, b: T, env: &mut Env) -> T {
    choose(a, b, Relation::Less, env)
}

/// SSE's maximum: the second operand if one is a NaN or both are zero.
pub(crate) fn max<T: Float>(a: T, b: T, env: &mut Env) -> T {
    choose(a, b, Relation::Greater, env)
}

#[inline]
fn choose<T: Float>(a: T, b: T, wanted: Relation, env: &mut Env) -> T {
    let (p, q) = (a.parts(env), b.parts(env));
    let (chosen, p) = if compare_parts(p, q, false, env) == wanted { (a, p) } else { (b, q) };
    // Denormals may have become zero on the way.
    if p.class == class::ZERO { T::zero(p.sign) } else { chosen }
}
