//! System instructions.

use crate::Why;
use crate::cx::{Cx, Step};
use crate::op::Op;

pub(crate) fn lgdt(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn lidt(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn sgdt(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn sidt(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn lldt(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn sldt(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn ltr(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn str(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn smsw(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn lmsw(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn clts(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn invlpg(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn invd(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn wbinvd(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn arpl(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn lar(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn lsl(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn verr(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn verw(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn hlt(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn cli(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}

pub(crate) fn sti(cx: &mut Cx<'_>, _op: &Op) -> Step {
    Err(cx.ud(Why::UndefinedOpcode))
}
