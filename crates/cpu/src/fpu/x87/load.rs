//! FLD, FILD, FBLD's kin: pushing onto the stack.

use super::sti;
use crate::cx::{Cx, Step};
use crate::fpu::soft::{self, Float, IE, round_pack};
use crate::fpu::state::F80;
use crate::op::Op;
use crate::operand::{Address, Operand};

/// FLD m32, FLD m64.
pub(crate) fn fld<T: Float + Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let value: T = cx.operand::<T, A>(op)?;
    let fpu = cx.x();
    if !fpu.room() {
        return Ok(());
    }
    let mut env = fpu.env();
    let value = soft::convert(value, &mut env);
    fpu.finish(&env);
    // A denormal operand is loaded even if that is not masked.
    if env.unmasked() & IE == 0 {
        fpu.push(value);
    }
    Ok(())
}

/// FLD m80: the bits as they are.
pub(crate) fn fld80(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.x87()?;
    let value = cx.read_f80(op, 0)?;
    cx.note(op);
    if cx.x().room() {
        cx.x().push(value);
    }
    Ok(())
}

/// FLD ST(i).
pub(crate) fn fld_st(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    // An empty source comes before a full stack.
    if fpu.empty(sti(op)) {
        if fpu.underflow() {
            fpu.push(F80::indefinite());
        }
    } else if fpu.room() {
        fpu.push(fpu.st(sti(op)));
    }
    Ok(())
}

/// FILD.
pub(crate) fn fild<T: Operand, A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let value = cx.operand::<T, A>(op)?.sext() as i64;
    let fpu = cx.x();
    if fpu.room() {
        let mut env = fpu.env();
        fpu.push(soft::from_int(value, &mut env));
    }
    Ok(())
}

/// The seven constants in the order of their opcodes: exponent, significand, and what follows it.
const CONSTANTS: [(i32, u64, u64); 7] = [
    (0, 1 << 63, 0),
    (1, 0xd49a_784b_cd1b_8afe, 0x492b_f6ff_4daf_db4c),
    (0, 0xb8aa_3b29_5c17_f0bb, 0xbe87_fed0_691d_3e88),
    (1, 0xc90f_daa2_2168_c234, 0xc4c6_628b_80dc_1cd1),
    (-2, 0x9a20_9a84_fbcf_f798, 0x8f89_59ac_0b7c_9178),
    (-1, 0xb172_17f7_d1cf_79ab, 0xc9e3_b398_03f2_f6af),
    (0, 0, 0),
];

/// FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ: rounded as asked, without a word about it.
pub(crate) fn constant(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.begin(op)?;
    let fpu = cx.x();
    if !fpu.room() {
        return Ok(());
    }
    let (exp, hi, lo) = CONSTANTS.get(usize::from(sti(op))).copied().unwrap_or_default();
    let mut env = fpu.full_env();
    let value = if hi == 0 { F80::zero(false) } else { round_pack(false, exp, hi, lo, &mut env) };
    fpu.push(value);
    Ok(())
}
