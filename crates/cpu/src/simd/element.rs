//! Single lanes to and from general registers and memory, sign masks, tests, blends by XMM0.

use hako_mem::Word;

use super::check;
use super::shape::{Memory, get, load, set, set_mmx};
use super::vector::{Lane, V};
use crate::cx::{Cx, Step, Trap};
use crate::flags::Flags;
use crate::op::{MEM, Op};

const CF: u64 = 1;
const ZF: u64 = 0x40;

/// The lane that the immediate names.
#[inline(always)]
fn lane<T: Lane>(v: V, imm: i32) -> T {
    T::lanes(v)[imm as usize & (T::N - 1)]
}

#[inline(always)]
fn with_lane<T: Lane>(v: V, imm: i32, value: T) -> V {
    let mut lanes = T::lanes(v);
    lanes[imm as usize & (T::N - 1)] = value;
    T::vector(lanes)
}

/// The low bits of a general register, or memory.
#[inline(always)]
fn part<T: Word>(cx: &mut Cx<'_>, op: &Op) -> Result<T, Trap> {
    if op.pfx & MEM != 0 { cx.rd(op.seg, cx.ea(op)) } else { Ok(T::from_u64(cx.reg::<u64>(op.base))) }
}

/// A general register, zero-extended, or memory as wide as the value.
#[inline(always)]
fn set_part<T: Word>(cx: &mut Cx<'_>, op: &Op, v: T) -> Step {
    if op.pfx & MEM != 0 {
        return cx.wr(op.seg, cx.ea(op), v);
    }
    cx.set_reg::<u64>(op.base, v.to_u64());
    Ok(())
}

/// PINSRB, PINSRW, PINSRD, PINSRQ.
pub(crate) fn insert<T: Word + Lane>(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let value = part::<T>(cx, op)?;
    let v = with_lane(get(cx, op.reg), op.imm, value);
    set(cx, op.reg, v);
    Ok(())
}

/// PEXTRB, PEXTRW, PEXTRD, PEXTRQ, EXTRACTPS to r/m.
pub(crate) fn extract<T: Word + Lane>(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let v = lane::<T>(get(cx, op.reg), op.imm);
    set_part(cx, op, v)
}

/// PEXTRW to reg.
pub(crate) fn extract_word(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let v = lane::<u16>(get(cx, op.base), op.imm);
    cx.set_reg::<u64>(op.reg, u64::from(v));
    Ok(())
}

/// PINSRW for MMX.
pub(crate) fn mmx_insert_word(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::mmx(cx)?;
    let value = part::<u16>(cx, op)?;
    let shift = (op.imm & 3) * 16;
    let v = cx.cpu.fpu.mmx(op.reg) & !(0xffff << shift) | u64::from(value) << shift;
    set_mmx(cx, op.reg, v);
    Ok(())
}

/// PEXTRW for MMX.
pub(crate) fn mmx_extract_word(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::mmx(cx)?;
    let v = cx.cpu.fpu.mmx(op.base) >> ((op.imm & 3) * 16) & 0xffff;
    cx.cpu.fpu.mmx_enter();
    cx.set_reg::<u64>(op.reg, v);
    Ok(())
}

/// The top bits of bytes, gathered.
fn byte_signs(half: u64) -> u64 {
    // Each sign meets its place in the top byte of the product; no two partial products meet.
    ((half >> 7 & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080)) >> 56
}

/// PMOVMSKB.
pub(crate) fn byte_mask(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let halves = u64::lanes(get(cx, op.base));
    cx.set_reg::<u64>(op.reg, byte_signs(halves[0]) | byte_signs(halves[1]) << 8);
    Ok(())
}

/// PMOVMSKB for MMX.
pub(crate) fn mmx_byte_mask(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::mmx(cx)?;
    let v = byte_signs(cx.cpu.fpu.mmx(op.base));
    cx.cpu.fpu.mmx_enter();
    cx.set_reg::<u64>(op.reg, v);
    Ok(())
}

/// MOVMSKPS.
pub(crate) fn single_mask(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let v = u32::lanes(get(cx, op.base));
    cx.set_reg::<u64>(op.reg, (0..4).fold(0, |m, i| m | u64::from(v[i] >> 31) << i));
    Ok(())
}

/// MOVMSKPD.
pub(crate) fn double_mask(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let v = u64::lanes(get(cx, op.base));
    cx.set_reg::<u64>(op.reg, v[0] >> 63 | v[1] >> 63 << 1);
    Ok(())
}

/// An XMM register, or memory.
#[inline(always)]
pub(super) fn source<M: Memory>(cx: &mut Cx<'_>, op: &Op) -> Result<V, Trap> {
    if op.pfx & MEM != 0 { load::<M>(cx, op) } else { Ok(get(cx, op.base)) }
}

/// PTEST.
pub(crate) fn ptest<M: Memory>(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let b = u128::from_le_bytes(source::<M>(cx, op)?);
    let a = u128::from_le_bytes(get(cx, op.reg));
    let zf = if a & b == 0 { ZF } else { 0 };
    let cf = if !a & b == 0 { CF } else { 0 };
    cx.cpu.fl = Flags::from_bits(zf | cf);
    Ok(())
}

/// PBLENDVB, BLENDVPS, BLENDVPD by the type of the lanes: those of the source where XMM0's are negative.
pub(crate) fn blend_by_xmm0<T: Lane + PartialOrd, M: Memory>(cx: &mut Cx<'_>, op: &Op) -> Step {
    check::sse(cx)?;
    let b = source::<M>(cx, op)?;
    let v = super::shuffle::blend_by::<T>(get(cx, op.reg), b, get(cx, 0), |x| x < T::ZERO);
    set(cx, op.reg, v);
    Ok(())
}
