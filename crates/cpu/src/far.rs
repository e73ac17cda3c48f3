//! Far jumps, calls and returns.

use crate::Why;
use crate::cx::{Cx, Step};
use crate::op::Op;

pub(crate) fn jmp_far_imm(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn jmp_far_mem(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn call_far_imm(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn call_far_mem(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn ret_far(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}
