//! AES (FIPS 197) as AES-NI cuts it up: one round, or one step of the key schedule.

use super::shape::ops;
use super::vector::{Lane, V, each, zip};

/// A byte of GF(2^8) times x, modulo x^8 + x^4 + x^3 + x + 1.
const fn times_x(b: u8) -> u8 {
    (b << 1) ^ ((b >> 7) * 0x1b)
}

const fn product(a: u8, b: u8) -> u8 {
    let (mut sum, mut power, mut i) = (0, a, 0);
    while i < 8 {
        sum ^= power * (b >> i & 1);
        power = times_x(power);
        i += 1;
    }
    sum
}

/// SubBytes: the inverse in the field, then an affine map (FIPS 197 5.1.1).
const SBOX: [u8; 256] = {
    let mut t = [0; 256];
    let mut x = 0;
    while x < 256 {
        // The inverse is the 254th power; of zero, zero.
        let (mut inverse, mut n) = (1, 0);
        while n < 254 {
            inverse = product(inverse, x as u8);
            n += 1;
        }
        let i = inverse;
        let turned = i.rotate_left(1) ^ i.rotate_left(2) ^ i.rotate_left(3) ^ i.rotate_left(4);
        t[x] = i ^ turned ^ 0x63;
        x += 1;
    }
    t
};

const INVERSE_SBOX: [u8; 256] = {
    let mut t = [0; 256];
    let mut x = 0;
    while x < 256 {
        t[SBOX[x] as usize] = x as u8;
        x += 1;
    }
    t
};

static SUB: [u8; 256] = SBOX;
static INVERSE_SUB: [u8; 256] = INVERSE_SBOX;

/// SubBytes and ShiftRows: row `i % 4` is turned by as many columns.
fn substitute_rows(a: V) -> V {
    each(|i| SUB[usize::from(a[(i + 4 * (i % 4)) % 16])])
}

/// InvShiftRows and InvSubBytes.
fn inverse_substitute_rows(a: V) -> V {
    each(|i| INVERSE_SUB[usize::from(a[(i + 12 * (i % 4)) % 16])])
}

/// Each column's bytes times 2 and 3 and 1 and 1, in turn (FIPS 197 5.1.3).
fn mix_columns(a: V) -> V {
    let turn = |n: usize| move |i: usize| i & !3 | (i + n) & 3;
    let (one, two, three) = (turn(1), turn(2), turn(3));
    each(|i| times_x(a[i] ^ a[one(i)]) ^ a[one(i)] ^ a[two(i)] ^ a[three(i)])
}

/// The inverse: times 14, 11, 13, 9. That is MixColumns of the columns times 5, 0, 4, 0.
fn inverse_mix_columns(a: V) -> V {
    let corrected = each(|i| {
        let opposite = a[i] ^ a[i ^ 2];
        a[i] ^ times_x(times_x(opposite))
    });
    mix_columns(corrected)
}

fn add(a: V, key: V) -> V {
    zip(a, key, |x: u8, y| x ^ y)
}

/// AESKEYGENASSIST: SubWord of words 1 and 3, and RotWord of it with the round constant.
fn key_assist(b: V, round: u8) -> V {
    let substituted: V = each(|i| SUB[usize::from(b[i])]);
    let words = u32::lanes(substituted);
    let turned = |w: u32| w.rotate_right(8) ^ u32::from(round);
    u32::vector([words[1], turned(words[1]), words[3], turned(words[3])])
}

ops! {
    Aesenc(a, b, _) => add(mix_columns(substitute_rows(a)), b);
    Aesenclast(a, b, _) => add(substitute_rows(a), b);
    Aesdec(a, b, _) => add(inverse_mix_columns(inverse_substitute_rows(a)), b);
    Aesdeclast(a, b, _) => add(inverse_substitute_rows(a), b);
    Aesimc(_, b, _) => inverse_mix_columns(b);
    Aeskeygenassist(_, b, imm) => key_assist(b, imm);
}
