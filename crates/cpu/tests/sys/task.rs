//! Hardware task switching (SDM Vol. 3A chapter 7).

use crate::machine::{GDT, HANDLER, IDT, LDT, Pc, STACK, TSS, TSS2, attr, sel};
use hako_cpu::Why;
use hako_x86::{Cr0, Descriptor, Gate, Gpr, RFlags, SegAttr, SegReg, Selector, SystemType, Vector};

const EIP: u64 = 0x20;
const EFLAGS: u64 = 0x24;
const ESP: u64 = 0x38;
const ES: u64 = 0x48;
const LDT_AT: u64 = 0x60;

/// A CPU at level 0 with a second task that starts at `HANDLER`.
fn two_tasks() -> Pc {
    let pc = Pc::protected(0);
    pc.poke32(TSS2 + EIP, HANDLER as u32);
    pc.poke32(TSS2 + EFLAGS, 2);
    for i in 0..8 {
        pc.poke32(TSS2 + 0x28 + i * 4, 0x1000 + i as u32);
    }
    pc.poke32(TSS2 + ESP, 0x6800);
    for (i, s) in (0..).zip([sel::DATA0, sel::CODE0, sel::DATA0, sel::DATA0, 0, 0]) {
        pc.poke32(TSS2 + ES + i * 4, u32::from(s));
    }
    pc
}

fn far(opcode: u8, selector: u16) -> [u8; 7] {
    let [lo, hi] = selector.to_le_bytes();
    [opcode, 0, 0, 0, 0, lo, hi]
}

fn busy(pc: &Pc, selector: u16) -> bool {
    pc.descriptor(selector).0 & Descriptor::BUSY != 0
}

#[test]
fn a_jump_swaps_the_tasks() {
    let mut pc = two_tasks();
    pc.set_reg(Gpr::Rax, 0x1234_5678);
    pc.code(&far(0xea, sel::TSS2)).ok();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rsp), pc.reg(Gpr::Rdi)), (HANDLER, 0x6800, 0x1007));
    assert_eq!(
        (pc.peek32(TSS + EIP), pc.peek32(TSS + 0x28), pc.peek32(TSS + ESP)),
        (0x8007, 0x1234_5678, STACK as u32)
    );
    assert_eq!((pc.peek16(TSS + ES + 4), pc.peek16(TSS + ES + 8)), (sel::CODE0, sel::DATA0));
    assert_eq!((busy(&pc, sel::TSS), busy(&pc, sel::TSS2)), (false, true));
    assert_eq!((pc.state.tr.selector, pc.state.tr.base, pc.state.tr.attr), (sel::TSS2, TSS2, attr(0x8b)));
    assert!(pc.state.cr0 & Cr0::TS.bits() != 0 && !pc.flag(RFlags::NT));
    assert_eq!(pc.seg(SegReg::Fs).attr, SegAttr::UNUSABLE);
}

#[test]
fn a_call_nests_and_iret_returns() {
    let mut pc = two_tasks();
    pc.code(&far(0x9a, sel::TSS2)).ok();
    assert_eq!((pc.peek16(TSS2), pc.flag(RFlags::NT)), (sel::TSS, true));
    assert_eq!((busy(&pc, sel::TSS), busy(&pc, sel::TSS2)), (true, true));
    assert_eq!(pc.peek32(TSS + EFLAGS), 2);
    // iret
    pc.code(&[0xcf]).ok();
    assert_eq!((pc.state.rip, pc.state.tr.selector, pc.flag(RFlags::NT)), (0x8007, sel::TSS, false));
    assert_eq!((busy(&pc, sel::TSS), busy(&pc, sel::TSS2)), (true, false));
    assert_eq!(
        (pc.peek32(TSS2 + EIP), pc.peek32(TSS2 + EFLAGS)),
        (HANDLER as u32 + 1, 2),
        "NT is clear in the image"
    );
}

#[test]
fn a_task_may_return_to_itself() {
    let mut pc = Pc::protected(0);
    pc.set_flags(RFlags::NT);
    pc.poke16(TSS, sel::TSS);
    for (i, s) in (0..).zip([sel::DATA0, sel::CODE0, sel::DATA0, sel::DATA0, 0, 0]) {
        pc.poke32(TSS + ES + i * 4, u32::from(s));
    }
    pc.set_reg(Gpr::Rbx, 0x77);
    pc.code(&[0xcf]).ok();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rbx), pc.flag(RFlags::NT)), (0x8001, 0x77, false));
    assert!(!busy(&pc, sel::TSS));
}

#[test]
fn an_exception_through_a_task_gate_pushes_its_error_code_there() {
    let mut pc = two_tasks();
    let gate = Gate { selector: Selector(sel::TSS2), offset: 0, params: 0 };
    pc.poke64(IDT + 13 * 8, gate.encode(SystemType::TaskGate, 0, true).0);
    pc.set_reg(Gpr::Rax, 0x1f8);
    pc.code(&[0x8e, 0xd8]).step();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rsp), pc.peek32(0x67fc)), (HANDLER, 0x67fc, 0x1f8));
    assert_eq!(
        (pc.peek32(TSS + EIP), pc.peek32(TSS + EFLAGS)),
        (0x8000, 0x1_0002),
        "RF is set in the old task"
    );
    assert_eq!((pc.peek16(TSS2), pc.flag(RFlags::NT)), (sel::TSS, true));
}

#[test]
fn int_n_through_a_task_gate() {
    let mut pc = two_tasks();
    let gate = Gate { selector: Selector(sel::TSS2), offset: 0, params: 0 };
    pc.poke64(IDT + 0x80 * 8, gate.encode(SystemType::TaskGate, 0, true).0);
    pc.code(&[0xcd, 0x80]).ok();
    assert_eq!((pc.state.rip, pc.peek32(TSS + EIP)), (HANDLER, 0x8002));
    pc.code(&[0xcf]).ok();
    assert_eq!(pc.state.rip, 0x8002);
}

#[test]
fn a_jump_and_a_call_through_a_task_gate() {
    for opcode in [0xea, 0x9a] {
        let mut pc = two_tasks();
        let gate = Gate { selector: Selector(sel::TSS2), offset: 0, params: 0 };
        pc.describe(sel::FREE, gate.encode(SystemType::TaskGate, 0, true));
        pc.code(&far(opcode, sel::FREE)).ok();
        assert_eq!((pc.state.rip, pc.flag(RFlags::NT)), (HANDLER, opcode == 0x9a));
    }
}

#[test]
fn a_16_bit_tss_loads_words() {
    let mut pc = Pc::protected(0);
    pc.describe(sel::FREE, Descriptor::new(TSS2 as u32, 0x2b, attr(0x81)));
    pc.poke16(TSS2 + 0x0e, 0x9000);
    pc.poke16(TSS2 + 0x10, 2);
    for i in 0..8 {
        pc.poke16(TSS2 + 0x12 + i * 2, 0x1000 + i as u16);
    }
    for (i, s) in (0..).zip([sel::DATA0, sel::CODE16, sel::DATA16, sel::DATA0]) {
        pc.poke16(TSS2 + 0x22 + i * 2, s);
    }
    pc.code(&far(0xea, sel::FREE)).ok();
    assert_eq!(
        (pc.state.rip, pc.seg(SegReg::Cs).selector, pc.seg(SegReg::Ss).selector),
        (0x9000, sel::CODE16, sel::DATA16)
    );
    assert_eq!(pc.reg(Gpr::Rbx) & 0xffff, 0x1003);
    assert_eq!(pc.seg(SegReg::Fs).selector, 0);
    // And back to the 32-bit task: 66 ea is a 32-bit far jump.
    let mut code = vec![0x66];
    code.extend(far(0xea, sel::TSS));
    pc.code(&code).ok();
    assert_eq!((pc.state.rip, pc.peek16(TSS2 + 0x0e)), (0x8007, 0x9008));
}

#[test]
fn the_trap_bit_raises_db_in_the_new_task() {
    let mut pc = two_tasks();
    pc.gate(1, SystemType::TrapGate32, 0, sel::CODE0, 0x9800);
    pc.poke(0x9800, &[0x90]);
    pc.poke16(TSS2 + 0x64, 1);
    pc.code(&far(0xea, sel::TSS2)).ok();
    pc.go_on(1);
    assert_eq!(pc.state.rip, 0x9801);
    assert_eq!(pc.state.dr6 & 0xe00f, 1 << 15);
    assert_eq!(pc.peek32(pc.reg(Gpr::Rsp)), HANDLER as u32);
}

#[test]
fn local_breakpoints_end_with_the_task() {
    let mut pc = two_tasks();
    pc.state.dr7 = 0x400 | 0x3ff;
    pc.state.dr = [0xf000_0000; 4];
    pc.code(&far(0xea, sel::TSS2)).ok();
    assert_eq!(pc.state.dr7, 0x400 | 0x2aa);
}

#[test]
fn faults_before_the_commit_come_in_the_old_task() {
    type Setup = fn(&mut Pc);
    let cases: [(u8, u16, Setup, u32, Vector, Why); 8] = [
        (
            0xea,
            sel::TSS2,
            |pc| pc.describe(sel::TSS2, Descriptor::new(TSS2 as u32, 0xfff, attr(0x09))),
            0x90,
            Vector::NP,
            Why::SegmentNotPresent,
        ),
        (
            0xea,
            sel::TSS2,
            |pc| pc.describe(sel::TSS2, Descriptor::new(TSS2 as u32, 0x66, attr(0x89))),
            0x90,
            Vector::TS,
            Why::TssTooShort,
        ),
        (
            0xea,
            sel::TSS2,
            |pc| pc.describe(sel::TSS2, Descriptor::new(TSS2 as u32, 0xfff, attr(0x8b))),
            0x90,
            Vector::GP,
            Why::NotATarget,
        ),
        (0x9a, sel::TSS2, |pc| pc.state.tr.limit = 0x66, 0x28, Vector::TS, Why::TssTooShort),
        (0xea, sel::FREE, |pc| task_gate(pc, sel::TSS2 | 4), 0x94, Vector::GP, Why::TssNotInGdt),
        (0xea, sel::FREE, |pc| task_gate(pc, sel::BEYOND), 0x100, Vector::GP, Why::SelectorBeyondTable),
        (0xea, sel::FREE, |pc| task_gate(pc, sel::TSS), 0x28, Vector::GP, Why::NotAnAvailableTss),
        (0xea, sel::FREE, |pc| task_gate(pc, sel::CODE0), 0x08, Vector::GP, Why::NotAnAvailableTss),
    ];
    for (opcode, selector, setup, error, vector, why) in cases {
        let mut pc = two_tasks();
        setup(&mut pc);
        pc.code(&far(opcode, selector)).faults(vector, Some(error), why);
        assert!(busy(&pc, sel::TSS));
    }
}

fn task_gate(pc: &mut Pc, tss: u16) {
    let gate = Gate { selector: Selector(tss), offset: 0, params: 0 };
    pc.describe(sel::FREE, gate.encode(SystemType::TaskGate, 0, true));
}

#[test]
fn iret_with_nt_wants_a_busy_tss_in_the_gdt() {
    let cases = [
        (sel::TSS2, 0x90, Why::NotABusyTss),
        (sel::CODE0, 0x08, Why::NotABusyTss),
        (sel::TSS | 4, 0x2c, Why::TssNotInGdt),
        (0, 0, Why::TssNotInGdt),
        (sel::BEYOND, 0x100, Why::SelectorBeyondTable),
    ];
    for (link, error, why) in cases {
        let mut pc = Pc::protected(0);
        pc.set_flags(RFlags::NT);
        pc.poke16(TSS, link);
        pc.code(&[0xcf]).faults(Vector::TS, Some(error), why);
    }
}

#[test]
fn faults_after_the_commit_come_in_the_new_task() {
    type Setup = fn(&mut Pc);
    let cases: [(Setup, u32, Vector, Why); 13] = [
        (|pc| pc.poke16(TSS2 + LDT_AT, sel::CODE0), 0x08, Vector::TS, Why::NotAnLdt),
        (|pc| pc.poke16(TSS2 + LDT_AT, sel::LDT | 4), 0x3c, Vector::TS, Why::LdtNotInGdt),
        (|pc| pc.poke16(TSS2 + ES + 4, 0), 0, Vector::TS, Why::NullCode),
        (|pc| pc.poke16(TSS2 + ES + 4, sel::DATA0), 0x10, Vector::TS, Why::NotCode),
        (|pc| pc.poke16(TSS2 + ES + 4, sel::CODE3 & !3), 0x18, Vector::TS, Why::CodeDplWrong),
        (|pc| pc.poke16(TSS2 + ES + 4, sel::CODE_ABSENT), 0x68, Vector::NP, Why::SegmentNotPresent),
        (|pc| pc.poke16(TSS2 + ES + 8, 0), 0, Vector::TS, Why::NullStack),
        (|pc| pc.poke16(TSS2 + ES + 8, sel::DATA3), 0x20, Vector::TS, Why::StackRplWrong),
        (|pc| pc.poke16(TSS2 + ES + 8, sel::DATA_ABSENT), 0x60, Vector::SS, Why::StackNotPresent),
        (|pc| pc.poke16(TSS2 + ES + 12, sel::EXECUTE_ONLY), 0x78, Vector::TS, Why::NotDataOrReadableCode),
        (|pc| pc.poke16(TSS2 + ES + 12, sel::DATA_ABSENT), 0x60, Vector::NP, Why::SegmentNotPresent),
        (|pc| pc.poke16(TSS2 + ES + 16, sel::BEYOND), 0x100, Vector::TS, Why::SelectorBeyondTable),
        (
            |pc| {
                pc.poke32(TSS2 + EIP, 0x1_0000);
                pc.poke16(TSS2 + ES + 4, sel::CODE16);
            },
            0,
            Vector::GP,
            Why::TargetBeyondLimit,
        ),
    ];
    for (setup, error, vector, why) in cases {
        let mut pc = two_tasks();
        setup(&mut pc);
        pc.state.idtr.limit = 0;
        pc.code(&far(0xea, sel::TSS2)).run(1);
        let f = pc.cpu.faults().iter().next().copied().expect("a fault");
        assert_eq!((f.vector, f.error, f.why), (vector, Some(error), Some(why)), "{:?}", f.why);
        assert_eq!((u64::from(pc.peek32(TSS2 + EIP)), pc.state.tr.selector), (f.rip, sel::TSS2));
        assert_eq!((busy(&pc, sel::TSS), busy(&pc, sel::TSS2)), (false, true));
    }
}

#[test]
fn a_fault_in_the_new_task_is_delivered_there() {
    let mut pc = two_tasks();
    pc.gate(10, SystemType::InterruptGate32, 0, sel::CODE0, 0x9800);
    pc.poke16(TSS2 + ES + 12, sel::EXECUTE_ONLY);
    pc.code(&far(0xea, sel::TSS2)).run(1);
    let sp = pc.reg(Gpr::Rsp);
    assert_eq!((pc.state.rip, pc.peek32(sp), pc.peek32(sp + 4)), (0x9800, 0x78, HANDLER as u32));
}

#[test]
fn the_new_tasks_ldt_serves_its_segments() {
    let mut pc = two_tasks();
    pc.poke16(TSS2 + LDT_AT, sel::LDT);
    pc.poke64(LDT + 8, Descriptor::new(0x777, 0xfff, attr(0x93)).0);
    pc.poke16(TSS2 + ES + 12, 0xc);
    pc.code(&far(0xea, sel::TSS2)).ok();
    assert_eq!((pc.seg(SegReg::Ds).base, pc.state.ldtr.selector), (0x777, sel::LDT));
}

#[test]
fn a_task_can_start_in_virtual_8086_mode() {
    let mut pc = two_tasks();
    pc.poke32(TSS2 + EFLAGS, 0x2_0002);
    pc.poke16(TSS2 + ES + 4, 0x900);
    pc.poke32(TSS2 + EIP, 0x10);
    pc.code(&far(0xea, sel::TSS2)).ok();
    assert_eq!((pc.state.rip, pc.seg(SegReg::Cs).base, pc.seg(SegReg::Cs).attr), (0x10, 0x9000, attr(0xf3)));
    pc.code(&[0xf4]).gp(0, Why::NotLevel0);
}

#[test]
fn level_3_may_jump_to_a_tss_of_dpl_3() {
    let mut pc = Pc::protected(3);
    let from = two_tasks();
    let mut bytes = [0; 0x68];
    from.board.memory.read(hako_mem::Gpa(TSS2), &mut bytes).unwrap();
    pc.poke(TSS2, &bytes);
    pc.describe(sel::TSS2, Descriptor::new(TSS2 as u32, 0xfff, attr(0xe9)));
    pc.code(&far(0xea, sel::TSS2 | 3)).ok();
    assert_eq!((pc.state.rip, pc.seg(SegReg::Cs).selector), (HANDLER, sel::CODE0));
    assert_eq!(GDT, 0x1000);
}
