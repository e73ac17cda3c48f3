//! Events in place of exits: a guest that notifies without an exit, and messages that another thread sends.

mod common;

use std::sync::Arc;

use common::{Access, Guest, kvm};
use hako_engine::{ExitKind, Vcpu};
use hako_engine_kvm::{Doorbell, Place, VmConfig};
use hako_mem::Gpa;
use hako_x86::{Gpr, RFlags};

fn config() -> VmConfig {
    VmConfig { irqchip: true, ..VmConfig::default() }
}

/// Flat protected mode; the code runs at 0.
fn protected(code: &[u8]) -> Guest {
    let mut guest = Guest::with(config(), code);
    guest.vcpu.set_state(&common::protected_mode()).unwrap();
    guest
}

#[test]
fn a_write_to_a_bound_address_rings_and_does_not_exit() {
    if !kvm() {
        return;
    }
    // mov word [20_0000h], ax; mov [20_0000h], eax; mov [20_0004h], eax; cli; hlt
    let code = [0x66, 0xa3, 0, 0, 0x20, 0, 0xa3, 0, 0, 0x20, 0, 0xa3, 4, 0, 0x20, 0, 0xfa, 0xf4];
    let mut guest = protected(&code);
    let outside = guest.vm.outside().unwrap();
    let bell = Arc::new(Doorbell::new().unwrap());
    let bound = outside.bind(&bell, Place::Memory(0x20_0000)).unwrap();
    assert!(!bell.rung());
    assert_eq!(guest.run().kind, ExitKind::Halt);
    assert!(bell.rung());
    assert_eq!(guest.bus.log, [Access::Write(0x20_0004, vec![0; 4])], "the rest reaches the bus");
    bell.answer();
    assert!(!bell.rung());

    drop(bound);
    guest.vcpu.set_state(&common::protected_mode()).unwrap();
    assert_eq!(guest.run().kind, ExitKind::Halt);
    assert!(!bell.rung());
    assert_eq!(guest.bus.log.len(), 4, "and all of it once nothing is bound");
}

#[test]
fn a_word_written_to_a_bound_port_rings_where_it_is_the_right_one() {
    if !kvm() {
        return;
    }
    // mov edx, 0c010h; mov ax, 1; out dx, ax; inc ax; out dx, ax; out dx, al; cli; hlt
    let code =
        [0xba, 0x10, 0xc0, 0, 0, 0x66, 0xb8, 1, 0, 0x66, 0xef, 0x66, 0x40, 0x66, 0xef, 0xee, 0xfa, 0xf4];
    let mut guest = protected(&code);
    let bell = Arc::new(Doorbell::new().unwrap());
    let _bound = guest.vm.outside().unwrap().bind(&bell, Place::Port(0xc010, 1)).unwrap();
    assert_eq!(guest.run().kind, ExitKind::Halt);
    assert!(bell.rung());
    assert_eq!(guest.bus.written(0xc010), [2, 0, 2], "another word and a byte reach the bus");
}

#[test]
fn a_place_rings_one_bell() {
    if !kvm() {
        return;
    }
    let guest = protected(&[0xf4]);
    let outside = guest.vm.outside().unwrap();
    let bell = Arc::new(Doorbell::new().unwrap());
    let first = outside.bind(&bell, Place::Memory(0x20_0000)).unwrap();
    assert!(outside.bind(&bell, Place::Memory(0x20_0000)).is_err());
    drop(first);
    assert!(outside.bind(&bell, Place::Memory(0x20_0000)).is_ok());
}

/// Real mode; vector 40h leads to 300h: `inc bx; iret`. The local APIC is on, and the CPU halts with interrupts on.
fn waiting() -> Guest {
    let mut guest = Guest::with(config(), &[]);
    // L: sti; hlt; jmp L
    guest.bus.memory.write(Gpa(0x200), &[0xfb, 0xf4, 0xeb, 0xfc]).unwrap();
    guest.bus.memory.write(Gpa(0x40 * 4), &[0x00, 0x03, 0, 0]).unwrap();
    guest.bus.memory.write(Gpa(0x300), &[0x43, 0xcf]).unwrap();
    let mut lapic = guest.vcpu.lapic_state().unwrap();
    lapic.regs[0xf0..0xf4].copy_from_slice(&0x1ffu32.to_le_bytes());
    guest.vcpu.set_lapic_state(&lapic).unwrap();
    let mut state = common::real_mode();
    state.rip = 0x200;
    guest.vcpu.set_state(&state).unwrap();
    guest
}

#[test]
fn a_message_sent_by_another_thread_interrupts_a_halted_cpu() {
    if !kvm() {
        return;
    }
    let mut guest = waiting();
    let outside = guest.vm.outside().unwrap();
    let mut message = outside.message().unwrap();
    message.set(0xfee0_0000, 0x40).unwrap();
    let sender = message.sender().unwrap();
    assert_eq!(guest.run().kind, ExitKind::Halt);
    assert_eq!(guest.state().reg(Gpr::Rbx), 0);
    std::thread::spawn(move || sender.send()).join().unwrap();
    while guest.run().kind == ExitKind::Halt && guest.state().reg(Gpr::Rbx) == 0 {}
    assert_eq!(guest.state().reg(Gpr::Rbx), 1);
    assert!(guest.state().rflags.contains(RFlags::IF));
}

#[test]
fn a_message_is_what_it_was_last_set_to() {
    if !kvm() {
        return;
    }
    let mut guest = waiting();
    // Vector 41h adds two.
    guest.bus.memory.write(Gpa(0x41 * 4), &[0x10, 0x03, 0, 0]).unwrap();
    guest.bus.memory.write(Gpa(0x310), &[0x43, 0x43, 0xcf]).unwrap();
    let mut message = guest.vm.outside().unwrap().message().unwrap();
    message.set(0xfee0_0000, 0x40).unwrap();
    message.set(0xfee0_0000, 0x41).unwrap();
    message.sender().unwrap().send();
    while guest.run().kind == ExitKind::Halt && guest.state().reg(Gpr::Rbx) == 0 {}
    assert_eq!(guest.state().reg(Gpr::Rbx), 2);
}

#[test]
fn without_controllers_in_the_kernel_there_is_nothing_of_it() {
    if !kvm() {
        return;
    }
    assert!(Guest::real(&[0xf4]).vm.outside().is_none());
}
