//! Registers that are switched: debug registers, XCR0, control registers with their translations, and what of them
//! travels in the state page.

use super::*;
use hakoniwa_abi::guest::more;

const MOV_DR: u64 = reason::DEBUG_REGISTER;
const MOV_CR: u64 = reason::CONTROL_REGISTER;
const READ: u64 = 1 << 4;

impl Setup {
    /// The vector that the next entry injects.
    fn injected(&mut self) -> u64 {
        self.enter();
        let information = self.vmcs.read(Field::EntryInterruption);
        self.vmcs.write(Field::EntryInterruption, 0);
        if information >> 31 == 1 { information & 0xff } else { u64::MAX }
    }

    fn word(&mut self, index: usize, value: u64) {
        self.machine.store(0x1000 + index as u64 * 8, value);
    }

    fn xsetbv(&mut self, index: u64, value: u64) -> u64 {
        (self.c.rcx, self.c.rax, self.c.rdx) = (index, value & 0xffff_ffff, value >> 32);
        assert_eq!(self.exit(reason::XSETBV, 0), Action::Resume);
        self.injected()
    }

    fn cr4(&mut self, value: u64) {
        self.c.rax = value;
        assert_eq!(self.exit(MOV_CR, 4), Action::Resume);
    }
}

#[test]
fn debug_registers_keep_what_they_can_hold() {
    let mut s = setup();
    s.c.rax = 0x1234;
    assert_eq!(s.exit(MOV_DR, 2), Action::Resume);
    s.exit(MOV_DR, 2 | READ | 3 << 8);
    assert_eq!(s.c.rbx, 0x1234);
    s.c.rax = 0;
    s.exit(MOV_DR, 6);
    s.exit(MOV_DR, 4 | READ | 1 << 8);
    assert_eq!(s.c.rcx, 0xffff_0ff0, "DR4 is DR6, with its fixed bits");
    s.cr4(8);
    s.exit(MOV_DR, 5);
    assert_eq!(s.injected(), 6, "DR5 with debug extensions");
}

#[test]
fn a_breakpoint_is_in_the_vmcs_and_its_addresses_are_loaded_once() {
    let mut s = setup();
    assert!(!s.guest.breaks());
    s.c.rax = 0xffff_ffff_0000_0001;
    s.exit(MOV_DR, 7);
    assert_eq!(s.vmcs.read(Field::GuestDr7), 0x401, "an operand of 32 bits outside 64-bit mode");
    assert!(s.guest.breaks() && s.guest.arm);
    s.c.rax = 0;
    s.exit(MOV_DR, 7);
    assert!(!s.guest.breaks() && !s.guest.arm);
}

#[test]
fn in_64_bit_mode_the_upper_halves_of_dr6_and_dr7_are_reserved() {
    let mut s = setup();
    s.vmcs.write(Field::GuestEfer, 0x500);
    s.vmcs.write(Field::GuestCsAccess, 1 << 13);
    s.c.rax = 1 << 32;
    s.exit(MOV_DR, 7);
    assert_eq!(s.injected(), 13);
    s.exit(MOV_DR, 0);
    assert_eq!(s.guest.debug[0], 1 << 32);
}

#[test]
fn debug_registers_need_privilege_though_the_exit_comes_first() {
    let mut s = setup();
    s.vmcs.write(Field::GuestSsAccess, 3 << 5);
    s.exit(MOV_DR, 0);
    assert_eq!(s.injected(), 13);
}

#[test]
fn general_detect_meets_any_access() {
    let mut s = setup();
    s.c.rax = 1 << 13;
    s.exit(MOV_DR, 7);
    let rip = s.vmcs.read(Field::GuestRip);
    s.exit(MOV_DR, READ);
    assert_eq!((s.injected(), s.vmcs.read(Field::GuestRip)), (1, rip), "a fault");
    assert_eq!(s.guest.debug[4], 0xffff_2ff0, "BD");
    assert_eq!(s.guest.debug[5], 0x400, "off in the handler");
}

#[test]
fn a_debug_exception_is_the_guests_with_its_causes_in_dr6() {
    let mut s = setup();
    s.guest.debug[4] = 0xffff_0ffc;
    s.vmcs.write(Field::ExitInterruption, 0x8000_0301);
    s.vmcs.write(Field::GuestDebugctl, 2);
    assert_eq!(s.exit(reason::EXCEPTION, 0x4001), Action::Resume);
    assert_eq!(s.guest.debug[4], 0xffff_4ff1, "B0 to B3 are new, BS joins");
    assert_eq!(s.vmcs.read(Field::GuestDebugctl), 0);
    assert_eq!(s.injected(), 1);
}

#[test]
fn int1_goes_on_as_what_it_was_and_leaves_dr6() {
    let mut s = setup();
    s.vmcs.write(Field::ExitInterruption, 0x8000_0501);
    s.vmcs.write(Field::ExitLength, 1);
    s.exit(reason::EXCEPTION, 0);
    s.enter();
    assert_eq!(s.vmcs.read(Field::EntryInterruption), 0x8000_0501);
    assert_eq!(s.vmcs.read(Field::EntryLength), 1);
    assert_eq!(s.guest.debug[4], 0xffff_0ff0);
}

#[test]
fn an_instruction_that_the_kernel_completes_is_a_step() {
    let mut s = setup();
    s.vmcs.write(Field::GuestRflags, 0x302);
    s.guest.pending = Some(0x40);
    s.exit(reason::WBINVD, 0);
    assert_eq!(s.vmcs.read(Field::PendingDebug), 1 << 14);
    assert_eq!(s.injected(), u64::MAX, "the step comes before the interrupt");
    assert_ne!(s.vmcs.read(Field::Primary) & 4, 0);
    s.vmcs.write(Field::PendingDebug, 0);
    s.vmcs.write(Field::GuestDebugctl, 2);
    s.exit(reason::WBINVD, 0);
    assert_eq!(s.vmcs.read(Field::PendingDebug), 0, "steps are branches");
}

#[test]
fn debugctl_has_btf_and_drops_lbr() {
    let mut s = setup();
    (s.c.rcx, s.c.rax, s.c.rdx) = (0x1d9, 3, 0);
    s.exit(reason::WRMSR, 0);
    s.exit(reason::RDMSR, 0);
    assert_eq!(s.c.rax, 2);
    s.c.rax = 4;
    s.exit(reason::WRMSR, 0);
    assert_eq!(s.injected(), 13);
}

#[test]
fn xsetbv_takes_what_the_processor_has_and_nothing_else() {
    let mut s = setup();
    s.cr4(1 << 18);
    assert_eq!(s.xsetbv(0, 7), u64::MAX);
    assert_eq!(s.guest.running_xcr0(), 7);
    for (index, value) in [(0, 0), (0, 2), (0, 5), (0, 0xe7), (0, 1 << 63 | 7), (1, 7)] {
        assert_eq!(s.xsetbv(index, value), 13, "XCR{index} = {value:#x}");
    }
    s.vmcs.write(Field::GuestSsAccess, 3 << 5);
    assert_eq!(s.xsetbv(0, 3), 13, "without privilege");
    assert_eq!(s.guest.xcr0, 7);
}

#[test]
fn a_guest_without_osxsave_runs_with_the_hosts_xcr0() {
    let mut s = setup();
    assert_eq!(s.guest.running_xcr0(), 7);
    s.cr4(1 << 18);
    assert_eq!(s.guest.running_xcr0(), 1, "as after reset");
}

#[test]
fn osxsave_is_refused_without_xsave() {
    let mut s = setup();
    s.guest.xcr0_allowed = 0;
    s.cr4(1 << 18);
    assert_eq!(s.injected(), 13);
}

#[test]
fn cpuid_follows_cr4_and_xcr0() {
    let mut s = setup();
    s.guest.policy = policy::CPUID;
    let table = [
        [1 | ANY_SUBLEAF << 32, 0, 1 << 26 | 1 << 27],
        [13, 7 | 999 << 32, 0],
        [13 | 2 << 32, 256 | 576 << 32, 0],
    ];
    s.word(CPUID_COUNT, 3);
    for (n, word) in table.as_flattened().iter().enumerate() {
        s.word(CPUID_TABLE + n, *word);
    }
    let ask = |s: &mut Setup, leaf| {
        (s.c.rax, s.c.rcx) = (leaf, 0);
        s.exit(reason::CPUID, 0);
        (s.c.rbx, s.c.rcx)
    };
    assert_eq!(ask(&mut s, 1).1, 1 << 26);
    assert_eq!(ask(&mut s, 13).0, 576);
    s.cr4(1 << 18);
    s.xsetbv(0, 7);
    assert_eq!(ask(&mut s, 1).1, 1 << 26 | 1 << 27);
    assert_eq!(ask(&mut s, 13).0, 832);
}

#[test]
fn translations_go_only_when_something_changed_that_the_processor_did_not_see() {
    let mut s = setup();
    let flushed = |s: &mut Setup| {
        s.enter();
        core::mem::take(&mut s.machine.linear_flushes)
    };
    assert_eq!(flushed(&mut s), [], "a new tag has none");
    s.exit(reason::WBINVD, 0);
    s.cr4(1 << 18);
    assert_eq!(flushed(&mut s), [], "nothing of translation");
    s.c.rax = 0x8000_0001;
    s.exit(MOV_CR, 0);
    assert_eq!(flushed(&mut s), [1], "paging");
    s.c.rax = 0xc000_0001;
    s.exit(MOV_CR, 0);
    assert_eq!(flushed(&mut s), [], "caching");
    s.cr4(1 << 18 | 1 << 7);
    assert_eq!(flushed(&mut s), [1], "global pages");
    s.c.rax = 0x4000;
    s.exit(MOV_CR, 3);
    assert_eq!(flushed(&mut s), [1], "CR3, where it exits");
    guest::save_state(&s.vmcs, &mut s.machine, &s.guest, &mut s.c, true);
    s.guest.answer = Some(Message::new(label::RESUME_WITH_STATE, &[]));
    assert_eq!(flushed(&mut s), [], "the same state");
    s.word(20, 0x5000);
    s.guest.answer = Some(Message::new(label::RESUME_WITH_STATE, &[]));
    assert_eq!(flushed(&mut s), [1], "another CR3");
    s.guest.vpid = 0;
    s.c.rax = 0x4000;
    s.exit(MOV_CR, 3);
    assert_eq!(flushed(&mut s), [], "without tags every entry drops them");
}

#[test]
fn pcids_need_long_mode_and_stay_with_paging() {
    const PCIDE: u64 = 1 << 17;
    let mut s = setup();
    s.cr4(PCIDE);
    assert_eq!(s.injected(), 13, "outside long mode");
    s.vmcs.write(Field::GuestEfer, 0x500);
    s.vmcs.write(Field::GuestCr0, 0x8000_0021);
    s.vmcs.write(Field::Cr0Shadow, 0x8000_0001);
    s.vmcs.write(Field::GuestCr3, 1);
    s.cr4(PCIDE | 0x20);
    assert_eq!(s.injected(), 13, "CR3 has a PCID already");
    s.vmcs.write(Field::GuestCr3, 0x4000);
    s.cr4(PCIDE | 0x20);
    assert_eq!(s.injected(), u64::MAX);
    s.c.rax = 1;
    s.exit(MOV_CR, 0);
    assert_eq!(s.injected(), 13, "paging stays");
    s.cr4(0);
    assert_eq!(s.injected(), 13, "so does PAE");
    s.c.rax = 1 << 63 | 0x5001;
    s.exit(MOV_CR, 3);
    assert_eq!(s.vmcs.read(Field::GuestCr3), 0x5001);
    assert!(!s.guest.stale, "bit 63 keeps translations");
}

#[test]
fn xcr0_debug_registers_and_msrs_travel_with_the_state() {
    let mut s = setup();
    s.cr4(1 << 18);
    s.xsetbv(0, 3);
    s.c.rax = 0x77;
    s.exit(MOV_DR, 3);
    (s.c.rcx, s.c.rax, s.c.rdx) = (0xc000_0082, 0x1000, 0);
    s.exit(reason::WRMSR, 0);
    guest::save_state(&s.vmcs, &mut s.machine, &s.guest, &mut s.c, true);
    let word = |s: &Setup, index: usize| s.machine.load(0x1000 + index as u64 * 8);
    assert_eq!([more::PRESENT, more::XCR0].map(|index| word(&s, index)), [1, 3]);
    assert_eq!([more::DEBUG + 3, more::DEBUG + 4].map(|index| word(&s, index)), [0x77, 0xffff_0ff0]);
    let lstar = more::MSRS + more::MSR_LIST.iter().position(|msr| *msr == 0xc000_0082).unwrap();
    assert_eq!(word(&s, lstar), 0x1000);
    s.word(lstar, 1 << 63);
    s.word(more::XCR0, 4);
    s.word(more::DEBUG + 5, u64::MAX);
    guest::load_state(&mut s.vmcs, &mut s.machine, &mut s.guest, &mut s.c);
    guest::save_state(&s.vmcs, &mut s.machine, &s.guest, &mut s.c, true);
    assert_eq!(word(&s, lstar), 0x1000, "what is no address is not taken");
    assert_eq!(word(&s, more::XCR0), 3);
    assert_eq!(s.vmcs.read(Field::GuestDr7), 0xffff_27ff);
    s.word(more::PRESENT, 0);
    s.word(lstar, 0x2000);
    guest::load_state(&mut s.vmcs, &mut s.machine, &mut s.guest, &mut s.c);
    guest::save_state(&s.vmcs, &mut s.machine, &s.guest, &mut s.c, true);
    assert_eq!(word(&s, lstar), 0x1000, "not there: as it was");
}

#[test]
fn an_answer_with_registers_takes_them_and_nothing_else() {
    let mut s = setup();
    s.vmcs.write(Field::Interruptibility, 9);
    guest::save_state(&s.vmcs, &mut s.machine, &s.guest, &mut s.c, true);
    let (cr3, vectors) = (s.vmcs.read(Field::GuestCr3), s.machine.load(0x4000 + 160));
    for (index, value) in [(0, 0xaa), (4, 0x8000), (15, 0xff), (16, 0x1234), (17, 0x202), (20, 0x9000)] {
        s.word(index, value);
    }
    s.word(VECTORS + 20, 0x7777);
    s.guest.answer = Some(Message::new(label::RESUME_WITH_REGISTERS, &[]));
    s.enter();
    assert_eq!([s.c.rax, s.c.r15], [0xaa, 0xff]);
    let fields = [Field::GuestRsp, Field::GuestRip, Field::GuestRflags].map(|field| s.vmcs.read(field));
    assert_eq!(fields, [0x8000, 0x1234, 0x202]);
    assert_eq!((s.vmcs.read(Field::GuestCr3), s.machine.load(0x4000 + 160)), (cr3, vectors));
    assert_eq!(s.vmcs.read(Field::Interruptibility), 8, "the shadow has ended, NMIs stay blocked");
}
