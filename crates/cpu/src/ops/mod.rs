//! Handlers of the integer instructions that any program may execute.

pub(crate) mod alu;
pub(crate) mod atomic;
pub(crate) mod bcd;
pub(crate) mod bit;
pub(crate) mod branch;
pub(crate) mod misc;
pub(crate) mod mov;
pub(crate) mod muldiv;
pub(crate) mod shift;
pub(crate) mod stack;
pub(crate) mod string;
