//! What stops a guest, other than the bus.

mod common;

use std::time::{Duration, Instant};

use common::{Guest, kvm};
use hako_engine::{Attention, Deadline, Exit, ExitKind, Vcpu};
use hako_engine_kvm::{Parts, VmConfig};
use hako_mem::Gpa;
use hako_x86::{Activity, Gpr, RFlags};

fn refused(exit: Exit) -> Vec<u8> {
    match exit.kind {
        ExitKind::Refused(r) => r.bytes[..usize::from(r.len)].to_vec(),
        other => panic!("not refused but {other:?}"),
    }
}

#[test]
fn hlt_names_its_own_address() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::real(&[0x90, 0xf4]);
    assert_eq!(guest.run(), Exit { kind: ExitKind::Halt, rip: Some(1) });
    let state = guest.state();
    assert_eq!((state.rip, state.activity), (2, Activity::Halted));
}

#[test]
fn a_halted_cpu_stays_halted() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::real(&[0xf4, 0xe6, 0x80, 0xf4]);
    guest.halt();
    guest.bus.lines.intr = true; // but IF is 0
    guest.halt();
    assert_eq!(guest.bus.log.len(), 0);
    assert_eq!(guest.bus.acknowledged, 0);
}

#[test]
fn a_triple_fault_ends_the_guest() {
    if !kvm() {
        return;
    }
    // ud2 with an IDT of limit 0
    let mut guest = Guest::protected(&[0x0f, 0x0b]);
    let mut state = common::protected_mode();
    state.idtr.limit = 0;
    guest.vcpu.set_state(&state).unwrap();
    assert_eq!(guest.run().kind, ExitKind::TripleFault);
    assert_eq!(guest.state().activity, Activity::Shutdown);
    assert_eq!(guest.run().kind, ExitKind::TripleFault);
}

#[test]
fn after_a_triple_fault_a_new_state_runs() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::protected(&[0x0f, 0x0b, 0xe6, 0x80, 0xf4]);
    let mut state = common::protected_mode();
    state.idtr.limit = 0;
    guest.vcpu.set_state(&state).unwrap();
    assert_eq!(guest.run().kind, ExitKind::TripleFault);
    state.rip = 2;
    guest.vcpu.set_state(&state).unwrap();
    guest.halt();
    assert_eq!(guest.bus.log.len(), 1);
}

/// Where KVM emulates ring 0 it refuses some instructions; a processor refuses none.
fn emulated() -> bool {
    hako_engine_kvm::probe().usable.is_ok_and(|speed| speed.is_emulated())
}

#[test]
fn a_refused_instruction_comes_with_its_bytes_and_can_be_skipped() {
    if !kvm() || !emulated() {
        return;
    }
    // popcnt eax,ebx; out 0x80,al; hlt
    let code = [0xf3, 0x0f, 0xb8, 0xc3, 0xe6, 0x80, 0xf4];
    let mut guest = Guest::protected(&code);
    for parts in [Parts::ALL, Parts::CORE] {
        guest.vcpu.set_state(&common::protected_mode()).unwrap();
        let exit = guest.run();
        assert_eq!(exit.rip, Some(0));
        let bytes = refused(exit);
        assert!(code.starts_with(&bytes) || bytes.starts_with(&code), "{bytes:x?}");
        let mut state = guest.vcpu.partial_state(parts).unwrap();
        assert_eq!((state.rip, state.events), (0, Default::default()));
        state.rip = 4;
        state.gpr[0] = 0x12;
        guest.vcpu.set_partial_state(&state, parts).unwrap();
        guest.halt();
    }
    assert_eq!(guest.bus.written(0x80), [0x12, 0x12]);
    assert_eq!(guest.vcpu.exits().refused, 2);
}

#[test]
fn int3_in_protected_mode_is_delivered_or_refused() {
    if !kvm() {
        return;
    }
    // 0: int3; 0x10: hlt
    let mut code = vec![0xcc; 0x11];
    code[0x10] = 0xf4;
    let mut guest = Guest::protected(&code);
    // GDT entry 1: flat code; IDT gate 3: 32-bit interrupt gate to 8:0x10
    guest.bus.memory.write(Gpa(0xa008), &[0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0]).unwrap();
    guest.bus.memory.write(Gpa(0x9018), &[0x10, 0, 8, 0, 0, 0x8e, 0, 0]).unwrap();
    let exit = guest.run();
    if emulated() {
        assert_eq!(exit.rip, Some(0));
        assert_eq!(refused(exit)[0], 0xcc);
    } else {
        assert_eq!(exit, Exit { kind: ExitKind::Halt, rip: Some(0x10) });
    }
}

#[test]
fn a_kick_from_another_thread_stops_a_loop() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::real(&[0xeb, 0xfe]);
    let kicker = guest.vcpu.kicker();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(5));
        kicker.kick();
    });
    assert_eq!(guest.run(), Exit { kind: ExitKind::Kicked, rip: Some(0) });
    thread.join().unwrap();
}

#[test]
fn a_kick_before_run_stops_the_next_run_once() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::real(&[0xf4]);
    guest.vcpu.kicker().kick();
    assert_eq!(guest.run().kind, ExitKind::Kicked);
    guest.halt();
}

#[test]
fn no_kick_is_lost_however_often_the_guest_exits() {
    if !kvm() {
        return;
    }
    // out 0x80,al; jmp -4
    let mut guest = Guest::real(&[0xe6, 0x80, 0xeb, 0xfc]);
    let kicker = guest.vcpu.kicker();
    let (done, next) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        for _ in 0..200 {
            kicker.kick();
            if next.recv().is_err() {
                return;
            }
        }
    });
    for _ in 0..200 {
        assert_eq!(guest.run().kind, ExitKind::Kicked);
        guest.bus.log.clear();
        done.send(()).unwrap();
    }
    thread.join().unwrap();
}

#[test]
fn no_kick_is_lost_while_interrupts_and_nmis_are_offered() {
    if !kvm() {
        return;
    }
    // L: out 0x80,al; jmp L, with an interrupt that is never allowed and an NMI at each access
    let mut guest = with_handlers(&at_200(&[0xe6, 0x80, 0xeb, 0xfc]));
    guest.bus.always = Attention::LINES;
    let kicker = guest.vcpu.kicker();
    let (done, next) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        for _ in 0..100 {
            kicker.kick();
            if next.recv().is_err() {
                return;
            }
        }
    });
    for _ in 0..100 {
        guest.bus.lines.intr = true;
        guest.bus.lines.nmi = true;
        assert_eq!(guest.run().kind, ExitKind::Kicked);
        let state = guest.state();
        guest.vcpu.set_state(&state).unwrap();
        guest.bus.log.clear();
        done.send(()).unwrap();
    }
    thread.join().unwrap();
    assert_eq!(guest.bus.acknowledged, 0);
}

#[test]
fn a_kick_and_a_deadline_stop_ring_3() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::user(&[0xeb, 0xfe]);
    let kicker = guest.vcpu.kicker();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(5));
        kicker.kick();
    });
    assert_eq!(guest.run(), Exit { kind: ExitKind::Kicked, rip: Some(0) });
    thread.join().unwrap();
    let exit = guest.vcpu.run(&mut guest.bus, Deadline::After(Duration::from_millis(3))).unwrap();
    assert_eq!(exit.kind, ExitKind::Deadline);
}

#[test]
fn a_cpu_may_move_to_another_thread() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::real(&[0xeb, 0xfe]);
    let deadline = Deadline::After(Duration::from_millis(2));
    for _ in 0..3 {
        guest = std::thread::spawn(move || {
            let exit = guest.vcpu.run(&mut guest.bus, deadline).unwrap();
            assert_eq!(exit.kind, ExitKind::Deadline);
            guest
        })
        .join()
        .unwrap();
    }
}

#[test]
fn a_deadline_stops_a_loop_not_too_early() {
    if !kvm() {
        return;
    }
    for code in [&[0xeb, 0xfe][..], &[0xe6, 0x80, 0xeb, 0xfc]] {
        let mut guest = Guest::real(code);
        for ms in [3, 1, 5] {
            let begin = Instant::now();
            let after = Duration::from_millis(ms);
            let exit = guest.vcpu.run(&mut guest.bus, Deadline::After(after)).unwrap();
            assert_eq!(exit.kind, ExitKind::Deadline);
            assert!(begin.elapsed() >= after);
            guest.bus.log.clear();
        }
    }
}

#[test]
fn a_deadline_that_is_over_stops_at_once() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::real(&[0xeb, 0xfe]);
    let exit = guest.vcpu.run(&mut guest.bus, Deadline::After(Duration::ZERO)).unwrap();
    assert_eq!(exit.kind, ExitKind::Deadline);
}

/// Real mode: vector 0x20 leads to 0x100, where `inc bx; iret` is; vector 2 to 0x110: `inc cx; iret`.
fn with_handlers(code: &[u8]) -> Guest {
    let guest = Guest::real(code);
    guest.bus.memory.write(Gpa(0x80), &[0x00, 0x01, 0, 0]).unwrap();
    guest.bus.memory.write(Gpa(8), &[0x10, 0x01, 0, 0]).unwrap();
    guest.bus.memory.write(Gpa(0x100), &[0x43, 0xcf]).unwrap();
    guest.bus.memory.write(Gpa(0x110), &[0x41, 0xcf]).unwrap();
    guest
}

/// A jump over the interrupt vectors used here, then `code` at 0x200.
fn at_200(code: &[u8]) -> Vec<u8> {
    let mut all = vec![0; 0x200];
    all[..3].copy_from_slice(&[0xe9, 0xfd, 0x01]);
    all.extend_from_slice(code);
    all
}

#[test]
fn an_interrupt_waits_for_the_interrupt_flag() {
    if !kvm() {
        return;
    }
    // out 0x80,al (raises the line); mov ax,bx; sti; L: test bx,bx; jz L; cli; hlt
    let code = [0xe6, 0x80, 0x89, 0xd8, 0xfb, 0x85, 0xdb, 0x74, 0xfc, 0xfa, 0xf4];
    let mut guest = with_handlers(&at_200(&code));
    guest.bus.lines.intr = true;
    guest.bus.attention = vec![(0, Attention::LINES)];
    guest.halt();
    let state = guest.state();
    assert_eq!((state.reg(Gpr::Rax), state.reg(Gpr::Rbx)), (0, 1));
    assert_eq!(guest.bus.acknowledged, 1);
}

#[test]
fn an_interrupt_wakes_a_halted_cpu() {
    if !kvm() {
        return;
    }
    // sti; hlt; cli; hlt
    let mut guest = with_handlers(&at_200(&[0xfb, 0xf4, 0xfa, 0xf4]));
    assert_eq!(guest.run(), Exit { kind: ExitKind::Halt, rip: Some(0x201) });
    assert!(guest.vcpu.interrupts_enabled());
    guest.bus.lines.intr = true;
    assert_eq!(guest.run(), Exit { kind: ExitKind::Halt, rip: Some(0x203) });
    assert!(!guest.vcpu.interrupts_enabled());
    assert_eq!(guest.state().reg(Gpr::Rbx), 1);
}

#[test]
fn an_interrupt_that_is_there_already_wakes_at_once() {
    if !kvm() {
        return;
    }
    let mut guest = with_handlers(&at_200(&[0xe6, 0x80, 0xfb, 0xf4, 0xfa, 0xf4]));
    guest.bus.lines.intr = true;
    guest.bus.attention = vec![(0, Attention::LINES)];
    guest.halt();
    assert_eq!(guest.state().reg(Gpr::Rbx), 1);
}

#[test]
fn a_restored_halted_state_is_woken_by_an_interrupt() {
    if !kvm() {
        return;
    }
    let mut guest = with_handlers(&at_200(&[0xfa, 0xf4]));
    let mut state = common::real_mode();
    state.rip = 0x200;
    state.rflags |= RFlags::IF;
    state.activity = Activity::Halted;
    guest.vcpu.set_state(&state).unwrap();
    guest.halt();
    assert_eq!(guest.state().rip, 0x200);
    guest.bus.lines.intr = true;
    guest.halt();
    let state = guest.state();
    assert_eq!((state.rip, state.reg(Gpr::Rbx)), (0x202, 1));
}

#[test]
fn an_nmi_needs_no_flag_and_wakes() {
    if !kvm() {
        return;
    }
    let mut guest = with_handlers(&at_200(&[0xf4, 0xf4, 0xf4]));
    guest.halt();
    guest.vcpu.nmi().unwrap();
    assert_eq!(guest.run(), Exit { kind: ExitKind::Halt, rip: Some(0x201) });
    assert_eq!(guest.state().reg(Gpr::Rcx), 1);
    guest.bus.lines.nmi = true;
    assert_eq!(guest.run(), Exit { kind: ExitKind::Halt, rip: Some(0x202) });
    assert_eq!(guest.state().reg(Gpr::Rcx), 2);
}

#[test]
fn a_guest_of_random_bytes_gives_exits_only() {
    if !kvm() {
        return;
    }
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    for round in 0..200 {
        let code: Vec<u8> = (0..256)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed as u8
            })
            .collect();
        let mut guest = if round % 2 == 0 { Guest::real(&code) } else { Guest::protected(&code) };
        for _ in 0..20 {
            let exit = guest.vcpu.run(&mut guest.bus, Deadline::After(Duration::from_millis(2))).unwrap();
            guest.state();
            if exit.kind != ExitKind::Deadline {
                break;
            }
        }
    }
}

#[test]
fn a_jump_into_a_hole_is_an_exit() {
    if !kvm() {
        return;
    }
    // jmp 0x20000, where no memory is
    let mut guest = Guest::protected(&[0xe9, 0xfb, 0xff, 0x01, 0x00]);
    let exit = guest.vcpu.run(&mut guest.bus, Deadline::After(Duration::from_millis(50))).unwrap();
    let stopped =
        matches!(exit.kind, ExitKind::Refused(_) | ExitKind::Unknown { .. } | ExitKind::TripleFault);
    assert!(stopped, "{exit:?}");
    assert_eq!(exit.rip, Some(0x20000));
}

#[test]
fn a_cpu_beyond_the_configuration_is_an_error() {
    if !kvm() {
        return;
    }
    assert!(Guest::real(&[0xf4]).vm.vcpu(1).is_err());
}

#[test]
fn a_vm_may_be_dropped_before_its_cpu() {
    if !kvm() {
        return;
    }
    let Guest { mut vcpu, vm, mut bus } = Guest::real(&[0xf4]);
    let mut sink = vm.irq_sink();
    drop(vm);
    assert_eq!(vcpu.run(&mut bus, Deadline::Never).unwrap().kind, ExitKind::Halt);
    drop(vcpu);
    sink.set_gsi(1, true);
}

#[test]
fn the_configuration_without_anything_is_enough_for_real_mode() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::with(VmConfig::default(), &[0xf4]);
    guest.vcpu.set_state(&common::real_mode()).unwrap();
    guest.halt();
}
