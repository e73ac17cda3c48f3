//! Code that changes under the CPU's feet: whoever writes it and however, the next instruction is what memory holds. Two
//! CPUs that cache instructions are compared with two that fetch every byte.

mod common;

use common::{Random, long_mode, protected_mode};
use hako_cpu::{Config, Cpu, StopKind};
use hako_engine::{At, Attention, Bus};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{Activity, CpuState, Gpr, Width};

/// Code on both sides of a page boundary.
const CODE: u64 = 0x1_0800;
const LEN: u64 = 0x1000;
const STACK: u64 = 0x8000;

/// RAM, and a device that writes bytes into it when a port of its own is written.
struct Dma(GuestMemory);

/// The device's ports. String instructions, of which the bus hears in portions, hardly come across them.
const PORTS: std::ops::Range<u16> = 0x40..0x50;

impl Bus for Dma {
    fn port_out(&mut self, at: At, port: u16, _: Width, data: &[u8]) -> Attention {
        if PORTS.contains(&port) {
            let to = CODE + (u64::from(port) * 0x135 + at.count * 0x11) % (LEN - 8);
            self.0.write(Gpa(to), data).unwrap();
        }
        Attention::empty()
    }
    fn memory(&self) -> &GuestMemory {
        &self.0
    }
}

/// Two CPUs over one memory.
struct World {
    cpus: [Cpu; 2],
    bus: Dma,
}

impl World {
    fn new(uncached: bool) -> World {
        let cpu = |cpu| Cpu::new(Config { cpu, cpus: 2, uncached, ..Config::default() });
        World { cpus: [cpu(0), cpu(1)], bus: Dma(GuestMemory::flat(0x2_0000)) }
    }

    /// Lets a CPU run, from a state if there is one, and tells how it ended.
    fn run(&mut self, cpu: usize, from: Option<&CpuState>, n: u64) -> (StopKind, u64, CpuState) {
        let cpu = &mut self.cpus[cpu];
        if let Some(state) = from {
            cpu.set_state(state).unwrap();
        }
        let until = cpu.count() + n;
        let kind = cpu.run(&mut self.bus, until).kind;
        (kind, cpu.count(), cpu.state())
    }

    fn code(&self) -> Vec<u8> {
        let mut bytes = vec![0; LEN as usize];
        self.bus.0.read(Gpa(CODE), &mut bytes).unwrap();
        bytes
    }
}

/// An instruction, with a liking for those that write to code and those that branch.
fn instruction(random: &mut Random, code: &mut Vec<u8>) {
    let target = |random: &mut Random| ((CODE + random.below(LEN - 16)) as u32).to_le_bytes();
    let near = |random: &mut Random| random.below(80) as u8;
    match random.below(16) {
        // mov byte [target], imm8
        0 => {
            const BYTES: [u8; 12] = [0x90, 0xc3, 0x40, 0xeb, 0xb8, 0xff, 0x74, 0x48, 0x66, 0x00, 0x05, 0xe8];
            code.extend([0xc6, 0x04, 0x25]);
            code.extend(target(random));
            code.push(BYTES[random.below(12) as usize]);
        }
        // mov dword [target], imm32
        1 => {
            code.extend([0xc7, 0x04, 0x25]);
            code.extend(target(random));
            let mut other = Vec::new();
            while other.len() < 4 {
                instruction(random, &mut other);
            }
            code.extend(&other[..4]);
        }
        // inc dword [target]; lock add byte [target], imm8; mov [target], rax
        2 => code.extend([&[0xff, 0x04, 0x25], &target(random)[..]].concat()),
        3 => code.extend([&[0xf0, 0x80, 0x04, 0x25], &target(random)[..], &[near(random)]].concat()),
        4 => code.extend([&[0x48, 0x89, 0x04, 0x25], &target(random)[..]].concat()),
        // mov edi, target; mov ecx, n; rep stosb
        5 => {
            code.push(0xbf);
            code.extend(target(random));
            code.extend([0xb9, random.below(6) as u8, 0, 0, 0, 0xf3, 0xaa]);
        }
        // out imm8, eax: DMA
        6 => code.extend([0xe7, PORTS.start as u8 + random.below(16) as u8]),
        // jmp, jz, jnz, loop
        7 => code.extend([0xeb, near(random)]),
        8 => code.extend([
            [0x74, 0x75, 0xe2][random.below(3) as usize],
            (random.below(90) as u8).wrapping_sub(60),
        ]),
        // call forwards; ret
        9 => code.extend([0xe8, near(random), 0, 0, 0]),
        10 => code.push(0xc3),
        11 => code.extend([0x50 | random.below(4) as u8, 0x58 | random.below(4) as u8]),
        // mov r32, imm32
        12 | 13 => {
            code.push(0xb8 | random.below(4) as u8);
            code.extend((random.next() as u32).to_le_bytes());
        }
        // alu r32, r32
        _ => code.extend([[0x01, 0x29, 0x31, 0x39][random.below(4) as usize], 0xc0 | random.below(4) as u8]),
    }
}

/// Runs pieces of one program in both worlds. Without paging: what a translation is while its entries change is up to the
/// processor.
fn compare(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut code = Vec::new();
    while code.len() < LEN as usize {
        instruction(&mut random, &mut code);
    }
    let mut worlds = [World::new(false), World::new(true)];
    for world in &worlds {
        let memory = &world.bus.0;
        memory.write(Gpa(CODE), &code[..LEN as usize]).unwrap();
        // Where a RET leads that has had no CALL.
        for at in (STACK - 0x400..STACK + 0x400).step_by(4) {
            memory.store(Gpa(at), (CODE + at % 0x100) as u32).unwrap();
        }
    }
    let start = protected_mode();
    // A few entries only, so that most of what runs has run before.
    let entries: Vec<u64> = (0..6).map(|_| CODE + random.below(LEN - 64)).collect();
    for round in 0..120 {
        let cpu = random.below(2) as usize;
        let afresh = random.below(4) != 0 || worlds[0].cpus[cpu].state().activity != Activity::Running;
        let from = (round < 2 || afresh).then(|| {
            let mut s = start.clone();
            s.rip = entries[random.below(6) as usize];
            s.gpr[Gpr::Rsp as usize] = STACK;
            (s.gpr[0], s.gpr[1]) = (random.next(), random.below(5));
            s
        });
        let n = 1 + random.below(60);
        let [cached, plain] = &mut worlds;
        let (a, b) = (cached.run(cpu, from.as_ref(), n), plain.run(cpu, from.as_ref(), n));
        assert_eq!(a, b, "seed {seed} round {round}");
        assert!(cached.code() == plain.code(), "memory, seed {seed} round {round}");
    }
}

#[test]
fn instructions_are_what_memory_holds_whoever_wrote_it() {
    for seed in 1..400 {
        compare(seed);
    }
}

/// A CPU in 64-bit mode with code at CODE, `rounds` in RCX.
fn run(code: &[u8], rounds: u64) -> CpuState {
    let memory = GuestMemory::flat(0x2_0000);
    let mut s = long_mode(&memory);
    memory.write(Gpa(CODE), code).unwrap();
    (s.rip, s.gpr[Gpr::Rsp as usize], s.gpr[Gpr::Rcx as usize]) = (CODE, STACK, rounds);
    s.gpr[Gpr::Rdx as usize] = 0;
    let mut cpu = Cpu::new(Config::default());
    cpu.set_state(&s).unwrap();
    assert_eq!(cpu.run(&mut Dma(memory), 100_000).kind, StopKind::Halt, "{:x?}", cpu.faults().last());
    cpu.state()
}

#[test]
fn an_operand_patched_each_round_is_the_last_one_written() {
    // 1: mov [rip + 9], ecx; call 2f; dec ecx; jnz 1b; hlt; 2: add ebx, imm32; ret
    let code = [
        0x89, 0x0d, 0x0c, 0, 0, 0, 0xe8, 0x05, 0, 0, 0, 0xff, 0xc9, 0x75, 0xf1, 0xf4, 0x81, 0xc3, 0, 0, 0, 0,
        0xc3,
    ];
    assert_eq!(run(&code, 200).reg(Gpr::Rbx), 200 * 201 / 2);
}

#[test]
fn an_instruction_that_becomes_a_branch_ends_its_block() {
    let code = [
        0xe8, 0x0d, 0, 0, 0, // call 2f
        0xc6, 0x05, 0x06, 0, 0, 0, 0xc3, // mov byte [2f], ret
        0xe8, 0x01, 0, 0, 0,    // call 2f
        0xf4, // hlt
        0x90, 0xff, 0xc3, 0xc3, // 2: nop; inc ebx; ret
    ];
    assert_eq!(run(&code, 0).reg(Gpr::Rbx), 1);
}

#[test]
fn both_blocks_that_share_a_patched_byte_see_it() {
    // The function is entered at its first and at its second instruction in turn, and its last is patched.
    let code = [
        0xe8, 0x13, 0, 0, 0, // call 2f
        0xe8, 0x10, 0, 0, 0, // call 3f
        0x89, 0x0d, 0x0c, 0, 0, 0, // mov [imm32], ecx
        0xff, 0xc9, 0x75, 0xec, // dec ecx; jnz
        0xf4, 0x90, 0x90, 0x90, // hlt
        0xff, 0xc2, // 2: inc edx
        0x81, 0xc3, 0, 0, 0, 0, // 3: add ebx, imm32
        0xc3,
    ];
    let s = run(&code, 100);
    // The first round adds nothing; each further one twice what the one before has written.
    assert_eq!(s.reg(Gpr::Rbx), 2 * (2..=100).sum::<u64>());
    assert_eq!(s.reg(Gpr::Rdx), 100);
}

#[test]
fn an_undefined_instruction_is_as_long_as_what_makes_it_so() {
    let code = [
        0x80, 0x05, 0x01, 0, 0, 0, 0xf8, // add byte [1f + 1], 0f8h
        0xc7, 0xcf, 7, 0, 0, 0, // 1: undefined; then mov edi, 7
        0xf4,
    ];
    assert_eq!(run(&code, 0).reg(Gpr::Rdi), 7);
}
