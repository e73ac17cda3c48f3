//! Moves between XMM, MMX and general registers and memory.

use super::check;
use super::shape::{self, Memory, get, ops, set, set_mmx, store};
use super::vector::{Lane, V, each, high, low, pair};
use crate::cx::{Cx, Step};
use crate::op::{ADDRESS_MASK, MEM, Op};
use crate::operand::Operand;
use crate::paging::Access;

ops! {
    // The whole register, or what was loaded, zero-extended.
    Whole(_, b, _) => b, b;
    // MOVSS and MOVSD between registers keep the rest.
    LowSingle(a, b, _) => { let mut v = a; v[..4].copy_from_slice(&b[..4]); v };
    LowDouble(a, b, _) => pair(low(b), high(a));
    // MOVQ.
    LowQuad(_, b, _) => pair(low(b), 0);
    // MOVHPS, MOVLHPS: the source's lower half becomes the upper.
    LowToHigh(a, b, _) => pair(low(a), low(b));
    // MOVHLPS.
    HighToLow(a, b, _) => pair(high(b), high(a));
    Movddup(_, b, _) => pair(low(b), low(b));
    Movsldup(_, b, _) => { let b = u32::lanes(b); each(|i| b[i & 2]) };
    Movshdup(_, b, _) => { let b = u32::lanes(b); each(|i| b[i | 1]) };
}

/// Memory from an XMM register: as many bytes as `M` has.
pub(crate) fn to_mem<M: Memory>(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let v = get(cx, op.reg);
    store::<M>(cx, op, v)
}

/// Memory from an XMM register's upper half.
pub(crate) fn high_to_mem<M: Memory>(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let v = pair(high(get(cx, op.reg)), 0);
    store::<M>(cx, op, v)
}

/// Register to register where the destination is r/m.
pub(crate) fn to_reg<O: shape::Op>(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let v = O::xmm(get(cx, op.base), get(cx, op.reg), 0);
    set(cx, op.base, v);
    Ok(())
}

/// MOVD, MOVQ: XMM from a general register or memory.
pub(crate) fn from_general<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let v = cx.rm::<T>(op)?.to_u128();
    set(cx, op.reg, v.to_le_bytes());
    Ok(())
}

/// MOVD, MOVQ: a general register or memory from XMM.
pub(crate) fn to_general<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let v = T::from_u64(low(get(cx, op.reg)));
    cx.set_rm(op, v)
}

/// MOVD, MOVQ: MMX from a general register or memory.
pub(crate) fn mmx_from_general<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::mmx(cx)?;
    let v = cx.rm::<T>(op)?.to_u64();
    set_mmx(cx, op.reg, v);
    Ok(())
}

/// MOVD, MOVQ: a general register or memory from MMX.
pub(crate) fn mmx_to_general<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::mmx(cx)?;
    let v = T::from_u64(cx.cpu.fpu.mmx(op.reg));
    cx.set_rm(op, v)?;
    cx.cpu.fpu.mmx_enter();
    Ok(())
}

/// MOVQ, MOVNTQ: MMX or memory from MMX.
pub(crate) fn mmx_to_rm(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::mmx(cx)?;
    let v = cx.cpu.fpu.mmx(op.reg);
    if op.pfx & MEM != 0 {
        cx.wr(op.seg, cx.ea(op), v)?;
        cx.cpu.fpu.mmx_enter();
    } else {
        set_mmx(cx, op.base, v);
    }
    Ok(())
}

/// MOVQ2DQ.
pub(crate) fn movq2dq(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    check::mmx(cx)?;
    let v = cx.cpu.fpu.mmx(op.base);
    cx.cpu.fpu.mmx_enter();
    set(cx, op.reg, pair(v, 0));
    Ok(())
}

/// MOVDQ2Q.
pub(crate) fn movdq2q(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    check::mmx(cx)?;
    let v = low(get(cx, op.base));
    set_mmx(cx, op.reg, v);
    Ok(())
}

/// Writes those of the low `n` bytes of `v` to DS:(E/R)DI whose byte in `by` has bit 7 set. Only bytes that are written are
/// checked (the SDM leaves that to the processor), all of them before the first is written.
fn masked_store(cx: &mut Cx<'_>, op: &Op, v: V, by: V, n: usize) -> Step {
    let (base, wrap) = (cx.cpu.r[7], ADDRESS_MASK[usize::from(op.asize & 3)]);
    let off = |i: usize| base.wrapping_add(i as u64) & wrap;
    let chosen = || (0..n).filter(|i| by[*i] & 0x80 != 0);
    for i in chosen() {
        cx.probe(op.seg, off(i), 1, Access::Write)?;
    }
    for i in chosen() {
        cx.wr(op.seg, off(i), v[i])?;
    }
    Ok(())
}

/// MASKMOVDQU.
pub(crate) fn maskmovdqu(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let (v, by) = (get(cx, op.reg), get(cx, op.base));
    masked_store(cx, op, v, by, 16)
}

/// MASKMOVQ.
pub(crate) fn maskmovq(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::mmx(cx)?;
    let (v, by) = (cx.cpu.fpu.mmx(op.reg), cx.cpu.fpu.mmx(op.base));
    masked_store(cx, op, pair(v, 0), pair(by, 0), 8)?;
    cx.cpu.fpu.mmx_enter();
    Ok(())
}
