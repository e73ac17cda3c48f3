//! Debug exceptions and the debug registers, and debugging by the host (SDM Vol. 3B chapter 17).

use crate::machine::{DATA, HANDLER, Pc, STACK, sel};
use hako_cpu::{StopKind, Why};
use hako_engine::{Breakpoint, BreakpointKind, Debug, DebugHit};
use hako_x86::{Cr4, Gpr, RFlags, SegReg, SystemType, Vector};

const B0: u64 = 1;
const BS: u64 = 1 << 14;
const BD: u64 = 1 << 13;

/// Protected mode at level 0 with a #DB handler of NOPs.
fn pc() -> Pc {
    let mut pc = Pc::protected(0);
    pc.gate(1, SystemType::InterruptGate32, 0, sel::CODE0, HANDLER);
    pc.poke(HANDLER, &[0x90; 8]);
    pc
}

fn hit(pc: &Pc) -> u64 {
    pc.state.dr6 & 0xe00f
}

/// EIP and EFLAGS that the handler finds.
fn saved(pc: &Pc) -> (u32, u32) {
    let sp = pc.reg(Gpr::Rsp);
    (pc.peek32(sp), pc.peek32(sp + 8))
}

#[test]
fn single_step_traps_after_the_instruction() {
    let mut pc = pc();
    pc.set_flags(RFlags::TF);
    pc.code(&[0x90, 0x90]).run(2);
    assert_eq!((pc.state.rip, hit(&pc), saved(&pc)), (HANDLER + 1, BS, (0x8001, 0x102)));
    assert!(!pc.flag(RFlags::TF));
}

#[test]
fn popf_that_sets_tf_traps_after_the_next_instruction() {
    let mut pc = pc();
    pc.poke32(STACK, 0x102);
    // popf; nop; nop
    pc.code(&[0x9d, 0x90, 0x90]).run(3);
    assert_eq!((hit(&pc), saved(&pc).0), (BS, 0x8002));
}

#[test]
fn popf_that_clears_tf_traps_after_itself() {
    let mut pc = pc();
    pc.set_flags(RFlags::TF);
    pc.poke32(STACK, 2);
    pc.code(&[0x9d, 0x90]).run(2);
    assert_eq!((hit(&pc), saved(&pc)), (BS, (0x8001, 2)));
}

#[test]
fn int_n_is_not_stepped_into() {
    let mut pc = pc();
    pc.gate(0x80, SystemType::TrapGate32, 0, sel::CODE0, 0x9800);
    // nop; iret
    pc.poke(0x9800, &[0x90, 0xcf]);
    pc.set_flags(RFlags::TF);
    pc.code(&[0xcd, 0x80, 0x90, 0x90]).run(3);
    assert_eq!((pc.state.rip, hit(&pc)), (0x8002, 0), "back, TF set again");
    pc.go_on(2);
    assert_eq!((hit(&pc), saved(&pc).0), (BS, 0x8003));
}

#[test]
fn sti_does_not_hold_single_step_off_but_mov_ss_does() {
    let mut step_sti = pc();
    step_sti.set_flags(RFlags::TF);
    step_sti.code(&[0xfb, 0x90]).run(2);
    assert_eq!(saved(&step_sti).0, 0x8001);
    let mut step_ss = pc();
    step_ss.set_flags(RFlags::TF);
    step_ss.set_reg(Gpr::Rax, u64::from(sel::DATA0));
    step_ss.code(&[0x8e, 0xd0, 0x90, 0x90]).run(3);
    assert_eq!(saved(&step_ss).0, 0x8003);
}

#[test]
fn a_step_held_off_by_mov_ss_does_not_outlive_int1() {
    let mut pc = pc();
    pc.set_flags(RFlags::TF);
    pc.set_reg(Gpr::Rax, u64::from(sel::DATA0));
    // mov ss, ax; int1
    pc.code(&[0x8e, 0xd0, 0xf1]).run(2);
    assert_eq!((pc.state.rip, hit(&pc), saved(&pc).0), (HANDLER, 0, 0x8003));
    pc.go_on(1);
    assert_eq!((pc.state.rip, hit(&pc)), (HANDLER + 1, 0));
}

#[test]
fn int1_brings_the_data_breakpoint_that_mov_ss_held_off() {
    let mut pc = pc();
    pc.poke16(DATA, sel::DATA0);
    pc.state.dr[0] = DATA;
    pc.state.dr7 |= 1 | 3 << 16;
    // mov ss, [DATA]; int1
    pc.code(&[0x8e, 0x15, 0, 0xa0, 0, 0, 0xf1]).run(2);
    assert_eq!((pc.state.rip, hit(&pc), saved(&pc).0), (HANDLER, B0, 0x8007));
    pc.go_on(1);
    assert_eq!(pc.state.rip, HANDLER + 1);
}

#[test]
fn each_iteration_of_a_repeated_instruction_is_stepped() {
    let mut pc = pc();
    pc.set_flags(RFlags::TF);
    pc.set_reg(Gpr::Rcx, 3);
    pc.set_reg(Gpr::Rdi, DATA);
    // rep stosb
    pc.code(&[0xf3, 0xaa]).run(2);
    assert_eq!((saved(&pc).0, pc.reg(Gpr::Rcx)), (0x8000, 2));
}

#[test]
fn an_instruction_breakpoint_is_a_fault_that_rf_suppresses_once() {
    let mut pc = pc();
    pc.state.dr[0] = 0x8001;
    pc.state.dr7 |= 1;
    pc.code(&[0x90, 0x90, 0x90]).run(2);
    assert_eq!((hit(&pc), saved(&pc)), (B0, (0x8001, 2)), "RF is not set in the image");
    let mut pc = self::pc();
    pc.state.dr[0] = 0x8001;
    pc.state.dr7 |= 1;
    pc.state.rip = 0x8001;
    pc.set_flags(RFlags::RF);
    pc.poke(0x8000, &[0x90; 4]);
    pc.run(1);
    assert_eq!((pc.state.rip, pc.flag(RFlags::RF)), (0x8002, false));
}

#[test]
fn iret_sets_rf_for_the_next_instruction() {
    let mut pc = pc();
    pc.state.dr[0] = 0x8010;
    pc.state.dr7 |= 1;
    for (i, v) in (0..).zip([0x8010, u32::from(sel::CODE0), 0x1_0002]) {
        pc.poke32(STACK + i * 4, v);
    }
    pc.poke(0x8010, &[0x90]);
    pc.code(&[0xcf]).run(2);
    assert_eq!((pc.state.rip, hit(&pc)), (0x8011, 0));
}

#[test]
fn a_16_bit_iret_ends_rf() {
    let mut pc = pc();
    pc.set_flags(RFlags::RF);
    pc.poke16(STACK, 0x8010);
    pc.poke16(STACK + 2, sel::CODE0);
    pc.poke16(STACK + 4, 2);
    pc.code(&[0x66, 0xcf]).ok();
    assert!(!pc.flag(RFlags::RF));
}

#[test]
fn data_breakpoints_trap_after_the_access() {
    // mov [DATA+1], al; mov al, [DATA+1]
    let write = [0xa2, 1, 0xa0, 0, 0];
    let read = [0xa0, 1, 0xa0, 0, 0];
    // (R/W, LEN, address, code, hits)
    let cases = [
        (1, 0, DATA + 1, &write, true),
        (1, 0, DATA, &write, false),
        (1, 1, DATA, &write, true),
        (1, 3, DATA, &write, true),
        (1, 3, DATA + 3, &write, true), // the low address bits do not count
        (1, 0, DATA + 1, &read, false),
        (3, 0, DATA + 1, &read, true),
        (3, 0, DATA + 1, &write, true),
        (1, 2, DATA & !7, &write, true),
    ];
    for (rw, len, address, code, hits) in cases {
        let mut pc = pc();
        pc.state.dr[2] = address;
        pc.state.dr7 |= 1 << 5 | (rw | len << 2) << 24;
        pc.code(code);
        pc.run(1);
        pc.go_on(1);
        let want = if hits { (4, HANDLER + 1) } else { (0, pc.state.rip) };
        assert_eq!((hit(&pc), pc.state.rip), want, "{rw} {len} {address:x}");
        if hits {
            assert_eq!(saved(&pc).0, 0x8005);
        }
    }
}

#[test]
fn data_breakpoints_and_single_step_come_together() {
    let mut pc = pc();
    pc.state.dr[1] = DATA;
    pc.state.dr7 |= 1 << 2 | 1 << 20;
    pc.set_flags(RFlags::TF);
    pc.code(&[0xa2, 0, 0xa0, 0, 0]).run(2);
    assert_eq!(hit(&pc), BS | 2);
}

#[test]
fn a_data_breakpoint_on_mov_ss_waits_for_the_next_instruction() {
    let mut pc = pc();
    pc.state.dr[0] = DATA;
    pc.state.dr7 |= 1 | 3 << 16;
    pc.poke16(DATA, sel::DATA0);
    // mov ss, [DATA]; nop
    pc.code(&[0x8e, 0x15, 0, 0xa0, 0, 0, 0x90]).run(3);
    assert_eq!((hit(&pc), saved(&pc).0), (B0, 0x8007));
}

#[test]
fn io_breakpoints_need_cr4_de() {
    for (cr4, hits) in [(0, 0), (Cr4::DE.bits(), B0)] {
        let mut pc = pc();
        pc.state.cr4 |= cr4;
        pc.state.dr[0] = 0x60;
        pc.state.dr7 |= 1 | 2 << 16;
        // out 0x60, al
        pc.code(&[0xe6, 0x60, 0x90]).run(2);
        assert_eq!(hit(&pc), hits);
    }
}

#[test]
fn bits_0_to_3_tell_the_last_hit_and_the_others_stay() {
    let mut pc = pc();
    pc.state.dr6 |= BD | 8;
    pc.set_flags(RFlags::TF);
    pc.code(&[0x90]).run(2);
    assert_eq!(hit(&pc), BD | BS);
}

#[test]
fn debug_registers_mask_and_check_what_is_written() {
    for (modrm, reg, want) in [(0xf0, 6, 0xffff_effe_u64 | 1), (0xf8, 7, 0xffff_27ff)] {
        let mut pc = Pc::long(0);
        pc.set_reg(Gpr::Rax, 0xffff_ffff);
        // mov dr, rax, disarmed by addresses nothing touches
        pc.state.dr = [0xffff_8000_0000_0000; 4];
        pc.code(&[0x0f, 0x23, modrm]).ok();
        assert_eq!(if reg == 6 { pc.state.dr6 } else { pc.state.dr7 }, want, "DR{reg}");
        pc.state.dr7 = 0x400;
        pc.set_reg(Gpr::Rax, 1 << 32);
        pc.code(&[0x0f, 0x23, modrm]).gp(0, Why::DrReservedBit);
    }
}

#[test]
fn dr4_and_dr5_are_aliases_without_cr4_de() {
    let mut pc = Pc::protected(0);
    // mov eax, dr4
    assert_eq!(pc.code(&[0x0f, 0x21, 0xe0]).ok().reg(Gpr::Rax), 0xffff_0ff0);
    pc.state.cr4 |= Cr4::DE.bits();
    pc.code(&[0x0f, 0x21, 0xe0]).faults(Vector::UD, None, Why::DebugRegisterAlias);
    Pc::protected(3).code(&[0x0f, 0x21, 0xf8]).gp(0, Why::NotLevel0);
}

#[test]
fn general_detect_catches_accesses_to_debug_registers() {
    let mut pc = pc();
    pc.state.dr7 |= BD;
    // mov eax, dr7
    pc.code(&[0x0f, 0x21, 0xf8]).step();
    assert_eq!((hit(&pc), saved(&pc).0, pc.state.dr7), (BD, 0x8000, 0x400), "GD is cleared for the handler");
}

#[test]
fn sysret_and_syscall_step_by_the_flags_they_load() {
    let mut pc = Pc::long(0);
    pc.gate64(1, SystemType::InterruptGate32, 0, sel::LONG0, HANDLER, 0);
    pc.poke(HANDLER, &[0x90]);
    pc.state.msrs = vec![(hako_x86::msr::STAR, 0x0010_0008 << 32)];
    pc.set_reg(Gpr::Rcx, 0x9800);
    pc.set_reg(Gpr::R11, 0x102);
    pc.code(&[0x48, 0x0f, 0x07]).run(2);
    assert_eq!((pc.state.rip, hit(&pc)), (HANDLER + 1, BS));
    assert_eq!(pc.peek64(pc.reg(Gpr::Rsp)), 0x9800);
}

fn host(pc: &mut Pc, kind: BreakpointKind, address: u64) {
    let b = Breakpoint { kind, address, len: 1 };
    pc.cpu.set_debug(&Debug { step: false, breakpoints: vec![b] });
}

#[test]
fn the_host_stops_before_an_instruction_and_goes_on_past_it() {
    let mut pc = pc();
    host(&mut pc, BreakpointKind::Execute, 0x8001);
    let stop = pc.code(&[0x90, 0x90, 0x90]).run(3);
    assert_eq!((stop.kind, stop.rip), (StopKind::Debug(DebugHit::Breakpoint(0)), 0x8001));
    assert_eq!(pc.state.rip, 0x8001);
    assert_eq!(pc.go_on(1).kind, StopKind::Deadline);
    assert_eq!(pc.state.rip, 0x8002);
}

#[test]
fn the_host_stops_after_a_data_access() {
    let mut pc = pc();
    host(&mut pc, BreakpointKind::Write, DATA);
    let stop = pc.code(&[0xa0, 0, 0xa0, 0, 0, 0xa2, 0, 0xa0, 0, 0, 0x90]).run(3);
    assert_eq!((stop.kind, stop.rip), (StopKind::Debug(DebugHit::Breakpoint(0)), 0x8005));
    assert_eq!((pc.state.rip, hit(&pc)), (0x800a, 0));
}

#[test]
fn the_host_steps() {
    let mut pc = pc();
    pc.cpu.set_debug(&Debug { step: true, breakpoints: Vec::new() });
    let stop = pc.code(&[0x90, 0x90]).run(10);
    assert_eq!((stop.kind, pc.state.rip), (StopKind::Debug(DebugHit::Step), 0x8001));
    assert_eq!(pc.seg(SegReg::Cs).selector, sel::CODE0);
}
