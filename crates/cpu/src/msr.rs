//! RDMSR, WRMSR, RDTSC, RDTSCP, RDPMC.

use crate::Why;
use crate::cx::{Cx, Step};
use crate::op::Op;

pub(crate) fn rdmsr(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn wrmsr(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn rdtsc(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn rdtscp(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn rdpmc(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}
