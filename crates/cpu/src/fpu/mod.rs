//! Floating point: the x87 FPU, the state it shares with MMX and SSE, and the arithmetic of all three.

pub(crate) mod soft;
pub(crate) mod state;
