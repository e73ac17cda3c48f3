//! The state goes in and comes out again.

mod common;

use common::{Guest, kvm};
use hako_engine::Vcpu;
use hako_engine_kvm::{CpuidModel, Parts, VmConfig};
use hako_x86::{
    Activity, CpuState, DescTable, Events, PendingException, PendingInterrupt, RFlags, SegAttr, SegReg,
    Segment, Shadow, msr,
};

/// A long-mode state that a kernel might be in.
fn long_mode() -> CpuState {
    let mut state = CpuState::reset();
    for (i, r) in state.gpr.iter_mut().enumerate() {
        *r = 0x0123_4567_89ab_cd00 + i as u64;
    }
    state.rip = 0xffff_ffff_8000_1234;
    state.rflags = RFlags::FIXED | RFlags::CF | RFlags::IF | RFlags::DF;
    for s in &mut state.seg {
        *s = Segment { selector: 0x10, attr: SegAttr::from_bits_retain(0xc093), limit: !0, base: 0 };
    }
    let cs = Segment { selector: 8, attr: SegAttr::from_bits_retain(0xa09b), limit: !0, base: 0 };
    state.seg[SegReg::Cs as usize] = cs;
    state.seg[SegReg::Gs as usize].base = 0xffff_8880_0000_0000;
    state.ldtr = Segment { attr: SegAttr::UNUSABLE, ..Segment::default() };
    state.tr = Segment { selector: 0x28, attr: SegAttr::from_bits_retain(0x8b), limit: 0x67, base: 0x5000 };
    state.gdtr = DescTable { base: 0xffff_8000_0000_1000, limit: 0x7f };
    state.idtr = DescTable { base: 0xffff_8000_0000_2000, limit: 0xfff };
    (state.cr0, state.cr2, state.cr3) = (0x8005_0033, 0xdead_b000, 0x3000);
    (state.cr4, state.cr8) = (0x6a0, 3);
    state.efer = 0xd01;
    state.dr = [0x1000, 0x2000, 0x3000, 0x4000];
    state.dr6 = 0xffff_4ff0;
    state.dr7 = 0x401;
    state.msrs = vec![
        (msr::SYSENTER_CS, 0x10),
        (msr::STAR, 0x0023_0010_0000_0000),
        (msr::LSTAR, 0xffff_ffff_8100_0000),
        (msr::FMASK, 0x4_7700),
        (msr::KERNEL_GS_BASE, 0x7fff_0000),
    ];
    state.events.nmi_masked = true;
    state.xsave = vec![0; 576];
    state.xsave[0..2].copy_from_slice(&0x27fu16.to_le_bytes());
    state.xsave[24..28].copy_from_slice(&0x1fa0u32.to_le_bytes());
    state.xsave[160..176].copy_from_slice(&[0x5a; 16]); // XMM0
    state.xsave[512] = 3;
    state
}

fn guest() -> Guest {
    Guest::with(VmConfig { cpuid: Some(CpuidModel::default()), ..VmConfig::default() }, &[0xf4])
}

/// What may differ: the clock, MSRs beyond those set, and the parts of the XSAVE image that say nothing.
fn assert_same(mut got: CpuState, want: &CpuState) {
    for &(index, value) in &want.msrs {
        assert_eq!(got.msr(index), Some(value), "MSR {index:#x}");
    }
    got.msrs = want.msrs.clone();
    got.tsc = want.tsc;
    if !want.xsave.is_empty() {
        assert_eq!(got.xsave[..24], want.xsave[..24]);
        assert_eq!(got.xsave[24..28], want.xsave[24..28], "MXCSR");
        assert_eq!(got.xsave[32..416], want.xsave[32..416]);
    }
    got.xsave = want.xsave.clone();
    assert_eq!(&got, want);
}

#[test]
fn a_long_mode_state_makes_the_round_trip() {
    if !kvm() {
        return;
    }
    let mut guest = guest();
    let want = long_mode();
    guest.vcpu.set_state(&want).unwrap();
    assert_same(guest.state(), &want);
}

#[test]
fn the_reset_state_replaces_everything() {
    if !kvm() {
        return;
    }
    let mut guest = guest();
    guest.vcpu.set_state(&long_mode()).unwrap();
    let want = CpuState::reset();
    guest.vcpu.set_state(&want).unwrap();
    let got = guest.state();
    for (index, value) in &got.msrs {
        let after_reset = if *index == msr::PAT { 0x0007_0406_0007_0406 } else { 0 };
        assert_eq!(*value, after_reset, "MSR {index:#x}");
    }
    assert_eq!(got.xsave[0..2], 0x40u16.to_le_bytes());
    assert_eq!(got.xsave[24..28], 0x1f80u32.to_le_bytes());
    assert_eq!(got.xsave[160..176], [0; 16]);
    assert_same(got, &want);
}

#[test]
fn events_in_flight_make_the_round_trip() {
    if !kvm() {
        return;
    }
    let exception = PendingException { vector: 14, error_code: Some(7), injected: true };
    let cases = [
        Events { exception: Some(exception), ..Events::default() },
        Events {
            exception: Some(PendingException { vector: 6, error_code: None, injected: true }),
            ..Events::default()
        },
        Events { interrupt: Some(PendingInterrupt { vector: 0x31, soft: false }), ..Events::default() },
        Events { nmi_pending: true, nmi_masked: true, ..Events::default() },
        Events { shadow: Shadow::Sti, ..Events::default() },
        Events { shadow: Shadow::MovSs, ..Events::default() },
    ];
    let mut guest = guest();
    for events in cases {
        let mut want = common::protected_mode();
        want.events = events;
        guest.vcpu.set_state(&want).unwrap();
        // What KVM holds, not what was handed over: a mode change makes the exchange happen at once.
        let mut other = want.clone();
        other.cr0 ^= 1 << 5;
        guest.vcpu.set_state(&other).unwrap();
        assert_eq!(guest.state().events, events);
    }
}

#[test]
fn a_halted_state_makes_the_round_trip_with_and_without_irqchip() {
    if !kvm() {
        return;
    }
    for irqchip in [false, true] {
        let mut guest = Guest::with(VmConfig { irqchip, ..VmConfig::default() }, &[0xf4]);
        for activity in [Activity::Halted, Activity::Running, Activity::Halted, Activity::Shutdown] {
            let mut want = common::real_mode();
            want.activity = activity;
            guest.vcpu.set_state(&want).unwrap();
            assert_same(guest.state(), &want);
        }
    }
}

#[test]
fn impossible_control_registers_are_refused_and_nothing_has_changed() {
    if !kvm() {
        return;
    }
    let mut guest = guest();
    let want = common::protected_mode();
    guest.vcpu.set_state(&want).unwrap();
    let mut bad = want.clone();
    bad.cr4 |= 1 << 63;
    bad.gpr[3] = 99;
    assert!(guest.vcpu.set_partial_state(&bad, Parts::CORE).is_err());
    let mut bad = want.clone();
    bad.cr0 = 0x8000_0010; // PG without PE
    assert!(guest.vcpu.set_partial_state(&bad, Parts::CORE).is_err());
    assert_same(guest.state(), &want);
}

#[test]
fn components_that_this_kvm_lacks_are_refused() {
    if !kvm() {
        return;
    }
    let mut guest = guest();
    let mut state = common::real_mode();
    state.xsave = vec![0; 576];
    state.xsave[519] = 0x40; // component 62
    assert!(guest.vcpu.set_state(&state).is_err());
    state.xsave = vec![0; 100];
    assert!(guest.vcpu.set_state(&state).is_err());
    state.xsave.clear();
    state.msrs = vec![(0x7777_7777, 1)];
    assert!(guest.vcpu.set_state(&state).is_err());
    state.msrs.clear();
    guest.vcpu.set_state(&state).unwrap();
    guest.halt();
}

#[test]
fn a_part_leaves_the_others_alone() {
    if !kvm() {
        return;
    }
    let mut guest = guest();
    let want = long_mode();
    guest.vcpu.set_state(&want).unwrap();
    let mut core = guest.vcpu.partial_state(Parts::CORE).unwrap();
    assert_eq!((core.dr7, &core.xsave, core.msrs.len()), (0x400, &CpuState::reset().xsave, 0));
    core.gpr[0] = 1;
    guest.vcpu.set_partial_state(&core, Parts::CORE).unwrap();
    let mut changed = want.clone();
    changed.gpr[0] = 1;
    assert_same(guest.state(), &changed);
}

#[test]
fn the_tsc_goes_on_from_where_it_was_set() {
    if !kvm() {
        return;
    }
    let mut guest = guest();
    let mut state = common::real_mode();
    state.tsc = 1 << 50;
    guest.vcpu.set_state(&state).unwrap();
    let later = guest.state().tsc;
    if later < 1 << 50 && hako_engine_kvm::probe().usable.is_ok_and(|speed| speed.is_emulated()) {
        eprintln!("this KVM emulates and shows its guests the host's TSC, whatever is set");
        return;
    }
    assert!((1 << 50..1 << 51).contains(&later), "{later:#x}");
}

#[test]
fn measuring_leaves_the_cpu_and_the_memory_as_they_were() {
    if !kvm() {
        return;
    }
    for irqchip in [false, true] {
        let mut guest = Guest::with(VmConfig { irqchip, ..VmConfig::default() }, &[7; 64]);
        let speed = guest.vcpu.measure(&guest.bus.memory).unwrap();
        assert!(speed.ring0_ns_per_instruction > 0.0 && speed.exit_ns > 0.0);
        let mut bytes = [0; 64];
        guest.bus.memory.read(hako_mem::Gpa(0), &mut bytes).unwrap();
        assert_eq!(bytes, [7; 64]);
        // KVM's own x87 begins as after FINIT.
        let mut want = CpuState::reset();
        want.xsave.clear();
        assert_same(guest.state(), &want);
        guest.bus.memory.write(hako_mem::Gpa(0), &[0xfa, 0xf4]).unwrap();
        guest.vcpu.set_state(&common::real_mode()).unwrap();
        guest.halt();
        assert_eq!(guest.state().rip, 2);
    }
}
