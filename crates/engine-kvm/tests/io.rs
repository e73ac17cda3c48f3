//! Ports, MMIO, and the state at an exit.

mod common;

use common::{Access, Guest, kvm};
use hako_engine::{Attention, Deadline, ExitKind, Vcpu};
use hako_engine_kvm::VmConfig;
use hako_mem::{Gpa, GuestMemory, MemoryMap, Region, RegionKind, SlabOffset};
use hako_x86::{Activity, Gpr, Width};

#[test]
fn hello_goes_byte_by_byte_to_port_1() {
    if !kvm() {
        return;
    }
    // mov si,11; lodsb; test al,al; jz +4; out 1,al; jmp -9; hlt
    let mut code = vec![0xbe, 0x0d, 0x00, 0xac, 0x84, 0xc0, 0x74, 0x04, 0xe6, 0x01, 0xeb, 0xf7, 0xf4];
    code.extend_from_slice(b"Hello KVM!\n\0");
    let mut guest = Guest::real(&code);
    guest.halt();
    assert_eq!(guest.bus.written(1), b"Hello KVM!\n");
    assert_eq!(guest.bus.log.len(), 11);
    let state = guest.state();
    assert_eq!((state.rip, state.activity), (13, Activity::Halted));
}

#[test]
fn port_accesses_have_their_width() {
    if !kvm() {
        return;
    }
    // mov dx,0x300; in al,dx; in ax,dx; in eax,dx; out dx,al; out dx,ax; out dx,eax; hlt
    let code = [0xba, 0x00, 0x03, 0xec, 0xed, 0x66, 0xed, 0xee, 0xef, 0x66, 0xef, 0xf4];
    let mut guest = Guest::real(&code);
    guest.bus.input = vec![0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77];
    guest.halt();
    let data = vec![0x44, 0x55, 0x66, 0x77];
    assert_eq!(
        guest.bus.log,
        [
            Access::In(0x300, Width::B1, 1),
            Access::In(0x300, Width::B2, 2),
            Access::In(0x300, Width::B4, 4),
            Access::Out(0x300, Width::B1, data[..1].to_vec()),
            Access::Out(0x300, Width::B2, data[..2].to_vec()),
            Access::Out(0x300, Width::B4, data),
        ]
    );
}

#[test]
fn outs_writes_memory_in_order_and_counts_down() {
    if !kvm() {
        return;
    }
    // cld; mov si,0x100; mov cx,5; mov dx,0x80; rep outsb; hlt
    let code = [0xfc, 0xbe, 0x00, 0x01, 0xb9, 0x05, 0x00, 0xba, 0x80, 0x00, 0xf3, 0x6e, 0xf4];
    let mut guest = Guest::real(&code);
    guest.bus.memory.write(Gpa(0x100), b"abcde").unwrap();
    guest.halt();
    assert_eq!(guest.bus.written(0x80), b"abcde");
    let state = guest.state();
    assert_eq!((state.reg(Gpr::Rcx), state.reg(Gpr::Rsi)), (0, 0x105));
}

#[test]
fn ins_fills_memory_in_order() {
    if !kvm() {
        return;
    }
    // cld; mov di,0x100; mov cx,3; mov dx,0x80; rep insw; hlt
    let code = [0xfc, 0xbf, 0x00, 0x01, 0xb9, 0x03, 0x00, 0xba, 0x80, 0x00, 0xf3, 0x6d, 0xf4];
    let mut guest = Guest::real(&code);
    guest.bus.input = vec![1, 2, 3, 4, 5, 6];
    guest.halt();
    let mut bytes = [0; 7];
    guest.bus.memory.read(Gpa(0x100), &mut bytes).unwrap();
    assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 0]);
    for access in &guest.bus.log {
        assert!(matches!(access, Access::In(0x80, Width::B2, n) if n % 2 == 0));
    }
}

#[test]
fn addresses_without_memory_are_mmio() {
    if !kvm() {
        return;
    }
    // mov eax,[0x20000]; mov [0x20004],ax; hlt (protected)
    let code = [0xa1, 0x00, 0x00, 0x02, 0x00, 0x66, 0xa3, 0x04, 0x00, 0x02, 0x00, 0xf4];
    let mut guest = Guest::protected(&code);
    guest.bus.input = vec![0x78, 0x56, 0x34, 0x12];
    guest.halt();
    assert_eq!(guest.bus.log, [Access::Read(0x20000, 4), Access::Write(0x20004, vec![0x78, 0x56])]);
    assert_eq!(guest.state().reg(Gpr::Rax), 0x1234_5678);
}

#[test]
fn writes_to_rom_reach_the_bus_and_change_nothing() {
    if !kvm() {
        return;
    }
    let mut memory = GuestMemory::flat(0x1_0000);
    memory.write(Gpa(0x4000), b"ROM!").unwrap();
    // mov byte [0x4000],0x55; mov al,[0x4000]; hlt
    memory.write(Gpa(0), &[0xc6, 0x05, 0, 0x40, 0, 0, 0x55, 0xa0, 0, 0x40, 0, 0, 0xf4]).unwrap();
    let mut map = memory.map().clone();
    let rom = Region { gpa: Gpa(0x4000), len: 0x1000, kind: RegionKind::Rom, offset: SlabOffset(0x4000) };
    map.map(rom).unwrap();
    memory.set_map(map);
    let mut guest = Guest::on(VmConfig::default(), &memory);
    guest.vcpu.set_state(&common::protected_mode()).unwrap();
    guest.halt();
    assert_eq!(guest.bus.log, [Access::Write(0x4000, vec![0x55])]);
    assert_eq!(guest.state().reg(Gpr::Rax) & 0xff, u64::from(b'R'));
}

/// Two pages of the slab, A at 0x1000 and B at 0x2000, of which the map shows one at guest address 0x8000.
fn shows(memory: &GuestMemory, offset: u64, kind: RegionKind) -> GuestMemory {
    let mut map = MemoryMap::new();
    let ram = Region { gpa: Gpa(0), len: 0x8000, kind: RegionKind::Ram, offset: SlabOffset(0) };
    map.map(ram).unwrap();
    map.map(Region { gpa: Gpa(0x8000), len: 0x1000, kind, offset: SlabOffset(offset) }).unwrap();
    let mut memory = memory.clone();
    memory.set_map(map);
    memory
}

#[test]
fn a_map_changed_by_an_access_holds_for_the_next_instruction() {
    if !kvm() {
        return;
    }
    let memory = GuestMemory::flat(0x1_0000);
    // mov al,[0x8000]; out 0x80,al; mov al,[0x8000]; mov byte [0x8000],7; hlt
    let code = [0xa0, 0, 0x80, 0, 0, 0xe6, 0x80, 0xa0, 0, 0x80, 0, 0, 0xc6, 0x05, 0, 0x80, 0, 0, 7, 0xf4];
    memory.write(Gpa(0), &code).unwrap();
    memory.write(Gpa(0x1000), b"A").unwrap();
    memory.write(Gpa(0x2000), b"B").unwrap();
    let mut guest = Guest::on(VmConfig::default(), &shows(&memory, 0x1000, RegionKind::Ram));
    guest.vcpu.set_state(&common::protected_mode()).unwrap();
    guest.bus.attention = vec![(0, Attention::MAP)];
    guest.bus.next_memory = Some(shows(&memory, 0x2000, RegionKind::Rom));
    guest.halt();
    assert_eq!(guest.bus.written(0x80), b"A");
    assert_eq!(guest.state().reg(Gpr::Rax) & 0xff, u64::from(b'B'));
    assert_eq!(guest.bus.log[1], Access::Write(0x8000, vec![7]));
}

#[test]
fn a_map_changed_between_runs_is_followed() {
    if !kvm() {
        return;
    }
    let memory = GuestMemory::flat(0x1_0000);
    // L: mov al,[0x8000]; hlt; jmp L
    memory.write(Gpa(0), &[0xa0, 0, 0x80, 0, 0, 0xf4, 0xeb, 0xf8]).unwrap();
    memory.write(Gpa(0x1000), b"A").unwrap();
    memory.write(Gpa(0x2000), b"B").unwrap();
    let mut guest = Guest::on(VmConfig::default(), &shows(&memory, 0x1000, RegionKind::Ram));
    guest.vcpu.set_state(&common::protected_mode()).unwrap();
    guest.halt();
    assert_eq!(guest.state().reg(Gpr::Rax) & 0xff, u64::from(b'A'));
    guest.bus.memory = shows(&memory, 0x2000, RegionKind::Ram);
    guest.vcpu.set_state(&common::protected_mode()).unwrap();
    guest.halt();
    assert_eq!(guest.state().reg(Gpr::Rax) & 0xff, u64::from(b'B'));
}

/// Runs `code` until its first access has a wish; the state must be that of an instruction boundary.
fn state_at_wish(code: &[u8], input: &[u8]) -> (Guest, hako_x86::CpuState) {
    let mut guest = Guest::real(code);
    guest.bus.input = input.to_vec();
    guest.bus.attention = vec![(0, Attention::WISH)];
    assert_eq!(guest.run().kind, ExitKind::Wish);
    let state = guest.state();
    (guest, state)
}

#[test]
fn after_an_out_the_state_is_behind_it() {
    if !kvm() {
        return;
    }
    let (mut guest, state) = state_at_wish(&[0xb0, 0x41, 0xe6, 0x80, 0xf4], &[]);
    assert_eq!(state.rip, 4);
    guest.halt();
    assert_eq!(guest.bus.log.len(), 1);
}

#[test]
fn after_an_in_the_state_is_behind_it_and_has_the_value() {
    if !kvm() {
        return;
    }
    let (mut guest, state) = state_at_wish(&[0xe4, 0x80, 0xf4], &[0x5a]);
    assert_eq!((state.rip, state.reg(Gpr::Rax) & 0xff), (2, 0x5a));
    guest.halt();
    assert_eq!(guest.bus.log.len(), 1);
}

#[test]
fn after_an_mmio_read_the_state_has_the_value() {
    if !kvm() {
        return;
    }
    // mov ax,0xf000; mov ds,ax; mov al,[0]; hlt
    let (_, state) = state_at_wish(&[0xb8, 0, 0xf0, 0x8e, 0xd8, 0xa0, 0, 0, 0xf4], &[0x5a]);
    assert_eq!((state.rip, state.reg(Gpr::Rax) & 0xff), (8, 0x5a));
}

#[test]
fn in_the_middle_of_a_string_the_state_is_that_of_an_iteration() {
    if !kvm() {
        return;
    }
    for (op, input) in [(0x6e, &[][..]), (0x6c, &[1, 2, 3, 4][..])] {
        // mov si,0x100; mov di,0x200; mov cx,4; mov dx,0x80; rep outsb/insb; hlt
        let code = [0xbe, 0, 1, 0xbf, 0, 2, 0xb9, 4, 0, 0xba, 0x80, 0, 0xf3, op, 0xf4];
        let (mut guest, state) = state_at_wish(&code, input);
        let done = 4 - state.reg(Gpr::Rcx);
        assert!(done > 0);
        let rip = if done == 4 { 14 } else { 12 };
        let index = if op == 0x6e { state.reg(Gpr::Rsi) - 0x100 } else { state.reg(Gpr::Rdi) - 0x200 };
        // An engine may stand on the finished string instruction: then it only falls through.
        assert!(state.rip == rip || state.rip == 12, "rip {:#x}", state.rip);
        assert_eq!(index, done);
        guest.halt();
        let state = guest.state();
        assert_eq!((state.rip, state.reg(Gpr::Rcx)), (15, 0));
    }
}

#[test]
fn ring_3_has_ports_and_registers_too() {
    if !kvm() {
        return;
    }
    // mov eax,0x11223344; movd xmm1,eax; in al,0x80; out 0x81,al; in eax,0x82
    let code = [0xb8, 0x44, 0x33, 0x22, 0x11, 0x66, 0x0f, 0x6e, 0xc8, 0xe4, 0x80, 0xe6, 0x81, 0xe5, 0x82];
    let mut guest = Guest::user(&code);
    guest.bus.input = vec![0x5a, 1, 2, 3, 4];
    guest.bus.attention = vec![(1, Attention::WISH), (2, Attention::WISH)];
    assert_eq!(guest.run().kind, ExitKind::Wish);
    let state = guest.state();
    assert_eq!((state.rip, state.reg(Gpr::Rax)), (13, 0x1122_335a));
    assert_eq!(state.xsave[176..180], [0x44, 0x33, 0x22, 0x11]); // XMM1
    guest.vcpu.set_state(&state).unwrap();
    assert_eq!(guest.run().kind, ExitKind::Wish);
    let state = guest.state();
    assert_eq!((state.rip, state.reg(Gpr::Rax)), (15, 0x0403_0201));
    assert_eq!(guest.bus.written(0x81), [0x5a]);
}

#[test]
fn a_state_set_at_a_wish_is_where_the_guest_goes_on() {
    if !kvm() {
        return;
    }
    // 0: in al,0x80; hlt; 0x10: out 0x81,al; hlt
    let mut code = vec![0; 0x20];
    code[..3].copy_from_slice(&[0xe4, 0x80, 0xf4]);
    code[0x10..0x13].copy_from_slice(&[0xe6, 0x81, 0xf4]);
    let (mut guest, mut state) = state_at_wish(&code, &[0x11]);
    state.rip = 0x10;
    state.gpr[0] = 0x77;
    guest.vcpu.set_state(&state).unwrap();
    guest.halt();
    assert_eq!(guest.bus.written(0x81), [0x77]);
}

#[test]
fn moved_events_are_a_deadline_exit() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::real(&[0xe6, 0x80, 0xe6, 0x81, 0xf4]);
    guest.bus.attention = vec![(0, Attention::EVENTS), (1, Attention::EVENTS | Attention::WISH)];
    assert_eq!(guest.run().kind, ExitKind::Deadline);
    assert_eq!(guest.run().kind, ExitKind::Wish);
    guest.halt();
}

#[test]
fn a_deadline_in_instructions_is_an_error() {
    if !kvm() {
        return;
    }
    let mut guest = Guest::real(&[0xf4]);
    assert!(guest.vcpu.run(&mut guest.bus, Deadline::Count(5)).is_err());
}

#[test]
fn msrs_that_kvm_does_not_know_ask_the_bus() {
    if !kvm() {
        return;
    }
    // mov ecx,0x1234; rdmsr; hlt
    let config = VmConfig { msr_exits: true, ..VmConfig::default() };
    let mut guest = Guest::with(config, &[0xb9, 0x34, 0x12, 0, 0, 0x0f, 0x32, 0xf4]);
    guest.vcpu.set_state(&common::protected_mode()).unwrap();
    guest.halt();
    let state = guest.state();
    assert_eq!((state.reg(Gpr::Rdx), state.reg(Gpr::Rax)), (0x1122_3344, 0x5566_7788));
}
