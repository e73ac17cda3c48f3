//! Exits, one rule each, over a VMCS made of a map.

extern crate std;
use super::*;
use crate::hv::controls::Controls;
use crate::testing::Machine;
use hakoniwa_abi::guest::{CAN_TAKE, VECTORS, VECTORS_PRESENT};
use hakoniwa_abi::label::RESUME;
use std::collections::BTreeMap;
use std::string::ToString;
use std::vec::Vec;

mod registers;

#[derive(Default)]
struct Fake(BTreeMap<Field, u64>);

impl Vmcs for Fake {
    fn read(&self, field: Field) -> u64 {
        self.0.get(&field).copied().unwrap_or(0)
    }

    fn write(&mut self, field: Field, value: u64) {
        self.0.insert(field, value);
    }
}

struct Setup {
    vmcs: Fake,
    machine: Machine,
    guest: Guest,
    c: Context,
}

fn setup() -> Setup {
    let mut guest = Guest {
        brief: false,
        vmcs: 0,
        state: 0x1000,
        vectors: 0x4000,
        msrs: 0x2000,
        fresh: false,
        launched: true,
        policy: 0,
        zero: 0,
        ports: None,
        cr2: 0,
        debug: debug::RESET,
        arm: false,
        xcr0: extended::X87,
        xcr0_allowed: 0,
        osxsave: false,
        vpid: 0,
        stale: false,
        event: None,
        pending: None,
        nmi: false,
        nmi_window: false,
        wanted: false,
        window: false,
        timer: false,
        ask: Ask::Nothing,
        answer: None,
        exits: reason::Counts::NONE,
    };
    let mut vmcs = Fake::default();
    let controls =
        Controls { cr4: u64::MAX, xcr0: 7, secondary: crate::hv::controls::VPID, ..Default::default() };
    let machine = Machine::new(5);
    let places = guest::Places { root: 0x5000, vpid: 1, msr_bitmap: 0x3000, io_bitmaps: [0x6000; 2] };
    guest::initialise(&mut vmcs, &controls, &mut guest, places);
    vmcs.write(Field::GuestRip, 0x100);
    vmcs.write(Field::ExitLength, 2);
    vmcs.write(Field::GuestRflags, 2);
    Setup { vmcs, machine, guest, c: Context::ZERO }
}

impl Setup {
    fn exit(&mut self, reason: u64, qualification: u64) -> Action {
        self.vmcs.write(Field::ExitReason, reason);
        self.vmcs.write(Field::Qualification, qualification);
        if quick(&mut self.vmcs, &self.machine, &mut self.guest, &mut self.c) {
            return Action::Resume;
        }
        handle(&mut self.vmcs, &mut self.machine, &mut self.guest, &mut self.c)
    }

    fn enter(&mut self) {
        guest::before_entry(&mut self.vmcs, &mut self.machine, &mut self.guest, &mut self.c, || None);
    }
}

#[test]
fn an_in_is_complete_with_its_answer() {
    let mut s = setup();
    s.c.rax = 0x1234_5678;
    let message = Message::new(label::IO, &[0x3f8, 1, 1, 0x78, 0]);
    assert_eq!(s.exit(30, 0x3f8 << 16 | 1 << 3), Action::Ask(message, false));
    s.guest.answer = Some(Message::new(RESUME, &[0xffab]));
    s.enter();
    assert_eq!((s.c.rax, s.vmcs.read(Field::GuestRip)), (0x1234_56ab, 0x102));
}

#[test]
fn the_port_that_the_policy_names_comes_with_state() {
    let mut s = setup();
    s.guest.policy = policy::state_port(0xb8);
    assert!(matches!(s.exit(30, 0xb8 << 16), Action::Ask(_, true)));
    assert_eq!(s.vmcs.read(Field::GuestRip), 0x102, "complete");
    assert!(matches!(s.exit(30, 0xb9 << 16), Action::Ask(_, false)));
}

#[test]
fn an_in_of_32_bits_clears_the_upper_half() {
    let mut s = setup();
    s.c.rax = u64::MAX;
    s.exit(30, 0x60 << 16 | 1 << 3 | 3);
    s.guest.answer = Some(Message::new(RESUME, &[0x1_0000_0001]));
    s.enter();
    assert_eq!(s.c.rax, 1);
}

#[test]
fn a_string_instruction_comes_with_state_and_is_not_complete() {
    let mut s = setup();
    assert!(matches!(s.exit(30, 1 << 4), Action::Ask(_, true)));
    assert_eq!(s.vmcs.read(Field::GuestRip), 0x100);
    assert_eq!(s.machine.load(0x1000 + 16 * 8), 0, "saving is the caller's");
}

#[test]
fn halting_ends_the_shadow_of_sti() {
    let mut s = setup();
    s.vmcs.write(Field::Interruptibility, 1);
    s.vmcs.write(Field::GuestRflags, 0x202);
    assert_eq!(s.exit(12, 0), Action::Ask(Message::new(label::HALT, &[1]), false));
    assert_eq!(s.vmcs.read(Field::Interruptibility), 0);
}

#[test]
fn cpuid_by_the_table_costs_no_message() {
    let mut s = setup();
    s.guest.policy = policy::CPUID;
    let mut word = |index: usize, value: u64| s.machine.store(0x1000 + index as u64 * 8, value);
    word(CPUID_COUNT, 2);
    word(CPUID_TABLE, 4 | 1 << 32);
    word(CPUID_TABLE + 1, 10 | 11 << 32);
    word(CPUID_TABLE + 2, 12 | 13 << 32);
    word(CPUID_TABLE + 3, 4 | ANY_SUBLEAF << 32);
    word(CPUID_TABLE + 4, 20);
    (s.c.rax, s.c.rcx) = (4, 1);
    assert_eq!(s.exit(10, 0), Action::Resume);
    assert_eq!([s.c.rax, s.c.rbx, s.c.rcx, s.c.rdx], [10, 11, 12, 13]);
    (s.c.rax, s.c.rcx) = (4, 7);
    s.exit(10, 0);
    assert_eq!([s.c.rax, s.c.rbx, s.c.rcx, s.c.rdx], [20, 0, 0, 0]);
    s.c.rax = 5;
    s.exit(10, 0);
    assert_eq!(s.c.rax, 0);
}

#[test]
fn a_table_of_any_count_stays_in_its_page() {
    let mut s = setup();
    s.guest.policy = policy::CPUID;
    s.guest.state = 0x3000;
    s.machine.store(0x3000 + CPUID_COUNT as u64 * 8, u64::MAX);
    s.c.rax = 77;
    assert_eq!(s.exit(10, 0), Action::Resume, "beyond the page there is no memory");
}

#[test]
fn halting_in_the_kernel_needs_interrupts_on() {
    let mut s = setup();
    s.guest.policy = policy::HALT;
    assert!(matches!(s.exit(12, 0), Action::Ask(..)));
    s.vmcs.write(Field::GuestRflags, 0x202);
    assert_eq!(s.exit(12, 0), Action::Halt);
    s.guest.pending = Some(0x20);
    assert_eq!(s.exit(12, 0), Action::Resume);
}

#[test]
fn an_alignment_check_is_the_guests_but_not_in_a_delivery() {
    let mut s = setup();
    s.vmcs.write(Field::ExitInterruption, 0x8000_0b11);
    assert_eq!(s.exit(0, 0), Action::Resume);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0x8000_0b11);
    s.vmcs.write(Field::Vectoring, 0x8000_0b11);
    assert!(matches!(s.exit(0, 0), Action::Ask(..)));
}

#[test]
fn an_interrupt_is_injected_when_the_guest_can_take_it() {
    let mut s = setup();
    s.guest.pending = Some(0x40);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0, "interrupts are off");
    assert_ne!(s.vmcs.read(Field::Primary) & 4, 0, "so the window is asked for");
    s.vmcs.write(Field::GuestRflags, 0x202);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0x8000_0040);
    assert_eq!(s.vmcs.read(Field::Primary) & 4, 0);
    assert_eq!(s.guest.pending, None);
}

#[test]
fn an_interrupted_delivery_goes_on_before_anything_new() {
    let mut s = setup();
    s.guest.pending = Some(0x40);
    s.vmcs.write(Field::GuestRflags, 0x202);
    s.vmcs.write(Field::Vectoring, 0x8000_1b0e);
    s.vmcs.write(Field::VectoringErrorCode, 2);
    s.exit(48, 2);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0x8000_0b0e);
    assert_eq!(s.vmcs.read(Field::EntryErrorCode), 2);
    assert_eq!(s.guest.pending, Some(0x40));
}

#[test]
fn unknown_msrs_are_protection_faults_without_an_error_code_in_real_mode() {
    let mut s = setup();
    s.c.rcx = 0x3a;
    assert_eq!(s.exit(32, 0), Action::Resume);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0x8000_030d);
    s.vmcs.write(Field::GuestCr0, 1);
    s.exit(31, 0);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0x8000_0b0d);
    assert_eq!(s.vmcs.read(Field::GuestRip), 0x100);
}

#[test]
fn a_guest_never_writes_the_hosts_msrs() {
    let mut s = setup();
    s.c.rcx = 0xc000_0082;
    (s.c.rax, s.c.rdx) = (0x1000, 0xffff_8000);
    s.exit(32, 0);
    assert_eq!(s.machine.load(0x2000 + 16 + 8), 0xffff_8000_0000_1000);
    (s.c.rax, s.c.rdx) = (0, 0x8000_0000);
    s.exit(32, 0);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption) & 0xff, 13, "not canonical");
}

#[test]
fn long_mode_follows_paging() {
    let mut s = setup();
    s.c.rcx = 0xc000_0080;
    s.c.rax = 0x100;
    s.exit(32, 0);
    assert_eq!(s.vmcs.read(Field::GuestEfer), 0x100);
    s.c.rax = 0x8000_0001;
    s.exit(28, 0);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption) & 0xff, 13, "without PAE");
    s.c.rax = 0x20;
    s.exit(28, 4);
    s.c.rax = 0x8000_0001;
    s.exit(28, 0);
    assert_eq!(s.vmcs.read(Field::GuestEfer), 0x500);
    assert_ne!(s.vmcs.read(Field::EntryControls) & crate::hv::controls::LONG_MODE, 0);
    s.c.rax = 1;
    s.exit(28, 0);
    assert_eq!(s.vmcs.read(Field::GuestEfer), 0x100, "a guest may leave");
    assert_eq!(s.vmcs.read(Field::EntryControls) & crate::hv::controls::LONG_MODE, 0);
    assert_eq!(guest::cr0(&s.vmcs), 1);
    assert_eq!(s.vmcs.read(Field::GuestCr0), 0x21, "NE stays for VMX");
}

#[test]
fn a_guest_cannot_turn_on_vmx() {
    let mut s = setup();
    s.c.rax = 1 << 13;
    s.exit(28, 4);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption) & 0xff, 13);
    s.exit(27, 0);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption) & 0xff, 6);
}

#[test]
fn state_survives_its_page() {
    let mut s = setup();
    s.c.rbx = 7;
    s.vmcs.write(Field::GuestCs, 0x1000);
    s.vmcs.write(Field::GuestTrAccess, 0x8b);
    guest::set_cr0(&mut s.vmcs, &mut s.guest, 0x11);
    guest::save_state(&s.vmcs, &mut s.machine, &s.guest, &mut s.c, true);
    let before = s.vmcs.0.clone();
    s.c = Context::ZERO;
    guest::load_state(&mut s.vmcs, &mut s.machine, &mut s.guest, &mut s.c);
    assert_eq!(s.c.rbx, 7);
    for (field, value) in before {
        assert_eq!(s.vmcs.read(field), value, "{field:?}");
    }
}

#[test]
fn an_msr_of_the_servers_is_asked_for_and_complete_with_its_answer() {
    let mut s = setup();
    s.guest.policy = policy::MSR;
    s.c.rcx = 0x1b;
    assert_eq!(s.exit(31, 0), Action::Ask(Message::new(label::MSR_READ, &[0x1b]), false));
    s.guest.answer = Some(Message::new(RESUME, &[1, 0x1_fee0_0900]));
    s.enter();
    assert_eq!((s.c.rax, s.c.rdx, s.vmcs.read(Field::GuestRip)), (0xfee0_0900, 1, 0x102));
    (s.c.rax, s.c.rdx) = (5, 6);
    assert_eq!(s.exit(32, 0), Action::Ask(Message::new(label::MSR_WRITE, &[0x1b, 6 << 32 | 5]), false));
    s.guest.answer = Some(Message::new(RESUME, &[0]));
    s.enter();
    assert_eq!(s.vmcs.read(Field::GuestRip), 0x102, "refused: not complete");
    assert_eq!(s.vmcs.read(Field::EntryInterruption) & 0xff, 13);
}

#[test]
fn the_time_stamp_counter_begins_at_zero_and_can_be_set() {
    let mut s = setup();
    s.machine.ticks = 1000;
    s.exit(16, 0);
    assert_eq!((s.c.rax, s.c.rdx), (1000, 0), "the guest was made at zero");
    (s.c.rcx, s.c.rax, s.c.rdx) = (0x10, 5, 1);
    s.exit(32, 0);
    s.machine.ticks += 7;
    s.exit(31, 0);
    assert_eq!((s.c.rax, s.c.rdx), (12, 1));
    let added = s.machine.load(0x1000 + hakoniwa_abi::guest::TIME_ADDED as u64 * 8);
    assert_eq!(added, (1 << 32) + 5 - 1000, "as the server hears");
}

#[test]
fn exits_are_counted_by_reason() {
    let mut s = setup();
    s.exit(40, 0);
    s.exit(12, 0);
    s.exit(40, 0);
    let lines: Vec<_> = s.guest.exits.lines().map(|line| line.to_string()).collect();
    assert_eq!(lines, ["1 HLT, 2 PAUSE"]);
}

#[test]
fn a_server_that_asks_is_told_when_the_window_opens() {
    let mut s = setup();
    s.guest.wanted = true;
    s.enter();
    assert_ne!(s.vmcs.read(Field::Primary) & 4, 0);
    assert_eq!(s.exit(7, 0), Action::Ask(Message::new(label::WINDOW, &[]), false));
    let mut answer = Message::new(RESUME, &[]);
    answer.words[CAN_TAKE] = hakoniwa_abi::guest::inject(0x31);
    s.guest.answer = Some(answer);
    s.vmcs.write(Field::GuestRflags, 0x202);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0x8000_0031);
    assert_eq!(s.vmcs.read(Field::Primary) & 4, 0);
}

#[test]
fn a_halt_is_a_window() {
    let mut s = setup();
    (s.guest.wanted, s.guest.policy) = (true, policy::HALT);
    s.vmcs.write(Field::GuestRflags, 0x202);
    assert_eq!(s.exit(12, 0), Action::Ask(Message::new(label::WINDOW, &[]), false));
    assert_eq!(s.exit(12, 0), Action::Halt, "told once");
}

#[test]
fn paging_with_pdptes_is_turned_on_by_the_server() {
    const PAE: u64 = 1 << 5;
    let mut s = setup();
    s.vmcs.write(Field::GuestCr4, PAE);
    s.c.rax = 0x8000_0001;
    let ask = s.exit(reason::CONTROL_REGISTER, 0);
    assert!(matches!(ask, Action::Ask(Message { label: label::OTHER, .. }, true)), "{ask:?}");
    s.vmcs.write(Field::GuestEfer, 1 << 8);
    assert_eq!(s.exit(reason::CONTROL_REGISTER, 0), Action::Resume, "long mode has no such entries");
}

#[test]
fn a_message_tells_the_event_that_the_exit_cut_short_and_a_new_state_ends_it() {
    let mut s = setup();
    s.vmcs.write(Field::Vectoring, 0x8000_0b0e);
    s.vmcs.write(Field::VectoringErrorCode, 2);
    let Action::Ask(message, true) = s.exit(reason::EPT_VIOLATION, 2) else { panic!("no message") };
    assert_eq!(message.words[EVENT..EVENT + 2], [0x8000_0b0e, 2]);
    s.guest.answer = Some(Message::new(label::RESUME_WITH_STATE, &[]));
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0);
}

#[test]
fn x87_and_sse_travel_with_the_state_but_for_bits_that_mxcsr_has_not() {
    let mut s = setup();
    s.machine.store(0x4000 + 160, 0x1111);
    guest::save_state(&s.vmcs, &mut s.machine, &s.guest, &mut s.c, true);
    let xmm0 = 0x1000 + (VECTORS as u64 + 20) * 8;
    assert_eq!(s.machine.load(xmm0), 0x1111);
    s.machine.store(xmm0, 0x2222);
    s.machine.store(0x1000 + (VECTORS as u64 + 3) * 8, u64::MAX);
    guest::load_state(&mut s.vmcs, &mut s.machine, &mut s.guest, &mut s.c);
    assert_eq!(s.machine.load(0x4000 + 160), 0x2222);
    assert_eq!(s.machine.load(0x4000 + 24), 0xffbf_0000_ffbf);
    assert_eq!(s.machine.load(0x4000 + 512), 3);
    // Nothing present: nothing changes.
    s.machine.store(0x1000 + VECTORS_PRESENT as u64 * 8, 0);
    s.machine.store(xmm0, 0x3333);
    guest::load_state(&mut s.vmcs, &mut s.machine, &mut s.guest, &mut s.c);
    assert_eq!(s.machine.load(0x4000 + 160), 0x2222);
}

#[test]
fn an_interrupt_that_waits_is_taken_before_its_server_is_told_of_a_window() {
    let mut s = setup();
    s.vmcs.write(Field::GuestRflags, 0x202);
    (s.guest.pending, s.guest.wanted) = (Some(0x40), true);
    assert_eq!(s.exit(reason::INTERRUPT_WINDOW, 0), Action::Resume, "it could not take another now");
    s.enter();
    assert_eq!((s.vmcs.read(Field::EntryInterruption), s.guest.pending), (0x8000_0040, None));
    assert!(s.guest.window, "the next one is still wanted");
}

#[test]
fn an_nmi_comes_before_an_interrupt_and_whatever_if_says() {
    let mut s = setup();
    (s.guest.nmi, s.guest.pending) = (true, Some(0x40));
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0x8000_0202);
    assert_ne!(s.vmcs.read(Field::Primary) & 4, 0, "the interrupt waits for its window");
}

#[test]
fn an_nmi_waits_until_another_is_over() {
    const WINDOW: u64 = 1 << 22;
    let mut s = setup();
    s.guest.nmi = true;
    s.vmcs.write(Field::Interruptibility, 8);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0);
    assert_ne!(s.vmcs.read(Field::Primary) & WINDOW, 0);
    s.vmcs.write(Field::Interruptibility, 0);
    assert_eq!(s.exit(reason::NMI_WINDOW, 0), Action::Resume);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0x8000_0202);
    assert_eq!(s.vmcs.read(Field::Primary) & WINDOW, 0);
}

#[test]
fn an_nmi_whose_delivery_was_cut_short_blocks_nothing_yet() {
    let mut s = setup();
    s.vmcs.write(Field::Vectoring, 0x8000_0202);
    s.vmcs.write(Field::Interruptibility, 8);
    s.exit(reason::EPT_VIOLATION, 2);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0x8000_0202);
    assert_eq!(s.vmcs.read(Field::Interruptibility), 0);
}

#[test]
fn an_iret_that_faulted_leaves_nmis_blocked() {
    let mut s = setup();
    s.exit(reason::EPT_VIOLATION, 1 << 12 | 1);
    assert_eq!(s.vmcs.read(Field::Interruptibility), 8);
}

#[test]
fn an_nmi_ends_a_halt() {
    let mut s = setup();
    (s.guest.policy, s.guest.nmi) = (policy::HALT, true);
    assert_eq!(s.exit(reason::HLT, 0), Action::Resume);
}

#[test]
fn a_window_asked_for_after_an_answer_with_an_interrupt_is_not_forgotten() {
    let mut s = setup();
    s.vmcs.write(Field::GuestRflags, 0x202);
    s.guest.answer = Some(Message::new(RESUME, &[0, 0, 0, 0, 0, 0, 0x140]));
    s.guest.wanted = true;
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0x8000_0040);
    assert!(s.guest.wanted && s.guest.window);
}
