//! ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NEG, NOT.

use crate::Cpu;
use crate::cx::{Cx, Step};
use crate::flags::{CARRY_AUX, CARRY_BITS, CARRY_IN, CARRY_OUT, Flags};
use crate::op::{LOCK, Op};
use crate::operand::{Address, Operand};

/// An operation on two operands that sets all arithmetic flags.
pub(crate) trait Alu {
    /// Whether the result is stored.
    const WRITES: bool = true;
    /// The result (only its low bits count) and the vector of carries or borrows out of each bit.
    fn raw(carry: u64, a: u64, b: u64) -> (u64, u64);
}

#[inline(always)]
fn add(a: u64, b: u64, carry: u64) -> (u64, u64) {
    let r = a.wrapping_add(b).wrapping_add(carry);
    (r, a & b | (a | b) & !r)
}

#[inline(always)]
fn sub(a: u64, b: u64, borrow: u64) -> (u64, u64) {
    let r = a.wrapping_sub(b).wrapping_sub(borrow);
    (r, !a & b | (!a | b) & r)
}

macro_rules! alu {
    ($($name:ident $writes:literal |$c:ident, $a:ident, $b:ident| $e:expr;)*) => {$(
        pub(crate) struct $name;
        impl Alu for $name {
            const WRITES: bool = $writes;
            #[inline(always)]
            fn raw($c: u64, $a: u64, $b: u64) -> (u64, u64) {
                $e
            }
        }
    )*};
}
alu! {
    Add true |_c, a, b| add(a, b, 0);
    Or true |_c, a, b| (a | b, 0);
    Adc true |c, a, b| add(a, b, c);
    Sbb true |c, a, b| sub(a, b, c);
    And true |_c, a, b| (a & b, 0);
    Sub true |_c, a, b| sub(a, b, 0);
    Xor true |_c, a, b| (a ^ b, 0);
    Cmp false |_c, a, b| sub(a, b, 0);
    Test false |_c, a, b| (a & b, 0);
}

/// The flags of a result and its vector of carries.
#[inline(always)]
pub(crate) fn flags<T: Operand>(r: T, carries: u64) -> Flags {
    let carry =
        if T::BITS == 64 { carries & CARRY_BITS } else { carries << (64 - T::BITS) | carries & CARRY_AUX };
    Flags { res: r.sext(), carry }
}

#[inline(always)]
pub(crate) fn apply<O: Alu, T: Operand>(cpu: &Cpu, a: T, b: T) -> (T, Flags) {
    let (r, carries) = O::raw(u64::from(cpu.fl.cf()), a.to_u64(), b.to_u64());
    let r = T::from_u64(r);
    (r, flags(r, carries))
}

#[inline(always)]
pub(crate) fn imm<T: Operand>(op: &Op) -> T {
    T::from_u64(op.imm as i64 as u64)
}

/// Register `base` with register `reg`.
pub(crate) fn reg_reg<O: Alu, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let (r, f) = apply::<O, T>(cx.cpu, T::get(cx.cpu, op.base), T::get(cx.cpu, op.reg));
    if O::WRITES {
        T::set(cx.cpu, op.base, r);
    }
    cx.cpu.fl = f;
    Ok(())
}

/// Register `base` with an immediate.
pub(crate) fn reg_imm<O: Alu, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let (r, f) = apply::<O, T>(cx.cpu, T::get(cx.cpu, op.base), imm(op));
    if O::WRITES {
        T::set(cx.cpu, op.base, r);
    }
    cx.cpu.fl = f;
    Ok(())
}

/// Register `reg` with memory.
pub(crate) fn reg_mem<O: Alu, T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let Some(at) = A::read(cx, op, size_of::<T>() as u64) else {
        return reg_mem_slow::<O, T>(cx, op);
    };
    let b = cx.slab.load(at);
    reg_value::<O, T>(cx, op, b);
    Ok(())
}

#[inline(always)]
fn reg_value<O: Alu, T: Operand>(cx: &mut Cx<'_>, op: &Op, b: T) {
    let (r, f) = apply::<O, T>(cx.cpu, T::get(cx.cpu, op.reg), b);
    if O::WRITES {
        T::set(cx.cpu, op.reg, r);
    }
    cx.cpu.fl = f;
}

#[cold]
#[inline(never)]
fn reg_mem_slow<O: Alu, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let b = cx.rd_slow(op.seg, cx.ea(op))?;
    reg_value::<O, T>(cx, op, b);
    Ok(())
}

#[inline(always)]
fn mem_value<O: Alu, T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op, b: T) -> Step {
    let n = size_of::<T>() as u64;
    if O::WRITES {
        let Some(at) = A::write(cx, op, n) else { return mem_slow::<O, T>(cx, op, b) };
        cx.rmw_at(at, op.pfx & LOCK != 0, |cpu, a| apply::<O, T>(cpu, a, b));
    } else {
        let Some(at) = A::read(cx, op, n) else { return mem_slow::<O, T>(cx, op, b) };
        cx.cpu.fl = apply::<O, T>(cx.cpu, cx.slab.load(at), b).1;
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn mem_slow<O: Alu, T: Operand>(cx: &mut Cx<'_>, op: &Op, b: T) -> Step {
    let off = cx.ea(op);
    if O::WRITES {
        return cx.rmw::<T>(op.seg, off, op.pfx & LOCK != 0, |cpu, a| apply::<O, T>(cpu, a, b));
    }
    let a = cx.rd_slow::<T>(op.seg, off)?;
    cx.cpu.fl = apply::<O, T>(cx.cpu, a, b).1;
    Ok(())
}

/// Memory with register `reg`.
pub(crate) fn mem_reg<O: Alu, T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let b = T::get(cx.cpu, op.reg);
    mem_value::<O, T, A>(cx, op, b)
}

/// Memory with an immediate.
pub(crate) fn mem_imm<O: Alu, T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    mem_value::<O, T, A>(cx, op, imm(op))
}

/// An operation on one operand.
pub(crate) trait Unary {
    /// The new value and the flags.
    fn run<T: Operand>(cpu: &Cpu, a: T) -> (T, Flags);
}

/// Flags of INC and DEC: CF stays.
#[inline(always)]
fn keep_cf(old: Flags, new: Flags) -> Flags {
    let flip = ((old.carry ^ new.carry) >> 63) * (CARRY_OUT | CARRY_IN);
    Flags { carry: new.carry ^ flip, ..new }
}

pub(crate) struct Inc;
impl Unary for Inc {
    #[inline(always)]
    fn run<T: Operand>(cpu: &Cpu, a: T) -> (T, Flags) {
        let (r, f) = apply::<Add, T>(cpu, a, T::from_u64(1));
        (r, keep_cf(cpu.fl, f))
    }
}

pub(crate) struct Dec;
impl Unary for Dec {
    #[inline(always)]
    fn run<T: Operand>(cpu: &Cpu, a: T) -> (T, Flags) {
        let (r, f) = apply::<Sub, T>(cpu, a, T::from_u64(1));
        (r, keep_cf(cpu.fl, f))
    }
}

pub(crate) struct Neg;
impl Unary for Neg {
    #[inline(always)]
    fn run<T: Operand>(cpu: &Cpu, a: T) -> (T, Flags) {
        apply::<Sub, T>(cpu, T::default(), a)
    }
}

pub(crate) struct Not;
impl Unary for Not {
    #[inline(always)]
    fn run<T: Operand>(cpu: &Cpu, a: T) -> (T, Flags) {
        (T::from_u64(!a.to_u64()), cpu.fl)
    }
}

/// On register `base`.
pub(crate) fn unary_reg<U: Unary, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let (r, f) = U::run::<T>(cx.cpu, T::get(cx.cpu, op.base));
    T::set(cx.cpu, op.base, r);
    cx.cpu.fl = f;
    Ok(())
}

/// On memory.
pub(crate) fn unary_mem<U: Unary, T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let lock = op.pfx & LOCK != 0;
    match A::write(cx, op, size_of::<T>() as u64) {
        Some(at) => {
            cx.rmw_at::<T>(at, lock, U::run);
            Ok(())
        }
        None => cx.rmw::<T>(op.seg, cx.ea(op), lock, U::run),
    }
}
