//! The built-in firmware's services, called by anybody with anything in registers and memory.

use hako_cpu::{Config, Cpu};
use hako_firmware::{Bios, Outcome, Service};
use hako_mem::Gpa;
use hako_x86::{CpuState, Gpr, RFlags, SegAttr, SegReg, Segment};

use crate::board::Rig;
use crate::input::Input;

/// Where callers keep their stack.
const STACK: u16 = 0x7000;

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut rig = Rig::new();
    let mut bios = Bios::new();
    if !input.u8().is_multiple_of(8) {
        let mut state = called(&rig, Service::Post);
        let _ = rig.board.serve(rig.clock.now, &mut bios, &mut state);
    }
    while !input.is_empty() {
        let now = rig.clock.advance(&mut input);
        let service = input.pick(&Service::ALL);
        let mut state = called(&rig, service);
        caller(&mut state, &mut input);
        if input.u8().is_multiple_of(8) {
            // The data areas of the BIOS are the guest's to spoil: IVT, BDA, EBDA.
            let at = input.pick(&[0x0, 0x400, 0x480, 0x9_fc00]) + u64::from(input.u8());
            let _ = rig.board.memory().write(Gpa(at), input.take(8));
        }
        let before = state.clone();
        let sane = Cpu::new(Config::default()).set_state(&before).is_ok();
        let outcome = rig.board.serve(now, &mut bios, &mut state);
        if outcome == Outcome::Ignored {
            assert_eq!(state, before, "a trap that was ignored changed the CPU");
        }
        if sane {
            let after = Cpu::new(Config::default()).set_state(&state);
            assert!(after.is_ok(), "{service:?} left a state that no CPU can have: {after:?}");
        }
        rig.board.output().clear();
        let _ = rig.board.take_wish();
    }
    rig.check_rom();
}

/// The CPU just after a stub's OUT.
fn called(rig: &Rig, service: Service) -> CpuState {
    let mut state = rig.board.initial_state();
    state.seg = [Segment::real(0); 6];
    state.seg[SegReg::Cs as usize] = Segment::real(0xf000);
    state.gpr[Gpr::Rsp as usize] = STACK.into();
    state.rip = u64::from(service.slot()) + 2;
    state
}

/// Registers of a caller: plausible, or not at all.
fn caller(state: &mut CpuState, input: &mut Input<'_>) {
    let shape = input.u8();
    let ah = if shape & 1 == 0 { input.u8() & 0x4f } else { input.u8() };
    state.gpr[Gpr::Rax as usize] = u64::from(ah) << 8 | u64::from(input.u8());
    for reg in [Gpr::Rbx, Gpr::Rcx, Gpr::Rdx, Gpr::Rsi, Gpr::Rdi, Gpr::Rbp] {
        state.gpr[reg as usize] = if shape & 2 == 0 { input.u16().into() } else { input.wild() };
    }
    if shape & 4 != 0 {
        state.gpr[Gpr::Rsp as usize] = input.wild();
    }
    if shape & 8 != 0 {
        for reg in [SegReg::Es, SegReg::Ds, SegReg::Ss] {
            state.seg[reg as usize] = Segment::real(input.u16());
        }
    }
    if shape & 0xf0 == 0xf0 {
        let reg = usize::from(input.u8()) % 6;
        state.seg[reg] = Segment {
            selector: input.u16(),
            base: input.wild(),
            limit: input.wild() as u32,
            attr: SegAttr::from_bits_retain(input.wild() as u32),
        };
        state.rflags = RFlags::from_bits_truncate(input.wild()) | RFlags::FIXED;
        state.cr0 ^= input.wild();
    }
}
