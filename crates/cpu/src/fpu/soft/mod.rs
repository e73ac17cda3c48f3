//! Binary floating point as x87 and SSE do it, on bits: every result and every exception flag, in all rounding modes
//! (SDM Vol. 1 chapter 4, 8.4, 8.5, 11.5).
//!
//! Numbers are their encodings: `u32` is single, `u64` is double, [`F80`](super::state::F80) is double extended precision.
//! An [`Env`] says how to round and collects what happened. An operation that meets an unmasked exception which comes
//! before the computation (invalid, denormal, divide by zero) stops with that flag and a meaningless result; the caller
//! compares [`Env::flags`] with its masks and does not store.

mod arith;
mod compare;
mod convert;
mod env;
mod format;
mod nan;
mod round;
#[cfg(test)]
mod tests;

pub(crate) use arith::{add, add_parts, div, div_parts, mul, mul_parts, sqrt, sub};
pub(crate) use compare::{Relation, compare, compare_parts, max, min};
pub(crate) use convert::{convert, from_int, round_to_integral, to_int};
pub(crate) use env::{DE, Env, IE, OE, PE, Rounding, UE, ZE};
pub(crate) use format::{Float, Parts, class};
pub(crate) use nan::{one as nan_of_one, two as nan_of_two};
pub(crate) use round::round_pack;
