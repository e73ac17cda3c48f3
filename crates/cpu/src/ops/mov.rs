//! MOV, MOVZX, MOVSX, LEA, CMOVcc, SETcc, XLAT, CBW and its kin, LAHF, SAHF.

use crate::cx::{Cx, Step, Trap};
use crate::flags::Flags;
use crate::op::{ADDRESS_MASK, HIGH, Op};
use crate::operand::{Address, Operand};
use crate::ops::branch::condition;

/// Register `base` from register `reg`.
pub(crate) fn reg_reg<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = T::get(cx.cpu, op.reg);
    T::set(cx.cpu, op.base, v);
    Ok(())
}

#[inline(always)]
fn store<T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op, v: T) -> Step {
    match A::write(cx, op, size_of::<T>() as u64) {
        Some(at) => {
            cx.slab.store(at, v);
            Ok(())
        }
        None => cx.wr_slow(op.seg, cx.ea(op), v),
    }
}

/// Memory from register `reg`.
pub(crate) fn mem_reg<T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = T::get(cx.cpu, op.reg);
    store::<T, A>(cx, op, v)
}

/// Register `reg` from memory.
pub(crate) fn reg_mem<T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let Some(at) = A::read(cx, op, size_of::<T>() as u64) else { return reg_mem_slow::<T>(cx, op) };
    let v = cx.slab.load(at);
    T::set(cx.cpu, op.reg, v);
    Ok(())
}

#[cold]
#[inline(never)]
fn reg_mem_slow<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = cx.rd_slow(op.seg, cx.ea(op))?;
    T::set(cx.cpu, op.reg, v);
    Ok(())
}

/// Register `base` from an immediate.
pub(crate) fn reg_imm<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    T::set(cx.cpu, op.base, T::from_u64(op.imm as i64 as u64));
    Ok(())
}

/// Register `base` from a 64-bit immediate.
pub(crate) fn reg_imm64(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.cpu.r[usize::from(op.base & 15)] = op.disp as u64;
    Ok(())
}

/// Memory from an immediate.
pub(crate) fn mem_imm<T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    store::<T, A>(cx, op, T::from_u64(op.imm as i64 as u64))
}

/// MOVZX from a register as wide as `S`.
pub(crate) fn movzx<S: Operand, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = S::get(cx.cpu, op.base);
    T::set(cx.cpu, op.reg, T::from_u64(v.to_u64()));
    Ok(())
}

/// MOVSX, MOVSXD from a register as wide as `S`.
pub(crate) fn movsx<S: Operand, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = S::get(cx.cpu, op.base);
    T::set(cx.cpu, op.reg, T::from_u64(v.sext()));
    Ok(())
}

#[inline(always)]
fn load<S: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Result<S, Trap> {
    match A::read(cx, op, size_of::<S>() as u64) {
        Some(at) => Ok(cx.slab.load(at)),
        None => cx.rd_slow(op.seg, cx.ea(op)),
    }
}

/// MOVZX from memory as wide as `S`.
pub(crate) fn movzx_mem<S: Operand, T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = load::<S, A>(cx, op)?;
    T::set(cx.cpu, op.reg, T::from_u64(v.to_u64()));
    Ok(())
}

/// MOVSX, MOVSXD from memory as wide as `S`.
pub(crate) fn movsx_mem<S: Operand, T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = load::<S, A>(cx, op)?;
    T::set(cx.cpu, op.reg, T::from_u64(v.sext()));
    Ok(())
}

pub(crate) fn lea<T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let off = A::offset(cx, op);
    T::set(cx.cpu, op.reg, T::from_u64(off));
    Ok(())
}

/// The source is read, and may fault, whether or not the condition holds.
pub(crate) fn cmov<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = cx.rm::<T>(op)?;
    // A 32-bit destination is zero-extended even if the condition fails.
    let v = if condition(cx.cpu, op.imm as u8) { v } else { T::get(cx.cpu, op.reg) };
    T::set(cx.cpu, op.reg, v);
    Ok(())
}

pub(crate) fn setcc(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = u8::from(condition(cx.cpu, op.imm as u8));
    cx.set_rm(op, v)
}

pub(crate) fn xlat(cx: &mut Cx<'_>, op: &Op) -> Step {
    let off = cx.cpu.r[3].wrapping_add(cx.cpu.r[0] & 0xff) & ADDRESS_MASK[usize::from(op.asize & 3)];
    let v = cx.rd::<u8>(op.seg, off)?;
    u8::set(cx.cpu, 0, v);
    Ok(())
}

/// CBW, CWDE, CDQE: the accumulator from its lower half.
pub(crate) fn cbw(cx: &mut Cx<'_>, op: &Op) -> Step {
    match op.osize {
        1 => u16::set(cx.cpu, 0, u8::get(cx.cpu, 0).sext() as u16),
        2 => u32::set(cx.cpu, 0, u16::get(cx.cpu, 0).sext() as u32),
        _ => u64::set(cx.cpu, 0, u32::get(cx.cpu, 0).sext()),
    }
    Ok(())
}

/// CWD, CDQ, CQO: (E/R)DX is the accumulator's sign.
pub(crate) fn cwd<T: Operand>(cx: &mut Cx<'_>, _op: &Op) -> Step {
    let sign = ((T::get(cx.cpu, 0).sext() as i64) >> 63) as u64;
    T::set(cx.cpu, 2, T::from_u64(sign));
    Ok(())
}

const SAHF_BITS: u64 = 0xd5;

pub(crate) fn sahf(cx: &mut Cx<'_>, _op: &Op) -> Step {
    let ah = u64::from(u8::get(cx.cpu, HIGH));
    let bits = cx.cpu.fl.bits() & !SAHF_BITS | ah & SAHF_BITS;
    cx.cpu.fl = Flags::from_bits(bits);
    Ok(())
}

pub(crate) fn lahf(cx: &mut Cx<'_>, _op: &Op) -> Step {
    let ah = cx.cpu.fl.bits() as u8 & SAHF_BITS as u8 | 2;
    u8::set(cx.cpu, HIGH, ah);
    Ok(())
}
