//! Packing, interleaving, shuffling, blending, widening.

use super::shape::ops;
use super::vector::{Lane, V, ZERO, each, high, low, pair};

/// Lanes of `a`, then of `b`, each made narrower by `f`.
#[inline(always)]
fn pack<T: Lane, U: Lane>(a: V, b: V, f: impl Fn(T) -> U) -> V {
    let (a, b) = (T::lanes(a), T::lanes(b));
    each(|i| f(if i < T::N { a[i] } else { b[i - T::N] }))
}

/// Lanes of the lower (or upper) halves in turn.
#[inline(always)]
fn interleave<T: Lane>(a: V, b: V, upper: bool) -> V {
    let (a, b) = (T::lanes(a), T::lanes(b));
    let from = if upper { T::N / 2 } else { 0 };
    each(|i| if i & 1 == 0 { a[from + i / 2] } else { b[from + i / 2] })
}

/// MMX operands interleaved as a whole, of which the upper half is wanted.
#[inline(always)]
fn upper<T: Lane>(a: u64, b: u64) -> u64 {
    high(interleave::<T>(pair(a, 0), pair(b, 0), false))
}

fn signed_byte(x: i16) -> i8 {
    x.clamp(-0x80, 0x7f) as i8
}

fn unsigned_byte(x: i16) -> u8 {
    x.clamp(0, 0xff) as u8
}

fn signed_word(x: i32) -> i16 {
    x.clamp(-0x8000, 0x7fff) as i16
}

fn unsigned_word(x: i32) -> u16 {
    x.clamp(0, 0xffff) as u16
}

/// Two bits of `imm` for the lane `i`.
#[inline(always)]
fn pick(imm: u8, i: usize) -> usize {
    usize::from(imm >> (2 * i) & 3)
}

/// Words of one half by two bits each; `at` is the half's first word.
fn shuffle_words(b: V, imm: u8, at: usize) -> V {
    let mut words = u16::lanes(b);
    let from = words;
    for i in 0..4 {
        words[at + i] = from[at + pick(imm, i)];
    }
    u16::vector(words)
}

/// Bytes named by the bytes of `by`; zero where bit 7 is set.
fn shuffle_bytes(a: V, by: V, mask: u8) -> V {
    each(|i| if by[i] & 0x80 != 0 { 0 } else { a[usize::from(by[i] & mask)] })
}

/// Lanes of `b` where `choose` says so, else of `a`.
#[inline(always)]
fn blend<T: Lane>(a: V, b: V, choose: impl Fn(usize) -> bool) -> V {
    let (a, b) = (T::lanes(a), T::lanes(b));
    each(|i| if choose(i) { b[i] } else { a[i] })
}

/// The first lanes of `b`, each made wider.
#[inline(always)]
fn widen<T: Lane, U: Lane>(b: V, f: impl Fn(T) -> U) -> V {
    let b = T::lanes(b);
    each(|i| f(b[i]))
}

/// 16 bytes of `a:b` from the byte `imm` on.
fn align(a: V, b: V, imm: u8) -> V {
    let (n, at) = (usize::from(imm), |i: usize| if i < 16 { b[i] } else { a[i & 15] });
    each(|i| if n + i < 32 { at(n + i) } else { 0 })
}

/// [`align`] for 8 bytes.
fn align_mmx(a: u64, b: u64, imm: u8) -> u64 {
    let both = u128::from(a) << 64 | u128::from(b);
    both.checked_shr(u32::from(imm) * 8).unwrap_or(0) as u64
}

/// A single into a place, and zeroes into others (INSERTPS with a register).
fn insert_single(a: V, value: u32, imm: u8) -> V {
    let mut lanes = u32::lanes(a);
    lanes[usize::from(imm >> 4 & 3)] = value;
    each(|i| if imm >> i & 1 != 0 { 0 } else { lanes[i] })
}

ops! {
    Packsswb(a, b, _) => pack(a, b, signed_byte), low(pack(pair(a, b), ZERO, signed_byte));
    Packuswb(a, b, _) => pack(a, b, unsigned_byte), low(pack(pair(a, b), ZERO, unsigned_byte));
    Packssdw(a, b, _) => pack(a, b, signed_word), low(pack(pair(a, b), ZERO, signed_word));
    Packusdw(a, b, _) => pack(a, b, unsigned_word);
    Punpcklbw(a, b, _) => interleave::<u8>(a, b, false);
    Punpcklwd(a, b, _) => interleave::<u16>(a, b, false);
    Punpckldq(a, b, _) => interleave::<u32>(a, b, false);
    Punpcklqdq(a, b, _) => interleave::<u64>(a, b, false);
    Punpckhbw(a, b, _) => interleave::<u8>(a, b, true), upper::<u8>(a, b);
    Punpckhwd(a, b, _) => interleave::<u16>(a, b, true), upper::<u16>(a, b);
    Punpckhdq(a, b, _) => interleave::<u32>(a, b, true), upper::<u32>(a, b);
    Punpckhqdq(a, b, _) => interleave::<u64>(a, b, true);
    Pshufb(a, b, _) => shuffle_bytes(a, b, 15), low(shuffle_bytes(pair(a, 0), pair(b, 0), 7));
    Pshufd(_, b, imm) => { let b = u32::lanes(b); each(|i| b[pick(imm, i)]) };
    Pshuflw(_, b, imm) => shuffle_words(b, imm, 0);
    Pshufhw(_, b, imm) => shuffle_words(b, imm, 4);
    Palignr(a, b, imm) => align(a, b, imm), align_mmx(a, b, imm);
    Shufps(a, b, imm) => {
        let (a, b) = (u32::lanes(a), u32::lanes(b));
        each(|i| if i < 2 { a[pick(imm, i)] } else { b[pick(imm, i)] })
    };
    Shufpd(a, b, imm) => pair(if imm & 1 != 0 { high(a) } else { low(a) }, if imm & 2 != 0 { high(b) } else { low(b) });
    Blendps(a, b, imm) => blend::<u32>(a, b, |i| imm >> i & 1 != 0);
    Blendpd(a, b, imm) => blend::<u64>(a, b, |i| imm >> i & 1 != 0);
    Pblendw(a, b, imm) => blend::<u16>(a, b, |i| imm >> i & 1 != 0);
    Insertps(a, b, imm) => insert_single(a, u32::lanes(b)[usize::from(imm >> 6)], imm);
    InsertpsMem(a, b, imm) => insert_single(a, u32::lanes(b)[0], imm);
    Pmovsxbw(_, b, _) => widen(b, i16::from as fn(i8) -> i16);
    Pmovsxbd(_, b, _) => widen(b, i32::from as fn(i8) -> i32);
    Pmovsxbq(_, b, _) => widen(b, i64::from as fn(i8) -> i64);
    Pmovsxwd(_, b, _) => widen(b, i32::from as fn(i16) -> i32);
    Pmovsxwq(_, b, _) => widen(b, i64::from as fn(i16) -> i64);
    Pmovsxdq(_, b, _) => widen(b, i64::from as fn(i32) -> i64);
    Pmovzxbw(_, b, _) => widen(b, u16::from as fn(u8) -> u16);
    Pmovzxbd(_, b, _) => widen(b, u32::from as fn(u8) -> u32);
    Pmovzxbq(_, b, _) => widen(b, u64::from as fn(u8) -> u64);
    Pmovzxwd(_, b, _) => widen(b, u32::from as fn(u16) -> u32);
    Pmovzxwq(_, b, _) => widen(b, u64::from as fn(u16) -> u64);
    Pmovzxdq(_, b, _) => widen(b, u64::from as fn(u32) -> u64);
}

/// A blend by the top bits of XMM0's lanes.
#[inline(always)]
pub(super) fn blend_by<T: Lane>(a: V, b: V, by: V, negative: impl Fn(T) -> bool) -> V {
    let by = T::lanes(by);
    blend::<T>(a, b, |i| negative(by[i]))
}
