//! HLT and what ends it.

mod common;

use common::TestBus;
use hako_cpu::{Config, Cpu, StopKind};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, RFlags, SegReg, Segment};

/// Real mode at 0000:1000: HLT; vector 1 leads to NOPs.
fn halting(flags: RFlags) -> (Cpu, TestBus) {
    let memory = GuestMemory::flat(0x1_0000);
    memory.write(Gpa(0x1000), &[0xf4]).unwrap();
    memory.write(Gpa(0x2000), &[0x90; 16]).unwrap();
    memory.store(Gpa(4), 0x2000u32).unwrap();
    let mut state = CpuState::reset();
    state.seg[SegReg::Cs as usize] = Segment { attr: state.segment(SegReg::Cs).attr, ..Segment::real(0) };
    (state.rip, state.rflags, state.gpr[4]) = (0x1000, flags | RFlags::FIXED, 0x8000);
    let mut cpu = Cpu::new(Config::default());
    cpu.set_state(&state).unwrap();
    (cpu, TestBus::new(memory))
}

#[test]
fn a_halt_at_the_deadline_is_a_halt() {
    let (mut cpu, mut bus) = halting(RFlags::empty());
    assert_eq!(cpu.run(&mut bus, 1).kind, StopKind::Halt);
}

#[test]
fn a_halt_that_a_trap_is_about_to_end_is_none_at_the_deadline_either() {
    for limits in [&[3][..], &[1, 3]] {
        let (mut cpu, mut bus) = halting(RFlags::TF);
        for limit in limits {
            assert_eq!(cpu.run(&mut bus, *limit).kind, StopKind::Deadline, "{limits:?}");
        }
        assert_eq!(cpu.state().rip, 0x2002);
    }
}
