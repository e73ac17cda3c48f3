//! Far jumps, calls and returns (SDM Vol. 2: JMP, CALL, RET).

use crate::machine::{DATA, Pc, STACK, STACK0, STACK3, TSS, attr, flat, sel};
use hako_cpu::Why;
use hako_x86::{Descriptor, Gate, Gpr, SegAttr, SegReg, Segment, Selector, SystemType, Vector};

fn far32(opcode: u8, selector: u16, offset: u32) -> Vec<u8> {
    let mut code = vec![opcode];
    code.extend(offset.to_le_bytes());
    code.extend(selector.to_le_bytes());
    code
}

fn jmp(selector: u16, offset: u32) -> Vec<u8> {
    far32(0xea, selector, offset)
}

fn call(selector: u16, offset: u32) -> Vec<u8> {
    far32(0x9a, selector, offset)
}

fn call_gate(pc: &mut Pc, dpl: u8, target: u16, params: u8) {
    let gate = Gate { selector: Selector(target), offset: 0x9000, params };
    pc.describe(sel::FREE, gate.encode(SystemType::CallGate32, dpl, true));
}

#[test]
fn real_mode_jumps_load_cs_by_16() {
    let mut pc = Pc::real();
    pc.code(&[0xea, 0x34, 0x12, 0x00, 0x20]).ok();
    assert_eq!(
        (pc.state.rip, pc.seg(SegReg::Cs).selector, pc.seg(SegReg::Cs).base),
        (0x1234, 0x2000, 0x20000)
    );
    // jmp far 32-bit beyond the limit
    let mut pc = Pc::real();
    pc.code(&[0x66, 0xea, 0, 0, 1, 0, 0, 0]).gp(0, Why::TargetBeyondLimit);
}

#[test]
fn real_mode_call_and_return() {
    let mut pc = Pc::real();
    pc.code(&[0x9a, 0x00, 0x00, 0x00, 0x09]).ok();
    assert_eq!((pc.reg(Gpr::Rsp), pc.peek16(STACK - 2), pc.peek16(STACK - 4)), (STACK - 4, 0, 0x8005));
    pc.code(&[0xca, 0x02, 0x00]).ok();
    assert_eq!((pc.reg(Gpr::Rsp), pc.state.rip, pc.seg(SegReg::Cs).base), (STACK + 2, 0x8005, 0));
}

#[test]
fn jump_to_code_keeps_cpl_and_marks_accessed() {
    let mut pc = Pc::protected(0);
    pc.describe(sel::FREE, flat(0xc09a));
    pc.code(&jmp(sel::FREE, 0x9000)).ok();
    assert_eq!((pc.state.rip, pc.seg(SegReg::Cs).selector), (0x9000, sel::FREE));
    assert_eq!(pc.descriptor(sel::FREE).attr(), attr(0xc09b));
    // A conforming segment takes the RPL of CPL.
    let mut pc = Pc::protected(3);
    pc.code(&jmp(sel::CONFORMING, 0x9000)).ok();
    assert_eq!(pc.seg(SegReg::Cs).selector, sel::CONFORMING | 3);
}

#[test]
fn jump_and_call_checks() {
    let cases = [
        (0, 0, 0, Vector::GP, Why::NullCode),
        (0, 3, 0, Vector::GP, Why::NullCode),
        (0, sel::BEYOND, 0x100, Vector::GP, Why::SelectorBeyondTable),
        (0, sel::DATA0, 0x10, Vector::GP, Why::NotCode),
        (0, sel::LDT, 0x38, Vector::GP, Why::NotATarget),
        (0, sel::TSS, 0x28, Vector::GP, Why::NotATarget), // busy
        (3, sel::CODE0, 8, Vector::GP, Why::CodeDplWrong),
        (0, sel::CODE0 | 1, 8, Vector::GP, Why::CodeRplTooHigh),
        (0, sel::CODE3 & !3, 0x18, Vector::GP, Why::CodeDplWrong),
        (0, sel::CODE_ABSENT, 0x68, Vector::NP, Why::SegmentNotPresent),
        (3, sel::TSS2 | 3, 0x90, Vector::GP, Why::GateDplTooLow),
    ];
    for (cpl, selector, error, vector, why) in cases {
        for code in [jmp(selector, 0x9000), call(selector, 0x9000)] {
            Pc::protected(cpl).code(&code).faults(vector, Some(error), why);
        }
    }
}

#[test]
fn a_descriptor_is_not_marked_accessed_by_a_fault() {
    let mut pc = Pc::protected(0);
    let d = Descriptor::new(0, 0x8fff, attr(0x409a));
    pc.describe(sel::FREE, d);
    pc.code(&jmp(sel::FREE, 0x9000)).gp(0, Why::TargetBeyondLimit);
    pc.code(&call(sel::FREE, 0x9000)).gp(0, Why::TargetBeyondLimit);
    assert_eq!(pc.descriptor(sel::FREE), d);
}

#[test]
fn a_conforming_segment_with_higher_dpl_is_refused() {
    let mut pc = Pc::protected(0);
    pc.describe(sel::FREE, flat(0xc0ff));
    pc.code(&jmp(sel::FREE, 0)).gp(u32::from(sel::FREE), Why::CodeDplTooHigh);
}

#[test]
fn targets_lie_within_the_limit() {
    Pc::protected(0).code(&jmp(sel::CODE16, 0x1_0000)).gp(0, Why::TargetBeyondLimit);
    Pc::protected(0).code(&jmp(sel::CODE16, 0xffff)).ok();
    Pc::protected(0).code(&call(sel::CODE16, 0x1_0000)).gp(0, Why::TargetBeyondLimit);
}

#[test]
fn a_call_pushes_cs_and_eip_if_the_stack_has_room() {
    let mut pc = Pc::protected(0);
    pc.code(&call(sel::CODE0, 0x9000)).ok();
    assert_eq!((pc.peek32(STACK - 4), pc.peek32(STACK - 8)), (8, 0x8007));
    assert_eq!(pc.reg(Gpr::Rsp), STACK - 8);
    let mut pc = Pc::protected(0);
    pc.state.seg[SegReg::Ss as usize].limit = STACK as u32 - 6;
    pc.code(&call(sel::CODE0, 0x9000)).faults(Vector::SS, Some(0), Why::StackNoRoom);
}

#[test]
fn a_gate_to_the_same_level_ignores_the_offset() {
    let mut pc = Pc::protected(0);
    call_gate(&mut pc, 0, sel::CODE0, 3);
    pc.code(&jmp(sel::FREE, 0xdead_beef)).ok();
    assert_eq!((pc.state.rip, pc.seg(SegReg::Cs).selector, pc.reg(Gpr::Rsp)), (0x9000, sel::CODE0, STACK));
    let mut pc = Pc::protected(0);
    call_gate(&mut pc, 0, sel::CODE0, 3);
    pc.code(&call(sel::FREE, 0xdead_beef)).ok();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rsp)), (0x9000, STACK - 8));
}

#[test]
fn a_gate_to_an_inner_level_switches_stacks_and_copies_parameters() {
    let mut pc = Pc::protected(3);
    call_gate(&mut pc, 3, sel::CODE0, 2);
    pc.poke32(STACK3, 0x1111);
    pc.poke32(STACK3 + 4, 0x2222);
    pc.code(&call(sel::FREE | 3, 0)).ok();
    let top = STACK0 - 24;
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rsp)), (0x9000, top));
    assert_eq!((pc.seg(SegReg::Cs).selector, pc.seg(SegReg::Ss).selector), (sel::CODE0, sel::DATA0));
    let frame: Vec<u32> = (0..6).map(|i| pc.peek32(top + i * 4)).collect();
    let (cs, ss) = (u32::from(sel::CODE3), u32::from(sel::DATA3));
    assert_eq!(frame, [0x8007, cs, 0x1111, 0x2222, STACK3 as u32, ss]);
    // retf 8 leads back and releases the parameters on both stacks.
    pc.code(&[0xca, 8, 0]).ok();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rsp)), (0x8007, STACK3 + 8));
    assert_eq!((pc.seg(SegReg::Cs).selector, pc.seg(SegReg::Ss).selector), (sel::CODE3, sel::DATA3));
}

#[test]
fn a_16_bit_gate_pushes_words() {
    let mut pc = Pc::protected(3);
    let gate = Gate { selector: Selector(sel::CODE0), offset: 0x9000, params: 1 };
    pc.describe(sel::FREE, gate.encode(SystemType::CallGate16, 3, true));
    pc.poke16(STACK3, 0x1111);
    pc.code(&call(sel::FREE | 3, 0)).ok();
    let frame: Vec<u16> = (0..5).map(|i| pc.peek16(STACK0 - 10 + i * 2)).collect();
    assert_eq!(frame, [0x8007, sel::CODE3, 0x1111, STACK3 as u16, sel::DATA3]);
}

#[test]
fn gate_checks() {
    type Setup = fn(&mut Pc);
    let cases: [(u8, Setup, u16, u32, Vector, Why); 9] = [
        (3, |pc| call_gate(pc, 0, sel::CODE0, 0), sel::FREE | 3, 0xa0, Vector::GP, Why::GateDplTooLow),
        (0, |pc| call_gate(pc, 0, sel::CODE0, 0), sel::FREE | 3, 0xa0, Vector::GP, Why::GateDplTooLow),
        (
            0,
            |pc| {
                call_gate(pc, 0, sel::CODE0, 0);
                let d = pc.descriptor(sel::FREE).0 & !(1 << 47);
                pc.describe(sel::FREE, Descriptor(d));
            },
            sel::FREE,
            0xa0,
            Vector::NP,
            Why::SegmentNotPresent,
        ),
        (0, |pc| call_gate(pc, 0, 0, 0), sel::FREE, 0, Vector::GP, Why::NullCode),
        (0, |pc| call_gate(pc, 0, sel::BEYOND, 0), sel::FREE, 0x100, Vector::GP, Why::SelectorBeyondTable),
        (0, |pc| call_gate(pc, 0, sel::DATA0, 0), sel::FREE, 0x10, Vector::GP, Why::NotCode),
        (0, |pc| call_gate(pc, 0, sel::CODE3, 0), sel::FREE, 0x18, Vector::GP, Why::CodeDplTooHigh),
        (0, |pc| call_gate(pc, 0, sel::CODE_ABSENT, 0), sel::FREE, 0x68, Vector::NP, Why::SegmentNotPresent),
        (
            0,
            |pc| {
                call_gate(pc, 0, sel::FREE + 8, 0);
                pc.describe(sel::FREE + 8, Descriptor::new(0, 0x8fff, attr(0x9b)));
            },
            sel::FREE,
            0,
            Vector::GP,
            Why::TargetBeyondLimit,
        ),
    ];
    for (cpl, setup, selector, error, vector, why) in cases {
        let mut pc = Pc::protected(cpl);
        setup(&mut pc);
        pc.code(&call(selector, 0)).faults(vector, Some(error), why);
        pc.code(&jmp(selector, 0)).faults(vector, Some(error), why);
    }
}

#[test]
fn a_jump_through_a_gate_does_not_change_the_level() {
    let mut pc = Pc::protected(3);
    call_gate(&mut pc, 3, sel::CODE0, 0);
    pc.code(&jmp(sel::FREE | 3, 0)).gp(u32::from(sel::CODE0), Why::CodeDplWrong);
    let mut pc = Pc::protected(3);
    call_gate(&mut pc, 3, sel::CONFORMING, 0);
    pc.code(&jmp(sel::FREE | 3, 0)).ok();
    assert_eq!(pc.seg(SegReg::Cs).selector, sel::CONFORMING | 3);
}

#[test]
fn inner_stack_checks_come_from_the_tss() {
    type Setup = fn(&mut Pc);
    let cases: [(Setup, u32, Vector, Why); 7] = [
        (|pc| pc.state.tr.limit = 8, 0x28, Vector::TS, Why::TssTooShort),
        (|pc| pc.poke16(TSS + 8, 0), 0, Vector::TS, Why::NullStack),
        (|pc| pc.poke16(TSS + 8, sel::BEYOND), 0x100, Vector::TS, Why::SelectorBeyondTable),
        (|pc| pc.poke16(TSS + 8, sel::DATA0 | 3), 0x10, Vector::TS, Why::StackRplWrong),
        (|pc| pc.poke16(TSS + 8, sel::READ_ONLY), 0x70, Vector::TS, Why::StackNotWritable),
        (|pc| pc.poke16(TSS + 8, sel::DATA_ABSENT), 0x60, Vector::SS, Why::StackNotPresent),
        (
            |pc| {
                pc.poke16(TSS + 8, sel::DATA16);
                pc.poke32(TSS + 4, 0x1_0008);
                pc.describe(sel::DATA16, Descriptor::new(0, 0xffff, attr(0x4093)));
            },
            u32::from(sel::DATA16),
            Vector::SS,
            Why::StackNoRoom,
        ),
    ];
    for (setup, error, vector, why) in cases {
        let mut pc = Pc::protected(3);
        call_gate(&mut pc, 3, sel::CODE0, 0);
        setup(&mut pc);
        pc.code(&call(sel::FREE | 3, 0)).faults(vector, Some(error), why);
    }
}

fn ret_frame(pc: &mut Pc, at: u64, values: &[u32]) {
    for (i, v) in (0..).zip(values) {
        pc.poke32(at + i * 4, *v);
    }
}

#[test]
fn return_checks() {
    let cases = [
        (0, 0, 0, Vector::GP, Why::NullCode),
        (0, sel::BEYOND, 0x100, Vector::GP, Why::SelectorBeyondTable),
        (0, sel::DATA0, 0x10, Vector::GP, Why::NotCode),
        (3, sel::CODE0, 8, Vector::GP, Why::ReturnInward),
        (0, sel::CODE3 & !3, 0x18, Vector::GP, Why::CodeDplWrong),
        (0, sel::CODE0 | 3, 8, Vector::GP, Why::CodeDplWrong),
        (0, sel::CODE_ABSENT, 0x68, Vector::NP, Why::SegmentNotPresent),
    ];
    for (cpl, cs, error, vector, why) in cases {
        let mut pc = Pc::protected(cpl);
        let sp = pc.reg(Gpr::Rsp);
        ret_frame(&mut pc, sp, &[0x9000, u32::from(cs), STACK3 as u32, u32::from(sel::DATA3)]);
        pc.code(&[0xcb]).faults(vector, Some(error), why);
    }
}

#[test]
fn return_to_an_outer_level_checks_the_stack_there() {
    let cases = [
        (0, 0, Vector::GP, Why::NullStack),
        (sel::BEYOND | 3, 0x100, Vector::GP, Why::SelectorBeyondTable),
        (sel::DATA3 & !3, 0x20, Vector::GP, Why::StackRplWrong),
        (sel::CODE3, 0x18, Vector::GP, Why::StackNotWritable),
        (sel::DATA0 | 3, 0x10, Vector::GP, Why::StackDplWrong),
    ];
    for (ss, error, vector, why) in cases {
        let mut pc = Pc::protected(0);
        ret_frame(&mut pc, STACK, &[0x9000, u32::from(sel::CODE3), STACK3 as u32, u32::from(ss)]);
        pc.code(&[0xcb]).faults(vector, Some(error), why);
    }
}

#[test]
fn return_to_an_outer_level_drops_segments_it_may_not_use() {
    let mut pc = Pc::protected(0);
    pc.set_seg(SegReg::Es, flat(0xc0f3).segment(sel::DATA3));
    pc.set_seg(SegReg::Fs, flat(0xc09f).segment(sel::CONFORMING));
    ret_frame(&mut pc, STACK, &[0x9000, u32::from(sel::CODE3), STACK3 as u32, u32::from(sel::DATA3)]);
    pc.code(&[0xcb]).ok();
    let selectors: Vec<u16> = SegReg::ALL.iter().map(|&r| pc.seg(r).selector).collect();
    assert_eq!(selectors, [sel::DATA3, sel::CODE3, sel::DATA3, 0, sel::CONFORMING, 0]);
    assert_eq!(pc.seg(SegReg::Ds).attr, SegAttr::UNUSABLE);
    assert_eq!(pc.reg(Gpr::Rsp), STACK3);
}

#[test]
fn a_dropped_segment_keeps_its_base() {
    let mut pc = Pc::protected(0);
    let gs = Segment { base: 0x40_0000, ..flat(0xc093).segment(sel::DATA0) };
    pc.set_seg(SegReg::Gs, gs);
    ret_frame(&mut pc, STACK, &[0x9000, u32::from(sel::CODE3), STACK3 as u32, u32::from(sel::DATA3)]);
    pc.code(&[0xcb]).ok();
    let gs = pc.seg(SegReg::Gs);
    assert_eq!((gs.selector, gs.attr, gs.base), (0, SegAttr::UNUSABLE, 0x40_0000));
}

#[test]
fn a_return_reads_the_whole_frame_before_it_moves() {
    let mut pc = Pc::protected(0);
    pc.state.seg[SegReg::Ss as usize].limit = STACK as u32 + 9;
    ret_frame(&mut pc, STACK, &[0x9000, u32::from(sel::CODE3), STACK3 as u32, u32::from(sel::DATA3)]);
    pc.code(&[0xcb]).faults(Vector::SS, Some(0), Why::BeyondLimit);
}

#[test]
fn jump_through_memory() {
    let mut pc = Pc::protected(0);
    pc.poke32(DATA, 0x9000);
    pc.poke16(DATA + 4, sel::CODE0);
    pc.code(&[0xff, 0x2d, 0, 0xa0, 0, 0]).ok();
    assert_eq!(pc.state.rip, 0x9000);
    Pc::protected(0).code(&[0xff, 0xe8]).faults(Vector::UD, None, Why::NeedsMemoryOperand);
}

#[test]
fn a_32_bit_call_from_an_unaligned_stack_checks_alignment_at_level_3_only() {
    use hako_x86::{Cr0, RFlags};
    for (cpl, faults) in [(0, false), (3, true)] {
        let mut pc = Pc::protected(cpl);
        pc.state.cr0 |= Cr0::AM.bits();
        pc.set_flags(RFlags::AC);
        let sp = pc.reg(Gpr::Rsp) + 1;
        pc.set_reg(Gpr::Rsp, sp);
        let cs = if cpl == 0 { sel::CODE0 } else { sel::CODE3 };
        pc.code(&call(cs, 0x9000));
        if faults {
            pc.faults(Vector::AC, Some(0), Why::Misaligned);
        } else {
            pc.ok();
        }
    }
}
