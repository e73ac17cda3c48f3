//! Whatever bytes a guest executes, in whatever state: the host neither panics nor hangs, and what it does repeats.

mod common;

use common::{Random, TestBus, flat, long_mode, protected_mode};
use hako_cpu::{Config, Cpu, StopKind};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{Activity, CpuState, DescTable, RFlags, SegReg, Segment};

const RAM: u64 = 0x4_0000;

/// Random memory with some order in it: tables that may be walked, descriptors that may be loaded, code everywhere.
fn fill(memory: &GuestMemory, random: &mut Random) {
    let mut bytes = vec![0u8; RAM as usize];
    for chunk in bytes.chunks_mut(8) {
        let v = match random.below(8) {
            // Descriptors and gates of all kinds.
            0 => random.next() & 0x00ff_ffff_ffff_ffff | 0x0000_8000_0000_0000,
            // Present paging entries within RAM.
            1 => random.next() & 0x3_ffff | 7,
            // System instructions and prefixes.
            2 => {
                const OPS: [u8; 24] = [
                    0x0f, 0x01, 0x00, 0x20, 0x22, 0xcf, 0xcb, 0xca, 0x9a, 0xea, 0xff, 0xcd, 0xf3, 0xa4, 0xab,
                    0x6c, 0x8e, 0x9d, 0x67, 0x66, 0x30, 0x32, 0xc8, 0x48,
                ];
                (0..8).fold(0, |v, _| v << 8 | u64::from(OPS[random.below(24) as usize]))
            }
            _ => random.next(),
        };
        chunk.copy_from_slice(&v.to_le_bytes());
    }
    memory.write(Gpa(0), &bytes).unwrap();
}

fn state(memory: &GuestMemory, random: &mut Random) -> CpuState {
    let mut s = match random.below(5) {
        0 => {
            let mut s = CpuState::reset();
            s.seg = [Segment::real(random.below(0x3000) as u16); 6];
            s
        }
        1 => protected_mode(),
        2 => {
            let mut s = protected_mode();
            for seg in &mut s.seg[2..] {
                *seg = flat(random.next() as u16, random.next() as u32 & 0x1_ffff);
                seg.limit = random.next() as u32;
                seg.base = random.next() & 0xffff_ffff;
            }
            s.seg[SegReg::Cs as usize] = flat(8, 0x809b);
            s
        }
        3 => {
            // Virtual-8086 mode.
            let mut s = protected_mode();
            s.seg = [Segment::real(random.below(0x2000) as u16); 6];
            for seg in &mut s.seg {
                seg.attr = hako_x86::SegAttr::from_bits_retain(0xf3);
            }
            s.rflags |= RFlags::VM;
            s
        }
        _ => long_mode(memory),
    };
    s.gpr.fill_with(|| if random.below(2) == 0 { random.below(RAM) } else { random.value() });
    s.rip = random.below(if s.cr0 & 1 == 0 { 0xffff } else { RAM });
    s.gdtr = DescTable { base: random.below(RAM), limit: random.next() as u16 };
    s.idtr = DescTable { base: random.below(RAM), limit: random.next() as u16 };
    s.tr.base = random.below(RAM);
    s.tr.limit = random.next() as u32 & 0xfff;
    if s.cr0 & 1 != 0 && random.below(3) == 0 && s.efer == 0 {
        s.cr0 |= 1 << 31;
        s.cr3 = random.below(RAM) & !0xfff;
        s.cr4 = random.below(2) << 5;
    }
    if random.below(4) == 0 {
        s.rflags |= RFlags::TF;
    }
    if random.below(4) == 0 {
        s.dr = [random.below(RAM), random.below(RAM), random.below(RAM), random.below(RAM)];
        s.dr7 = random.next() & 0xffff_07ff | 0x400;
    }
    s
}

/// Runs one random guest; returns how it ended.
fn one(seed: u64) -> (StopKind, CpuState, u64) {
    let mut random = Random(seed);
    let memory = GuestMemory::flat(RAM);
    fill(&memory, &mut random);
    let s = state(&memory, &mut random);
    let mut bus = TestBus::new(memory);
    bus.lines.intr = random.below(4) == 0;
    let mut cpu = Cpu::new(Config::default());
    if cpu.set_state(&s).is_err() {
        return (StopKind::Halt, s, 0);
    }
    let mut kind = StopKind::Deadline;
    for _ in 0..40 {
        let until = cpu.count() + 50;
        kind = cpu.run(&mut bus, until).kind;
        if kind != StopKind::Deadline {
            if cpu.state().activity != Activity::Halted {
                break;
            }
            // Go on behind HLT, as after an interrupt.
            let mut s = cpu.state();
            s.activity = Activity::Running;
            s.rip = random.below(0xffff);
            if cpu.set_state(&s).is_err() {
                break;
            }
        }
    }
    (kind, cpu.state(), cpu.count())
}

#[test]
fn random_guests_harm_only_themselves() {
    for seed in 1..1500u64 {
        one(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
}

#[test]
fn the_same_guest_ends_in_the_same_state() {
    for seed in 1..100u64 {
        let seed = seed.wrapping_mul(0xd134_2543_de82_ef95) | 1;
        assert_eq!(one(seed), one(seed));
    }
}
