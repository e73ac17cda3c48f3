//! MMX and SSE to SSE4.2, AES-NI and PCLMULQDQ (SDM Vol. 1 chapters 9 to 12).
//!
//! An operation is a type with a pure function on vectors ([`shape::Op`]); what surrounds it (checks, operands, memory) is
//! one of a few generic handlers in [`shape`], and `decode::sse` says which opcode is which pair of the two.

pub(crate) mod approximate;
mod check;
pub(crate) mod convert;
pub(crate) mod crypto;
pub(crate) mod element;
pub(crate) mod float;
pub(crate) mod lanewise;
pub(crate) mod moves;
pub(crate) mod multiply;
mod number;
pub(crate) mod shape;
pub(crate) mod shift;
pub(crate) mod shuffle;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests;
pub(crate) mod text;
mod vector;

pub(crate) use check::{mmx as check_mmx, sse as check};
