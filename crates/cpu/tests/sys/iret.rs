//! IRET (SDM Vol. 2A).

use crate::machine::{Pc, STACK, STACK3, sel};
use hako_cpu::Why;
use hako_x86::{Gpr, RFlags, SegReg, Vector};

const IRET: [u8; 1] = [0xcf];

fn frame(pc: &mut Pc, values: &[u32]) {
    let sp = pc.reg(Gpr::Rsp);
    for (i, v) in (0..).zip(values) {
        pc.poke32(sp + i * 4, *v);
    }
}

const ALL: u32 = 0x003f_7fd7;

#[test]
fn real_mode_loads_all_but_vm_vif_and_vip() {
    let mut pc = Pc::real();
    frame(&mut pc, &[0x1234, 0x0900, ALL]);
    pc.code(&[0x66, 0xcf]).ok();
    assert_eq!((pc.state.rip, pc.seg(SegReg::Cs).base), (0x1234, 0x9000));
    let never = RFlags::VM | RFlags::VIF | RFlags::VIP;
    assert_eq!(pc.state.rflags.bits(), u64::from(ALL) & !never.bits() | 2);
    assert_eq!(pc.reg(Gpr::Rsp), STACK + 12);
}

#[test]
fn a_16_bit_iret_leaves_the_upper_flags() {
    let mut pc = Pc::real();
    pc.set_flags(RFlags::AC);
    pc.poke16(STACK, 0x1234);
    pc.poke16(STACK + 2, 0);
    pc.poke16(STACK + 4, 0x202);
    pc.code(&IRET).ok();
    assert_eq!((pc.state.rip, pc.state.rflags.bits()), (0x1234, 0x4_0202));
}

#[test]
fn level_0_loads_iopl_and_level_3_loads_if_only_by_iopl() {
    let cases = [
        (0, 0, RFlags::IF | RFlags::IOPL | RFlags::VIF | RFlags::VIP),
        (3, 0, RFlags::empty()),
        (3, 3, RFlags::IF),
    ];
    for (cpl, iopl, extra) in cases {
        let mut pc = Pc::protected(cpl);
        pc.set_flags(RFlags::from_bits_retain(iopl << 12));
        let cs = if cpl == 0 { sel::CODE0 } else { sel::CODE3 };
        // NT is not loaded here: it would show in the next IRET only.
        frame(&mut pc, &[0x9000, u32::from(cs), ALL & !0x2_0000]);
        pc.code(&IRET).ok();
        let guarded = RFlags::IF | RFlags::IOPL | RFlags::VIF | RFlags::VIP | RFlags::VM;
        let kept = RFlags::from_bits_retain(iopl << 12) - extra;
        let want = (u64::from(ALL) & !guarded.bits()) | (extra.bits() & u64::from(ALL)) | kept.bits() | 2;
        assert_eq!(pc.state.rflags.bits(), want, "cpl {cpl} iopl {iopl}");
    }
}

#[test]
fn to_an_outer_level_with_its_stack() {
    let mut pc = Pc::protected(0);
    frame(&mut pc, &[0x9000, u32::from(sel::CODE3), 0x202, STACK3 as u32, u32::from(sel::DATA3)]);
    pc.code(&IRET).ok();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rsp)), (0x9000, STACK3));
    let selectors: Vec<u16> = SegReg::ALL.iter().map(|&r| pc.seg(r).selector).collect();
    assert_eq!(selectors, [0, sel::CODE3, sel::DATA3, 0, 0, 0]);
}

#[test]
fn checks() {
    let cases = [
        (0, 0, 0, Vector::GP, Why::NullCode),
        (0, sel::BEYOND, 0x100, Vector::GP, Why::SelectorBeyondTable),
        (0, sel::DATA0, 0x10, Vector::GP, Why::NotCode),
        (3, sel::CODE0, 8, Vector::GP, Why::ReturnInward),
        (0, sel::CODE3 & !3, 0x18, Vector::GP, Why::CodeDplWrong),
        (0, sel::CODE_ABSENT, 0x68, Vector::NP, Why::SegmentNotPresent),
    ];
    for (cpl, cs, error, vector, why) in cases {
        let mut pc = Pc::protected(cpl);
        frame(&mut pc, &[0x9000, u32::from(cs), 2, STACK3 as u32, u32::from(sel::DATA3)]);
        pc.code(&IRET).faults(vector, Some(error), why);
    }
    let mut pc = Pc::protected(0);
    frame(&mut pc, &[0x1_0000, u32::from(sel::CODE16), 2]);
    pc.code(&IRET).gp(0, Why::TargetBeyondLimit);
    let mut pc = Pc::protected(0);
    frame(&mut pc, &[0x9000, u32::from(sel::CODE3), 2, STACK3 as u32, u32::from(sel::DATA0)]);
    pc.code(&IRET).gp(0x10, Why::StackRplWrong);
    let mut pc = Pc::protected(0);
    pc.state.seg[SegReg::Ss as usize].limit = STACK as u32 + 7;
    frame(&mut pc, &[0x9000, u32::from(sel::CODE0), 2]);
    pc.code(&IRET).faults(Vector::SS, Some(0), Why::BeyondLimit);
}

#[test]
fn a_faulting_iret_unblocks_nmis_all_the_same() {
    let mut pc = Pc::protected(0);
    pc.state.events.nmi_masked = true;
    frame(&mut pc, &[0x9000, 0, 2]);
    pc.state.idtr.limit = 0;
    pc.code(&IRET).run(1);
    assert!(!pc.state.events.nmi_masked);
}

#[test]
fn long_mode_pops_the_stack_always() {
    let mut pc = Pc::long(0);
    let values = [0x9000, u64::from(sel::LONG0), 0x202, 0x5000, u64::from(sel::DATA0)];
    for (i, v) in (0..).zip(values) {
        pc.poke64(STACK + i * 8, v);
    }
    pc.code(&[0x48, 0xcf]).ok();
    assert_eq!((pc.state.rip, pc.reg(Gpr::Rsp), pc.seg(SegReg::Ss).selector), (0x9000, 0x5000, sel::DATA0));
    // A null SS is fine below level 3 ...
    pc.poke64(STACK + 32, 0);
    pc.set_reg(Gpr::Rsp, STACK);
    pc.code(&[0x48, 0xcf]).ok();
    assert_eq!(pc.seg(SegReg::Ss).selector, 0);
    // ... but not for compatibility mode.
    pc.poke64(STACK + 8, u64::from(sel::CODE0));
    pc.set_reg(Gpr::Rsp, STACK);
    pc.code(&[0x48, 0xcf]).gp(0, Why::NullStack);
}

#[test]
fn long_mode_has_no_tasks_to_return_to_and_wants_canonical_targets() {
    let mut pc = Pc::long(0);
    pc.set_flags(RFlags::NT);
    pc.code(&[0x48, 0xcf]).gp(0, Why::NoTasksInLongMode);
    let mut pc = Pc::long(0);
    let values = [0x8000_0000_0000, u64::from(sel::LONG0), 0x202, 0x5000, u64::from(sel::DATA0)];
    for (i, v) in (0..).zip(values) {
        pc.poke64(STACK + i * 8, v);
    }
    pc.code(&[0x48, 0xcf]).gp(0, Why::TargetNotCanonical);
}
