//! Instructions that move registers or change a sign, and those that do nothing.

use super::sti;
use crate::cx::{Cx, Step};
use crate::fpu::soft::Float;
use crate::fpu::stack::{C1, Filled};
use crate::fpu::state::F80;
use crate::op::Op;
use crate::ops::branch::condition;

/// FXCH.
pub(crate) fn fxch(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    let i = sti(op);
    fpu.sw &= !C1;
    if fpu.empty(0) || fpu.empty(i) {
        if !fpu.underflow() {
            return Ok(());
        }
        for j in [0, i] {
            if fpu.empty(j) {
                fpu.set_st(j, F80::indefinite());
            }
        }
    }
    let (a, b) = (fpu.st(0), fpu.st(i));
    fpu.set_st(0, b);
    fpu.set_st(i, a);
    Ok(())
}

/// FCMOVcc: below, equal, below or equal, unordered, and their opposites from DBh on.
pub(crate) fn fcmov(cx: &mut Cx<'_>, op: &Op) -> Step {
    /// The condition codes of CMOVB, CMOVE, CMOVBE, CMOVP.
    const CONDITIONS: [u8; 4] = [2, 4, 6, 10];
    cx.begin(op)?;
    let negated = (op.imm >> 8 & 1) as u8;
    let taken = condition(cx.cpu, CONDITIONS[(op.imm >> 3 & 3) as usize] | negated);
    let fpu = cx.x();
    if fpu.filled([0, sti(op)], 0) == Filled::Yes && taken {
        fpu.set_st(0, fpu.st(sti(op)));
    }
    Ok(())
}

/// Replaces the sign of ST(0), of whatever it is.
fn sign(cx: &mut Cx<'_>, op: &Op, f: impl Fn(u16) -> u16) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    fpu.sw &= !C1;
    if fpu.filled([0, 0], 0) == Filled::Yes {
        let value = fpu.st(0);
        fpu.set_st(0, F80 { se: f(value.se), ..value });
    }
    Ok(())
}

/// FCHS.
pub(crate) fn fchs(cx: &mut Cx<'_>, op: &Op) -> Step {
    sign(cx, op, |se| se ^ 0x8000)
}

/// FABS.
pub(crate) fn fabs(cx: &mut Cx<'_>, op: &Op) -> Step {
    sign(cx, op, |se| se & 0x7fff)
}

/// FINCSTP.
pub(crate) fn fincstp(cx: &mut Cx<'_>, op: &Op) -> Step {
    rotate(cx, op, 1)
}

/// FDECSTP.
pub(crate) fn fdecstp(cx: &mut Cx<'_>, op: &Op) -> Step {
    rotate(cx, op, 7)
}

fn rotate(cx: &mut Cx<'_>, op: &Op, by: u8) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    fpu.sw &= !C1;
    fpu.top = fpu.top.wrapping_add(by) & 7;
    Ok(())
}

/// FFREE, and FFREEP, which pops besides.
pub(crate) fn ffree<const POP: bool>(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    cx.x().sw &= !C1;
    cx.x().free(sti(op));
    if POP {
        cx.x().pop();
    }
    Ok(())
}

/// EMMS: all registers are empty for x87 again.
pub(crate) fn emms(cx: &mut Cx<'_>, _op: &Op) -> Step {
    crate::simd::check_mmx(cx)?;
    (cx.x().top, cx.x().valid) = (0, 0);
    Ok(())
}

/// FNOP.
pub(crate) fn fnop(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)
}

/// FNENI, FNDISI, FNSETPM: of the 8087 and the 287, without effect since the 387.
pub(crate) fn obsolete(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.x87_there()
}
