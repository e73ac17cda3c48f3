//! FBLD and FBSTP: packed decimal integers of 18 digits (SDM Vol. 1 4.7).

use crate::cx::{Cx, Step};
use crate::fpu::soft::{self, Env, IE, PE};
use crate::fpu::state::F80;
use crate::op::Op;

/// The packed BCD indefinite.
const INDEFINITE: F80 = F80::new(0xffff, 0xc000_0000_0000_0000);
/// The first magnitude with 19 digits.
const LIMIT: i64 = 1_000_000_000_000_000_000;

/// FBLD. Digits above nine count as what they say.
pub(crate) fn fbld(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.x87()?;
    let packed = cx.read_f80(op, 0)?;
    cx.note(op);
    let fpu = cx.x();
    if !fpu.room() {
        return Ok(());
    }
    let digits = u128::from(packed.se & 0xff) << 64 | u128::from(packed.mant);
    let magnitude = (0..18).rev().fold(0, |n: i64, i| n * 10 + (digits >> (4 * i) & 15) as i64);
    let value: F80 = soft::from_int(magnitude, &mut fpu.env());
    fpu.push(F80 { se: value.se | packed.se & 0x8000, ..value });
    Ok(())
}

/// The packed decimal of a number, rounded as asked.
fn pack(value: F80, env: &mut Env) -> F80 {
    let n = soft::to_int(value, 64, env.rounding, env);
    if n <= -LIMIT || n >= LIMIT {
        env.flags = env.flags & !PE | IE;
        env.up = false;
    }
    if env.flags & IE != 0 {
        return INDEFINITE;
    }
    let (mut rest, mut digits) = (n.unsigned_abs(), 0u128);
    for i in 0..18 {
        digits |= u128::from(rest % 10) << (4 * i);
        rest /= 10;
    }
    // The sign is the operand's, also of what is rounded to zero.
    F80::new(value.se & 0x8000 | (digits >> 64) as u16, digits as u64)
}

/// FBSTP.
pub(crate) fn fbstp(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.x87()?;
    let fpu = cx.x();
    let mut env = fpu.env();
    let empty = fpu.empty(0);
    let packed = if empty {
        env.flags |= IE;
        INDEFINITE
    } else {
        pack(fpu.st(0), &mut env)
    };
    let stores = env.unmasked() & IE == 0;
    if stores {
        cx.write_f80(op, 0, packed)?;
    }
    cx.note(op);
    let fpu = cx.x();
    if empty {
        fpu.underflow();
    } else {
        fpu.finish(&env);
    }
    if stores {
        fpu.pop();
    }
    Ok(())
}
