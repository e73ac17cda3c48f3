//! Packed multiplication, and sums across lanes.

use super::shape::ops;
use super::vector::{Lane, V, ZERO, each, high, low, pair, zip};

/// Products of neighbours, added.
fn multiply_add(a: V, b: V) -> V {
    let (a, b) = (i16::lanes(a), i16::lanes(b));
    let product = |i: usize| i32::from(a[i]) * i32::from(b[i]);
    each(|i| product(2 * i).wrapping_add(product(2 * i + 1)))
}

/// Unsigned bytes by signed bytes, neighbours added with saturation.
fn multiply_add_bytes(a: V, b: V) -> V {
    let b = i8::lanes(b);
    let product = |i: usize| i32::from(a[i]) * i32::from(b[i]);
    each(|i| (product(2 * i) + product(2 * i + 1)).clamp(-0x8000, 0x7fff) as i16)
}

fn distance(a: &[u8], b: &[u8]) -> u16 {
    a.iter().zip(b).map(|(x, y)| u16::from(x.abs_diff(*y))).sum()
}

/// Sums of absolute differences of each half.
fn sad(a: V, b: V) -> V {
    pair(u64::from(distance(&a[..8], &b[..8])), u64::from(distance(&a[8..], &b[8..])))
}

/// Four bytes of the source against eight places of the destination (MPSADBW).
fn sad_places(a: V, b: V, imm: u8) -> V {
    let (at, from) = (usize::from(imm >> 2 & 1) * 4, usize::from(imm & 3) * 4);
    each(|i| distance(&a[at + i..at + i + 4], &b[from..from + 4]))
}

/// The smallest word and where it is (PHMINPOSUW).
fn smallest(b: V) -> V {
    let b = u16::lanes(b);
    let mut at = 0;
    for i in 1..8 {
        if b[i] < b[at] {
            at = i;
        }
    }
    let mut r = u16::ZEROES;
    (r[0], r[1]) = (b[at], at as u16);
    u16::vector(r)
}

/// Neighbours of `a`, then of `b`, put together by `f`. MMX: both fit into one vector.
#[inline(always)]
fn neighbours<T: Lane>(a: V, b: V, f: impl Fn(T, T) -> T) -> V {
    let (x, y) = (T::lanes(a), T::lanes(b));
    let half = T::N / 2;
    each(|i| {
        let from = if i < half { &x } else { &y };
        let at = i % half * 2;
        f(from[at], from[at + 1])
    })
}

macro_rules! horizontal {
    ($($name:ident $t:ident :: $f:ident;)*) => {
        ops! {
            $($name(a, b, _) => neighbours(a, b, $t::$f), low(neighbours(pair(a, b), ZERO, $t::$f));)*
        }
    };
}
horizontal! {
    Phaddw u16::wrapping_add;
    Phaddd u32::wrapping_add;
    Phaddsw i16::saturating_add;
    Phsubw u16::wrapping_sub;
    Phsubd u32::wrapping_sub;
    Phsubsw i16::saturating_sub;
}

ops! {
    Pmulhw(a, b, _) => zip(a, b, |x: i16, y| ((i32::from(x) * i32::from(y)) >> 16) as i16);
    Pmulhuw(a, b, _) => zip(a, b, |x: u16, y| ((u32::from(x) * u32::from(y)) >> 16) as u16);
    Pmulhrsw(a, b, _) => zip(a, b, |x: i16, y| ((((i32::from(x) * i32::from(y)) >> 14) + 1) >> 1) as i16);
    Pmuludq(a, b, _) => zip(a, b, |x: u64, y| (x & 0xffff_ffff) * (y & 0xffff_ffff));
    Pmuldq(a, b, _) => zip(a, b, |x: i64, y| i64::from(x as i32) * i64::from(y as i32));
    Pmaddwd(a, b, _) => multiply_add(a, b);
    Pmaddubsw(a, b, _) => multiply_add_bytes(a, b);
    Psadbw(a, b, _) => sad(a, b);
    Mpsadbw(a, b, imm) => sad_places(a, b, imm);
    Phminposuw(_, b, _) => smallest(b);
    Pclmulqdq(a, b, imm) => carry_less(
        if imm & 1 != 0 { high(a) } else { low(a) },
        if imm & 16 != 0 { high(b) } else { low(b) },
    ).to_le_bytes();
}

/// The product of two polynomials over GF(2).
fn carry_less(a: u64, b: u64) -> u128 {
    (0..64).fold(0, |sum, i| sum ^ (u128::from(a) << i & (u128::from(b >> i & 1)).wrapping_neg()))
}
