//! Moves to and from control and debug registers.

use crate::Why;
use crate::cx::{Cx, Step};
use crate::op::Op;

pub(crate) fn mov_from_cr(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn mov_to_cr(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn mov_from_dr(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn mov_to_dr(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}
