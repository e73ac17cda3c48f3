//! The string comparisons of SSE4.2 (SDM Vol. 2B 4.1).

use super::check;
use super::element::source;
use super::shape::{U128, get, set};
use super::vector::{Lane, V, each, mask};
use crate::cx::{Cx, Step};
use crate::flags::Flags;
use crate::op::Op;

const CF: u64 = 1;
const ZF: u64 = 0x40;
const SF: u64 = 0x80;
const OF: u64 = 0x800;

/// One of the two strings: its elements, signed or not, and how many of them count.
#[derive(Clone, Copy)]
struct Text {
    elements: [i32; 16],
    len: usize,
}

/// What the immediate's low bits say of the elements.
struct Form {
    words: bool,
    signed: bool,
}

impl Form {
    fn of(imm: u8) -> Form {
        Form { words: imm & 1 != 0, signed: imm & 2 != 0 }
    }

    /// How many elements a register has.
    fn count(&self) -> usize {
        if self.words { 8 } else { 16 }
    }

    fn element(&self, v: V, i: usize) -> i32 {
        match (self.words, self.signed) {
            (false, false) => i32::from(v[i]),
            (false, true) => i32::from(v[i] as i8),
            (true, false) => i32::from(u16::lanes(v)[i & 7]),
            (true, true) => i32::from(i16::lanes(v)[i & 7]),
        }
    }

    /// A string with the given length, or one that ends before its first zero.
    fn text(&self, v: V, len: Option<usize>) -> Text {
        let mut elements = [0; 16];
        for (i, e) in elements[..self.count()].iter_mut().enumerate() {
            *e = self.element(v, i);
        }
        let zero = || elements.iter().position(|e| *e == 0).unwrap_or(16);
        Text { elements, len: len.unwrap_or_else(zero).min(self.count()) }
    }
}

/// A bit for each element of `b`: the comparison that the immediate names, of `a` against it. Elements past the end
/// count as SDM table 4-7 has it.
fn compare(a: &Text, b: &Text, count: usize, imm: u8) -> u16 {
    let bit = |i: usize| -> bool {
        let (inside, x) = (i < b.len, b.elements[i]);
        match imm >> 2 & 3 {
            // Equal any.
            0 => inside && a.elements[..a.len].contains(&x),
            // Ranges: pairs of lower and upper bound.
            1 => inside && a.elements[..a.len & !1].chunks_exact(2).any(|r| r[0] <= x && x <= r[1]),
            // Equal each.
            2 => match (i < a.len, inside) {
                (true, true) => a.elements[i] == x,
                (in_a, in_b) => in_a == in_b,
            },
            // Equal ordered: all of `a` from here on, as far as the register goes.
            _ => (0..a.len.min(count - i)).all(|j| i + j < b.len && a.elements[j] == b.elements[i + j]),
        }
    };
    (0..count).fold(0, |bits, i| bits | u16::from(bit(i)) << i)
}

/// Negates all, or those of elements that count.
fn polarize(bits: u16, b: &Text, count: usize, imm: u8) -> u16 {
    let all = (1u32 << count) - 1;
    let flip = match imm >> 4 & 3 {
        1 => all,
        3 => (1u32 << b.len) - 1,
        _ => 0,
    };
    (u32::from(bits) ^ flip) as u16
}

/// A length in EAX or EDX, RAX or RDX with REX.W: its magnitude, at most what a register has.
fn length(cx: &Cx<'_>, op: &Op, reg: u8) -> usize {
    let magnitude = if op.osize == 3 {
        (cx.reg::<u64>(reg) as i64).unsigned_abs()
    } else {
        u64::from((cx.reg::<u32>(reg) as i32).unsigned_abs())
    };
    magnitude.min(16) as usize
}

/// Compares, sets the flags, and gives the result's bits.
fn result(cx: &mut Cx<'_>, op: &Op, explicit: bool) -> Result<(u16, usize), crate::cx::Trap> {
    check::sse(cx)?;
    let v = source::<U128>(cx, op)?;
    let imm = op.imm as u8;
    let form = Form::of(imm);
    let count = form.count();
    let lengths = if explicit { (Some(length(cx, op, 0)), Some(length(cx, op, 2))) } else { (None, None) };
    let a = form.text(get(cx, op.reg), lengths.0);
    let b = form.text(v, lengths.1);
    let bits = polarize(compare(&a, &b, count, imm), &b, count, imm);
    let flag = |set: bool, flag: u64| if set { flag } else { 0 };
    cx.cpu.fl = Flags::from_bits(
        flag(bits != 0, CF) | flag(b.len < count, ZF) | flag(a.len < count, SF) | flag(bits & 1 != 0, OF),
    );
    Ok((bits, count))
}

fn index(cx: &mut Cx<'_>, op: &Op, explicit: bool) -> Step {
    let (bits, count) = result(cx, op, explicit)?;
    let at = if bits == 0 {
        count as u32
    } else if op.imm & 0x40 != 0 {
        bits.ilog2()
    } else {
        bits.trailing_zeros()
    };
    cx.set_reg::<u32>(1, at);
    Ok(())
}

fn to_mask(cx: &mut Cx<'_>, op: &Op, explicit: bool) -> Step {
    let (bits, count) = result(cx, op, explicit)?;
    let v = match (op.imm & 0x40 != 0, count) {
        (false, _) => u128::from(bits).to_le_bytes(),
        (true, 16) => each(|i| mask::<u8>(bits >> i & 1 != 0)),
        (true, _) => each(|i| mask::<u16>(bits >> i & 1 != 0)),
    };
    set(cx, 0, v);
    Ok(())
}

/// PCMPESTRI.
pub(crate) fn pcmpestri(cx: &mut Cx<'_>, op: &Op) -> Step {
    index(cx, op, true)
}

/// PCMPISTRI.
pub(crate) fn pcmpistri(cx: &mut Cx<'_>, op: &Op) -> Step {
    index(cx, op, false)
}

/// PCMPESTRM.
pub(crate) fn pcmpestrm(cx: &mut Cx<'_>, op: &Op) -> Step {
    to_mask(cx, op, true)
}

/// PCMPISTRM.
pub(crate) fn pcmpistrm(cx: &mut Cx<'_>, op: &Op) -> Step {
    to_mask(cx, op, false)
}
