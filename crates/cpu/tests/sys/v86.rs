//! Virtual-8086 mode: in, out, and what happens inside (SDM Vol. 3B chapter 20).

use crate::machine::{HANDLER, Pc, STACK, STACK0, TSS, sel};
use hako_cpu::Why;
use hako_x86::{Cr4, Gpr, RFlags, SegAttr, SegReg, SystemType, Vector};

const INT_80: [u8; 2] = [0xcd, 0x80];
const VM: u32 = 1 << 17;

fn frame32(pc: &Pc, n: u64) -> Vec<u32> {
    let sp = pc.reg(Gpr::Rsp);
    (0..n).map(|i| pc.peek32(sp + i * 4)).collect()
}

#[test]
fn iret_from_level_0_enters_it() {
    let mut pc = Pc::protected(0);
    let values = [0x1234, 0x900, VM | 0x3202, 0x5678, 0x111, 0x222, 0x333, 0x444, 0x555];
    for (i, v) in (0..).zip(values) {
        pc.poke32(STACK + i * 4, v);
    }
    pc.code(&[0xcf]).ok();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rsp)), (0x1234, 0x5678));
    assert_eq!(pc.state.rflags.bits(), u64::from(VM | 0x3202));
    let got: Vec<(u16, u64, u32)> =
        SegReg::ALL.iter().map(|&r| (pc.seg(r).selector, pc.seg(r).base, pc.seg(r).limit)).collect();
    let want = [0x222, 0x900, 0x111, 0x333, 0x444, 0x555].map(|s: u16| (s, u64::from(s) << 4, 0xffff));
    assert_eq!(got, want);
    let mut pc = Pc::protected(0);
    pc.poke32(STACK, 0x1_0000);
    pc.poke32(STACK + 8, VM | 2);
    pc.code(&[0xcf]).gp(0, Why::TargetBeyondLimit);
}

#[test]
fn an_event_leaves_it_with_all_segments_on_the_stack() {
    let mut pc = Pc::v86(3);
    pc.gate(0x80, SystemType::InterruptGate32, 3, sel::CODE0, HANDLER);
    for (i, r) in (1u16..).zip([SegReg::Es, SegReg::Ds, SegReg::Fs, SegReg::Gs]) {
        pc.state.seg[r as usize].selector = i * 0x10;
        pc.state.seg[r as usize].base = u64::from(i) * 0x100;
    }
    pc.code(&INT_80).ok();
    assert_eq!(pc.reg(Gpr::Rsp), STACK0 - 36);
    assert_eq!(frame32(&pc, 9), [0x8002, 0, VM | 0x3002, STACK as u32 + 0x800, 0, 0x10, 0x20, 0x30, 0x40]);
    assert!(!pc.flag(RFlags::VM));
    for r in [SegReg::Es, SegReg::Ds, SegReg::Fs, SegReg::Gs] {
        assert_eq!((pc.seg(r).selector, pc.seg(r).attr), (0, SegAttr::UNUSABLE));
    }
    // And IRET goes back to where it was.
    pc.code(&[0xcf]).ok();
    assert_eq!((pc.state.rip, pc.seg(SegReg::Gs).base, pc.flag(RFlags::VM)), (0x8002, 0x400, true));
}

#[test]
fn the_handler_must_run_at_level_0() {
    for cs in [sel::CODE3, sel::CONFORMING] {
        let mut pc = Pc::v86(3);
        pc.gate(0x80, SystemType::InterruptGate32, 3, cs, HANDLER);
        pc.code(&INT_80).run(1);
        let f = pc.cpu.faults().iter().next().copied().expect("#GP");
        assert_eq!(
            (f.vector, f.error, f.why),
            (Vector::GP, Some(u32::from(cs & !3)), Some(Why::V86HandlerNotLevel0))
        );
    }
}

#[test]
fn sensitive_instructions_need_iopl_3() {
    // int n, iret, cli, sti
    for code in [&[0xcd, 0x80][..], &[0xcf], &[0xfa], &[0xfb]] {
        Pc::v86(0).code(code).gp(0, Why::IoplTooLow);
    }
    let mut pc = Pc::v86(3);
    assert!(pc.code(&[0xfb]).ok().flag(RFlags::IF));
    assert!(!pc.code(&[0xfa]).ok().flag(RFlags::IF));
}

#[test]
fn iret_inside_it_does_not_touch_iopl() {
    let mut pc = Pc::v86(3);
    pc.set_reg(Gpr::Rsp, STACK);
    pc.poke16(STACK, 0x1234);
    pc.poke16(STACK + 2, 0x900);
    pc.poke16(STACK + 4, 0x0202);
    pc.code(&[0xcf]).ok();
    assert_eq!((pc.state.rip, pc.seg(SegReg::Cs).base), (0x1234, 0x9000));
    assert_eq!(pc.state.rflags.bits(), u64::from(VM | 0x3202));
}

#[test]
fn system_instructions_do_not_exist_or_are_not_allowed() {
    // lldt, ltr, sldt, str, lar, lsl, verr, arpl
    for code in [
        &[0x0f, 0x00, 0xd0][..],
        &[0x0f, 0x00, 0xd8],
        &[0x0f, 0x00, 0xc0],
        &[0x0f, 0x00, 0xc8],
        &[0x0f, 0x02, 0xc0],
        &[0x0f, 0x03, 0xc0],
        &[0x0f, 0x00, 0xe0],
        &[0x63, 0xc0],
    ] {
        Pc::v86(3).code(code).faults(Vector::UD, None, Why::NotInRealMode);
        Pc::real().code(code).faults(Vector::UD, None, Why::NotInRealMode);
    }
    // hlt, mov cr0, lgdt, clts, wrmsr
    for code in [&[0xf4][..], &[0x0f, 0x22, 0xc0], &[0x0f, 0x01, 0x16, 0, 0], &[0x0f, 0x06], &[0x0f, 0x30]] {
        Pc::v86(3).code(code).gp(0, Why::NotLevel0);
    }
}

/// Virtual-8086 mode extensions with an interrupt redirection map of which only INT 80h is set.
fn vme(iopl: u64) -> Pc {
    let mut pc = Pc::v86(iopl);
    pc.state.cr4 |= Cr4::VME.bits();
    pc.poke16(TSS + 0x66, 0x200);
    pc.poke(TSS + 0x1e0 + 0x10, &[1]);
    pc.poke32(0x21 * 4, 0x0900_0100);
    pc.poke32(0x80 * 4, 0x0900_0200);
    pc
}

#[test]
fn vme_redirects_int_n_to_the_tasks_own_vector_table() {
    for (iopl, flags, image) in
        [(0, RFlags::VIF, 0x3202), (0, RFlags::empty(), 0x3002), (3, RFlags::IF, 0x3202)]
    {
        let mut pc = vme(iopl);
        pc.set_flags(flags);
        pc.set_reg(Gpr::Rsp, STACK);
        pc.code(&[0xcd, 0x21]).ok();
        assert_eq!((pc.state.rip, pc.seg(SegReg::Cs).selector), (0x100, 0x900));
        assert_eq!(pc.peek16(STACK - 2), image, "IF is VIF, IOPL is 3");
        assert!(pc.flag(RFlags::VM) && !pc.flag(RFlags::VIF) && !pc.flag(RFlags::IF));
    }
}

#[test]
fn vme_leaves_mapped_vectors_to_the_idt() {
    vme(0).code(&INT_80).gp(0, Why::IoplTooLow);
    let mut pc = vme(3);
    pc.gate(0x80, SystemType::InterruptGate32, 3, sel::CODE0, HANDLER);
    pc.code(&INT_80).ok();
    assert_eq!(pc.state.rip, HANDLER);
}

#[test]
fn vme_gives_cli_and_sti_a_flag_of_their_own() {
    let mut pc = vme(0);
    assert!(pc.code(&[0xfb]).ok().flag(RFlags::VIF));
    assert!(!pc.flag(RFlags::IF));
    assert!(!pc.code(&[0xfa]).ok().flag(RFlags::VIF));
    let mut pc = vme(0);
    pc.set_flags(RFlags::VIP);
    pc.code(&[0xfb]).gp(0, Why::VirtualInterruptPending);
}

#[test]
fn a_virtual_interrupt_that_is_pending_and_enabled_is_a_fault_before_the_next_instruction() {
    let mut pc = vme(0);
    pc.set_flags(RFlags::VIF | RFlags::VIP);
    pc.code(&[0x90]).gp(0, Why::VirtualInterruptPending);
    let mut pc = Pc::v86(0);
    pc.set_flags(RFlags::VIF | RFlags::VIP);
    pc.code(&[0x90]).ok();
}

#[test]
fn vme_lets_a_16_bit_iret_load_vif() {
    let mut pc = vme(0);
    pc.set_reg(Gpr::Rsp, STACK);
    pc.poke16(STACK, 0x1234);
    pc.poke16(STACK + 4, 0x0202);
    pc.code(&[0xcf]).ok();
    assert!(pc.flag(RFlags::VIF) && !pc.flag(RFlags::IF));
    let mut pc = vme(0);
    pc.set_reg(Gpr::Rsp, STACK);
    pc.set_flags(RFlags::VIP);
    pc.poke16(STACK + 4, 0x0202);
    pc.code(&[0xcf]).gp(0, Why::VirtualInterruptPending);
    vme(0).code(&[0x66, 0xcf]).gp(0, Why::IoplTooLow);
}

#[test]
fn pvi_gives_level_3_a_virtual_interrupt_flag() {
    let mut pc = Pc::protected(3);
    pc.state.cr4 |= Cr4::PVI.bits();
    assert!(pc.code(&[0xfb]).ok().flag(RFlags::VIF));
    Pc::protected(3).code(&[0xfb]).gp(0, Why::IoplTooLow);
}
