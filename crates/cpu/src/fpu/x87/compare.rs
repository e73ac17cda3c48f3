//! FCOM, FUCOM, FICOM, FCOMI, FUCOMI, FTST, FXAM.

use super::arith::integer;
use super::sti;
use crate::cx::{Cx, Step};
use crate::flags::Flags;
use crate::fpu::soft::{self, DE, Float, IE, Parts, Relation, class};
use crate::fpu::stack::{C0, C1, C2, C3};
use crate::fpu::state::{F80, FpuState};
use crate::op::Op;
use crate::operand::{Address, Operand};

/// The condition code for a relation of ST(0) to the source (SDM Vol. 2, FCOM).
fn condition(r: Relation) -> u16 {
    match r {
        Relation::Greater => 0,
        Relation::Less => C0,
        Relation::Equal => C3,
        Relation::Unordered => C0 | C2 | C3,
    }
}

/// How ST(0) relates to a source, which is nothing if it is an empty register, and whether no exception that is not masked keeps the
/// instruction from popping. Processors report the relation even then.
fn relate(fpu: &mut FpuState, source: Option<Parts>, quiet: bool) -> (Relation, bool) {
    let Some(source) = source.filter(|_| !fpu.empty(0)) else {
        return (Relation::Unordered, fpu.underflow());
    };
    let mut env = fpu.env();
    let relation = soft::compare_parts(fpu.st(0).parts(&env), source, quiet, &mut env);
    fpu.raise(env.flags as u16);
    (relation, env.unmasked() & (IE | DE) == 0)
}

/// Compares and sets the condition code, then pops. It stands once, not in every handler.
#[inline(never)]
fn compare(fpu: &mut FpuState, source: Option<Parts>, quiet: bool, pops: u8) {
    let (relation, done) = relate(fpu, source, quiet);
    fpu.set_cc(condition(relation));
    (0..if done { pops } else { 0 }).for_each(|_| fpu.pop());
}

/// ST(i), unless it is empty.
fn register(fpu: &FpuState, i: u8) -> Option<Parts> {
    (!fpu.empty(i)).then(|| fpu.st(i).parts(&fpu.env()))
}

/// FCOM and FUCOM with a register, with none to two pops.
pub(crate) fn st<const QUIET: bool, const POPS: u8>(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    let source = register(cx.x(), sti(op));
    compare(cx.x(), source, QUIET, POPS);
    Ok(())
}

/// FCOM m32 and m64.
pub(crate) fn mem<T: Float + Operand, A: Address, const POPS: u8>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let value: T = cx.operand::<T, A>(op)?;
    let source = value.parts(&cx.x().env());
    compare(cx.x(), Some(source), false, POPS);
    Ok(())
}

/// FICOM.
pub(crate) fn int<T: Operand, A: Address, const POPS: u8>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let value = cx.operand::<T, A>(op)?.sext() as i64;
    let source = integer(value, cx.x().env());
    compare(cx.x(), Some(source), false, POPS);
    Ok(())
}

/// FTST: with zero.
pub(crate) fn ftst(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    let zero = F80::zero(false).parts(&cx.x().env());
    compare(cx.x(), Some(zero), false, 0);
    Ok(())
}

/// FCOMI and FUCOMI: the result goes to ZF, PF and CF; the other arithmetic flags are cleared.
pub(crate) fn flags<const QUIET: bool, const POPS: u8>(cx: &mut Cx<'_>, op: &Op) -> Step {
    const CF: u64 = 1;
    const PF: u64 = 4;
    const ZF: u64 = 0x40;
    cx.begin(op)?;
    let source = register(cx.x(), sti(op));
    let (relation, done) = relate(cx.x(), source, QUIET);
    cx.cpu.fl = Flags::from_bits(match relation {
        Relation::Greater => 0,
        Relation::Less => CF,
        Relation::Equal => ZF,
        Relation::Unordered => ZF | PF | CF,
    });
    (0..if done { POPS } else { 0 }).for_each(|_| cx.x().pop());
    Ok(())
}

/// FXAM: what is in ST(0), and its sign even if it is empty.
pub(crate) fn fxam(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    let p = fpu.st(0).parts(&fpu.env());
    let kind = match p.class {
        _ if fpu.empty(0) => C3 | C0,
        class::UNSUPPORTED => 0,
        class::QNAN | class::SNAN => C0,
        class::INF => C2 | C0,
        class::ZERO => C3,
        class::DENORMAL => C3 | C2,
        _ => C2,
    };
    let sign = if fpu.st(0).sign() { C1 } else { 0 };
    fpu.set_cc(kind | sign);
    Ok(())
}
