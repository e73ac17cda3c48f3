//! Against the host: results and flags bit by bit, with operands that like the edges.

use std::vec::Vec;

use super::*;
use crate::fpu::state::F80;

mod host;

/// Repeatable random numbers (xorshift).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A fraction, left-aligned: random, or with long runs of equal bits.
    fn fraction(&mut self) -> u64 {
        let r = self.next();
        match self.next() % 8 {
            0 => 0,
            1 => !0,
            2 => r << (self.next() & 63),
            3 => 1 << (self.next() & 63),
            4 => !(1 << (self.next() & 63)),
            5 => (!0) << (self.next() & 63),
            _ => r,
        }
    }

    /// A biased exponent below `max`: random, at the ends, or in the middle where two operands meet.
    fn exponent(&mut self, max: u64) -> u64 {
        let r = self.next();
        match self.next() % 8 {
            0 => 0,
            1 => max,
            2 => r % 4,
            3 => max - r % 4,
            4 => r % (max + 1),
            _ => max / 2 + r % 80 - (40).min(max / 2),
        }
    }

    pub(crate) fn single(&mut self) -> u32 {
        (self.next() as u32) << 31 | (self.exponent(255) as u32) << 23 | (self.fraction() >> 41) as u32
    }

    pub(crate) fn double(&mut self) -> u64 {
        self.next() << 63 | self.exponent(2047) << 52 | self.fraction() >> 12
    }

    pub(crate) fn extended(&mut self) -> F80 {
        let exp = self.exponent(0x7fff) as u16;
        let integer = self.next().is_multiple_of(16);
        let mant = self.fraction() >> 1 | u64::from((exp != 0) ^ integer) << 63;
        F80::new((self.next() as u16) << 15 | exp, mant)
    }
}

/// All exceptions masked, with each rounding mode, DAZ and FTZ.
fn mxcsrs() -> Vec<u32> {
    (0..16u32).map(|i| 0x1f80 | (i & 3) << 13 | (i >> 2 & 1) << 6 | (i >> 3) << 15).collect()
}

const ROUNDS: usize = 20_000;

fn agrees<T: Float + core::fmt::LowerHex, R: Float + core::fmt::LowerHex>(
    name: &str,
    operand: fn(&mut Random) -> T,
    ours: fn(T, T, &mut Env) -> R,
    host: fn(T, T, u32) -> (R, u32),
) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for mxcsr in mxcsrs() {
        for _ in 0..ROUNDS / 4 {
            let (a, b) = (operand(&mut random), operand(&mut random));
            let mut env = Env::sse(mxcsr);
            let r = ours(a, b, &mut env);
            let (h, flags) = host(a, b, mxcsr);
            assert!(
                r == h && env.flags == flags,
                "{name} {a:x} {b:x} mxcsr {mxcsr:x}: ours {r:x} {:x}, host {h:x} {flags:x}",
                env.flags
            );
        }
    }
}

#[test]
fn single_precision_is_the_hosts() {
    use host::*;
    agrees("add", Random::single, add, addss);
    agrees("sub", Random::single, sub, subss);
    agrees("mul", Random::single, mul, mulss);
    agrees("div", Random::single, div, divss);
    agrees("min", Random::single, min, minss);
    agrees("max", Random::single, max, maxss);
    agrees("sqrt", Random::single, |a, _, e| sqrt(a, e), sqrtss);
    agrees("round", Random::single, |a, _, e| round_to_integral(a, e.rounding, e), roundss);
    agrees("cvtps2dq", Random::single, |a, _, e| to_int(a, 32, e.rounding, e) as u32, cvtps2dq);
}

#[test]
fn double_precision_is_the_hosts() {
    use host::*;
    agrees("add", Random::double, add, addsd);
    agrees("sub", Random::double, sub, subsd);
    agrees("mul", Random::double, mul, mulsd);
    agrees("div", Random::double, div, divsd);
    agrees("min", Random::double, min, minsd);
    agrees("max", Random::double, max, maxsd);
    agrees("sqrt", Random::double, |a, _, e| sqrt(a, e), sqrtsd);
    agrees("round", Random::double, |a, _, e| round_to_integral(a, e.rounding, e), roundsd);
}

#[test]
fn conversions_are_the_hosts() {
    use host::*;
    let single = |r: &mut Random| u64::from(r.single());
    agrees("ss2sd", single, |a, _, e| convert::<u32, u64>(a as u32, e), cvtss2sd64);
    let narrow = |a: u64, _: u64, e: &mut Env| convert::<u64, u32>(a, e);
    agrees("sd2ss", Random::double, narrow, |a, b, m| {
        let (r, flags) = cvtsd2ss(a, b, m);
        (r as u32, flags)
    });
    agrees("si2sd", Random::next, |_, b, e| from_int::<u64>(b as i64, e), cvtsi2sd);
    agrees(
        "si2ss",
        Random::next,
        |_, b, e| from_int::<u32>(b as i64, e),
        |a, b, m| {
            let (r, flags) = cvtsi2ss(a, b, m);
            (r as u32, flags)
        },
    );
    agrees(
        "sd2dq",
        Random::double,
        |a, _, e| to_int(a, 32, e.rounding, e) as u32,
        |a, b, m| {
            let (r, flags) = cvtsd2dq(a, b, m);
            (r as u32, flags)
        },
    );
    agrees(
        "tsd2dq",
        Random::double,
        |a, _, e| to_int(a, 32, Rounding::Zero, e) as u32,
        |a, b, m| {
            let (r, flags) = cvttsd2dq(a, b, m);
            (r as u32, flags)
        },
    );
}

/// CF, PF and ZF as COMISD sets them.
fn flags_of(r: Relation) -> u64 {
    match r {
        Relation::Less => 1,
        Relation::Equal => 0x40,
        Relation::Greater => 0,
        Relation::Unordered => 0x45,
    }
}

#[test]
fn comparisons_are_the_hosts() {
    use host::*;
    agrees("ucomisd", Random::double, |a, b, e| flags_of(compare(a, b, true, e)), ucomisd);
    agrees("comisd", Random::double, |a, b, e| flags_of(compare(a, b, false, e)), comisd);
}

/// C1 and the six flags.
const SEEN: u16 = 0x23f;

fn x87_agrees(name: &str, ours: fn(F80, F80, &mut Env) -> F80, host: fn(F80, F80, u16) -> (F80, u16)) {
    let mut random = Random(0x0123_4567_89ab_cdef);
    for pc in [0u16, 2, 3] {
        for rc in 0..4u16 {
            // Masked, and some or all unmasked.
            for masks in [0x3f, 0x3f, 0x3f, 0, 0x27, 0x2f, 0x37, 0x3d, 0x1f] {
                let cw = pc << 8 | rc << 10 | masks;
                for _ in 0..ROUNDS / 10 {
                    let (a, b) = (random.extended(), random.extended());
                    let mut env = Env::x87(cw);
                    let mut r = ours(a, b, &mut env);
                    if env.unmasked() & (IE | DE | ZE) != 0 {
                        r = a;
                        env.up = false;
                    }
                    let sw = env.flags as u16 | if env.up { 0x200 } else { 0 };
                    let (h, host_sw) = host(a, b, cw);
                    assert!(
                        r == h && sw == host_sw & SEEN,
                        "{name} {a:x?} {b:x?} cw {cw:x}: ours {r:x?} {sw:x}, host {h:x?} {host_sw:x}"
                    );
                }
            }
        }
    }
}

#[test]
fn double_extended_precision_is_the_hosts() {
    use host::*;
    x87_agrees("fadd", add, fadd);
    x87_agrees("fsub", sub, fsub);
    x87_agrees("fmul", mul, fmul);
    x87_agrees("fdiv", div, fdiv);
    x87_agrees("fsqrt", |a, _, e| sqrt(a, e), fsqrt);
    x87_agrees("frndint", |a, _, e| round_to_integral(a, e.rounding, e), frndint);
}

#[test]
fn a_known_inexact_flag_lets_the_host_compute() {
    let mut random = Random(0x1357_9bdf_0246_8ace);
    for _ in 0..ROUNDS * 5 {
        let (a, b) = (random.double(), random.double());
        for op in [add::<u64>, sub, mul, div] {
            let (mut slow, mut fast) = (Env::sse(0x1f80), Env::sse(0x1fa0));
            let (r, q) = (op(a, b, &mut slow), op(a, b, &mut fast));
            assert_eq!((r, slow.flags | PE), (q, fast.flags | PE), "{a:x} {b:x}");
        }
    }
}
