//! CPUID.

use crate::Why;
use crate::cx::{Cx, Step};
use crate::op::Op;

pub(crate) fn cpuid(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}
