//! The decoder against iced-x86: which byte strings are instructions, and how long they are.

use alloc::vec::Vec;
use std::eprintln;

use hako_x86::Features;
use hako_x86::cpuid::MAX;
use iced_x86::{Code, CpuidFeature, Decoder, DecoderError, DecoderOptions, Instruction, Mnemonic};

use super::{Lacks, MAX_LEN, Short, decode};
use crate::op::{Handler, Op};
use crate::ops::misc;
use crate::{control, seg};

/// A small generator of repeatable random numbers (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// What a decoder makes of bytes.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Verdict {
    Length(usize),
    Undefined,
    Short,
    /// Not to be compared: belongs to x87, MMX, SSE or later.
    Foreign,
}

fn is(f: Handler, g: Handler) -> bool {
    core::ptr::fn_addr_eq(f, g)
}

fn ours(bytes: &[u8], mode: u8) -> Verdict {
    const UNDEFINED: [Handler; 5] =
        [misc::ud, misc::ud_lock, misc::ud_needs_memory, misc::ud_needs_register, misc::ud_in_64bit];
    let mut op = Op::EMPTY;
    match decode(bytes, mode, Lacks::default(), 0, &mut op) {
        Err(Short) => Verdict::Short,
        Ok(_) if UNDEFINED.iter().any(|u| is(op.run, *u)) => Verdict::Undefined,
        Ok(_) => Verdict::Length(usize::from(op.len)),
    }
}

/// Features that this CPU's decoder knows.
const KNOWN: &[CpuidFeature] = &[
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL8086_ONLY,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::X64,
    CpuidFeature::CMOV,
    CpuidFeature::FPU,
    CpuidFeature::FPU287,
    CpuidFeature::FPU387,
    CpuidFeature::FXSR,
    CpuidFeature::XSAVE,
    CpuidFeature::XSAVEOPT,
    CpuidFeature::CPUID,
    CpuidFeature::CX8,
    CpuidFeature::CMPXCHG16B,
    CpuidFeature::MOVBE,
    CpuidFeature::MSR,
    CpuidFeature::MULTIBYTENOP,
    CpuidFeature::PAUSE,
    CpuidFeature::POPCNT,
    CpuidFeature::RDTSCP,
    CpuidFeature::SEP,
    CpuidFeature::SYSCALL,
    CpuidFeature::TSC,
    CpuidFeature::RDPMC,
    CpuidFeature::PREFETCHW,
    CpuidFeature::MMX,
    CpuidFeature::SSE,
    CpuidFeature::SSE2,
    CpuidFeature::SSE3,
    CpuidFeature::SSSE3,
    CpuidFeature::SSE4_1,
    CpuidFeature::SSE4_2,
    CpuidFeature::AES,
    CpuidFeature::PCLMULQDQ,
    CpuidFeature::CLFSH,
    CpuidFeature::CLFLUSHOPT,
    CpuidFeature::CLWB,
    CpuidFeature::FSGSBASE,
    CpuidFeature::INVPCID,
    CpuidFeature::RDPID,
    CpuidFeature::RDRAND,
    CpuidFeature::RDSEED,
    CpuidFeature::SMAP,
];

fn theirs(bytes: &[u8], mode: u8) -> (Verdict, Instruction) {
    let mut d = Decoder::new(16 << mode, bytes, DecoderOptions::NONE);
    let i = d.decode();
    let v = match (d.last_error(), i.code()) {
        (DecoderError::NoMoreBytes, _) => Verdict::Short,
        (_, Code::INVALID) => Verdict::Undefined,
        (_, Code::Ud0 | Code::Ud0_r16_rm16 | Code::Ud0_r32_rm32 | Code::Ud0_r64_rm64 | Code::Ud2) => {
            Verdict::Undefined
        }
        _ if i.mnemonic() == Mnemonic::Ud1 => Verdict::Undefined,
        // The 386's XBTS, 286's LOADALL and their like are gone.
        _ if i.cpuid_features().iter().all(|f| KNOWN.contains(f)) => Verdict::Length(i.len()),
        // Later instructions in the place of NOPs or ignored prefixes have the same length.
        _ if ours(bytes, mode) == Verdict::Length(i.len()) => Verdict::Length(i.len()),
        _ => Verdict::Foreign,
    };
    (v, i)
}

/// Where the two are meant to differ.
fn excused(bytes: &[u8], mode: u8, i: &Instruction) -> bool {
    use Mnemonic::*;
    let modern = matches!(i.mnemonic(), Rsm | Getsec);
    // Segment, control and debug registers that do not exist are #UD when executed.
    let mut op = Op::EMPTY;
    let decoded = decode(bytes, mode, Lacks::default(), 0, &mut op).is_ok();
    let ours_by = |f: Handler| decoded && is(op.run, f);
    let register = i.code() == Code::INVALID
        && [
            seg::mov_to_sreg,
            seg::mov_from_sreg,
            control::mov_from_cr,
            control::mov_to_cr,
            control::mov_from_dr,
            control::mov_to_dr,
        ]
        .into_iter()
        .any(ours_by);
    modern || register
}

fn compare(bytes: &[u8], mode: u8) -> Result<(), alloc::string::String> {
    let (a, (b, i)) = (ours(bytes, mode), theirs(bytes, mode));
    // Past 15 bytes iced says invalid, and so will the fetch that asks for more.
    let too_long = a == Verdict::Short && b == Verdict::Undefined && bytes.len() == MAX_LEN;
    if a == b
        || too_long
        || a == Verdict::Foreign
        || b == Verdict::Foreign && a == Verdict::Undefined
        || excused(bytes, mode, &i)
    {
        return Ok(());
    }
    Err(alloc::format!("{}-bit {bytes:02x?}: ours {a:?}, iced {b:?} {:?}", 16 << mode, i.code()))
}

/// Bytes that sweep the opcodes of each map, behind some prefixes.
fn instruction(random: &mut Random, n: u64) -> [u8; MAX_LEN] {
    const PREFIXES: [u8; 16] =
        [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x64, 0x48, 0x41, 0x4f, 0x66, 0xf3, 0x44, 0x40, 0x26, 0x36];
    let mut bytes = [0u8; MAX_LEN];
    for chunk in bytes.chunks_mut(8) {
        let v = random.next().to_le_bytes();
        chunk.copy_from_slice(&v[..chunk.len()]);
    }
    let mut at = 0;
    let kind = random.next();
    for k in 0..(kind & 3) {
        bytes[at] = PREFIXES[(kind >> (8 + 4 * k) & 15) as usize];
        at += 1;
    }
    match kind >> 4 & 7 {
        0..=2 => bytes[at] = 0x0f,
        3 => {
            bytes[at] = 0x0f;
            bytes[at + 1] = if n & 1 == 0 { 0x38 } else { 0x3a };
            bytes[at + 2] = if n & 2 == 0 { 0xf0 | bytes[at + 2] & 1 } else { bytes[at + 2] };
        }
        _ => {}
    }
    bytes
}

#[test]
fn length_and_validity_agree_with_iced() {
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut wrong: Vec<alloc::string::String> = Vec::new();
    for n in 0..600_000u64 {
        let bytes = instruction(&mut random, n);
        for mode in 0..3 {
            if let Err(e) = compare(&bytes, mode) {
                wrong.push(e);
            }
        }
    }
    for w in wrong.iter().take(40) {
        eprintln!("{w}");
    }
    assert_eq!(wrong.len(), 0);
}

/// Features as the other decoder calls them.
const NAMES: &[(CpuidFeature, Features)] = &[
    (CpuidFeature::FPU, Features::FPU),
    (CpuidFeature::FPU287, Features::FPU),
    (CpuidFeature::FPU387, Features::FPU),
    (CpuidFeature::TSC, Features::TSC),
    (CpuidFeature::MSR, Features::MSR),
    (CpuidFeature::CX8, Features::CX8),
    (CpuidFeature::CMPXCHG16B, Features::CX16),
    (CpuidFeature::SEP, Features::SEP),
    (CpuidFeature::CMOV, Features::CMOV),
    (CpuidFeature::CLFSH, Features::CLFSH),
    (CpuidFeature::MMX, Features::MMX),
    (CpuidFeature::FXSR, Features::FXSR),
    (CpuidFeature::SSE, Features::SSE),
    (CpuidFeature::SSE2, Features::SSE2),
    (CpuidFeature::SSE3, Features::SSE3),
    (CpuidFeature::SSSE3, Features::SSSE3),
    (CpuidFeature::SSE4_1, Features::SSE41),
    (CpuidFeature::SSE4_2, Features::SSE42),
    (CpuidFeature::MOVBE, Features::MOVBE),
    (CpuidFeature::POPCNT, Features::POPCNT),
    (CpuidFeature::AES, Features::AES),
    (CpuidFeature::PCLMULQDQ, Features::PCLMULQDQ),
    (CpuidFeature::XSAVE, Features::XSAVE),
    (CpuidFeature::XSAVEOPT, Features::XSAVEOPT),
    (CpuidFeature::RDRAND, Features::RDRAND),
    (CpuidFeature::RDSEED, Features::RDSEED),
    (CpuidFeature::FSGSBASE, Features::FSGSBASE),
    (CpuidFeature::INVPCID, Features::INVPCID),
    (CpuidFeature::SMAP, Features::SMAP),
    (CpuidFeature::CLFLUSHOPT, Features::CLFLUSHOPT),
    (CpuidFeature::CLWB, Features::CLWB),
    (CpuidFeature::RDPID, Features::RDPID),
    (CpuidFeature::SYSCALL, Features::SYSCALL),
    (CpuidFeature::RDTSCP, Features::RDTSCP),
];

/// An instruction is #UD exactly on the CPUs that lack a feature that it belongs to.
#[test]
fn features_agree_with_iced() {
    let mut random = Random(0x0bad_cafe_1234_5671);
    let mut wrong: Vec<alloc::string::String> = Vec::new();
    let features: Vec<Features> = NAMES.iter().map(|n| n.1).collect();
    for n in 0..50_000u64 {
        let bytes = instruction(&mut random, n);
        for mode in 0..3 {
            let (verdict, i) = theirs(&bytes, mode);
            if !matches!(verdict, Verdict::Length(_)) || ours(&bytes, mode) != verdict {
                continue;
            }
            let named = |f: &CpuidFeature| NAMES.iter().find(|n| n.0 == *f).map(|n| n.1);
            let mut needed = i.cpuid_features().iter().filter_map(named).fold(Features::NONE, Features::with);
            match i.mnemonic() {
                // Hints do nothing where they are not known. PADDQ came with SSE2, for MMX registers, too.
                Mnemonic::Prefetchnta
                | Mnemonic::Prefetcht0
                | Mnemonic::Prefetcht1
                | Mnemonic::Prefetcht2 => {
                    needed = Features::NONE;
                }
                Mnemonic::Paddq => needed = Features::SSE2,
                _ => {}
            }
            if i.mnemonic() == Mnemonic::Fisttp || needed.has(Features::CMOV) && i.op0_register().is_st() {
                needed = needed | Features::FPU;
            }
            for feature in &features {
                let lacks = Lacks::of(&MAX.features.without(*feature));
                let mut op = Op::EMPTY;
                let refused =
                    decode(&bytes, mode, lacks, 0, &mut op).is_ok() && is(op.run, misc::ud_not_offered);
                if refused != needed.has(*feature) {
                    let code = i.code();
                    wrong.push(alloc::format!("{code:?} needs {needed:?}; without {feature:?}: {refused}"));
                }
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    for w in wrong.iter().take(40) {
        eprintln!("{w}");
    }
    assert_eq!(wrong.len(), 0);
}
