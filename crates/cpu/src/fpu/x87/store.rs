//! FST, FSTP, FIST, FISTP, FISTTP: from ST(0) to memory and to registers.

use super::sti;
use crate::cx::{Cx, Step};
use crate::fpu::soft::{self, Env, Float, IE, OE, PE, Rounding, UE};
use crate::fpu::stack::{C1, Filled};
use crate::fpu::state::F80;
use crate::op::Op;
use crate::operand::{Address, Operand};

/// Stores what `make` makes of ST(0), or what stands for an invalid result. Nothing is stored or popped if an exception
/// other than the inexact one is unmasked.
#[inline(always)]
fn store<T: Operand, A: Address>(
    cx: &mut Cx<'_>,
    op: &Op,
    pop: bool,
    indefinite: T,
    make: impl Fn(F80, &mut Env) -> T,
) -> Step {
    cx.x87()?;
    let fpu = cx.x();
    let mut env = fpu.env();
    if fpu.empty(0) {
        return empty::<T, A>(cx, op, pop, indefinite);
    }
    let value = make(fpu.st(0), &mut env);
    let stores = env.unmasked() & !PE == 0;
    if stores {
        cx.put::<T, A>(op, value)?;
    }
    cx.note(op);
    cx.x().finish(&env);
    if pop && stores {
        cx.x().pop();
    }
    Ok(())
}

#[cold]
fn empty<T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op, pop: bool, indefinite: T) -> Step {
    let masked = cx.cpu.fpu.cw & IE as u16 != 0;
    if masked {
        cx.put::<T, A>(op, indefinite)?;
    }
    cx.note(op);
    cx.x().underflow();
    if masked && pop {
        cx.x().pop();
    }
    Ok(())
}

/// FST and FSTP to m32 and m64.
pub(crate) fn fst<T: Float + Operand, A: Address, const POP: bool>(cx: &mut Cx<'_>, op: &Op) -> Step {
    store::<T, A>(cx, op, POP, T::indefinite(), |value, env| {
        let stored = soft::convert(value, env);
        if env.unmasked() & (OE | UE) != 0 {
            // Nothing is stored, so nothing is rounded.
            env.flags &= !PE;
            env.up = false;
        }
        stored
    })
}

/// FIST and FISTP.
pub(crate) fn fist<T: Operand, A: Address, const POP: bool>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let lowest = T::from_u64(1 << (T::BITS - 1));
    store::<T, A>(cx, op, POP, lowest, |value, env| {
        T::from_u64(soft::to_int(value, T::BITS, env.rounding, env) as u64)
    })
}

/// FISTTP.
pub(crate) fn fisttp<T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let lowest = T::from_u64(1 << (T::BITS - 1));
    store::<T, A>(cx, op, true, lowest, |value, env| {
        T::from_u64(soft::to_int(value, T::BITS, Rounding::Zero, env) as u64)
    })
}

/// FSTP m80: the bits as they are.
pub(crate) fn fstp80(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.x87()?;
    let (value, empty) = (cx.cpu.fpu.st(0), cx.cpu.fpu.empty(0));
    let masked = cx.cpu.fpu.cw & IE as u16 != 0;
    if !empty || masked {
        cx.write_f80(op, 0, if empty { F80::indefinite() } else { value })?;
    }
    cx.note(op);
    let fpu = cx.x();
    fpu.sw &= !C1;
    if empty {
        fpu.underflow();
    }
    if !empty || masked {
        fpu.pop();
    }
    Ok(())
}

/// FSTPNCE, an alias of FSTP that minds no empty register.
pub(crate) fn fstpnce(cx: &mut Cx<'_>, op: &Op) -> Step {
    if cx.cpu.fpu.empty(0) {
        cx.begin(op)?;
        cx.x().sw &= !C1;
        cx.x().pop();
        return Ok(());
    }
    fst_st::<true>(cx, op)
}

/// FST and FSTP to ST(i).
pub(crate) fn fst_st<const POP: bool>(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    fpu.sw &= !C1;
    match fpu.filled([0, 0], sti(op)) {
        Filled::Yes => fpu.set_st(sti(op), fpu.st(0)),
        Filled::Indefinite => {}
        Filled::No => return Ok(()),
    }
    if POP {
        fpu.pop();
    }
    Ok(())
}
