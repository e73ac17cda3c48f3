//! INIT, SIPI and processors that wait (SDM Vol. 3A 9.1, table 9-1; 8.4.3).

use crate::machine::Pc;
use hako_cpu::{Config, Cpu, StopKind};
use hako_engine::Lines;
use hako_x86::{Activity, CpuState, Cr0, Gpr, RFlags, SegReg, Shadow, msr};

/// The same machine with another CPU.
fn with(config: Config) -> Pc {
    let mut pc = Pc::real();
    pc.cpu = Cpu::new(config);
    pc
}

fn init(pc: &mut Pc) {
    pc.board.lines.init = true;
    pc.go_on(0);
}

#[test]
fn the_bootstrap_processor_runs_and_the_others_wait() {
    assert_eq!(Cpu::new(Config::of(0, 2)).state().activity, Activity::Running);
    let mut pc = with(Config::of(1, 2));
    assert_eq!(pc.cpu.state().activity, Activity::WaitForSipi);
    for _ in 0..2 {
        assert_eq!(pc.go_on(100).kind, StopKind::Halt);
        assert_eq!(pc.cpu.count(), 0);
        pc.cpu.reset();
    }
}

#[test]
fn a_sipi_starts_in_real_mode_at_the_page_of_its_number() {
    let mut pc = with(Config::of(1, 2));
    pc.poke(0x9_a000, &[0x90, 0xf4]);
    pc.board.lines.sipi = Some(0x9a);
    assert_eq!(pc.go_on(100).kind, StopKind::Halt);
    let cs = pc.seg(SegReg::Cs);
    assert_eq!((cs.selector, cs.base, cs.limit, pc.state.rip), (0x9a00, 0x9_a000, 0xffff, 2));
    assert_eq!((pc.cpu.count(), pc.state.activity), (2, Activity::Halted));
}

#[test]
fn a_sipi_to_a_processor_that_does_not_wait_is_ignored() {
    let mut pc = Pc::protected(0);
    pc.board.lines.sipi = Some(0x9a);
    pc.code(&[0x90]).ok();
    assert_eq!((pc.seg(SegReg::Cs).base, pc.state.rip), (0, 0x8001));
}

#[test]
fn nothing_but_a_sipi_wakes_a_processor_that_waits() {
    let mut pc = with(Config::of(1, 2));
    pc.board.lines = Lines { intr: true, nmi: true, ..pc.board.lines };
    assert_eq!(pc.go_on(10).kind, StopKind::Halt);
    assert_eq!((pc.board.acknowledged, pc.state.events.nmi_pending), (0, false));
}

#[test]
fn init_resets_what_table_9_1_says() {
    let mut pc = Pc::long(3);
    pc.state.cr0 = pc.state.cr0 & !Cr0::NW.bits() | Cr0::CD.bits();
    pc.state.events.nmi_masked = true;
    pc.state.events.shadow = Shadow::Sti;
    pc.state.tsc = 1_000_000;
    pc.state.xcr0 = 3;
    pc.state.dr[1] = 5;
    pc.state.cr8 = 3;
    for (index, value) in [(msr::LSTAR, 5), (msr::PAT, 0), (msr::MTRR_DEF_TYPE, 0xc06), (msr::TSC_AUX, 4)] {
        pc.state.msrs.push((index, value));
    }
    pc.cpu.set_state(&pc.state).unwrap();
    init(&mut pc);
    let after = pc.cpu.state_on(&mut pc.board);
    let reset = CpuState::reset();
    let kept = CpuState {
        cr0: reset.cr0 & !(Cr0::CD | Cr0::NW).bits() | Cr0::CD.bits(),
        xcr0: 3,
        xsave: after.xsave.clone(),
        msrs: after.msrs.clone(),
        tsc: 1_000_000,
        ..reset
    };
    assert_eq!(after, kept);
    for (index, value) in [(msr::LSTAR, 5), (msr::PAT, 0), (msr::MTRR_DEF_TYPE, 0xc06), (msr::TSC_AUX, 4)] {
        assert_eq!(after.msr(index), Some(value), "{:?}", msr::name(index));
    }
    assert_eq!(after.reg(Gpr::Rdx), u64::from(pc.cpu.model().signature));
}

#[test]
fn init_makes_an_application_processor_wait_again() {
    let mut pc = with(Config::of(1, 2));
    pc.board.lines.sipi = Some(8);
    pc.code(&[0x90; 3]);
    pc.go_on(1);
    assert_eq!(pc.state.activity, Activity::Running);
    init(&mut pc);
    assert_eq!(pc.state.activity, Activity::WaitForSipi);
    // INIT and SIPI seen at once: in this order.
    pc.board.lines = Lines { init: true, sipi: Some(8), ..pc.board.lines };
    pc.go_on(1);
    assert_eq!((pc.state.activity, pc.state.rip), (Activity::Running, 1));
}

#[test]
fn init_ends_a_halt_and_a_shutdown() {
    for activity in [Activity::Halted, Activity::Shutdown] {
        let mut pc = Pc::protected(0);
        pc.state.activity = activity;
        pc.state.rflags = RFlags::FIXED;
        pc.cpu.set_state(&pc.state).unwrap();
        init(&mut pc);
        assert_eq!((pc.state.activity, pc.state.linear_rip()), (Activity::Running, 0xffff_fff0));
    }
}
