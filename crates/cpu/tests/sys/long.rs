//! Long mode: delivery with and without IST, call gates, SYSCALL, SYSENTER, SWAPGS (SDM Vol. 3A 5.8, 6.14).

use crate::machine::{GDT, HANDLER, IDT, Pc, STACK0, STACK3, TSS, attr, flat, sel};
use hako_cpu::Why;
use hako_x86::{Efer, Gate, Gpr, RFlags, SegReg, Selector, SystemType, Vector, msr};

use SystemType::{InterruptGate32, TrapGate32};

const INT_80: [u8; 2] = [0xcd, 0x80];

fn frame(pc: &Pc, n: u64) -> Vec<u64> {
    let sp = pc.reg(Gpr::Rsp);
    (0..n).map(|i| pc.peek64(sp + i * 8)).collect()
}

#[test]
fn the_same_level_aligns_the_stack_and_pushes_ss_rsp() {
    let mut pc = Pc::long(0);
    pc.gate64(0x80, InterruptGate32, 0, sel::LONG0, HANDLER, 0);
    pc.set_reg(Gpr::Rsp, 0x6ff9);
    pc.code(&INT_80).ok();
    assert_eq!(pc.reg(Gpr::Rsp), 0x6ff0 - 40);
    assert_eq!(frame(&pc, 5), [0x8002, u64::from(sel::LONG0), 2, 0x6ff9, u64::from(sel::DATA0)]);
    assert_eq!(pc.seg(SegReg::Ss).selector, sel::DATA0);
}

#[test]
fn an_inner_level_takes_rsp_from_the_tss_and_a_null_ss() {
    for mut pc in [Pc::long(3), Pc::compat(3)] {
        let cs = u64::from(pc.seg(SegReg::Cs).selector);
        pc.gate64(0x80, InterruptGate32, 3, sel::LONG0, HANDLER, 0);
        pc.code(&INT_80).ok();
        assert_eq!(pc.reg(Gpr::Rsp), STACK0 - 40);
        assert_eq!(frame(&pc, 5), [0x8002, cs, 2, STACK3, u64::from(sel::DATA3)]);
        assert_eq!((pc.seg(SegReg::Ss).selector, pc.seg(SegReg::Cs).selector), (0, sel::LONG0));
    }
}

#[test]
fn ist_is_used_at_every_level() {
    for cpl in [0, 3] {
        let mut pc = Pc::long(cpl);
        pc.gate64(0x80, TrapGate32, 3, sel::LONG0, HANDLER, 5);
        pc.poke64(TSS + 0x44, 0x5808);
        pc.code(&INT_80).ok();
        assert_eq!(pc.reg(Gpr::Rsp), 0x5800 - 40);
    }
}

#[test]
fn error_codes_take_eight_bytes() {
    let mut pc = Pc::long(3);
    pc.gate64(13, InterruptGate32, 0, sel::LONG0, HANDLER, 0);
    // hlt at level 3
    pc.code(&[0xf4]).step();
    let want = [0, 0x8000, u64::from(sel::LONG3), 0x1_0002, STACK3, u64::from(sel::DATA3)];
    assert_eq!(frame(&pc, 6), want);
}

#[test]
fn delivery_checks() {
    type Setup = fn(&mut Pc);
    let gate = 0x80 * 8 + 2;
    let cases: [(u8, Setup, u32, Vector, Why); 10] = [
        (0, |pc| pc.state.idtr.limit = 0x80e, gate, Vector::GP, Why::IdtLimit),
        (
            0,
            |pc| pc.gate64(0x80, SystemType::InterruptGate16, 0, sel::LONG0, 0, 0),
            gate,
            Vector::GP,
            Why::IdtNotAGate,
        ),
        (
            0,
            |pc| pc.gate64(0x80, SystemType::TaskGate, 0, sel::LONG0, 0, 0),
            gate,
            Vector::GP,
            Why::IdtNotAGate,
        ),
        (3, |pc| pc.gate64(0x80, TrapGate32, 0, sel::LONG0, 0, 0), gate, Vector::GP, Why::IdtDplTooLow),
        (0, |pc| pc.poke64(IDT + 0x800, 0x0000_0f00_0000_0000), gate, Vector::NP, Why::IdtNotPresent),
        (0, |pc| pc.gate64(0x80, TrapGate32, 0, 0, 0, 0), 0, Vector::GP, Why::NullCode),
        (0, |pc| pc.gate64(0x80, TrapGate32, 0, sel::CODE0, 0, 0), 8, Vector::GP, Why::GateNeeds64BitCode),
        (
            0,
            |pc| pc.gate64(0x80, TrapGate32, 0, sel::LONG0, 0x8000_0000_0000, 0),
            0,
            Vector::GP,
            Why::TargetNotCanonical,
        ),
        (
            3,
            |pc| {
                pc.gate64(0x80, TrapGate32, 3, sel::LONG0, 0, 0);
                pc.poke64(TSS + 4, 0x8000_0000_0100);
            },
            0,
            Vector::SS,
            Why::StackNotCanonical,
        ),
        (
            0,
            |pc| {
                pc.gate64(0x80, TrapGate32, 0, sel::LONG0, 0, 7);
                pc.state.tr.limit = 0x57;
            },
            u32::from(sel::TSS),
            Vector::TS,
            Why::TssTooShort,
        ),
    ];
    for (cpl, setup, error, vector, why) in cases {
        let mut pc = Pc::long(cpl);
        pc.state.idtr.limit = 0x80f;
        setup(&mut pc);
        pc.code(&INT_80).run(1);
        let f = pc.cpu.faults().iter().next().copied().expect("a fault");
        assert_eq!((f.vector, f.error, f.why, f.rip), (vector, Some(error), Some(why), 0x8000));
    }
}

/// `call far [DATA]` with a call gate of 16 bytes.
fn gate_call(pc: &mut Pc, gate: Gate, upper: u64) {
    pc.describe(sel::FREE, gate.encode(SystemType::CallGate32, 3, true));
    pc.poke64(GDT + u64::from(sel::FREE) + 8, upper);
    pc.poke32(0xa000, 0);
    pc.poke16(0xa004, sel::FREE | 3);
    pc.code(&[0xff, 0x1c, 0x25, 0, 0xa0, 0, 0]);
}

#[test]
fn a_call_gate_leads_to_64_bit_code() {
    let mut pc = Pc::long(3);
    gate_call(&mut pc, Gate { selector: Selector(sel::LONG0), offset: 0x9000, params: 3 }, 0);
    pc.ok();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rsp)), (0x9000, STACK0 - 32));
    assert_eq!(frame(&pc, 4), [0x8007, u64::from(sel::LONG3), STACK3, u64::from(sel::DATA3)]);
    assert_eq!(pc.seg(SegReg::Ss).selector, 0);
    // retf with REX.W leads back.
    pc.code(&[0x48, 0xcb]).ok();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rsp)), (0x8007, STACK3));
}

#[test]
fn call_gate_checks() {
    let gate = |s, offset| Gate { selector: Selector(s), offset, params: 0 };
    let cases = [
        (gate(sel::LONG0, 0), 0x100_0000_0000, 0xa0, Why::UpperTypeNotZero),
        (gate(sel::CODE0, 0), 0, 8, Why::GateNeeds64BitCode),
        (gate(0, 0), 0, 0, Why::NullCode),
        (gate(sel::LONG0, 0), 0x8000, 0, Why::TargetNotCanonical),
    ];
    for (gate, upper, error, why) in cases {
        let mut pc = Pc::long(3);
        gate_call(&mut pc, gate, upper);
        pc.gp(error, why);
    }
    // There is nothing like a task in long mode.
    let mut pc = Pc::long(0);
    gate_call(&mut pc, gate(sel::LONG0, 0), 0);
    pc.describe(sel::FREE, pc.descriptor(sel::TSS2));
    pc.gp(0xa0, Why::NotATarget);
}

#[test]
fn far_jumps_switch_between_64_bit_and_compatibility_mode() {
    let mut pc = Pc::compat(0);
    let mut jmp = vec![0xea, 0, 0x90, 0, 0];
    jmp.extend(sel::LONG0.to_le_bytes());
    pc.code(&jmp).ok();
    // 48 b8: mov rax, imm64 only in 64-bit code
    pc.code(&[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8]).ok();
    assert_eq!(pc.reg(Gpr::Rax), 0x0807_0605_0403_0201);
    let mut pc = Pc::compat(0);
    pc.describe(sel::FREE, flat(0xe09b));
    jmp[5..].copy_from_slice(&sel::FREE.to_le_bytes());
    pc.code(&jmp).gp(u32::from(sel::FREE), Why::CodeLongAndBig);
}

fn star(pc: &mut Pc) {
    pc.state.msrs = vec![
        (msr::STAR, 0x0010_0008 << 32 | 0x1234),
        (msr::LSTAR, 0xffff_8000_1234_5678),
        (msr::FMASK, (RFlags::IF | RFlags::DF).bits()),
    ];
}

#[test]
fn syscall_masks_flags_and_loads_flat_segments() {
    let mut pc = Pc::long(3);
    star(&mut pc);
    pc.set_flags(RFlags::IF | RFlags::DF | RFlags::CF);
    pc.code(&[0x0f, 0x05]).ok();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rcx), pc.reg(Gpr::R11)), (0xffff_8000_1234_5678, 0x8002, 0x603));
    assert_eq!(pc.state.rflags.bits(), 3);
    let (cs, ss) = (*pc.seg(SegReg::Cs), *pc.seg(SegReg::Ss));
    assert_eq!((cs.selector, cs.attr, ss.selector, ss.attr), (8, attr(0xa09b), 0x10, attr(0xc093)));
    assert_eq!(pc.reg(Gpr::Rsp), STACK3, "the stack pointer is the guest's business");
}

#[test]
fn sysret_returns_to_64_or_32_bit_code() {
    let mut pc = Pc::long(0);
    star(&mut pc);
    pc.set_reg(Gpr::Rcx, 0x9000);
    pc.set_reg(Gpr::R11, 0xffff_ffff);
    pc.code(&[0x48, 0x0f, 0x07]).ok();
    assert_eq!(pc.state.rip, 0x9000);
    assert_eq!((pc.seg(SegReg::Cs).selector, pc.seg(SegReg::Cs).attr), (0x23, attr(0xa0fb)));
    assert_eq!((pc.seg(SegReg::Ss).selector, pc.seg(SegReg::Ss).attr), (0x1b, attr(0xc0f3)));
    assert_eq!(pc.state.rflags.bits(), 0x3c_7fd7);
    let mut pc = Pc::long(0);
    star(&mut pc);
    pc.set_reg(Gpr::Rcx, 0xffff_ffff_0000_9000);
    pc.code(&[0x0f, 0x07]).ok();
    assert_eq!(
        (pc.state.rip, pc.seg(SegReg::Cs).selector, pc.seg(SegReg::Cs).attr),
        (0x9000, 0x13, attr(0xc0fb))
    );
}

#[test]
fn syscall_and_sysret_checks() {
    for code in [&[0x0f, 0x05], &[0x0f, 0x07]] {
        let mut pc = Pc::long(0);
        pc.state.efer &= !Efer::SCE.bits();
        pc.code(code).faults(Vector::UD, None, Why::SyscallDisabled);
        Pc::compat(0).code(code).faults(Vector::UD, None, Why::Only64Bit);
        Pc::protected(0).code(code).faults(Vector::UD, None, Why::Only64Bit);
        Pc::real().code(code).faults(Vector::UD, None, Why::Only64Bit);
    }
    Pc::long(3).code(&[0x0f, 0x07]).gp(0, Why::NotLevel0);
    // At level 0, before anything has changed.
    let mut pc = Pc::long(0);
    pc.set_reg(Gpr::Rcx, 0x8000_0000_0000);
    pc.code(&[0x48, 0x0f, 0x07]).gp(0, Why::TargetNotCanonical);
}

#[test]
fn sysenter_and_sysexit() {
    let mut pc = Pc::protected(3);
    pc.state.msrs = vec![(msr::SYSENTER_CS, 0x0b), (msr::SYSENTER_ESP, 0x5000), (msr::SYSENTER_EIP, 0x9000)];
    pc.set_flags(RFlags::IF);
    pc.code(&[0x0f, 0x34]).ok();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rsp), pc.flag(RFlags::IF)), (0x9000, 0x5000, false));
    assert_eq!((pc.seg(SegReg::Cs).selector, pc.seg(SegReg::Ss).selector), (8, 0x10));
    pc.set_reg(Gpr::Rdx, 0x8002);
    pc.set_reg(Gpr::Rcx, STACK3);
    pc.code(&[0x0f, 0x35]).ok();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rsp)), (0x8002, STACK3));
    assert_eq!((pc.seg(SegReg::Cs).selector, pc.seg(SegReg::Ss).selector), (0x1b, 0x23));
    // Into long mode and out of it again with REX.W.
    let mut pc = Pc::long(3);
    pc.state.msrs =
        vec![(msr::SYSENTER_CS, 8), (msr::SYSENTER_ESP, 0xffff_8000_0000_5000), (msr::SYSENTER_EIP, 0x9000)];
    pc.code(&[0x0f, 0x34]).ok();
    assert_eq!((pc.seg(SegReg::Cs).attr, pc.reg(Gpr::Rsp)), (attr(0xa09b), 0xffff_8000_0000_5000));
    pc.set_reg(Gpr::Rdx, 0x8002);
    pc.set_reg(Gpr::Rcx, STACK3);
    pc.code(&[0x48, 0x0f, 0x35]).ok();
    assert_eq!((pc.seg(SegReg::Cs).selector, pc.seg(SegReg::Ss).selector), (0x2b, 0x33));
}

#[test]
fn sysenter_and_sysexit_checks() {
    Pc::real().code(&[0x0f, 0x34]).gp(0, Why::NotInRealMode);
    Pc::real().code(&[0x0f, 0x35]).gp(0, Why::NotInRealMode);
    Pc::protected(0).code(&[0x0f, 0x34]).gp(0, Why::NullSysenterCs);
    Pc::protected(0).code(&[0x0f, 0x35]).gp(0, Why::NullSysenterCs);
    let mut pc = Pc::protected(3);
    pc.state.msrs = vec![(msr::SYSENTER_CS, 8)];
    pc.code(&[0x0f, 0x35]).gp(0, Why::NotLevel0);
    let mut pc = Pc::long(0);
    pc.state.msrs = vec![(msr::SYSENTER_CS, 8)];
    pc.set_reg(Gpr::Rcx, 1 << 47);
    pc.code(&[0x48, 0x0f, 0x35]).gp(0, Why::TargetNotCanonical);
}

#[test]
fn swapgs_exchanges_the_bases() {
    let mut pc = Pc::long(0);
    pc.state.seg[SegReg::Gs as usize].base = 0x1111;
    pc.state.msrs = vec![(msr::KERNEL_GS_BASE, 0x2222)];
    pc.code(&[0x0f, 0x01, 0xf8]).ok();
    assert_eq!((pc.seg(SegReg::Gs).base, pc.state.msr(msr::KERNEL_GS_BASE)), (0x2222, Some(0x1111)));
    Pc::long(3).code(&[0x0f, 0x01, 0xf8]).gp(0, Why::NotLevel0);
    Pc::protected(0).code(&[0x0f, 0x01, 0xf8]).faults(Vector::UD, None, Why::UndefinedOpcode);
}

#[test]
fn page_faults_report_the_address_and_the_access() {
    let mut pc = Pc::long(3);
    pc.gate64(14, InterruptGate32, 0, sel::LONG0, HANDLER, 0);
    // mov [0x40000000], al: not mapped
    pc.code(&[0x88, 0x04, 0x25, 0, 0, 0, 0x40]).step();
    assert_eq!((pc.state.cr2, frame(&pc, 2)), (0x4000_0000, vec![6, 0x8000]));
}
