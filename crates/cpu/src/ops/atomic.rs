//! XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B.

use hako_x86::RFlags;

use crate::cx::{Cx, Step};
use crate::op::{LOCK, MEM, Op};
use crate::operand::Operand;
use crate::ops::alu::{Add, Cmp, apply};
use crate::paging::Access;
use crate::why::Why;

/// XCHG between registers `base` and `reg`.
pub(crate) fn xchg_reg<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let (a, b) = (T::get(cx.cpu, op.base), T::get(cx.cpu, op.reg));
    T::set(cx.cpu, op.base, b);
    T::set(cx.cpu, op.reg, a);
    Ok(())
}

/// XCHG with memory is locked without a prefix.
pub(crate) fn xchg_mem<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let off = cx.ea(op);
    let new = T::get(cx.cpu, op.reg);
    let old = core::cell::Cell::new(new);
    cx.rmw::<T>(op.seg, off, true, |cpu, v| {
        old.set(v);
        (new, cpu.fl)
    })?;
    T::set(cx.cpu, op.reg, old.get());
    Ok(())
}

pub(crate) fn xadd<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let b = T::get(cx.cpu, op.reg);
    if op.pfx & MEM == 0 {
        let a = T::get(cx.cpu, op.base);
        let (r, f) = apply::<Add, T>(cx.cpu, a, b);
        // The sum is stored last: it wins when both operands are the same register.
        T::set(cx.cpu, op.reg, a);
        T::set(cx.cpu, op.base, r);
        cx.cpu.fl = f;
        return Ok(());
    }
    let off = cx.ea(op);
    let old = core::cell::Cell::new(b);
    cx.rmw::<T>(op.seg, off, op.pfx & LOCK != 0, |cpu, a| {
        old.set(a);
        apply::<Add, T>(cpu, a, b)
    })?;
    T::set(cx.cpu, op.reg, old.get());
    Ok(())
}

pub(crate) fn cmpxchg<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let (acc, new) = (T::get(cx.cpu, 0), T::get(cx.cpu, op.reg));
    if op.pfx & MEM == 0 {
        let old = T::get(cx.cpu, op.base);
        cx.cpu.fl = apply::<Cmp, T>(cx.cpu, acc, old).1;
        if acc == old {
            T::set(cx.cpu, op.base, new);
        } else {
            T::set(cx.cpu, 0, old);
        }
        return Ok(());
    }
    let off = cx.ea(op);
    let seen = core::cell::Cell::new(acc);
    cx.rmw::<T>(op.seg, off, op.pfx & LOCK != 0, |cpu, old| {
        seen.set(old);
        let (_, f) = apply::<Cmp, T>(cpu, acc, old);
        // A comparison that fails writes back what was there.
        (if acc == old { new } else { old }, f)
    })?;
    if seen.get() != acc {
        T::set(cx.cpu, 0, seen.get());
    }
    Ok(())
}

/// CMPXCHG8B, and with REX.W CMPXCHG16B, whose operand must be aligned. Only ZF changes.
pub(crate) fn cmpxchg_pair(cx: &mut Cx<'_>, op: &Op) -> Step {
    let off = cx.ea(op);
    let wide = op.osize == 3;
    let lin = cx.cpu.fast[usize::from(op.seg & 7)].base.wrapping_add(off);
    if wide && lin & 15 != 0 {
        return Err(cx.gp(0, Why::OperandMisaligned));
    }
    let n = if wide { 16 } else { 8 };
    let span = cx.probe(op.seg, off, n, Access::Write)?;
    let half = if wide { 64 } else { 32 };
    let mask = (1u128 << half) - 1;
    let join = |high: u64, low: u64| (u128::from(high) & mask) << half | u128::from(low) & mask;
    let r = &cx.cpu.r;
    let (expected, new) = (join(r[2], r[0]), join(r[1], r[3]));
    let old = if wide { cx.load_span::<u128>(&span) } else { u128::from(cx.load_span::<u64>(&span)) };
    let equal = old == expected;
    let store = if equal { new } else { old };
    if wide {
        cx.store_span(&span, store);
    } else {
        cx.store_span(&span, store as u64);
    }
    if !equal {
        cx.cpu.r[0] = (old & mask) as u64;
        cx.cpu.r[2] = (old >> half) as u64;
    }
    let zf = RFlags::ZF.bits();
    let bits = cx.cpu.fl.bits() & !zf | if equal { zf } else { 0 };
    cx.cpu.fl = crate::flags::Flags::from_bits(bits);
    Ok(())
}
