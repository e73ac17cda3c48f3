//! MUL, IMUL, DIV, IDIV.

use crate::Cpu;
use crate::cx::{Cx, Step};
use crate::flags::{CARRY_OUT, Flags};
use crate::op::Op;
use crate::operand::Operand;
use crate::why::Why;

const AH: u8 = crate::op::HIGH;

/// CF and OF say that the high half holds part of the result; the other flags are undefined.
#[inline(always)]
fn flags<T: Operand>(low: T, overflow: bool) -> Flags {
    Flags { res: low.sext(), carry: if overflow { CARRY_OUT } else { 0 } }
}

/// The register of the high half: AH for bytes, else (E/R)DX.
#[inline(always)]
fn high<T: Operand>() -> u8 {
    if T::BITS == 8 { AH } else { 2 }
}

/// The dividend or the place of a product: high and low half.
#[inline(always)]
fn pair<T: Operand>(cpu: &Cpu) -> u128 {
    T::get(cpu, high::<T>()).to_u128() << T::BITS | T::get(cpu, 0).to_u128()
}

#[inline(always)]
fn sext128<T: Operand>(v: T) -> i128 {
    i128::from(v.sext() as i64)
}

fn set_pair<T: Operand>(cpu: &mut Cpu, low: T, high_half: T) {
    T::set(cpu, 0, low);
    T::set(cpu, high::<T>(), high_half);
}

pub(crate) fn mul<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let b = cx.rm::<T>(op)?;
    let product = T::get(cx.cpu, 0).to_u128() * b.to_u128();
    let (low, high) = (T::from_u128(product), T::from_u128(product >> T::BITS));
    set_pair(cx.cpu, low, high);
    cx.cpu.fl = flags(low, high != T::default());
    Ok(())
}

pub(crate) fn imul<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let b = cx.rm::<T>(op)?;
    let product = sext128(T::get(cx.cpu, 0)) * sext128(b);
    let low = T::from_u128(product as u128);
    set_pair(cx.cpu, low, T::from_u128((product >> T::BITS) as u128));
    cx.cpu.fl = flags(low, sext128(low) != product);
    Ok(())
}

#[inline(always)]
fn imul_to<T: Operand>(cx: &mut Cx<'_>, op: &Op, a: T, b: T) -> Step {
    let (low, overflow) = if T::BITS == 64 {
        let (r, o) = (a.sext() as i64).overflowing_mul(b.sext() as i64);
        (T::from_u64(r as u64), o)
    } else {
        let r = (a.sext() as i64).wrapping_mul(b.sext() as i64);
        let low = T::from_u64(r as u64);
        (low, low.sext() != r as u64)
    };
    T::set(cx.cpu, op.reg, low);
    cx.cpu.fl = flags(low, overflow);
    Ok(())
}

/// IMUL reg, r/m.
pub(crate) fn imul_reg<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let b = cx.rm::<T>(op)?;
    let a = T::get(cx.cpu, op.reg);
    imul_to(cx, op, a, b)
}

/// IMUL reg, r/m, imm.
pub(crate) fn imul_imm<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let b = cx.rm::<T>(op)?;
    imul_to(cx, op, b, T::from_u64(op.imm as i64 as u64))
}

pub(crate) fn div<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let divisor = cx.rm::<T>(op)?;
    if divisor == T::default() {
        return Err(cx.de(Why::DivideByZero));
    }
    if T::BITS < 64 {
        let (a, b) = (pair::<T>(cx.cpu) as u64, divisor.to_u64());
        let quotient = a / b;
        if quotient >> T::BITS != 0 {
            return Err(cx.de(Why::QuotientTooLarge));
        }
        set_pair(cx.cpu, T::from_u64(quotient), T::from_u64(a % b));
        return Ok(());
    }
    let (a, b) = (pair::<T>(cx.cpu), divisor.to_u128());
    if a >> 64 >= b {
        return Err(cx.de(Why::QuotientTooLarge));
    }
    let (q, r) = if a >> 64 == 0 {
        let (a, b) = (a as u64, b as u64);
        (u128::from(a / b), u128::from(a % b))
    } else {
        (a / b, a % b)
    };
    set_pair(cx.cpu, T::from_u128(q), T::from_u128(r));
    Ok(())
}

pub(crate) fn idiv<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let divisor = cx.rm::<T>(op)?;
    if divisor == T::default() {
        return Err(cx.de(Why::DivideByZero));
    }
    let shift = 128 - 2 * T::BITS;
    let a = (pair::<T>(cx.cpu) << shift) as i128 >> shift;
    let b = sext128(divisor);
    // Only i128::MIN / -1 has no quotient at all, and it is too large anyway.
    let quotient = a.checked_div(b).unwrap_or(i128::MAX);
    let low = T::from_u128(quotient as u128);
    if sext128(low) != quotient {
        return Err(cx.de(Why::QuotientTooLarge));
    }
    set_pair(cx.cpu, low, T::from_u128(a.wrapping_rem(b) as u128));
    Ok(())
}
