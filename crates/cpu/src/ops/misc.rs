//! NOP, flag instructions, BOUND, SALC, and everything undefined.

use hako_x86::{RFlags, Vector};

use crate::cx::{Cx, Step};
use crate::op::Op;
use crate::operand::Operand;
use crate::why::Why;

pub(crate) fn nop(_cx: &mut Cx<'_>, _op: &Op) -> Step {
    Ok(())
}

macro_rules! undefined {
    ($($name:ident $why:ident;)*) => {$(
        pub(crate) fn $name(cx: &mut Cx<'_>, _op: &Op) -> Step {
            Err(cx.ud(Why::$why))
        }
    )*};
}
undefined! {
    ud UndefinedOpcode;
    ud_lock LockNotAllowed;
    ud_needs_memory NeedsMemoryOperand;
    ud_needs_register NeedsRegisterOperand;
    ud_in_64bit NotIn64Bit;
    ud_not_offered NotOffered;
}

pub(crate) fn cmc(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.cpu.fl = cx.cpu.fl.with_cf(!cx.cpu.fl.cf());
    Ok(())
}

pub(crate) fn clc(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.cpu.fl = cx.cpu.fl.with_cf(false);
    Ok(())
}

pub(crate) fn stc(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.cpu.fl = cx.cpu.fl.with_cf(true);
    Ok(())
}

pub(crate) fn cld(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.cpu.rest &= !RFlags::DF.bits();
    Ok(())
}

pub(crate) fn std(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.cpu.rest |= RFlags::DF.bits();
    Ok(())
}

/// AL = CF ? FFh : 0; undocumented, and in every CPU.
pub(crate) fn salc(cx: &mut Cx<'_>, _op: &Op) -> Step {
    let v = if cx.cpu.fl.cf() { 0xff } else { 0 };
    u8::set(cx.cpu, 0, v);
    Ok(())
}

/// #BR unless lower bound <= index <= upper bound.
pub(crate) fn bound<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let off = cx.ea(op);
    let mask = crate::op::ADDRESS_MASK[usize::from(op.asize & 3)];
    let low = cx.rd::<T>(op.seg, off)?.sext() as i64;
    let high = cx.rd::<T>(op.seg, off.wrapping_add(size_of::<T>() as u64) & mask)?.sext() as i64;
    let index = T::get(cx.cpu, op.reg).sext() as i64;
    if index < low || index > high {
        return Err(cx.fault(Vector::BR, None, Why::OutOfBounds));
    }
    Ok(())
}
