//! DAA, DAS, AAA, AAS, AAM, AAD (SDM Vol. 2A); they do not exist in 64-bit mode.

use crate::cx::{Cx, Step};
use crate::flags::Flags;
use crate::op::{HIGH, Op};
use crate::operand::Operand;
use crate::why::Why;

const AL: u8 = 0;
const AH: u8 = HIGH;

/// Flags of an 8-bit result with CF and AF given and OF clear.
fn flags(al: u8, cf: bool, af: bool) -> Flags {
    let f = Flags { res: al.sext(), carry: if af { crate::flags::CARRY_AUX } else { 0 } };
    f.with_cf(cf).with_of(false)
}

/// DAA and DAS differ in the sign of the correction.
fn decimal(cx: &mut Cx<'_>, correct: fn(u8, u8) -> u8) -> Step {
    let (old, fl) = (u8::get(cx.cpu, AL), cx.cpu.fl);
    let af = old & 15 > 9 || fl.af();
    let cf = old > 0x99 || fl.cf();
    let mut al = old;
    let mut borrow = false;
    if af {
        // DAS: taking 6 from less than 6 borrows (and sets CF).
        borrow = correct(0, 1) == 0xff && al < 6;
        al = correct(al, 6);
    }
    if cf {
        al = correct(al, 0x60);
    }
    u8::set(cx.cpu, AL, al);
    cx.cpu.fl = flags(al, cf || borrow, af);
    Ok(())
}

pub(crate) fn daa(cx: &mut Cx<'_>, _op: &Op) -> Step {
    decimal(cx, u8::wrapping_add)
}

pub(crate) fn das(cx: &mut Cx<'_>, _op: &Op) -> Step {
    decimal(cx, u8::wrapping_sub)
}

/// AAA and AAS: correct AX by 106h up or down.
fn ascii(cx: &mut Cx<'_>, correct: fn(u16, u16) -> u16) -> Step {
    let ax = u16::get(cx.cpu, AL);
    let adjust = ax & 15 > 9 || cx.cpu.fl.af();
    let ax = if adjust { correct(ax, 0x106) } else { ax } & 0xff0f;
    u16::set(cx.cpu, AL, ax);
    cx.cpu.fl = flags(ax as u8, adjust, adjust);
    Ok(())
}

pub(crate) fn aaa(cx: &mut Cx<'_>, _op: &Op) -> Step {
    ascii(cx, u16::wrapping_add)
}

pub(crate) fn aas(cx: &mut Cx<'_>, _op: &Op) -> Step {
    ascii(cx, u16::wrapping_sub)
}

pub(crate) fn aam(cx: &mut Cx<'_>, op: &Op) -> Step {
    let (al, base) = (u8::get(cx.cpu, AL), op.imm as u8);
    let (Some(high), Some(low)) = (al.checked_div(base), al.checked_rem(base)) else {
        return Err(cx.de(Why::DivideByZero));
    };
    u8::set(cx.cpu, AH, high);
    u8::set(cx.cpu, AL, low);
    cx.cpu.fl = flags(low, false, false);
    Ok(())
}

pub(crate) fn aad(cx: &mut Cx<'_>, op: &Op) -> Step {
    let (al, ah) = (u8::get(cx.cpu, AL), u8::get(cx.cpu, AH));
    let al = al.wrapping_add(ah.wrapping_mul(op.imm as u8));
    u16::set(cx.cpu, AL, u16::from(al));
    cx.cpu.fl = flags(al, false, false);
    Ok(())
}
