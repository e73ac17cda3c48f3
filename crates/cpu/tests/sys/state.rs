//! CpuState into the CPU and out again.

use crate::machine::Pc;
use hako_cpu::{Config, Cpu};
use hako_x86::{
    Activity, CpuState, Cr4, DescTable, Efer, Events, PendingException, RFlags, SegAttr, Segment, Shadow,
    StateError, msr,
};
use proptest::prelude::*;

fn segment() -> impl Strategy<Value = Segment> {
    (any::<u16>(), any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(selector, attr, limit, base)| {
        Segment { selector, attr: SegAttr::from_bits_truncate(attr), limit, base: base.into() }
    })
}

fn table() -> impl Strategy<Value = DescTable> {
    (any::<u64>(), any::<u16>()).prop_map(|(base, limit)| DescTable { base, limit })
}

fn events() -> impl Strategy<Value = Events> {
    let shadow = prop_oneof![Just(Shadow::None), Just(Shadow::Sti), Just(Shadow::MovSs)];
    let exception = (0u8..32, any::<Option<u32>>()).prop_map(|(vector, error_code)| PendingException {
        vector,
        error_code,
        injected: false,
    });
    (proptest::option::of(exception), any::<bool>(), any::<bool>(), shadow).prop_map(
        |(exception, nmi_pending, nmi_masked, shadow)| Events {
            exception,
            interrupt: None,
            nmi_pending,
            nmi_masked,
            shadow,
        },
    )
}

/// States that a CPU can hold, in legacy modes or long mode.
fn state() -> impl Strategy<Value = CpuState> {
    let registers = (any::<[u64; 16]>(), any::<u64>(), any::<u64>(), any::<[u64; 4]>(), any::<[u32; 2]>());
    let segments = (proptest::array::uniform6(segment()), segment(), segment(), table(), table());
    let control = (any::<bool>(), any::<bool>(), any::<[u64; 2]>(), 0u64..16, events(), any::<u64>());
    let activity = prop_oneof![Just(Activity::Running), Just(Activity::Halted), Just(Activity::Shutdown)];
    (registers, segments, control, activity).prop_map(|(r, s, c, activity)| {
        let mut st = Cpu::new(Config::default()).state();
        let (protected, long, [cr2, cr3], cr8, events, tsc) = c;
        (st.gpr, st.rip, st.dr) = (r.0, r.1, r.3);
        st.rflags = RFlags::from_bits_truncate(r.2) | RFlags::FIXED;
        (st.dr6, st.dr7) = (r.4[0].into(), r.4[1].into());
        (st.seg, st.ldtr, st.tr, st.gdtr, st.idtr) = s;
        (st.cr2, st.cr3, st.cr8, st.events, st.tsc, st.activity) = (cr2, cr3, cr8, events, tsc, activity);
        st.cr0 = 0x10 | u64::from(protected) | if long { 0x8000_0001 } else { 0 };
        if long {
            st.cr4 = Cr4::PAE.bits();
            st.efer = (Efer::LME | Efer::LMA).bits();
        }
        if long || !protected {
            st.rflags.remove(RFlags::VM);
        }
        st.xsave = xsave(r.2);
        st.msrs.push((0x1234, 5));
        st
    })
}

/// An image with some registers made of a number.
fn xsave(n: u64) -> Vec<u8> {
    let mut image = vec![0; 576];
    image[0..2].copy_from_slice(&[n as u8 & 0x3f | 0x40, 3]);
    image[3] = n as u8 & 0x78;
    image[4] = n as u8;
    image[8..16].copy_from_slice(&n.to_le_bytes());
    image[24..32].copy_from_slice(&[0x80, 0x1f, 0, 0, 0xff, 0xff, 0, 0]);
    image[32 + 16 * 5..][..8].copy_from_slice(&n.to_le_bytes());
    image[160 + 16 * 11..][..8].copy_from_slice(&n.to_le_bytes());
    image[512] = 3;
    image
}

proptest! {
    #[test]
    fn a_state_comes_back_as_it_went_in(state in state()) {
        let mut cpu = Cpu::new(Config::default());
        cpu.set_state(&state).unwrap();
        prop_assert_eq!(cpu.state(), state);
    }
}

#[test]
fn reset_is_the_state_of_a_new_cpu() {
    let mut pc = Pc::long(3);
    pc.code(&[0x90]).ok();
    pc.cpu.reset();
    assert_eq!(pc.cpu.state(), Cpu::new(Config::default()).state());
    let reset = CpuState::reset();
    let mut state = pc.cpu.state();
    state.msrs.clear();
    assert_eq!(state, reset);
}

#[test]
fn impossible_states_are_refused_and_change_nothing() {
    type Break = fn(&mut CpuState);
    let cases: [Break; 10] = [
        |s| s.cr0 = 0x8000_0010,
        |s| s.cr0 = 1 << 32,
        |s| s.cr0 = 0x2000_0010,
        |s| s.efer = Efer::LMA.bits(),
        |s| s.efer = 2,
        |s| s.rflags |= RFlags::VM,
        |s| s.dr7 = 1 << 32,
        |s| s.cr8 = 16,
        |s| s.msrs.push((msr::LSTAR, 1 << 47)),
        |s| s.msrs.push((msr::PAT, 2)),
    ];
    for broken in cases {
        let mut cpu = Cpu::new(Config::default());
        let before = cpu.state();
        let mut state = before.clone();
        state.gpr[0] = 1;
        broken(&mut state);
        assert!(matches!(cpu.set_state(&state), Err(StateError::Impossible { .. })), "{state:x?}");
        assert_eq!(cpu.state(), before);
    }
    let mut state = CpuState::reset();
    state.cr4 = Cr4::LA57.bits();
    let refused = Cpu::new(Config::default()).set_state(&state);
    assert_eq!(refused, Err(StateError::Unsupported { field: "CR4", value: Cr4::LA57.bits() }));
}

#[test]
fn a_pending_debug_trap_is_part_of_the_state() {
    let mut pc = Pc::protected(0);
    pc.set_flags(RFlags::TF);
    pc.code(&[0x90]).run(1);
    let want = PendingException { vector: 1, error_code: None, injected: false };
    assert_eq!(pc.state.events.exception, Some(want));
    assert_eq!(pc.state.dr6 & 1 << 14, 1 << 14);
}
