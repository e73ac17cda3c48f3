//! Operand shapes: the handlers that surround an operation with checks, operands and memory.
//!
//! XMM handlers take the destination from ModRM reg. A 16-byte memory operand must be aligned unless the instruction is one
//! of the few that say otherwise (SDM Vol. 1 11.6.10.1); every operand is read, or its whole range checked for writing,
//! before anything changes.

use hako_mem::Word;

use super::check;
use super::vector::{V, low, pair};
use crate::cx::{Cx, Step, Trap};
use crate::op::{MEM, Op as Decoded};
use crate::why::Why;

/// An operation on a destination and a source, with an immediate if the instruction has one.
pub(crate) trait Op {
    /// On XMM registers.
    fn xmm(a: V, b: V, imm: u8) -> V;
    /// On MMX registers. Where lanes do not mix, that is the lower half of the same.
    #[inline(always)]
    fn mmx(a: u64, b: u64, imm: u8) -> u64 {
        low(Self::xmm(pair(a, 0), pair(b, 0), imm))
    }
}

/// Names operations: `Name(a, b, imm) => vector;`, and where the MMX form is something of its own
/// `Name(a, b, imm) => vector, u64;`.
macro_rules! ops {
    ($($name:ident($a:pat, $b:pat, $imm:pat) => $xmm:expr $(, $mmx:expr)?;)*) => {$(
        pub(crate) struct $name;
        impl crate::simd::shape::Op for $name {
            #[inline(always)]
            fn xmm($a: crate::simd::vector::V, $b: crate::simd::vector::V, $imm: u8) -> crate::simd::vector::V {
                $xmm
            }
            $(
                #[inline(always)]
                fn mmx($a: u64, $b: u64, $imm: u8) -> u64 {
                    $mmx
                }
            )?
        }
    )*};
}
pub(super) use ops;

/// What a memory operand is.
pub(crate) trait Memory {
    /// Its width.
    type Word: Word;
    /// Whether it must be aligned to 16 bytes.
    const ALIGNED: bool;
}

macro_rules! memory {
    ($($(#[$doc:meta])* $name:ident $word:ty, $aligned:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;
        impl Memory for $name {
            type Word = $word;
            const ALIGNED: bool = $aligned;
        }
    )*};
}
memory! {
    /// 16 bytes, aligned.
    M128 u128, true;
    /// 16 bytes anywhere.
    U128 u128, false;
    /// 8 bytes.
    M64 u64, false;
    /// 4 bytes.
    M32 u32, false;
    /// 2 bytes.
    M16 u16, false;
}

/// An XMM register.
#[inline(always)]
pub(super) fn get(cx: &Cx<'_>, reg: u8) -> V {
    cx.cpu.fpu.xmm[usize::from(reg & 15)].0
}

/// Writes an XMM register.
#[inline(always)]
pub(super) fn set(cx: &mut Cx<'_>, reg: u8, v: V) {
    cx.cpu.fpu.xmm[usize::from(reg & 15)].0 = v;
}

/// The memory operand, zero-extended.
#[inline(always)]
pub(super) fn load<M: Memory>(cx: &mut Cx<'_>, op: &Decoded) -> Result<V, Trap> {
    match hit::<M>(cx, op) {
        Some(v) => Ok(v),
        None => load_slow::<M>(cx, op),
    }
}

/// The memory operand, if segment and TLB allow it and it is aligned.
#[inline(always)]
fn hit<M: Memory>(cx: &Cx<'_>, op: &Decoded) -> Option<V> {
    let at = cx.read_hit(op.seg, cx.ea(op), size_of::<M::Word>() as u64)?;
    (!M::ALIGNED || at & 15 == 0).then(|| cx.slab.load::<M::Word>(at).to_u128().to_le_bytes())
}

#[cold]
#[inline(never)]
fn load_slow<M: Memory>(cx: &mut Cx<'_>, op: &Decoded) -> Result<V, Trap> {
    if M::ALIGNED {
        aligned(cx, op, false)?;
    }
    Ok(cx.rd_slow::<M::Word>(op.seg, cx.ea(op))?.to_u128().to_le_bytes())
}

/// Writes the low bytes of `v` to the memory operand.
#[inline(always)]
pub(super) fn store<M: Memory>(cx: &mut Cx<'_>, op: &Decoded, v: V) -> Step {
    let word = M::Word::from_u128(u128::from_le_bytes(v));
    match cx.write_hit(op.seg, cx.ea(op), size_of::<M::Word>() as u64) {
        Some(at) if !M::ALIGNED || at & 15 == 0 => {
            cx.slab.store(at, word);
            Ok(())
        }
        _ => store_slow::<M>(cx, op, word),
    }
}

#[cold]
#[inline(never)]
fn store_slow<M: Memory>(cx: &mut Cx<'_>, op: &Decoded, word: M::Word) -> Step {
    if M::ALIGNED {
        aligned(cx, op, true)?;
    }
    cx.wr_slow(op.seg, cx.ea(op), word)
}

/// #GP unless the memory operand is aligned to 16 bytes.
fn aligned(cx: &mut Cx<'_>, op: &Decoded, write: bool) -> Step {
    let lin = cx.linear(op.seg, cx.ea(op), 16, write)?;
    if lin & 15 != 0 {
        return Err(cx.gp(0, Why::OperandMisaligned));
    }
    Ok(())
}

/// XMM, XMM.
pub(crate) fn reg<O: Op>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    check::sse(cx)?;
    let v = O::xmm(get(cx, op.reg), get(cx, op.base), op.imm as u8);
    set(cx, op.reg, v);
    Ok(())
}

/// XMM, memory.
pub(crate) fn mem<O: Op, M: Memory>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    check::sse(cx)?;
    match hit::<M>(cx, op) {
        Some(b) => {
            let v = O::xmm(get(cx, op.reg), b, op.imm as u8);
            set(cx, op.reg, v);
            Ok(())
        }
        None => mem_slow::<O, M>(cx, op),
    }
}

#[cold]
#[inline(never)]
fn mem_slow<O: Op, M: Memory>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    let b = load_slow::<M>(cx, op)?;
    let v = O::xmm(get(cx, op.reg), b, op.imm as u8);
    set(cx, op.reg, v);
    Ok(())
}

/// The register that ModRM r/m names is both destination and, with the immediate, source: shifts.
pub(crate) fn by_imm<O: Op>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    check::sse(cx)?;
    let v = O::xmm(get(cx, op.base), pair(u64::from(op.imm as u8), 0), 0);
    set(cx, op.base, v);
    Ok(())
}

/// The MMX register or memory that ModRM r/m names; memory of `M`'s width. It stands once for each, not in every handler.
#[inline(never)]
pub(super) fn mmx_source<M: Memory>(cx: &mut Cx<'_>, op: &Decoded) -> Result<u64, Trap> {
    if op.pfx & MEM != 0 {
        return Ok(cx.rd::<M::Word>(op.seg, cx.ea(op))?.to_u64());
    }
    Ok(cx.cpu.fpu.mmx(op.base))
}

/// Writes an MMX register, and leaves x87 for MMX.
#[inline(always)]
pub(super) fn set_mmx(cx: &mut Cx<'_>, reg: u8, v: u64) {
    cx.cpu.fpu.mmx_enter();
    cx.cpu.fpu.set_mmx(reg, v);
}

/// MMX, MMX or memory.
pub(crate) fn mmx<O: Op, M: Memory>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    check::mmx(cx)?;
    let b = mmx_source::<M>(cx, op)?;
    let v = O::mmx(cx.cpu.fpu.mmx(op.reg), b, op.imm as u8);
    set_mmx(cx, op.reg, v);
    Ok(())
}

/// [`by_imm`] for MMX.
pub(crate) fn mmx_by_imm<O: Op>(cx: &mut Cx<'_>, op: &Decoded) -> Step {
    check::mmx(cx)?;
    let v = O::mmx(cx.cpu.fpu.mmx(op.base), u64::from(op.imm as u8), 0);
    set_mmx(cx, op.base, v);
    Ok(())
}
