//! Rounding, overflow and underflow (SDM Vol. 1 4.8.4, 4.9.1.4 to 4.9.1.6).

use super::env::{Env, OE, PE, Rounding, UE};
use super::format::Float;

/// What unmasked overflow and underflow change the exponent of an x87 register by (SDM Vol. 1 8.5.4, 8.5.5).
const WRAP: i32 = 24576;

/// A significand rounded to some bits: whether it was increased, whether it was exact, and whether the increase made it
/// overflow to the next power of two (then it is zero).
struct Rounded {
    sig: u64,
    up: bool,
    exact: bool,
    carry: bool,
}

/// Rounds `hi`:`lo` to its upper `bits` bits.
#[inline(always)]
fn round(hi: u64, lo: u64, bits: u32, sign: bool, rounding: Rounding) -> Rounded {
    const HALF: u64 = 1 << 63;
    let unit = 1u64 << (64 - bits);
    // What is cut off, left-aligned.
    let rest = if bits == 64 { lo } else { hi << (bits & 63) | u64::from(lo != 0) };
    let up = match rounding {
        Rounding::Nearest => rest > HALF || rest == HALF && hi & unit != 0,
        Rounding::Down => sign && rest != 0,
        Rounding::Up => !sign && rest != 0,
        Rounding::Zero => false,
    };
    let kept = hi & !(unit - 1);
    let (sig, carry) = if up { kept.overflowing_add(unit) } else { (kept, false) };
    Rounded { sig, up, exact: rest == 0, carry }
}

/// Rounds the value `hi`:`lo` x 2^(`exp` - 127), whose top bit is set, to an encoding. The lowest bit of `lo` may stand
/// for all below it.
#[inline(always)]
pub(crate) fn round_pack<T: Float>(sign: bool, exp: i32, hi: u64, lo: u64, env: &mut Env) -> T {
    let bits = if T::X87 { env.precision } else { T::P };
    let r = round(hi, lo, bits, sign, env.rounding);
    let mut biased = exp + T::BIAS;
    if biased <= 0 {
        return tiny(sign, biased, hi, lo, &r, env);
    }
    let sig = if r.carry { 1 << 63 } else { r.sig };
    biased += i32::from(r.carry);
    if biased >= T::EMAX {
        return overflow(sign, biased, sig, bits, &r, env);
    }
    if !r.exact {
        env.flags |= PE;
    }
    env.up = r.up;
    T::assemble(sign, biased, sig)
}

#[cold]
fn overflow<T: Float>(sign: bool, biased: i32, sig: u64, bits: u32, r: &Rounded, env: &mut Env) -> T {
    env.flags |= OE;
    if env.masks & OE == 0 {
        if !r.exact {
            env.flags |= PE;
        }
        env.up = r.up;
        return T::assemble(sign, biased - WRAP, sig);
    }
    env.flags |= PE;
    let away = match env.rounding {
        Rounding::Nearest => true,
        Rounding::Down => sign,
        Rounding::Up => !sign,
        Rounding::Zero => false,
    };
    env.up = away;
    if away { T::infinity(sign) } else { T::assemble(sign, T::EMAX - 1, !0 << (64 - bits)) }
}

/// The value is below the smallest normal number before rounding; `r` is what it is rounded as if exponents had no end,
/// and decides whether it is tiny (Intel detects tininess after rounding).
#[cold]
fn tiny<T: Float>(sign: bool, biased: i32, hi: u64, lo: u64, r: &Rounded, env: &mut Env) -> T {
    let tiny = biased < 0 || !r.carry;
    if tiny && env.masks & UE == 0 {
        env.flags |= UE | if r.exact { 0 } else { PE };
        env.up = r.up;
        let (sig, biased) = if r.carry { (1 << 63, biased + 1) } else { (r.sig, biased) };
        return T::assemble(sign, biased + WRAP, sig);
    }
    if tiny && env.ftz {
        env.flags |= UE | PE;
        return T::zero(sign);
    }
    let (hi, lo) = shift_right_jam(hi, lo, (1 - biased) as u32);
    let bits = if T::X87 { env.precision } else { T::P };
    let d = round(hi, lo, bits, sign, env.rounding);
    if !d.exact {
        env.flags |= PE | if tiny { UE } else { 0 };
    }
    env.up = d.up;
    T::assemble(sign, i32::from(d.sig >> 63 != 0), d.sig)
}

/// Shifts right; the lowest bit of the result stands for all that is shifted out.
#[inline]
fn shift_right_jam(hi: u64, lo: u64, by: u32) -> (u64, u64) {
    let v = jam(u128::from(hi) << 64 | u128::from(lo), by);
    ((v >> 64) as u64, v as u64)
}

/// Shifts right; the lowest bit of the result stands for all that is shifted out.
#[inline(always)]
pub(super) fn jam(v: u128, by: u32) -> u128 {
    match by {
        0 => v,
        1..=127 => v >> by | u128::from(v << (128 - by) != 0),
        _ => u128::from(v != 0),
    }
}
