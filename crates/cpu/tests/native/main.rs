//! The host CPU as oracle: the same instruction, registers, flags and memory, natively and interpreted.
//!
//! Undefined flags are masked by table. Everything runs in 64-bit mode; the bytes of an instruction are made from a row
//! of a table and random operands.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

#[path = "../common/mod.rs"]
mod common;
mod legacy;
mod rows;
mod x87;

use common::{Random, TestBus, long_mode};
use hako_cpu::{Config, Cpu};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, RFlags};
use rows::{ROWS, Row};

/// Both on the host and in the guest: data, and code behind it.
const DATA: u64 = 0x1000_0000;
const DATA_LEN: usize = 0x2000;
const CONTEXT: u64 = 0x1001_0000;
const CODE: u64 = 0x1002_0000;
const GPRS: usize = 16;

const CF: u64 = 1;
const PF: u64 = 4;
const AF: u64 = 0x10;
const ZF: u64 = 0x40;
const SF: u64 = 0x80;
const OF: u64 = 0x800;
const ALL: u64 = CF | PF | AF | ZF | SF | OF;

/// Memory at fixed low addresses of this process.
struct Host;

impl Host {
    fn new() -> Host {
        let (start, len) = (DATA as usize, (CODE - DATA) as usize + 0x1000);
        // SAFETY: a new private mapping at an address that the kernel refuses if anything is there.
        let p = unsafe {
            libc::mmap(
                start as *mut libc::c_void,
                len,
                libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
                -1,
                0,
            )
        };
        assert_eq!(p as usize, start, "the host has no room at the test's address");
        Host
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        // SAFETY: within the mapping of `new`; nothing else refers to it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
    }

    fn read(&self, at: u64, bytes: &mut [u8]) {
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(at as *const u8, bytes.as_mut_ptr(), bytes.len()) };
    }

    /// Runs `code` with `regs` and `flags`, and replaces them by what they are afterwards.
    /// Returns where the code was.
    fn run(&self, code: &[u8], regs: &mut [u64; GPRS], flags: &mut u64) -> u64 {
        let context = CONTEXT as u32;
        let mut b = vec![0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57]; // push rbx, rbp, r12-r15
        let access = |b: &mut Vec<u8>, op: u8, reg: usize, at: u32| {
            b.extend([0x48 | (reg as u8 >> 3) << 2, op, (reg as u8 & 7) << 3 | 4, 0x25]);
            b.extend(at.to_le_bytes());
        };
        access(&mut b, 0x89, 4, context + 0x200);
        b.extend([0xff, 0x34, 0x25]); // push [flags]; popfq
        b.extend((context + 0x100).to_le_bytes());
        b.push(0x9d);
        for r in 0..GPRS {
            access(&mut b, 0x8b, r, context + r as u32 * 8);
        }
        let start = CODE + b.len() as u64;
        b.extend(code);
        for r in 0..GPRS {
            access(&mut b, 0x89, r, context + r as u32 * 8);
        }
        access(&mut b, 0x8b, 4, context + 0x200);
        b.extend([0x9c, 0x8f, 0x04, 0x25]); // pushfq; pop [flags]; cld
        b.extend((context + 0x100).to_le_bytes());
        b.push(0xfc);
        b.extend([0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3]);
        self.write(CODE, &b);
        for (i, r) in regs.iter().enumerate() {
            self.write(CONTEXT + i as u64 * 8, &r.to_le_bytes());
        }
        self.write(CONTEXT + 0x100, &flags.to_le_bytes());
        // SAFETY: the code above keeps the C ABI: it saves and restores the callee's registers and the stack pointer,
        // and the instruction in the middle touches registers, flags and DATA only.
        unsafe { std::mem::transmute::<usize, extern "C" fn()>(CODE as usize)() };
        let mut word = [0; 8];
        for (i, r) in regs.iter_mut().enumerate() {
            self.read(CONTEXT + i as u64 * 8, &mut word);
            *r = u64::from_le_bytes(word);
        }
        self.read(CONTEXT + 0x100, &mut word);
        *flags = u64::from_le_bytes(word);
        start
    }
}

/// Both CPUs.
struct Pair {
    host: Host,
    cpu: Cpu,
    bus: TestBus,
    state: CpuState,
    random: Random,
}

/// Registers and memory before an instruction.
struct Before {
    regs: [u64; GPRS],
    flags: u64,
}

impl Pair {
    fn new() -> Pair {
        let memory = GuestMemory::flat(CODE + 0x1000);
        let state = long_mode(&memory);
        Pair {
            host: Host::new(),
            cpu: Cpu::new(Config::default()),
            bus: TestBus::new(memory),
            state,
            random: Random(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// Random registers; RBX, RSI, RDI and RSP point into DATA.
    fn before(&mut self) -> Before {
        let mut regs = [0; GPRS];
        regs.fill_with(|| self.random.value());
        regs[3] = DATA + 0x800 + self.random.below(64);
        regs[6] = DATA + 0x400 + self.random.below(64);
        regs[7] = DATA + 0x600 + self.random.below(600);
        regs[4] = DATA + 0x1800 + self.random.below(8) * 8;
        Before { regs, flags: self.random.next() & ALL | 0x202 }
    }

    /// Runs `code` on both and compares; flags in `undefined` may differ.
    fn check(&mut self, name: &str, code: &[u8], b: &Before, undefined: u64) {
        let mut data = vec![0u8; DATA_LEN];
        for chunk in data.chunks_mut(8) {
            let v = self.random.value().to_le_bytes();
            chunk.copy_from_slice(&v);
        }
        self.bus.memory.write(Gpa(DATA), &data).unwrap();
        self.host.write(DATA, &data);
        let (mut regs, mut flags) = (b.regs, b.flags);
        let start = self.host.run(code, &mut regs, &mut flags);
        self.bus.memory.write(Gpa(start), code).unwrap();
        let mut host_data = vec![0; DATA_LEN];
        self.host.read(DATA, &mut host_data);

        self.state.gpr = b.regs;
        self.state.rflags = RFlags::from_bits_retain(b.flags);
        self.state.rip = start;
        self.cpu.set_state(&self.state).unwrap();
        let end = start + code.len() as u64;
        for _ in 0..2000 {
            self.cpu.step(&mut self.bus);
            let rip = self.cpu.state().rip;
            if rip == end || !(start..end).contains(&rip) {
                break;
            }
        }
        let after = self.cpu.state();
        let mut ours = vec![0; DATA_LEN];
        self.bus.memory.read(Gpa(DATA), &mut ours).unwrap();
        let context = || {
            let changed = data.iter().zip(&host_data).position(|(a, b)| a != b);
            format!(
                "{name} {code:02x?}\nbefore {:x?} flags {:x}\nhost changes data at {changed:x?}",
                b.regs, b.flags
            )
        };
        assert_eq!(after.rip, end, "rip: {}; {:?}", context(), self.cpu.faults().last());
        for (r, (ours, host)) in after.gpr.iter().zip(&regs).enumerate() {
            assert_eq!(ours, host, "register {r}: ours {ours:x}, host {host:x}; {}", context());
        }
        let differ = (after.rflags.bits() ^ flags) & ALL & !undefined;
        assert_eq!(differ, 0, "flags ours {:x}, host {:x}; {}", after.rflags.bits(), flags, context());
        assert!(
            ours == host_data,
            "memory at {:x?}; {}",
            ours.iter().zip(&host_data).position(|(a, b)| a != b),
            context()
        );
    }
}

/// Random prefixes and ModRM for a row; the memory operand is based on RBX.
fn encode(random: &mut Random, op: &[u8], ext: Option<u8>, imm: u8, byte: bool, lead: Option<u8>) -> Vec<u8> {
    let mut code = Vec::new();
    let kind = random.below(if byte { 2 } else { 4 });
    let word = !byte && kind == 0;
    if word {
        code.push(0x66);
    }
    code.extend(lead);
    let mem = random.below(2) == 0;
    let mut reg = ext.unwrap_or(random.below(16) as u8);
    let mut rm = random.below(16) as u8;
    if reg == 4 && ext.is_none() {
        reg = 5;
    }
    if rm == 4 && !mem {
        rm = 2;
    }
    let wide = kind == 1 && !byte;
    let mut rex = if wide { 0x48 } else { 0 } | if reg > 7 { 0x44 } else { 0 };
    if !mem && rm > 7 {
        rex |= 0x41;
    }
    // Without REX 4 to 7 are AH to BH; with it SPL, which would move the stack.
    if byte && rex == 0 && random.below(3) == 0 && !(reg == 4 || rm == 4) {
        rex = 0x40;
    }
    if byte && rex != 0 && (reg == 4 && ext.is_none() || !mem && rm & 7 == 4) {
        reg = if ext.is_some() { reg } else { 1 };
        rm = 1 | rm & 8;
    }
    if rex != 0 {
        code.push(rex);
    }
    code.extend(op);
    if mem {
        if random.below(2) == 0 {
            code.push((reg & 7) << 3 | 3);
        } else {
            code.extend([0x40 | (reg & 7) << 3 | 3, random.next() as u8]);
        }
    } else {
        code.push(0xc0 | (reg & 7) << 3 | rm & 7);
    }
    let n = if imm == 4 && word { 2 } else { imm };
    code.extend((0..n).map(|_| random.next() as u8));
    code
}

#[test]
fn instructions_do_what_the_host_does() {
    let mut p = Pair::new();
    x87::check(&mut p);
    for Row(name, op, ext, imm, byte, undefined) in ROWS {
        for _ in 0..400 {
            let code = encode(&mut p.random, op, *ext, *imm, *byte, None);
            let b = p.before();
            p.check(name, &code, &b, *undefined);
        }
    }
    more(&mut p);
}

/// Instructions whose operands or undefined results need care. One test with the above: both use the same addresses.
fn more(p: &mut Pair) {
    for _ in 0..3000 {
        // Shifts by more than one: OF and AF are undefined, and CF for counts beyond the width.
        let ext = p.random.below(8) as u8;
        let by_cl = p.random.below(2) == 0;
        let byte = p.random.below(2) == 0;
        let op = match (by_cl, byte) {
            (true, true) => 0xd2,
            (true, false) => 0xd3,
            (false, true) => 0xc0,
            (false, false) => 0xc1,
        };
        let code = encode(&mut p.random, &[op], Some(ext), u8::from(!by_cl), byte, None);
        let b = p.before();
        let count = if by_cl { b.regs[1] as u8 } else { code[code.len() - 1] };
        let wide = !byte && code.iter().take(2).any(|b| b & 0xf8 == 0x48);
        let count = count & if wide { 63 } else { 31 };
        let mut undefined = if ext < 4 { 0 } else { AF };
        if count != 1 {
            undefined |= OF;
        }
        let width = if byte {
            8
        } else if code[0] == 0x66 {
            16
        } else {
            32
        };
        if ext >= 4 && !wide && count >= width {
            undefined |= CF;
        }
        if count == 0 {
            undefined = 0;
        }
        p.check("shift", &code, &b, undefined);
    }
    for _ in 0..1500 {
        let op = [0xa4, 0xac, 0xa5, 0xad][p.random.below(4) as usize];
        let mut code = encode(&mut p.random, &[0x0f, op], None, u8::from(op & 1 == 0), false, None);
        let mut b = p.before();
        let word = code[0] == 0x66;
        let last = code.len() - 1;
        if word {
            // Counts above 16 are undefined.
            b.regs[1] = b.regs[1] & !0xff | p.random.below(17);
            if op & 1 == 0 {
                code[last] = p.random.below(17) as u8;
            }
        }
        let wide = code[usize::from(word)] & 0xf8 == 0x48;
        let count = if op & 1 == 0 { code[last] } else { b.regs[1] as u8 } & if wide { 63 } else { 31 };
        let undefined = if count == 0 {
            0
        } else if count == 1 {
            AF
        } else {
            AF | OF
        };
        p.check("shld/shrd", &code, &b, undefined);
    }
    for _ in 0..1000 {
        let code = encode(&mut p.random, &[0x0f, 0xb8], None, 0, false, Some(0xf3));
        let b = p.before();
        p.check("popcnt", &code, &b, 0);
        let (op, byte) = if p.random.below(2) == 0 { (0xf0, true) } else { (0xf1, false) };
        let code = encode(&mut p.random, &[0x0f, 0x38, op], None, 0, byte, Some(0xf2));
        let b = p.before();
        p.check("crc32", &code, &b, 0);
        let cc = p.random.below(16) as u8;
        let code = encode(&mut p.random, &[0x0f, 0x40 | cc], None, 0, false, None);
        let b = p.before();
        p.check("cmovcc", &code, &b, 0);
        let code = encode(&mut p.random, &[0x0f, 0x90 | cc], Some(0), 0, true, None);
        let b = p.before();
        p.check("setcc", &code, &b, 0);
        // jcc +2; mov al, 1
        let b = p.before();
        p.check("jcc", &[0x70 | cc, 2, 0xb0, 1], &b, 0);
        let op = [0xa3, 0xab, 0xb3, 0xbb][p.random.below(4) as usize];
        let code = encode(&mut p.random, &[0x0f, op], None, 0, false, None);
        let mut b = p.before();
        let keep = [b.regs[3], b.regs[4]];
        for r in b.regs.iter_mut() {
            // A signed bit index within DATA, whatever the operand size.
            *r = (*r as i64 % 4000) as u64;
        }
        (b.regs[3], b.regs[4]) = (keep[0], keep[1]);
        if code.ends_with(&[0xdb])
            || code[code.len() - 1] >> 3 & 7 == 3
            || code.iter().any(|c| c >> 3 & 7 == 3)
        {
            continue; // RBX would be the index, and far away
        }
        p.check("bt", &code, &b, OF | SF | AF | PF);
    }
    divisions(p);
    strings(p);
    singles(p);
    legacy::check(p);
}

fn divisions(p: &mut Pair) {
    for _ in 0..4000 {
        let signed = p.random.below(2) == 0;
        let bits = [8u32, 16, 32, 64][p.random.below(4) as usize];
        let divisor = p.random.value() | 1;
        let mut b = p.before();
        let mask = u64::MAX >> (64 - bits);
        let d = divisor & mask;
        // A quotient that fits: dividend = quotient * divisor + remainder.
        let q = p.random.value() & mask;
        let dividend = if signed {
            let sx = |v: u64| (i128::from(v as i64) << (64 + 64 - bits)) >> (64 + 64 - bits);
            (sx(q) * sx(d)) as u128
        } else {
            u128::from(q) * u128::from(d)
        };
        let (low, high) = (dividend as u64 & mask, (dividend >> bits) as u64 & mask);
        b.regs[9] = divisor;
        if bits == 8 {
            b.regs[0] = b.regs[0] & !0xffff | low | high << 8;
        } else {
            b.regs[0] = b.regs[0] & !mask | low;
            b.regs[2] = b.regs[2] & !mask | high;
        }
        let modrm = 0xc1 | if signed { 7 } else { 6 } << 3;
        let code: &[u8] = match bits {
            8 => &[0x41, 0xf6, modrm],
            16 => &[0x66, 0x41, 0xf7, modrm],
            32 => &[0x41, 0xf7, modrm],
            _ => &[0x49, 0xf7, modrm],
        };
        p.check("div", code, &b, ALL);
    }
}

fn strings(p: &mut Pair) {
    for op in [0xa4u8, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf] {
        for i in 0..200 {
            let mut code = Vec::new();
            match p.random.below(3) {
                0 => code.push(0x66),
                1 => code.push(0x48),
                _ => {}
            }
            let mut b = p.before();
            match i % 4 {
                0 => {}
                1 if matches!(op, 0xa6 | 0xa7 | 0xae | 0xaf) => code.insert(0, 0xf2),
                _ => code.insert(0, 0xf3),
            }
            b.regs[1] = p.random.below(90);
            if i % 5 == 0 {
                // Down.
                b.flags |= 0x400;
                (b.regs[6], b.regs[7]) = (b.regs[6] + 0x800, b.regs[7] + 0x800);
            }
            if i % 7 == 0 {
                // Overlapping.
                b.regs[7] = b.regs[6] + p.random.below(40);
            }
            if i % 11 == 0 {
                // Across a page.
                b.regs[6] = DATA + 0xff0 + p.random.below(16);
            }
            code.push(op);
            p.check("string", &code, &b, 0);
        }
    }
}

fn singles(p: &mut Pair) {
    let list: &[(&str, &[u8])] = &[
        ("cbw", &[0x66, 0x98]),
        ("cwde", &[0x98]),
        ("cdqe", &[0x48, 0x98]),
        ("cwd", &[0x66, 0x99]),
        ("cdq", &[0x99]),
        ("cqo", &[0x48, 0x99]),
        ("lahf", &[0x9f]),
        ("sahf", &[0x9e]),
        ("cmc", &[0xf5]),
        ("clc", &[0xf8]),
        ("stc", &[0xf9]),
        ("bswap", &[0x0f, 0xc8]),
        ("bswap", &[0x49, 0x0f, 0xca]),
        ("xlat", &[0x0f, 0xb6, 0xc0, 0xd7]),
        ("push", &[0x50]),
        ("push sp", &[0x54]),
        ("push r9", &[0x41, 0x51]),
        ("push word", &[0x66, 0x50]),
        ("pop", &[0x58]),
        ("pop sp", &[0x5c]),
        ("pop word", &[0x66, 0x59]),
        ("push imm", &[0x6a, 0x85]),
        ("push imm", &[0x68, 1, 2, 3, 0x84]),
        ("pushf", &[0x9c, 0x58, 0x25, 0xd5, 8, 0, 0]),
        ("enter", &[0xc8, 0x20, 0, 0]),
        ("enter", &[0x48, 0x89, 0xe5, 0xc8, 0x20, 0, 3]),
        ("leave", &[0x48, 0x89, 0xdd, 0xc9]),
        ("lea", &[0x48, 0x8d, 0x84, 0x4b, 0x78, 0x56, 0x34, 0x82]),
        ("lea", &[0x8d, 0x44, 0xcb, 0xf0]),
        ("lea", &[0x66, 0x8d, 0x43, 7]),
        ("lea", &[0x67, 0x48, 0x8d, 0x04, 0x8b]),
        ("lea rip", &[0x48, 0x8d, 0x05, 0x10, 0, 0, 0]),
        ("call", &[0xe8, 2, 0, 0, 0, 0xeb, 1, 0xc3]),
        ("loop", &[0xb9, 5, 0, 0, 0, 0x01, 0xd0, 0xe2, 0xfc]),
        ("loope", &[0xb1, 9, 0x48, 0x0f, 0xb6, 0xc9, 0x83, 0xc8, 1, 0xe1, 0xfb]),
        ("jrcxz", &[0x31, 0xc9, 0xe3, 2, 0xb0, 1]),
        ("jecxz", &[0x48, 0xc1, 0xe1, 0x20, 0x67, 0xe3, 2, 0xb0, 1]),
        ("mov imm64", &[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 0x88]),
        ("mov imm", &[0xb4, 0x99]),
        ("xchg", &[0x48, 0x91]),
        ("xchg", &[0x41, 0x90]),
        ("nop", &[0x90]),
        ("pause", &[0xf3, 0x90]),
        ("nop", &[0x0f, 0x1f, 0x44, 0, 0]),
        ("movbe", &[0x0f, 0x38, 0xf0, 0x0b]),
        ("movbe", &[0x66, 0x0f, 0x38, 0xf0, 0x0b]),
        ("movbe", &[0x48, 0x0f, 0x38, 0xf1, 0x0b]),
        ("movnti ", &[0x48, 0x0f, 0xc3, 0x03]),
        ("cmpxchg8b", &[0x0f, 0xc7, 0x0b]),
        ("cmpxchg8b", &[0x8b, 0x03, 0x8b, 0x53, 4, 0xf0, 0x0f, 0xc7, 0x0b]),
        ("cmpxchg16b", &[0x48, 0x83, 0xe3, 0xf0, 0x48, 0x8b, 3, 0x48, 0x8b, 0x53, 8, 0x48, 0x0f, 0xc7, 0x0b]),
        ("cmpxchg16b", &[0x48, 0x83, 0xe3, 0xf0, 0x48, 0x0f, 0xc7, 0x0b]),
        ("lock add", &[0xf0, 0x01, 0x0b]),
        ("lock inc", &[0xf0, 0x48, 0xff, 0x03]),
        ("lock cmpxchg", &[0xf0, 0x0f, 0xb1, 0x0b]),
        ("std cld", &[0xfd, 0xac, 0xfc, 0xac]),
        ("add al", &[0x04, 0x7f]),
        ("add eax", &[0x05, 1, 2, 3, 4]),
        ("cmp rax", &[0x48, 0x3d, 1, 2, 3, 0x84]),
        ("test al", &[0xa8, 0x81]),
        ("test eax", &[0xa9, 1, 2, 3, 0x84]),
        ("jmp", &[0xeb, 1, 0xcc]),
        ("jmp rm", &[0x48, 0x8d, 5, 3, 0, 0, 0, 0xff, 0xe0, 0xcc]),
        ("mov moffs", &[0xa1, 0, 8, 0, 0x10, 0, 0, 0, 0]),
        ("mov moffs", &[0x48, 0xa3, 0, 8, 0, 0x10, 0, 0, 0, 0]),
        ("mov moffs32", &[0x67, 0xa0, 5, 8, 0, 0x10]),
        ("popf", &[0x9c, 0x83, 0x34, 0x24, 0x11, 0x9d]),
    ];
    for (name, code) in list {
        for _ in 0..200 {
            let b = p.before();
            // These contain a logic instruction, which leaves AF undefined.
            let logic = ["popf", "jecxz", "jrcxz", "loope", "cmpxchg16b"].contains(name);
            let undefined = if logic { AF } else { 0 };
            p.check(name, code, &b, undefined);
        }
    }
}
