//! Exceptions and interrupts.

use crate::Why;
use crate::cx::{Cx, Step};
use crate::op::Op;

pub(crate) fn int_n(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn int3(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn into(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn int1(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

/// Delivers the exception in `cpu.fault`, raised by the instruction at `cpu.rip`. Further faults on the way become
/// double and triple faults here.
pub(crate) fn fault(cx: &mut Cx<'_>) {
    cx.cpu.fault = None;
    cx.cpu.activity = hako_x86::Activity::Shutdown;
}

/// At an instruction boundary: takes the pending event of highest priority that the flags, the shadow and the NMI mask
/// allow (trap exceptions, NMI, interrupt); wakes a halted CPU. Returns whether one was taken.
pub(crate) fn boundary(cx: &mut Cx<'_>) -> bool {
    let _ = cx;
    false
}
