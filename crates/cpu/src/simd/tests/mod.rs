//! Every MMX and SSE instruction against the host CPU: registers, flags, MXCSR, memory, x87 tags.

#[path = "../../../tests/common/mod.rs"]
mod common;
mod faults;
mod host;
mod operands;

use alloc::sync::Arc;
use std::string::String;
use std::vec::Vec;
use std::{eprintln, format};

use hako_mem::{Gpa, GuestMemory};
use hako_x86::{Cr4, Vector};

use crate::cx::Cx;
use crate::decode::{Lacks, decode};
use crate::flags::{ARITH as FLAGS, Flags};
use crate::fpu::state::{F80, Xmm};
use crate::op::{BLOCK_RIP, MEM, Op};
use crate::ops::misc;
use crate::{Config, Cpu};
use common::{TestBus, long_mode};
use host::{DATA, DATA_LEN, END, Host};
use operands::Random;

/// What instructions work on.
#[derive(Clone, PartialEq, Eq, Debug)]
struct State {
    gpr: [u64; 16],
    flags: u64,
    xmm: [[u8; 16]; 16],
    mxcsr: u32,
    /// By physical register.
    st: [(u64, u16); 8],
    top: u8,
    valid: u8,
}

/// The interpreter, its memory set up for 64-bit mode.
struct Guest {
    cpu: Cpu,
    bus: TestBus,
}

impl Guest {
    fn new() -> Guest {
        let memory = GuestMemory::flat(END);
        let mut state = long_mode(&memory);
        state.rip = 0x8000;
        memory.write(Gpa(0x8000), &[0x90]).unwrap();
        let (mut cpu, mut bus) = (Cpu::new(Config::default()), TestBus::new(memory));
        cpu.set_state(&state).unwrap();
        cpu.cr4 |= (Cr4::OSFXSR | Cr4::OSXMMEXCPT).bits();
        cpu.step(&mut bus);
        Guest { cpu, bus }
    }

    fn load(&mut self, s: &State) {
        let cpu = &mut self.cpu;
        cpu.r[..16].copy_from_slice(&s.gpr);
        cpu.r[usize::from(BLOCK_RIP)] = 0x8000;
        cpu.fl = Flags::from_bits(s.flags);
        cpu.fpu.xmm = s.xmm.map(Xmm);
        cpu.fpu.mxcsr = s.mxcsr;
        cpu.fpu.st = s.st.map(|(mant, se)| F80::new(se, mant));
        (cpu.fpu.top, cpu.fpu.valid, cpu.fpu.sw) = (s.top, s.valid, 0);
    }

    fn state(&self) -> State {
        let cpu = &self.cpu;
        let mut gpr = [0; 16];
        gpr.copy_from_slice(&cpu.r[..16]);
        State {
            gpr,
            flags: cpu.fl.bits(),
            xmm: cpu.fpu.xmm.map(|x| x.0),
            mxcsr: cpu.fpu.mxcsr,
            st: cpu.fpu.st.map(|r| (r.mant, r.se)),
            top: cpu.fpu.top,
            valid: cpu.fpu.valid,
        }
    }

    /// Executes one instruction; the exception, if it raises one.
    fn execute(&mut self, op: &Op) -> Option<Vector> {
        let slab = Arc::clone(self.bus.memory.slab());
        self.cpu.fault = None;
        let mut cx = Cx { cpu: &mut self.cpu, bus: &mut self.bus, slab };
        let step = (op.run)(&mut cx, op);
        let fault = self.cpu.fault.take();
        assert_eq!(step.is_err(), fault.is_some());
        fault.map(|f| f.vector)
    }
}

/// Decodes; `None` if it is undefined.
fn decoded(code: &[u8]) -> Option<Op> {
    let mut op = Op::EMPTY;
    decode(code, 2, Lacks::default(), 0, &mut op).ok()?;
    let refused = [misc::ud, misc::ud_needs_memory, misc::ud_needs_register];
    let undefined = refused.iter().any(|f| core::ptr::fn_addr_eq(op.run, *f as crate::op::Handler));
    (!undefined && usize::from(op.len) == code.len()).then_some(op)
}

const PREFIXES: [Option<u8>; 4] = [None, Some(0x66), Some(0xf3), Some(0xf2)];
const MAPS: [&[u8]; 3] = [&[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]];

/// Whether the opcode belongs to MMX or SSE and works on registers and data alone.
fn ours(map: usize, opcode: u8) -> bool {
    match (map, opcode) {
        (0, 0x77..=0x79) => false,
        (0, 0x10..=0x17 | 0x28..=0x2f | 0x50..=0x7f | 0xc2 | 0xc4..=0xc6 | 0xd0..=0xfe) => true,
        (1, 0x00..=0x41 | 0xdb..=0xdf) => true,
        (2, _) => true,
        _ => false,
    }
}

/// RCPPS and RSQRTPS, whose values are the processor's own.
fn approximate(map: usize, opcode: u8) -> bool {
    map == 0 && matches!(opcode, 0x52 | 0x53)
}

fn cvtpi2ps_from_memory(code: &[u8], op: &Op) -> bool {
    !matches!(code[0], 0x66 | 0xf2 | 0xf3) && code.contains(&0x2a) && op.pfx & MEM != 0
}

/// An instruction with random registers (never RSP), memory at RBX, and its immediate if `imm`.
fn encode(
    random: &mut Random,
    prefix: Option<u8>,
    map: usize,
    opcode: u8,
    mem: bool,
    group: Option<u8>,
    imm: bool,
) -> Vec<u8> {
    let mut code: Vec<u8> = prefix.into_iter().collect();
    let register = |random: &mut Random| loop {
        let r = random.below(16) as u8;
        if r != 4 {
            return r;
        }
    };
    let reg = group.unwrap_or_else(|| register(random));
    let rm = if mem { 3 } else { register(random) };
    let rex = reg >> 3 << 2 | rm >> 3 | if random.chance(3) { 8 } else { 0 };
    if rex != 0 {
        code.push(0x40 | rex);
    }
    code.extend(MAPS[map]);
    code.push(opcode);
    code.push(if mem { 0 } else { 0xc0 } | (reg & 7) << 3 | rm & 7);
    if imm {
        code.push(random.next() as u8);
    }
    code
}

/// A random state; RBX and RDI point into the data.
fn random_state(random: &mut Random, masked: bool) -> State {
    let mut gpr = [0; 16];
    gpr.fill_with(|| if random.chance(2) { random.below(40).wrapping_sub(20) } else { random.next() });
    gpr[3] = DATA + 0x40 + random.below(16) * 16;
    gpr[7] = DATA + 0x140 + random.below(64);
    let mut xmm = [[0; 16]; 16];
    for i in 0..16 {
        xmm[i] = if i > 0 && random.chance(12) { xmm[i - 1] } else { random.vector() };
    }
    let mut st = [(0, 0); 8];
    st.fill_with(|| {
        let v = random.vector();
        (u64::from_le_bytes([v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]]), random.next() as u16)
    });
    State {
        gpr,
        flags: random.next() & FLAGS,
        xmm,
        mxcsr: random.mxcsr(masked),
        st,
        top: random.below(8) as u8,
        valid: random.next() as u8,
    }
}

/// What differs, in words.
fn differences(ours: &State, host: &State) -> Vec<String> {
    let mut d = Vec::new();
    for i in 0..16 {
        if ours.gpr[i] != host.gpr[i] {
            d.push(format!("r{i}: ours {:x}, host {:x}", ours.gpr[i], host.gpr[i]));
        }
        if ours.xmm[i] != host.xmm[i] {
            let hex = |v: [u8; 16]| u128::from_le_bytes(v);
            d.push(format!("xmm{i}: ours {:032x}, host {:032x}", hex(ours.xmm[i]), hex(host.xmm[i])));
        }
    }
    if ours.flags != host.flags {
        d.push(format!("flags: ours {:x}, host {:x}", ours.flags, host.flags));
    }
    if ours.mxcsr != host.mxcsr {
        d.push(format!("mxcsr: ours {:x}, host {:x}", ours.mxcsr, host.mxcsr));
    }
    if (ours.st, ours.top, ours.valid) != (host.st, host.top, host.valid) {
        d.push(format!(
            "x87: ours {:x?} top {} valid {:x}, host {:x?} top {} valid {:x}",
            ours.st, ours.top, ours.valid, host.st, host.top, host.valid
        ));
    }
    d
}

/// Both CPUs.
struct Pair {
    host: Host,
    guest: Guest,
    random: Random,
    wrong: Vec<String>,
}

impl Pair {
    /// Runs an instruction on both from the same random state and compares.
    fn check(&mut self, code: &[u8], masked: bool) {
        let Some(op) = decoded(code) else { return };
        let before = random_state(&mut self.random, masked);
        let data = self.random.memory(DATA_LEN);
        self.host.write(DATA, &data);
        self.guest.bus.memory.write(Gpa(DATA), &data).unwrap();
        let mut host = before.clone();
        let raised = self.host.run(&mut host);
        self.guest.load(&before);
        let fault = self.guest.execute(&op);
        let ours = self.guest.state();
        if raised || cvtpi2ps_from_memory(code, &op) {
            // Whether a refused conversion from MMX has left x87 for MMX is the processor's own; here it has not. With
            // a memory operand CVTPI2PS does on Intel's, as CVTPI2PD does not.
            (host.top, host.valid) = (ours.top, ours.valid);
        }
        let mut d = differences(&ours, &host);
        if fault != raised.then_some(Vector::XM) {
            d.push(format!("exception: ours {fault:?}, host raises #XM: {raised}"));
        }
        let (mut ours, mut theirs) = (data.clone(), data);
        self.guest.bus.memory.read(Gpa(DATA), &mut ours).unwrap();
        self.host.read(DATA, &mut theirs);
        if let Some(at) = ours.iter().zip(&theirs).position(|(a, b)| a != b) {
            d.push(format!("memory at {at:x}"));
        }
        if d.is_empty() {
            return;
        }
        let hex = |r: u8| u128::from_le_bytes(before.xmm[usize::from(r & 15)]);
        let memory = (op.pfx & MEM != 0).then(|| {
            let at = (before.gpr[3] - DATA) as usize;
            let mut b = [0; 16];
            self.host.read(DATA + at as u64, &mut b);
            u128::from_le_bytes(b)
        });
        self.wrong.push(format!(
            "{code:02x?} dst {:032x} src {:032x} memory {memory:032x?} mxcsr {:x}: {}",
            hex(op.reg),
            hex(op.base),
            before.mxcsr,
            d.join("; ")
        ));
    }
}

/// Calls `f` with every encoding form of every instruction: prefix, map, opcode, memory, group, immediate.
fn every(mut f: impl FnMut(Option<u8>, usize, u8, bool, Option<u8>, bool)) {
    for map in 0..3 {
        for opcode in (0..=255u8).filter(|o| ours(map, *o)) {
            let groups: &[Option<u8>] = if map == 0 && matches!(opcode, 0x71..=0x73) {
                &[Some(2), Some(3), Some(4), Some(6), Some(7)]
            } else {
                &[None]
            };
            for prefix in PREFIXES {
                for group in groups {
                    for (mem, imm) in [(false, false), (false, true), (true, false), (true, true)] {
                        f(prefix, map, opcode, mem, *group, imm);
                    }
                }
            }
        }
    }
}

impl Pair {
    fn new() -> Pair {
        let random = Random(0x9e37_79b9_7f4a_7c15);
        Pair { host: Host::new(), guest: Guest::new(), random, wrong: Vec::new() }
    }
}

/// RCPPS, RSQRTPS and their single forms: special values are the host's, others are within 1.5 x 2^-12 of the exact value.
fn approximations(p: &mut Pair) {
    for opcode in [0x52u8, 0x53] {
        for n in 0..20_000 {
            let code: &[u8] = if n & 1 == 0 { &[0x0f, opcode, 0xc1] } else { &[0xf3, 0x0f, opcode, 0xc1] };
            if n < 2 || n & 1 != (n - 1) & 1 {
                p.host.prepare(code);
            }
            let op = decoded(code).unwrap();
            let before = random_state(&mut p.random, true);
            let mut host = before.clone();
            p.host.run(&mut host);
            p.guest.load(&before);
            assert_eq!(p.guest.execute(&op), None);
            let ours = p.guest.state();
            assert_eq!(ours.mxcsr, host.mxcsr);
            for lane in 0..4 {
                let single = |v: &[u8; 16]| f32::from_le_bytes([0, 1, 2, 3].map(|i| v[4 * lane + i]));
                let (a, b, x) = (single(&ours.xmm[0]), single(&host.xmm[0]), single(&before.xmm[1]));
                let exact = if opcode == 0x53 { 1.0 / f64::from(x) } else { 1.0 / f64::from(x).sqrt() };
                let near = (f64::from(a) / exact - 1.0).abs() <= 1.5 / 4096.0;
                let tiny = exact.abs() < f64::from(f32::MIN_POSITIVE) * 1.001;
                let untouched = n & 1 == 1 && lane > 0;
                let special = untouched || a.is_nan() || a.is_infinite() || a == 0.0;
                let same = a.to_bits() == b.to_bits();
                assert!(
                    if special { same || tiny } else { near },
                    "{opcode:x} {x:e}: ours {a:e}, host {b:e}"
                );
            }
        }
    }
}

#[test]
fn every_instruction_does_what_the_host_does() {
    let mut p = Pair::new();
    approximations(&mut p);
    let mut count = 0;
    every(|prefix, map, opcode, mem, group, imm| {
        if approximate(map, opcode) {
            return;
        }
        let mut any = false;
        for _ in 0..10 {
            let code = encode(&mut p.random, prefix, map, opcode, mem, group, imm);
            if decoded(&code).is_none() {
                continue;
            }
            any = true;
            p.host.prepare(&code);
            for i in 0..24 {
                p.check(&code, i < 16);
            }
        }
        count += usize::from(any);
    });
    for w in p.wrong.iter().step_by(1 + p.wrong.len() / 20) {
        eprintln!("{w}");
    }
    assert_eq!(p.wrong.len(), 0);
    // As many forms as there are: none has got lost.
    assert!(count > 400, "{count}");
}
