//! The short way to complete single instructions: it does what the long way does, or nothing.

mod common;

use common::{TestBus, long_mode, protected_mode};
use hako_cpu::{Completed, Config, Cpu, Work};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, Cr4, RFlags};

/// Where the code is, and a device that answers with ones.
const CODE: u64 = 0x8000;
const DEVICE: u64 = 0x3000_0000;

struct Machine {
    bus: TestBus,
    cpu: Cpu,
    state: CpuState,
}

/// A machine about to execute these bytes in this state, with RDI at the device.
fn machine(memory: GuestMemory, state: CpuState, code: &[u8]) -> Machine {
    memory.write(Gpa(CODE), code).unwrap();
    let mut state = CpuState { rip: CODE, ..state };
    (state.gpr[7], state.gpr[6], state.gpr[1]) = (DEVICE, 0x9000, 3);
    let cpu = Cpu::new(Config { uncached: true, ..Config::default() });
    Machine { bus: TestBus::new(memory), cpu, state }
}

fn in_long_mode(code: &[u8]) -> Machine {
    let memory = GuestMemory::flat(1 << 20);
    let state = long_mode(&memory);
    machine(memory, state, code)
}

impl Machine {
    /// The short way.
    fn complete(&mut self) -> Completed {
        self.cpu.set_registers(&self.state).unwrap();
        self.again()
    }

    /// The same once more, with nothing told anew.
    fn again(&mut self) -> Completed {
        let mut flags = self.state.rflags.bits();
        let work = Work { gpr: &mut self.state.gpr, rip: &mut self.state.rip, rflags: &mut flags };
        let done = self.cpu.complete(&mut self.bus, work);
        self.state.rflags = RFlags::from_bits_retain(flags);
        done
    }

    /// What the long way makes of it.
    fn long_way(mut self) -> (CpuState, Vec<String>) {
        self.cpu.set_state(&self.state).unwrap();
        self.cpu.step(&mut self.bus);
        let log = self.bus.log.into_iter().map(|(_, what)| what).collect();
        (self.cpu.state(), log)
    }
}

#[test]
fn moves_arithmetic_bits_and_strings_do_what_the_long_way_does() {
    let codes: [&[u8]; 16] = [
        &[0x8b, 0x07],             // mov eax, [rdi]
        &[0x48, 0x89, 0x0f],       // mov [rdi], rcx
        &[0x44, 0x8a, 0x57, 0x05], // mov r10b, [rdi + 5]
        &[0xc7, 0x07, 1, 2, 3, 4], // mov dword [rdi], imm
        &[0x0f, 0xb6, 0x07],       // movzx eax, byte [rdi]
        &[0x48, 0x0f, 0xbf, 0x07], // movsx rax, word [rdi]
        &[0x66, 0x09, 0x0f],       // or [rdi], cx
        &[0xf0, 0x01, 0x0f],       // lock add [rdi], ecx
        &[0xf7, 0x07, 1, 0, 0, 0], // test dword [rdi], 1
        &[0xff, 0x07],             // inc dword [rdi]
        &[0x0f, 0xba, 0x2f, 7],    // bts dword [rdi], 7
        &[0x87, 0x0f],             // xchg [rdi], ecx
        &[0x0f, 0xb1, 0x0f],       // cmpxchg [rdi], ecx
        &[0x0f, 0x38, 0xf0, 0x07], // movbe eax, [rdi]
        &[0xab],                   // stosd
        &[0xa5],                   // movsd
    ];
    for code in codes {
        let (after, log) = in_long_mode(code).long_way();
        let mut short = in_long_mode(code);
        assert_eq!(short.complete(), Completed::Yes, "{code:x?}");
        let told: Vec<String> = short.bus.log.into_iter().map(|(_, what)| what).collect();
        assert_eq!((&short.state.gpr, short.state.rip, told), (&after.gpr, after.rip, log), "{code:x?}");
        assert_eq!(short.state.rflags, after.rflags, "{code:x?}");
    }
}

#[test]
fn a_repeated_one_makes_its_iterations_at_once() {
    let mut m = in_long_mode(&[0xf3, 0xab]); // rep stosd
    assert_eq!(m.complete(), Completed::Yes);
    assert_eq!((m.state.gpr[1], m.state.gpr[7], m.state.rip), (0, DEVICE + 12, CODE + 2));
    assert_eq!(m.bus.log.len(), 3);
}

#[test]
fn a_repeated_one_that_faults_keeps_what_it_has_made() {
    let mut m = in_long_mode(&[0xf3, 0xa4]); // rep movsb
    // The source ends with the gigabyte that is mapped, the destination is a device.
    m.state.gpr[6] = 0x3fff_fffe;
    assert_eq!(m.complete(), Completed::Partly);
    assert_eq!((m.state.gpr[1], m.state.gpr[6], m.state.rip), (1, 0x4000_0000, CODE));
}

#[test]
fn what_is_not_plain_or_faults_changes_nothing() {
    let codes: [&[u8]; 7] = [
        &[0x0f, 0x10, 0x07], // movups xmm0, [rdi]
        &[0xd9, 0x07],       // fld dword [rdi]
        &[0xff, 0x37],       // push qword [rdi]
        &[0x8e, 0x1f],       // mov ds, [rdi]
        &[0x0f, 0x01, 0x17], // lgdt [rdi]
        &[0xf7, 0x36],       // div dword [rsi]: by zero
        &[0x0f, 0x0b],       // ud2
    ];
    for code in codes {
        let mut m = in_long_mode(code);
        let before = m.state.clone();
        assert_eq!(m.complete(), Completed::No, "{code:x?}");
        assert_eq!(m.state, before, "{code:x?}");
        assert!(m.bus.log.is_empty(), "{code:x?}");
    }
}

#[test]
fn odd_flags_protection_keys_and_legacy_pae_are_left_to_the_long_way() {
    for flag in [RFlags::TF, RFlags::RF, RFlags::AC] {
        let mut m = in_long_mode(&[0x8b, 0x07]);
        m.state.rflags |= flag;
        assert_eq!(m.complete(), Completed::No, "{flag:?}");
    }
    let mut m = in_long_mode(&[0x8b, 0x07]);
    m.state.cr4 |= Cr4::PKE.bits();
    assert_eq!(m.complete(), Completed::No, "protection keys");
    let memory = GuestMemory::flat(1 << 20);
    let mut state = protected_mode();
    (state.cr0, state.cr4) = (0x8000_0011, Cr4::PAE.bits());
    assert_eq!(machine(memory, state, &[0x8b, 0x07]).complete(), Completed::No);
}

#[test]
fn code_that_was_written_unseen_is_decoded_anew() {
    let mut m = in_long_mode(&[0x8b, 0x07]);
    assert_eq!(m.complete(), Completed::Yes);
    m.bus.memory.write(Gpa(CODE), &[0x8a, 0x0f]).unwrap(); // mov cl, [rdi]
    m.state.rip = CODE;
    m.state.gpr[1] = 0;
    assert_eq!(m.again(), Completed::Yes);
    assert_eq!(m.state.gpr[1], 0xff);
}

#[test]
fn tables_that_were_written_unseen_are_walked_anew() {
    let mut m = in_long_mode(&[0x8b, 0x07]);
    assert_eq!(m.complete(), Completed::Yes);
    // A page directory instead of the large page: the code where it was, nothing at the device's address.
    m.bus.memory.store(Gpa(0x4000), 0x83u64).unwrap();
    m.bus.memory.store(Gpa(0x2000), 0x4003u64).unwrap();
    m.state.rip = CODE;
    assert_eq!(m.again(), Completed::No, "#PF");
    // The device is at another address now.
    m.bus.memory.store(Gpa(0x4000 + (DEVICE >> 21) * 8), (DEVICE + 0x20_0000) | 0x83).unwrap();
    m.bus.log.clear();
    assert_eq!(m.complete(), Completed::Yes);
    assert_eq!(m.bus.log[0].1, format!("read {} 4", Gpa(DEVICE + 0x20_0000)));
}

#[test]
fn another_privilege_or_protection_is_seen() {
    let mut m = in_long_mode(&[0x8b, 0x07]);
    assert_eq!(m.complete(), Completed::Yes);
    m.state.rip = CODE;
    // CPL 3, to which the page is closed.
    for seg in &mut m.state.seg {
        seg.attr = hako_x86::SegAttr::from_bits_retain(seg.attr.bits() | 0x60);
    }
    assert_eq!(m.complete(), Completed::No);
}

#[test]
fn without_paging_and_in_32_bit_code_it_works_alike() {
    let memory = GuestMemory::flat(1 << 20);
    let mut m = machine(memory, protected_mode(), &[0x8b, 0x07]);
    assert_eq!(m.complete(), Completed::Yes);
    assert_eq!((m.state.gpr[0], m.state.rip), (0xffff_ffff, CODE + 2));
}
