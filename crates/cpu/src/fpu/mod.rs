//! Floating point: the x87 FPU, the state it shares with MMX and SSE, and the arithmetic of all three.

pub(crate) mod area;
pub(crate) mod elementary;
pub(crate) mod image;
pub(crate) mod soft;
pub(crate) mod stack;
pub(crate) mod state;
pub(crate) mod x87;
