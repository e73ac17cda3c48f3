//! What happens after a VM exit: answered here, or a message for the server.

use super::guest::{self, Ask, Event, Guest, INTERRUPTS, SWITCHED};
use super::vmcs::{Field, Vmcs};
use crate::context::Context;
use crate::platform::Platform;
use hakoniwa_abi::Message;
use hakoniwa_abi::guest::{ANY_SUBLEAF, CPUID_COUNT, CPUID_ENTRY, CPUID_MOST, CPUID_TABLE, label, policy};

/// What to do after an exit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Enter the guest again.
    Resume,
    /// Handle the host's interrupt with this vector.
    Interrupt(u64),
    /// Let the guest wait until something is injected.
    Halt,
    /// Let the host take its interrupts: the guest stayed with its own turned off for long.
    Open,
    /// Ask the server; the state is written to its page if the flag is set.
    Ask(Message, bool),
}

/// Basic exit reasons (SDM Vol. 3D, appendix C).
mod reason {
    pub const EXCEPTION: u64 = 0;
    pub const EXTERNAL_INTERRUPT: u64 = 1;
    pub const TRIPLE_FAULT: u64 = 2;
    pub const INTERRUPT_WINDOW: u64 = 7;
    pub const CPUID: u64 = 10;
    pub const HLT: u64 = 12;
    pub const INVD: u64 = 13;
    pub const RDPMC: u64 = 15;
    pub const VMCALL: u64 = 18;
    pub const VMXON: u64 = 27;
    pub const CONTROL_REGISTER: u64 = 28;
    pub const DEBUG_REGISTER: u64 = 29;
    pub const IO: u64 = 30;
    pub const RDMSR: u64 = 31;
    pub const WRMSR: u64 = 32;
    pub const MWAIT: u64 = 36;
    pub const MONITOR: u64 = 39;
    pub const EPT_VIOLATION: u64 = 48;
    pub const INVEPT: u64 = 50;
    pub const PREEMPTION_TIMER: u64 = 52;
    pub const INVVPID: u64 = 53;
    pub const WBINVD: u64 = 54;
    pub const XSETBV: u64 = 55;
}

const INVALID_OPCODE: u64 = 6;
const PROTECTION: u64 = 13;

/// Moves past the instruction that exited; whatever blocked interrupts ended with it.
fn advance(vmcs: &mut impl Vmcs) {
    let next = vmcs.read(Field::GuestRip).wrapping_add(vmcs.read(Field::ExitLength));
    vmcs.write(Field::GuestRip, next);
    let blocked = vmcs.read(Field::Interruptibility);
    if blocked & 3 != 0 {
        vmcs.write(Field::Interruptibility, blocked & !3);
    }
}

/// Handles the exit of the guest whose VMCS is current and whose registers are in `c`.
pub fn handle(
    vmcs: &mut impl Vmcs,
    platform: &mut impl Platform,
    guest: &mut Guest,
    c: &mut Context,
) -> Action {
    guest.exits = guest.exits.wrapping_add(1);
    guest.ask = Ask::Nothing;
    keep_event(vmcs, guest);
    let reason = vmcs.read(Field::ExitReason);
    match reason {
        reason::EXCEPTION => exception(vmcs, guest),
        reason::EXTERNAL_INTERRUPT => Action::Interrupt(vmcs.read(Field::ExitInterruption) & 0xff),
        reason::TRIPLE_FAULT => Action::Ask(Message::new(label::TRIPLE_FAULT, &[]), true),
        // The entry injects.
        reason::INTERRUPT_WINDOW => Action::Resume,
        reason::CPUID => {
            advance(vmcs);
            if guest.policy & policy::CPUID != 0 {
                table(platform, guest, c);
                return Action::Resume;
            }
            guest.ask = Ask::Cpuid;
            Action::Ask(Message::new(label::CPUID, &[c.rax & 0xffff_ffff, c.rcx & 0xffff_ffff]), false)
        }
        reason::HLT => {
            advance(vmcs);
            let on = vmcs.read(Field::GuestRflags) & INTERRUPTS != 0;
            if on && guest.pending.is_some() {
                return Action::Resume;
            }
            if on && guest.policy & policy::HALT != 0 {
                return Action::Halt;
            }
            Action::Ask(Message::new(label::HALT, &[on.into()]), false)
        }
        reason::INVD | reason::WBINVD => {
            advance(vmcs);
            Action::Resume
        }
        reason::VMCALL..=reason::VMXON
        | reason::INVEPT
        | reason::INVVPID
        | reason::MWAIT
        | reason::MONITOR => fault(vmcs, guest, INVALID_OPCODE),
        reason::RDPMC | reason::XSETBV => fault(vmcs, guest, PROTECTION),
        reason::CONTROL_REGISTER => control_register(vmcs, guest, c),
        reason::DEBUG_REGISTER => debug_register(vmcs, guest, c),
        reason::IO => port(vmcs, guest, c),
        reason::RDMSR => match read_msr(vmcs, platform, guest, c.rcx as u32) {
            Some(value) => {
                (c.rax, c.rdx) = (value & 0xffff_ffff, value >> 32);
                advance(vmcs);
                Action::Resume
            }
            None => fault(vmcs, guest, PROTECTION),
        },
        reason::WRMSR => {
            let value = c.rax & 0xffff_ffff | c.rdx << 32;
            if write_msr(vmcs, platform, guest, c.rcx as u32, value) {
                advance(vmcs);
                Action::Resume
            } else {
                fault(vmcs, guest, PROTECTION)
            }
        }
        reason::EPT_VIOLATION => {
            let access = vmcs.read(Field::Qualification) & 7;
            let words = [vmcs.read(Field::GuestPhysical), access, vmcs.read(Field::GuestLinear)];
            Action::Ask(Message::new(label::FAULT, &words), true)
        }
        reason::PREEMPTION_TIMER => Action::Open,
        _ => other(vmcs),
    }
}

/// NMIs, for which the host has nothing to do, and the exceptions that are intercepted: an alignment check goes to the
/// guest unless it came up while an event was delivered; a machine check is the end of the guest that met it.
fn exception(vmcs: &impl Vmcs, guest: &mut Guest) -> Action {
    const ALIGNMENT: u64 = 17;
    const NMI: u64 = 2;
    let information = vmcs.read(Field::ExitInterruption);
    if information >> 8 & 7 == NMI {
        return Action::Resume;
    }
    if information & 0xff == ALIGNMENT && guest.event.is_none() {
        let error = vmcs.read(Field::ExitErrorCode);
        guest.event = Some(Event { information: information & KEPT, error, length: 0 });
        return Action::Resume;
    }
    other(vmcs)
}

/// CPUID from the server's table, which it may change at any time: it decides what the guest sees, and nothing else.
fn table(platform: &impl Platform, guest: &Guest, c: &mut Context) {
    let word = |index: usize| platform.load(guest.state + index as u64 * 8);
    let (leaf, subleaf) = (c.rax & 0xffff_ffff, c.rcx & 0xffff_ffff);
    let [one, any] = [subleaf, ANY_SUBLEAF].map(|subleaf| leaf | subleaf << 32);
    let count = word(CPUID_COUNT).min(CPUID_MOST as u64) as usize;
    let mut places = (0..count).map(|n| CPUID_TABLE + n * CPUID_ENTRY);
    let found = places.find(|place| {
        let key = word(*place);
        key == one || key == any
    });
    let (first, second) = found.map_or((0, 0), |place| (word(place + 1), word(place + 2)));
    (c.rax, c.rbx) = (first & 0xffff_ffff, first >> 32);
    (c.rcx, c.rdx) = (second & 0xffff_ffff, second >> 32);
}

/// Vector, type, error-code flag, valid: bit 12 and above are undefined in what an exit tells of an event.
const KEPT: u64 = 0x8000_0fff;

/// An event that the exit interrupted is delivered with the next entry (SDM Vol. 3C, 27.2.4).
fn keep_event(vmcs: &impl Vmcs, guest: &mut Guest) {
    let information = vmcs.read(Field::Vectoring);
    if information & 1 << 31 != 0 {
        guest.event = Some(Event {
            information: information & KEPT,
            error: vmcs.read(Field::VectoringErrorCode),
            length: vmcs.read(Field::ExitLength),
        });
    }
}

fn other(vmcs: &impl Vmcs) -> Action {
    let words =
        [Field::ExitReason, Field::Qualification, Field::GuestRip, Field::ExitLength].map(|f| vmcs.read(f));
    Action::Ask(Message::new(label::OTHER, &words), true)
}

fn fault(vmcs: &impl Vmcs, guest: &mut Guest, vector: u64) -> Action {
    guest.event = Some(Event::exception(vector, guest::cr0(vmcs) & 1 != 0));
    Action::Resume
}

/// IN and OUT (SDM Vol. 3C, table 27-5).
fn port(vmcs: &mut impl Vmcs, guest: &mut Guest, c: &Context) -> Action {
    let qualification = vmcs.read(Field::Qualification);
    let width = (qualification & 7) + 1;
    let (reads, string) = (qualification >> 3 & 1, qualification >> 4 & 1);
    let port = qualification >> 16 & 0xffff;
    let value = c.rax & (u64::MAX >> (64 - 8 * width.min(8)));
    let message = Message::new(label::IO, &[port, width, reads, value, string]);
    if string == 1 {
        return Action::Ask(message, true);
    }
    advance(vmcs);
    if reads == 1 {
        guest.ask = Ask::In(width);
    }
    Action::Ask(message, false)
}

/// MOV to and from CR0, CR3, CR4 (SDM Vol. 3C, table 27-3). CR8 belongs to the interrupt controller, so to the server.
fn control_register(vmcs: &mut impl Vmcs, guest: &mut Guest, c: &mut Context) -> Action {
    let qualification = vmcs.read(Field::Qualification);
    let number = (qualification >> 8 & 15) as usize;
    let mut rsp = vmcs.read(Field::GuestRsp);
    let place = guest::register(c, number).unwrap_or(&mut rsp);
    let long = vmcs.read(Field::GuestEfer) & 1 << 10 != 0;
    let value = if long { *place } else { *place & 0xffff_ffff };
    let good = match (qualification & 15, qualification >> 4 & 3) {
        (0, 0) => guest::set_cr0(vmcs, value),
        (4, 0) => guest::set_cr4(vmcs, value),
        (3, 0) => {
            vmcs.write(Field::GuestCr3, value);
            true
        }
        (3, 1) => {
            *place = vmcs.read(Field::GuestCr3);
            vmcs.write(Field::GuestRsp, rsp);
            true
        }
        _ => return other(vmcs),
    };
    if good {
        advance(vmcs);
        Action::Resume
    } else {
        fault(vmcs, guest, PROTECTION)
    }
}

/// MOV to and from debug registers (SDM Vol. 3C, table 27-4; Vol. 3B, 17.2). Breakpoints are not given to guests: a DR7
/// that turns one on is the server's to decide.
fn debug_register(vmcs: &mut impl Vmcs, guest: &mut Guest, c: &mut Context) -> Action {
    const DEBUG_EXTENSIONS: u64 = 1 << 3;
    let qualification = vmcs.read(Field::Qualification);
    let (number, reads) = (qualification & 7, qualification >> 4 & 1 == 1);
    let index = match number {
        0..=3 => number as usize,
        4 | 5 if guest::cr4(vmcs) & DEBUG_EXTENSIONS != 0 => return fault(vmcs, guest, INVALID_OPCODE),
        4 | 6 => 4,
        _ => 5,
    };
    let mut rsp = vmcs.read(Field::GuestRsp);
    let place = guest::register(c, (qualification >> 8 & 15) as usize).unwrap_or(&mut rsp);
    if reads {
        *place = guest.debug[index];
        vmcs.write(Field::GuestRsp, rsp);
    } else {
        guest.debug[index] = match (index, *place) {
            (4 | 5, value) if value >> 32 != 0 => return fault(vmcs, guest, PROTECTION),
            (4, value) => value & 0xe00f | 0xffff_0ff0,
            (5, value) if value & 0xff != 0 => return other(vmcs),
            (5, value) => value & 0xffff_2b00 | 0x400,
            (_, value) => value,
        };
    }
    advance(vmcs);
    Action::Resume
}

/// MSRs that are VMCS fields.
const FIELDS: &[(u32, Field)] = &[
    (0x174, Field::SysenterCs),
    (0x175, Field::SysenterEsp),
    (0x176, Field::SysenterEip),
    (0x277, Field::GuestPat),
    (0xc000_0100, Field::GuestFsBase),
    (0xc000_0101, Field::GuestGsBase),
];

const EFER: u32 = 0xc000_0080;

fn switched(guest: &Guest, index: u32) -> Option<u64> {
    let number = SWITCHED.iter().position(|msr| *msr == index)?;
    Some(guest.msrs + number as u64 * 16 + 8)
}

fn field(index: u32) -> Option<Field> {
    FIELDS.iter().find(|(msr, _)| *msr == index).map(|(_, field)| *field)
}

/// An MSR of the list of those that guests have.
fn read_msr(vmcs: &impl Vmcs, platform: &impl Platform, guest: &Guest, index: u32) -> Option<u64> {
    if index == EFER {
        return Some(vmcs.read(Field::GuestEfer));
    }
    field(index).map(|f| vmcs.read(f)).or_else(|| switched(guest, index).map(|at| platform.load(at)))
}

/// Writes such an MSR; false is #GP. What an entry would refuse to load is refused here.
fn write_msr(
    vmcs: &mut impl Vmcs,
    platform: &mut impl Platform,
    guest: &Guest,
    index: u32,
    value: u64,
) -> bool {
    let canonical = (value as i64) << 16 >> 16 == value as i64;
    if index == EFER {
        return guest::set_efer(vmcs, value);
    }
    let sound = match index {
        0x277 => value.to_le_bytes().iter().all(|kind| matches!(kind, 0 | 1 | 4..=7)),
        0x174 | 0xc000_0081 | 0xc000_0084 => true,
        _ => canonical,
    };
    match (field(index), switched(guest, index)) {
        (Some(field), _) if sound => vmcs.write(field, value),
        (_, Some(at)) if sound => platform.store(at, value),
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testing::Machine;
    use hakoniwa_abi::label::RESUME;
    use std::collections::BTreeMap;

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
        let guest = Guest {
            vmcs: 0,
            state: 0x1000,
            msrs: 0x2000,
            fresh: false,
            launched: true,
            policy: 0,
            cr2: 0,
            debug: guest::DEBUG,
            event: None,
            pending: None,
            window: false,
            timer: false,
            ask: Ask::Nothing,
            answer: None,
            exits: 0,
        };
        let mut vmcs = Fake::default();
        guest::initialise(&mut vmcs, &Default::default(), &guest, 0x5000, 1);
        vmcs.write(Field::GuestRip, 0x100);
        vmcs.write(Field::ExitLength, 2);
        vmcs.write(Field::GuestRflags, 2);
        Setup { vmcs, machine: Machine::new(4), guest, c: Context::ZERO }
    }

    impl Setup {
        fn exit(&mut self, reason: u64, qualification: u64) -> Action {
            self.vmcs.write(Field::ExitReason, reason);
            self.vmcs.write(Field::Qualification, qualification);
            handle(&mut self.vmcs, &mut self.machine, &mut self.guest, &mut self.c)
        }

        fn enter(&mut self) {
            guest::before_entry(&mut self.vmcs, &self.machine, &mut self.guest, &mut self.c, || None);
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
    fn debug_registers_are_kept_without_touching_the_processors() {
        let mut s = setup();
        s.c.rax = 0x1234;
        assert_eq!(s.exit(29, 2), Action::Resume);
        s.exit(29, 2 | 1 << 4 | 3 << 8);
        assert_eq!(s.c.rbx, 0x1234);
        s.c.rax = 0;
        s.exit(29, 6);
        s.exit(29, 4 | 1 << 4 | 1 << 8);
        assert_eq!(s.c.rcx, 0xffff_0ff0, "DR4 is DR6, with its fixed bits");
        s.c.rax = 1;
        assert!(matches!(s.exit(29, 7), Action::Ask(_, true)), "a breakpoint");
        s.c.rax = 1 << 32;
        s.exit(29, 7);
        s.enter();
        assert_eq!(s.vmcs.read(Field::EntryInterruption) & 0xff, 13);
        guest::set_cr4(&mut s.vmcs, 8);
        s.exit(29, 5);
        s.enter();
        assert_eq!(s.vmcs.read(Field::EntryInterruption) & 0xff, 6, "DR5 with debug extensions");
    }

    #[test]
    fn state_survives_its_page() {
        let mut s = setup();
        s.c.rbx = 7;
        s.vmcs.write(Field::GuestCs, 0x1000);
        s.vmcs.write(Field::GuestTrAccess, 0x8b);
        guest::set_cr0(&mut s.vmcs, 0x11);
        guest::save_state(&s.vmcs, &mut s.machine, &s.guest, &mut s.c);
        let before = s.vmcs.0.clone();
        s.c = Context::ZERO;
        guest::load_state(&mut s.vmcs, &s.machine, &mut s.guest, &mut s.c);
        assert_eq!(s.c.rbx, 7);
        for (field, value) in before {
            assert_eq!(s.vmcs.read(field), value, "{field:?}");
        }
    }
}
