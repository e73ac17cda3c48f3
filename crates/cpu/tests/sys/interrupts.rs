//! Delivery of events in real and protected mode, double and triple faults, what is taken when (SDM Vol. 3A chapter 6).

use crate::machine::{HANDLER, IDT, Pc, STACK, STACK0, STACK3, TSS, attr, sel};
use hako_cpu::{StopKind, Why};
use hako_x86::{Activity, Descriptor, Gpr, RFlags, SegReg, Shadow, SystemType, Vector};

use SystemType::{InterruptGate16, InterruptGate32, TrapGate32};

const INT_80: [u8; 2] = [0xcd, 0x80];

fn frame32(pc: &Pc, n: u64) -> Vec<u32> {
    let sp = pc.reg(Gpr::Rsp);
    (0..n).map(|i| pc.peek32(sp + i * 4)).collect()
}

#[test]
fn real_mode_goes_through_the_vector_table() {
    let mut pc = Pc::real();
    pc.poke32(0x80 * 4, 0x0900_0123);
    pc.set_flags(RFlags::IF | RFlags::TF | RFlags::CF);
    pc.state.rflags.remove(RFlags::TF);
    pc.code(&INT_80).ok();
    assert_eq!((pc.seg(SegReg::Cs).selector, pc.state.rip), (0x0900, 0x123));
    let frame: Vec<u16> = (0..3).map(|i| pc.peek16(STACK - 6 + i * 2)).collect();
    assert_eq!(frame, [0x8002, 0, 0x203]);
    assert_eq!(pc.state.rflags.bits(), 3);
}

#[test]
fn real_mode_checks_the_idt_limit() {
    let mut pc = Pc::real();
    pc.state.idtr.limit = 0x80 * 4 + 2;
    pc.run(1);
    let mut pc = Pc::real();
    pc.state.idtr.limit = 0;
    pc.code(&INT_80).gp(0x402, Why::IdtLimit);
}

#[test]
fn an_interrupt_gate_clears_if_and_a_trap_gate_keeps_it() {
    for (ty, kept) in [(InterruptGate32, false), (TrapGate32, true)] {
        let mut pc = Pc::protected(0);
        pc.gate(0x80, ty, 0, sel::CODE0, HANDLER);
        pc.set_flags(RFlags::IF | RFlags::NT | RFlags::DF);
        pc.code(&INT_80).ok();
        assert_eq!(pc.state.rip, HANDLER);
        assert_eq!(pc.flag(RFlags::IF), kept);
        assert!(!pc.flag(RFlags::NT) && pc.flag(RFlags::DF));
        assert_eq!(frame32(&pc, 3), [0x8002, u32::from(sel::CODE0), 0x4602]);
    }
}

#[test]
fn an_inner_handler_gets_the_stack_of_the_tss() {
    let mut pc = Pc::protected(3);
    pc.gate(0x80, InterruptGate32, 3, sel::CODE0, HANDLER);
    pc.code(&INT_80).ok();
    assert_eq!(pc.reg(Gpr::Rsp), STACK0 - 20);
    let (cs, ss) = (u32::from(sel::CODE3), u32::from(sel::DATA3));
    assert_eq!(frame32(&pc, 5), [0x8002, cs, 2, STACK3 as u32, ss]);
    assert_eq!((pc.seg(SegReg::Cs).selector, pc.seg(SegReg::Ss).selector), (sel::CODE0, sel::DATA0));
}

#[test]
fn a_16_bit_gate_pushes_words() {
    let mut pc = Pc::protected(3);
    pc.gate(0x80, InterruptGate16, 3, sel::CODE0, HANDLER);
    pc.code(&INT_80).ok();
    let frame: Vec<u16> = (0..5).map(|i| pc.peek16(STACK0 - 10 + i * 2)).collect();
    assert_eq!(frame, [0x8002, sel::CODE3, 2, STACK3 as u16, sel::DATA3]);
}

/// Errors of INT n do not carry EXT; those of exceptions do, and carry IDT for the gate itself.
#[test]
fn gate_checks_of_int_n() {
    type Setup = fn(&mut Pc);
    let gate = 0x80 * 8 + 2;
    let cases: [(u8, Setup, u32, Vector, Why); 10] = [
        (0, |pc| pc.gate(0x80, SystemType::CallGate32, 0, sel::CODE0, 0), gate, Vector::GP, Why::IdtNotAGate),
        (0, |pc| pc.poke64(IDT + 0x400, 0), gate, Vector::GP, Why::IdtNotAGate),
        (3, |pc| pc.gate(0x80, TrapGate32, 0, sel::CODE0, 0), gate, Vector::GP, Why::IdtDplTooLow),
        (
            0,
            |pc| {
                pc.gate(0x80, TrapGate32, 0, sel::CODE0, 0);
                let d = pc.peek64(IDT + 0x400) & !(1 << 47);
                pc.poke64(IDT + 0x400, d);
            },
            gate,
            Vector::NP,
            Why::IdtNotPresent,
        ),
        (0, |pc| pc.gate(0x80, TrapGate32, 0, 0, 0), 0, Vector::GP, Why::NullCode),
        (0, |pc| pc.gate(0x80, TrapGate32, 0, sel::BEYOND, 0), 0x100, Vector::GP, Why::SelectorBeyondTable),
        (0, |pc| pc.gate(0x80, TrapGate32, 0, sel::DATA0, 0), 0x10, Vector::GP, Why::NotCode),
        (0, |pc| pc.gate(0x80, TrapGate32, 0, sel::CODE3, 0), 0x18, Vector::GP, Why::CodeDplTooHigh),
        (0, |pc| pc.gate(0x80, TrapGate32, 0, sel::CODE_ABSENT, 0), 0x68, Vector::NP, Why::SegmentNotPresent),
        (
            0,
            |pc| {
                pc.describe(sel::FREE, Descriptor::new(0, 0x8fff, attr(0x409b)));
                pc.gate(0x80, TrapGate32, 0, sel::FREE, HANDLER);
            },
            0,
            Vector::GP,
            Why::TargetBeyondLimit,
        ),
    ];
    for (cpl, setup, error, vector, why) in cases {
        let mut pc = Pc::protected(cpl);
        setup(&mut pc);
        pc.state.idtr.limit = 0x407;
        pc.code(&INT_80);
        first_fault(&mut pc, vector, error, why);
    }
}

/// Runs one instruction and looks at the first exception only; its delivery may fail as it likes.
#[track_caller]
fn first_fault(pc: &mut Pc, vector: Vector, error: u32, why: Why) {
    pc.run(1);
    let f = pc.cpu.faults().iter().next().copied().expect("a fault");
    assert_eq!((f.vector, f.error, f.why), (vector, Some(error), Some(why)), "{:?}", f.why);
    assert_eq!(f.rip, 0x8000);
}

#[test]
fn inner_stack_checks_of_int_n() {
    type Setup = fn(&mut Pc);
    let cases: [(Setup, u32, Vector, Why); 6] = [
        (|pc| pc.state.tr.limit = 8, 0x28, Vector::TS, Why::TssTooShort),
        (|pc| pc.poke16(TSS + 8, 0), 0, Vector::TS, Why::NullStack),
        (|pc| pc.poke16(TSS + 8, sel::BEYOND), 0x100, Vector::TS, Why::SelectorBeyondTable),
        (|pc| pc.poke16(TSS + 8, sel::READ_ONLY), 0x70, Vector::TS, Why::StackNotWritable),
        (|pc| pc.poke16(TSS + 8, sel::DATA_ABSENT), 0x60, Vector::SS, Why::StackNotPresent),
        (
            |pc| {
                pc.poke16(TSS + 8, sel::FREE);
                pc.describe(sel::FREE, Descriptor::new(0, STACK0 as u32 - 5, attr(0x4093)));
            },
            u32::from(sel::FREE),
            Vector::SS,
            Why::StackNoRoom,
        ),
    ];
    for (setup, error, vector, why) in cases {
        let mut pc = Pc::protected(3);
        pc.gate(0x80, TrapGate32, 3, sel::CODE0, HANDLER);
        setup(&mut pc);
        pc.code(&INT_80);
        first_fault(&mut pc, vector, error, why);
    }
}

#[test]
fn a_fault_pushes_its_error_code_and_rf() {
    let mut pc = Pc::protected(0);
    pc.gate(13, InterruptGate32, 0, sel::CODE0, HANDLER);
    // mov ds, ax
    pc.set_reg(Gpr::Rax, 0x1f8);
    pc.code(&[0x8e, 0xd8]).step();
    assert_eq!(frame32(&pc, 4), [0x1f8, 0x8000, u32::from(sel::CODE0), 0x1_0002]);
    assert_eq!(pc.state.rip, HANDLER);
}

#[test]
fn traps_push_the_next_instruction_without_rf() {
    let mut pc = Pc::protected(0);
    pc.gate(3, TrapGate32, 0, sel::CODE0, HANDLER);
    pc.code(&[0xcc]).ok_or_requested(3);
    assert_eq!(frame32(&pc, 3), [0x8001, u32::from(sel::CODE0), 2]);
    let mut pc = Pc::protected(0);
    pc.gate(4, TrapGate32, 0, sel::CODE0, HANDLER);
    pc.set_flags(RFlags::OF);
    pc.code(&[0xce]).ok_or_requested(4);
    assert_eq!(frame32(&pc, 3), [0x8001, u32::from(sel::CODE0), 0x802]);
    Pc::protected(0).code(&[0xce]).ok();
}

impl Pc {
    /// Executes one instruction that asks for an exception.
    fn ok_or_requested(&mut self, vector: u8) {
        self.run(1);
        let f = self.cpu.faults().last().copied().expect("a record");
        assert_eq!((f.vector.0, f.why), (vector, None));
    }
}

#[test]
fn int1_does_not_look_at_the_gates_dpl() {
    let mut pc = Pc::protected(3);
    pc.gate(1, TrapGate32, 0, sel::CODE0, HANDLER);
    pc.code(&[0xf1]).ok_or_requested(1);
    assert_eq!(pc.state.rip, HANDLER);
    let mut pc = Pc::protected(3);
    pc.gate(3, TrapGate32, 0, sel::CODE0, HANDLER);
    pc.code(&[0xcc]);
    pc.run(1);
    let second = pc.cpu.faults().iter().nth(1).copied().expect("#GP");
    assert_eq!((second.error, second.why), (Some(3 * 8 + 2), Some(Why::IdtDplTooLow)));
}

#[test]
fn a_conforming_handler_runs_at_the_level_it_interrupts() {
    let mut pc = Pc::protected(3);
    pc.gate(0x80, TrapGate32, 3, sel::CONFORMING, HANDLER);
    pc.code(&INT_80).ok();
    assert_eq!((pc.seg(SegReg::Cs).selector, pc.reg(Gpr::Rsp)), (sel::CONFORMING | 3, STACK3 - 12));
}

#[test]
fn a_failed_delivery_of_a_contributory_fault_is_a_double_fault() {
    let mut pc = Pc::protected(0);
    pc.gate(8, InterruptGate32, 0, sel::CODE0, HANDLER);
    pc.set_reg(Gpr::Rax, 0x1f8);
    pc.code(&[0x8e, 0xd8]).step();
    assert_eq!((pc.state.rip, frame32(&pc, 2)), (HANDLER, vec![0, 0x8000]));
    let log: Vec<(u8, Option<u32>)> = pc.cpu.faults().iter().map(|f| (f.vector.0, f.error)).collect();
    assert_eq!(log, [(13, Some(0x1f8)), (13, Some(13 * 8 + 3)), (8, Some(0))]);
}

#[test]
fn a_failed_delivery_of_a_benign_fault_is_a_fault_of_its_own() {
    let mut pc = Pc::protected(0);
    pc.gate(13, InterruptGate32, 0, sel::CODE0, HANDLER);
    // ud2
    pc.code(&[0x0f, 0x0b]).step();
    assert_eq!((pc.state.rip, frame32(&pc, 2)), (HANDLER, vec![6 * 8 + 3, 0x8000]));
}

#[test]
fn a_fault_in_the_delivery_of_a_double_fault_is_a_triple_fault() {
    let mut pc = Pc::protected(0);
    pc.set_reg(Gpr::Rax, 0x1f8);
    let stop = pc.code(&[0x8e, 0xd8]).run(1);
    assert_eq!((stop.kind, stop.rip), (StopKind::TripleFault, 0x8000));
    assert_eq!(pc.state.activity, Activity::Shutdown);
    let log: Vec<u8> = pc.cpu.faults().iter().map(|f| f.vector.0).collect();
    assert_eq!(log, [13, 13, 8, 13]);
    assert_eq!(pc.state.rip, 0x8000);
    assert_eq!(pc.go_on(1).kind, StopKind::TripleFault, "shutdown is for good");
}

#[test]
fn interrupts_are_taken_when_if_is_set() {
    let mut pc = Pc::protected(0);
    pc.gate(0x20, InterruptGate32, 0, sel::CODE0, HANDLER);
    pc.poke(HANDLER, &[0x90; 4]);
    pc.code(&[0x90, 0x90, 0x90]);
    pc.board.lines.intr = true;
    pc.run(1);
    assert_eq!((pc.state.rip, pc.board.acknowledged), (0x8001, 0));
    pc.set_flags(RFlags::IF);
    pc.run(1);
    assert_eq!((pc.state.rip, pc.board.acknowledged), (HANDLER + 1, 1));
    assert_eq!(frame32(&pc, 3), [0x8001, u32::from(sel::CODE0), 0x202]);
    assert!(!pc.flag(RFlags::IF));
}

#[test]
fn sti_holds_interrupts_off_for_one_instruction() {
    let mut pc = Pc::protected(0);
    pc.gate(0x20, InterruptGate32, 0, sel::CODE0, HANDLER);
    // sti; nop; nop
    pc.code(&[0xfb, 0x90, 0x90]);
    pc.board.lines.intr = true;
    pc.run(1);
    assert_eq!(pc.state.events.shadow, Shadow::Sti);
    pc.go_on(1);
    assert_eq!((pc.state.rip, pc.board.acknowledged), (0x8002, 0));
    pc.go_on(1);
    assert_eq!(pc.board.acknowledged, 1);
    // With IF set already there is no shadow.
    let mut pc = Pc::protected(0);
    pc.set_flags(RFlags::IF);
    assert_eq!(pc.code(&[0xfb]).ok().state.events.shadow, Shadow::None);
}

#[test]
fn sti_holds_an_nmi_off_for_one_instruction() {
    let mut pc = Pc::protected(0);
    pc.gate(2, InterruptGate32, 0, sel::CODE0, HANDLER);
    pc.poke(HANDLER, &[0x90; 2]);
    // sti; nop; nop
    pc.code(&[0xfb, 0x90, 0x90]).run(1);
    pc.cpu.nmi();
    pc.go_on(1);
    assert_eq!(pc.state.rip, 0x8002);
    pc.go_on(1);
    assert_eq!(pc.state.rip, HANDLER + 1);
}

#[test]
fn sti_cli_lets_nothing_through() {
    let mut pc = Pc::protected(0);
    pc.code(&[0xfb, 0xfa, 0x90]);
    pc.board.lines.intr = true;
    pc.run(3);
    assert_eq!((pc.state.rip, pc.board.acknowledged), (0x8003, 0));
}

#[test]
fn mov_ss_holds_everything_off_for_one_instruction() {
    let mut pc = Pc::protected(0);
    pc.gate(0x20, InterruptGate32, 0, sel::CODE0, HANDLER);
    pc.gate(2, InterruptGate32, 0, sel::CODE0, HANDLER);
    pc.set_reg(Gpr::Rax, u64::from(sel::DATA0));
    pc.set_flags(RFlags::IF);
    // mov ss, ax; nop; nop
    pc.code(&[0x8e, 0xd0, 0x90, 0x90]);
    pc.run(1);
    pc.board.lines.intr = true;
    pc.board.lines.nmi = true;
    pc.go_on(1);
    assert_eq!((pc.state.rip, pc.board.acknowledged), (0x8003, 0));
    pc.go_on(1);
    assert_ne!(pc.state.rip, 0x8004);
}

#[test]
fn an_nmi_blocks_further_nmis_until_iret() {
    let mut pc = Pc::protected(0);
    pc.gate(2, InterruptGate32, 0, sel::CODE0, HANDLER);
    // nop; iret
    pc.poke(HANDLER, &[0x90, 0xcf]);
    pc.code(&[0x90, 0x90]);
    pc.cpu.set_state(&pc.state).unwrap();
    pc.cpu.nmi();
    pc.go_on(1);
    assert_eq!(pc.state.rip, HANDLER + 1);
    assert!(pc.state.events.nmi_masked);
    pc.cpu.nmi();
    pc.go_on(1);
    assert_eq!(
        (pc.state.rip, pc.state.events.nmi_masked, pc.state.events.nmi_pending),
        (0x8000, false, true)
    );
    pc.go_on(1);
    assert_eq!(pc.state.rip, HANDLER + 1);
}

#[test]
fn hlt_waits_for_what_the_flags_allow() {
    let mut pc = Pc::protected(0);
    pc.gate(0x20, InterruptGate32, 0, sel::CODE0, HANDLER);
    pc.poke(HANDLER, &[0x90]);
    // sti; hlt
    let stop = pc.code(&[0xfb, 0xf4]).run(5);
    assert_eq!((stop.kind, stop.rip, pc.state.activity), (StopKind::Halt, 0x8001, Activity::Halted));
    assert_eq!(pc.go_on(5).kind, StopKind::Halt);
    pc.board.lines.intr = true;
    pc.go_on(1);
    assert_eq!((pc.state.activity, pc.state.rip), (Activity::Running, HANDLER + 1));
    assert_eq!(frame32(&pc, 1), [0x8002]);
    // With IF clear only an NMI wakes.
    let mut pc = Pc::protected(0);
    pc.gate(2, InterruptGate32, 0, sel::CODE0, HANDLER);
    pc.board.lines.intr = true;
    assert_eq!(pc.code(&[0xf4]).run(5).kind, StopKind::Halt);
    pc.board.lines.nmi = true;
    pc.go_on(0);
    pc.go_on(1);
    assert_eq!(pc.state.activity, Activity::Running);
}

#[test]
fn interrupts_go_before_nothing_and_nmi_goes_before_interrupts() {
    let mut pc = Pc::protected(0);
    pc.gate(0x20, TrapGate32, 0, sel::CODE0, HANDLER);
    pc.gate(2, TrapGate32, 0, sel::CODE0, HANDLER + 0x100);
    pc.poke(HANDLER, &[0x90]);
    pc.poke(HANDLER + 0x100, &[0x90]);
    pc.set_flags(RFlags::IF);
    pc.code(&[0x90]);
    pc.board.lines.intr = true;
    pc.board.lines.nmi = true;
    pc.run(1);
    // The NMI first; the interrupt then finds IF still set (trap gate) and interrupts the NMI's handler.
    assert_eq!(pc.state.rip, HANDLER + 1);
    assert_eq!(frame32(&pc, 1), [HANDLER as u32 + 0x100]);
}

#[test]
fn an_interrupt_between_two_iterations_pushes_rf() {
    let mut pc = Pc::protected(0);
    pc.gate(0x20, InterruptGate32, 0, sel::CODE0, HANDLER);
    pc.poke(HANDLER, &[0x90]);
    pc.set_flags(RFlags::IF);
    pc.set_reg(Gpr::Rcx, 10);
    pc.set_reg(Gpr::Rdi, 0xa000);
    // rep stosb
    pc.code(&[0xf3, 0xaa]).run(4);
    pc.board.lines.intr = true;
    pc.go_on(1);
    assert_eq!(frame32(&pc, 3), [0x8000, u32::from(sel::CODE0), 0x1_0202]);
    assert_eq!(pc.reg(Gpr::Rcx), 6);
    // Not after the last one.
    let mut pc = Pc::protected(0);
    pc.gate(0x20, InterruptGate32, 0, sel::CODE0, HANDLER);
    pc.poke(HANDLER, &[0x90]);
    pc.set_flags(RFlags::IF);
    pc.set_reg(Gpr::Rcx, 4);
    pc.set_reg(Gpr::Rdi, 0xa000);
    pc.code(&[0xf3, 0xaa]).run(4);
    pc.board.lines.intr = true;
    pc.go_on(1);
    assert_eq!(frame32(&pc, 3), [0x8002, u32::from(sel::CODE0), 0x202]);
}

#[test]
fn exceptions_without_end_do_not_hold_the_host() {
    // The handler of #UD is itself #UD, on one page, on a stack that never moves: IST would do it, a task gate too.
    let mut pc = Pc::long(0);
    pc.gate64(6, InterruptGate32, 0, sel::LONG0, HANDLER, 1);
    pc.poke64(TSS + 0x24, STACK0);
    pc.poke(HANDLER, &[0x0f, 0x0b]);
    pc.code(&[0x0f, 0x0b]);
    assert_eq!(pc.run(1000).kind, StopKind::Deadline);
}
