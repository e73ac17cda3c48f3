//! Host debugging.

mod common;

use common::{Guest, kvm};
use hako_engine::{Attention, Breakpoint, BreakpointKind, Debug, DebugHit, Exit, ExitKind, Vcpu};
use hako_x86::Gpr;

fn step() -> Debug {
    Debug { step: true, breakpoints: Vec::new() }
}

fn at(address: u64) -> Debug {
    let b = Breakpoint { kind: BreakpointKind::Execute, address, len: 1 };
    Debug { step: false, breakpoints: vec![b] }
}

fn stepped(rip: u64) -> Exit {
    Exit { kind: ExitKind::Debug(DebugHit::Step), rip: Some(rip) }
}

#[test]
fn a_step_is_one_instruction_also_when_it_uses_the_bus() {
    if !kvm() {
        return;
    }
    // mov al,5; out 0x80,al; in al,0x80; inc ax; hlt
    let mut guest = Guest::real(&[0xb0, 5, 0xe6, 0x80, 0xe4, 0x80, 0x40, 0xf4]);
    guest.bus.input = vec![8];
    guest.vcpu.set_debug(&step()).unwrap();
    for rip in [2, 4, 6, 7] {
        assert_eq!(guest.run(), stepped(rip));
        assert_eq!(guest.state().rip, rip);
    }
    assert_eq!(guest.state().reg(Gpr::Rax) & 0xff, 9);
    guest.vcpu.set_debug(&Debug::default()).unwrap();
    guest.halt();
    assert_eq!(guest.bus.log.len(), 2);
}

#[test]
fn a_wish_while_stepping_comes_first_and_the_step_is_not_lost() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::real(&[0xe6, 0x80, 0x90, 0xf4]);
    guest.bus.attention = vec![(0, Attention::WISH)];
    guest.vcpu.set_debug(&step()).unwrap();
    assert_eq!(guest.run().kind, ExitKind::Wish);
    assert_eq!(guest.run(), stepped(2));
    assert_eq!(guest.run(), stepped(3));
}

#[test]
fn stepping_goes_on_from_a_state_that_was_set() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::real(&[0x90, 0x90, 0x90, 0x90, 0x90, 0xf4]);
    guest.vcpu.set_debug(&step()).unwrap();
    assert_eq!(guest.run(), stepped(1));
    let mut state = guest.state();
    state.rip = 3;
    guest.vcpu.set_state(&state).unwrap();
    assert_eq!(guest.run(), stepped(4));
}

#[test]
fn the_guests_trap_flag_stays_its_own() {
    if !kvm() {
        return;
    }
    // pushf; pop ax; hlt
    let mut guest = Guest::real(&[0x9c, 0x58, 0xf4]);
    guest.vcpu.set_debug(&step()).unwrap();
    guest.run();
    guest.run();
    assert_eq!(guest.state().reg(Gpr::Rax) & 0x100, 0);
}

#[test]
fn a_breakpoint_stops_before_its_instruction_every_time() {
    if !kvm() {
        return;
    }
    // L: inc ax; out 0x80,al; jmp L
    let mut guest = Guest::real(&[0x40, 0xe6, 0x80, 0xeb, 0xfb]);
    guest.vcpu.set_debug(&at(1)).unwrap();
    for n in 1..4 {
        let hit = ExitKind::Debug(DebugHit::Breakpoint(0));
        assert_eq!(guest.run(), Exit { kind: hit, rip: Some(1) });
        assert_eq!((guest.state().rip, guest.state().reg(Gpr::Rax)), (1, n));
        assert_eq!(guest.bus.log.len() as u64, n - 1);
    }
}

#[test]
fn a_breakpoint_that_is_taken_away_is_gone() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::real(&[0x90, 0x90, 0xeb, 0x00, 0xf4]);
    guest.vcpu.set_debug(&at(1)).unwrap();
    assert!(matches!(guest.run().kind, ExitKind::Debug(DebugHit::Breakpoint(0))));
    guest.vcpu.set_debug(&at(0)).unwrap();
    guest.halt();
}

#[test]
fn five_breakpoints_or_odd_ones_are_refused_with_a_reason() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::real(&[0xf4]);
    let mut five = at(0);
    five.breakpoints = vec![five.breakpoints[0]; 5];
    assert!(guest.vcpu.set_debug(&five).unwrap_err().to_string().contains("four"));
    let odd = Breakpoint { kind: BreakpointKind::Write, address: 1, len: 4 };
    assert!(guest.vcpu.set_debug(&Debug { step: false, breakpoints: vec![odd] }).is_err());
}
