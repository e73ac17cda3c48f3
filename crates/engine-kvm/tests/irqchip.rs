//! The interrupt controllers inside the kernel.

mod common;

use std::time::Duration;

use common::{Guest, kvm};
use hako_engine::{Deadline, Exit, ExitKind, Vcpu};
use hako_engine_kvm::VmConfig;
use hako_mem::Gpa;
use hako_x86::{Activity, Gpr};

/// Real mode with irqchip: the code runs at 0x200; vector 0x20 leads to 0x100: `inc bx; mov al,0x20; out 0x20,al; iret`.
fn guest(code: &[u8]) -> Guest {
    let config = VmConfig { irqchip: true, ..VmConfig::default() };
    let mut guest = Guest::with(config, &[]);
    guest.bus.memory.write(Gpa(0x200), code).unwrap();
    for vector in 0x20..0x28 {
        guest.bus.memory.write(Gpa(vector * 4), &[0x00, 0x01, 0, 0]).unwrap();
    }
    guest.bus.memory.write(Gpa(0x100), &[0x43, 0xb0, 0x20, 0xe6, 0x20, 0xcf]).unwrap();
    let mut state = common::real_mode();
    state.rip = 0x200;
    guest.vcpu.set_state(&state).unwrap();
    guest
}

/// Initialises the master PIC: vectors from 0x20 on, all masked but those in `mask`.
fn pic(mask: u8) -> Vec<u8> {
    let mut code = Vec::new();
    for (port, value) in [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, mask)] {
        code.extend_from_slice(&[0xb0, value, 0xe6, port]);
    }
    code
}

#[test]
fn hlt_without_interrupts_is_noticed() {
    if !kvm() {
        return;
    }
    let mut guest = guest(&[0xfa, 0xf4]);
    assert_eq!(guest.run(), Exit { kind: ExitKind::Halt, rip: Some(0x201) });
    assert!(!guest.vcpu.interrupts_enabled());
    let state = guest.state();
    assert_eq!((state.rip, state.activity), (0x202, Activity::Halted));
}

#[test]
fn hlt_with_interrupts_is_reported_and_a_wire_wakes_it() {
    if !kvm() {
        return;
    }
    let mut code = pic(!2);
    // sti; hlt; cli; hlt
    code.extend_from_slice(&[0xfb, 0xf4, 0xfa, 0xf4]);
    let mut guest = guest(&code);
    assert_eq!(guest.run().kind, ExitKind::Halt);
    assert!(guest.vcpu.interrupts_enabled());
    assert!(!guest.vm.irqchip_state().unwrap().timer_is_heard());
    assert!(!guest.vcpu.lapic_state().unwrap().timer_runs());
    // Still halted: said again, not lost.
    assert_eq!(guest.run().kind, ExitKind::Halt);
    let mut sink = guest.vm.irq_sink();
    sink.set_gsi(1, true);
    assert_eq!(guest.run().kind, ExitKind::Halt);
    assert!(!guest.vcpu.interrupts_enabled());
    assert_eq!(guest.state().reg(Gpr::Rbx), 1);
    assert_eq!(guest.bus.log, []);
}

#[test]
fn a_guest_that_does_not_halt_runs_on() {
    if !kvm() {
        return;
    }
    let mut guest = guest(&[0xeb, 0xfe]);
    let exit = guest.vcpu.run(&mut guest.bus, Deadline::After(Duration::from_millis(70))).unwrap();
    assert_eq!(exit.kind, ExitKind::Deadline);
    // Looked at some times, not all the time.
    assert!(guest.vcpu.exits().interrupted < 10);
}

#[test]
fn the_timer_of_the_kernel_ticks() {
    if !kvm() {
        return;
    }
    let mut code = pic(!1);
    // PIT channel 0, mode 2, count 0x4000 (13.7 ms)
    for (port, value) in [(0x43, 0x34), (0x40, 0), (0x40, 0x40)] {
        code.extend_from_slice(&[0xb0, value, 0xe6, port]);
    }
    // sti; L: hlt; cmp bx,3; jb L; cli; hlt
    code.extend_from_slice(&[0xfb, 0xf4, 0x83, 0xfb, 0x03, 0x72, 0xfa, 0xfa, 0xf4]);
    let mut guest = guest(&code);
    while guest.run().kind == ExitKind::Halt && guest.vcpu.interrupts_enabled() {
        assert!(guest.vm.irqchip_state().unwrap().timer_is_heard());
    }
    assert!(guest.state().reg(Gpr::Rbx) >= 3);
}

#[test]
fn its_state_makes_the_round_trip() {
    if !kvm() {
        return;
    }
    let mut code = pic(0xa5);
    code.extend_from_slice(&[0xfa, 0xf4]);
    let mut first = guest(&code);
    assert_eq!(first.run().kind, ExitKind::Halt);
    let state = first.vm.irqchip_state().unwrap();
    assert_eq!((state.pic[0].imr, state.pic[0].irq_base), (0xa5, 0x20));
    let lapic = first.vcpu.lapic_state().unwrap();

    let mut second = guest(&[0xfa, 0xf4]);
    second.vm.set_irqchip_state(&state).unwrap();
    second.vcpu.set_lapic_state(&lapic).unwrap();
    let got = second.vm.irqchip_state().unwrap();
    assert_eq!((got.pic, got.ioapic), (state.pic, state.ioapic));
    assert_eq!(second.vcpu.lapic_state().unwrap(), lapic);
}

#[test]
fn a_sink_without_controllers_does_no_harm() {
    if !kvm() {
        return;
    }
    let guest = Guest::real(&[0xf4]);
    guest.vm.irq_sink().set_gsi(3, true);
    assert!(guest.vm.irqchip_state().is_err());
    assert!(guest.vcpu.lapic_state().is_err());
}
