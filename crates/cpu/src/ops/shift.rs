//! Shifts and rotates: ROL, ROR, RCL, RCR, SHL, SHR, SAR, SHLD, SHRD.

use crate::Cpu;
use crate::cx::{Cx, Step};
use crate::flags::{CARRY_IN, CARRY_OUT, Flags};
use crate::op::{MEM, Op};
use crate::operand::Operand;

/// A shift by a count that is not zero and already masked to 5 or 6 bits.
pub(crate) trait Shift {
    fn run<T: Operand>(old: Flags, a: T, count: u32) -> (T, Flags);
}

#[inline(always)]
fn carry_bits(cf: bool, of: bool) -> u64 {
    (if cf { CARRY_OUT } else { 0 }) | if cf != of { CARRY_IN } else { 0 }
}

/// Flags of a shift: all of them.
#[inline(always)]
fn shifted<T: Operand>(r: T, cf: bool, of: bool) -> Flags {
    Flags { res: r.sext(), carry: carry_bits(cf, of) }
}

/// Flags of a rotate: CF and OF change, the rest stays.
#[inline(always)]
fn rotated(old: Flags, cf: bool, of: bool) -> Flags {
    Flags { res: old.res, carry: old.carry & !(CARRY_OUT | CARRY_IN) | carry_bits(cf, of) }
}

#[inline(always)]
fn top<T: Operand>(v: T) -> bool {
    v.sext() >> 63 != 0
}

/// The bit below the highest.
#[inline(always)]
fn second<T: Operand>(v: T) -> bool {
    v.to_u64() >> (T::BITS - 2) & 1 != 0
}

pub(crate) struct Shl;
impl Shift for Shl {
    #[inline(always)]
    fn run<T: Operand>(_old: Flags, a: T, n: u32) -> (T, Flags) {
        let a = a.to_u64();
        let r = T::from_u64(a << (n & 63));
        // The bit that left last; counts beyond the width leave none.
        let cf = if n <= T::BITS { a >> (T::BITS - n) & 1 != 0 } else { false };
        (r, shifted(r, cf, top(r) != cf))
    }
}

pub(crate) struct Shr;
impl Shift for Shr {
    #[inline(always)]
    fn run<T: Operand>(_old: Flags, a: T, n: u32) -> (T, Flags) {
        let v = a.to_u64();
        let r = T::from_u64(v >> (n & 63));
        let cf = v >> (n.wrapping_sub(1) & 63) & 1 != 0;
        (r, shifted(r, cf, top(r) != second(r)))
    }
}

pub(crate) struct Sar;
impl Shift for Sar {
    #[inline(always)]
    fn run<T: Operand>(_old: Flags, a: T, n: u32) -> (T, Flags) {
        let v = a.sext() as i64;
        let r = T::from_u64((v >> (n & 63)) as u64);
        let cf = v >> (n.wrapping_sub(1) & 63) & 1 != 0;
        (r, shifted(r, cf, false))
    }
}

pub(crate) struct Rol;
impl Shift for Rol {
    #[inline(always)]
    fn run<T: Operand>(old: Flags, a: T, n: u32) -> (T, Flags) {
        let (a, n) = (a.to_u64(), n & (T::BITS - 1));
        let r = if n == 0 { a } else { a << n | a >> (T::BITS - n) };
        let (r, cf) = (T::from_u64(r), r & 1 != 0);
        (r, rotated(old, cf, top(r) != cf))
    }
}

pub(crate) struct Ror;
impl Shift for Ror {
    #[inline(always)]
    fn run<T: Operand>(old: Flags, a: T, n: u32) -> (T, Flags) {
        let (a, n) = (a.to_u64(), n & (T::BITS - 1));
        let r = T::from_u64(if n == 0 { a } else { a >> n | a << (T::BITS - n) });
        (r, rotated(old, top(r), top(r) != second(r)))
    }
}

pub(crate) struct Rcl;
impl Shift for Rcl {
    fn run<T: Operand>(old: Flags, a: T, n: u32) -> (T, Flags) {
        let n = n % (T::BITS + 1);
        if n == 0 {
            return (a, old);
        }
        // The operand with CF on top of it, rotated as one value of BITS + 1 bits.
        let wide = u128::from(a.to_u64()) | u128::from(old.cf()) << T::BITS;
        let r = wide << n | wide >> (T::BITS + 1 - n);
        let cf = r >> T::BITS & 1 != 0;
        let r = T::from_u128(r);
        (r, rotated(old, cf, top(r) != cf))
    }
}

pub(crate) struct Rcr;
impl Shift for Rcr {
    fn run<T: Operand>(old: Flags, a: T, n: u32) -> (T, Flags) {
        let n = n % (T::BITS + 1);
        if n == 0 {
            return (a, old);
        }
        let wide = u128::from(a.to_u64()) | u128::from(old.cf()) << T::BITS;
        let r = wide >> n | wide << (T::BITS + 1 - n);
        let cf = r >> T::BITS & 1 != 0;
        let r = T::from_u128(r);
        (r, rotated(old, cf, top(r) != second(r)))
    }
}

#[inline(always)]
fn shift<S: Shift, T: Operand>(old: Flags, a: T, count: u32) -> (T, Flags) {
    let n = count & if T::BITS == 64 { 63 } else { 31 };
    if n == 0 { (a, old) } else { S::run(old, a, n) }
}

#[inline(always)]
fn rm_by<S: Shift, T: Operand>(cx: &mut Cx<'_>, op: &Op, count: u32) -> Step {
    if op.pfx & MEM != 0 {
        let off = cx.ea(op);
        return cx.rmw::<T>(op.seg, off, false, |cpu: &Cpu, a| shift::<S, T>(cpu.fl, a, count));
    }
    let (r, f) = shift::<S, T>(cx.cpu.fl, T::get(cx.cpu, op.base), count);
    T::set(cx.cpu, op.base, r);
    cx.cpu.fl = f;
    Ok(())
}

/// By an immediate.
pub(crate) fn by_imm<S: Shift, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    rm_by::<S, T>(cx, op, op.imm as u32)
}

/// By CL.
pub(crate) fn by_cl<S: Shift, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let count = cx.cpu.r[1] as u32;
    rm_by::<S, T>(cx, op, count)
}

/// SHLD, SHRD: bits from another register follow.
pub(crate) trait Double {
    fn run<T: Operand>(a: T, b: T, n: u32) -> (T, Flags);
}

pub(crate) struct Shld;
impl Double for Shld {
    fn run<T: Operand>(a: T, b: T, n: u32) -> (T, Flags) {
        let width = T::BITS;
        // 16-bit counts above 16 are undefined; bits then come round again from the second operand.
        let wide = a.to_u128() << width | b.to_u128();
        let r = T::from_u128(if n > width {
            wide << (n - width) | b.to_u128() >> (2 * width - n)
        } else {
            wide << n >> width
        });
        let cf = if n > width {
            b.to_u64() >> (2 * width - n) & 1 != 0
        } else {
            a.to_u64() >> (width - n) & 1 != 0
        };
        (r, shifted(r, cf, top(r) != top(a)))
    }
}

pub(crate) struct Shrd;
impl Double for Shrd {
    fn run<T: Operand>(a: T, b: T, n: u32) -> (T, Flags) {
        let width = T::BITS;
        let wide = b.to_u128() << width | a.to_u128();
        let high = if n > width { a.to_u128() << (2 * width - n) } else { 0 };
        let r = T::from_u128(wide >> n | high);
        let cf = wide >> (n - 1) & 1 != 0;
        (r, shifted(r, cf, top(r) != top(a)))
    }
}

fn double<D: Double, T: Operand>(cx: &mut Cx<'_>, op: &Op, count: u32) -> Step {
    let n = count & if T::BITS == 64 { 63 } else { 31 };
    let b = T::get(cx.cpu, op.reg);
    let run = move |cpu: &Cpu, a: T| if n == 0 { (a, cpu.fl) } else { D::run(a, b, n) };
    if op.pfx & MEM != 0 {
        let off = cx.ea(op);
        return cx.rmw::<T>(op.seg, off, false, run);
    }
    let (r, f) = run(cx.cpu, T::get(cx.cpu, op.base));
    T::set(cx.cpu, op.base, r);
    cx.cpu.fl = f;
    Ok(())
}

/// By an immediate.
pub(crate) fn double_imm<D: Double, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    double::<D, T>(cx, op, op.imm as u32)
}

/// By CL.
pub(crate) fn double_cl<D: Double, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let count = cx.cpu.r[1] as u32;
    double::<D, T>(cx, op, count)
}
