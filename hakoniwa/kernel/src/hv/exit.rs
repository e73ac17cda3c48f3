//! What happens after a VM exit: answered here, or a message for the server.

use super::debug;
use super::extended;
use super::guest::{self, Ask, Event, Guest, INTERRUPTS, NMI};
use super::msr;
use super::reason;
use super::vmcs::{Field, Vmcs};
use crate::context::Context;
use crate::platform::Platform;
use hakoniwa_abi::Message;
use hakoniwa_abi::guest::{
    ANY_SUBLEAF, CPUID_COUNT, CPUID_ENTRY, CPUID_MOST, CPUID_TABLE, EVENT, label, policy,
};

/// What to do after an exit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Enter the guest again.
    Resume,
    /// Let others run: the guest waits in a loop.
    Yield,
    /// Handle the host's interrupt with this vector.
    Interrupt(u64),
    /// Let the guest wait until something is injected.
    Halt,
    /// Let the host take its interrupts: the guest stayed with its own turned off for long.
    Open,
    /// Ask the server; the state is written to its page if the flag is set.
    Ask(Message, bool),
}

const INVALID_OPCODE: u64 = 6;
pub(super) const PROTECTION: u64 = 13;

/// Moves past the instruction that exited; whatever blocked interrupts ended with it.
pub(super) fn advance(vmcs: &mut impl Vmcs) {
    let next = vmcs.read(Field::GuestRip).wrapping_add(vmcs.read(Field::ExitLength));
    vmcs.write(Field::GuestRip, next);
    let blocked = vmcs.read(Field::Interruptibility);
    if blocked & 3 != 0 {
        vmcs.write(Field::Interruptibility, blocked & !3);
    }
    debug::step(vmcs);
}

/// Whether the guest runs at privilege level 0 (that of SS, SDM Vol. 3C, 24.4.1).
pub(super) fn privileged(vmcs: &impl Vmcs) -> bool {
    vmcs.read(Field::GuestSsAccess) >> 5 & 3 == 0
}

/// The shortest way: CPUID from the server's table, the exit that guests cause most often by themselves. Nothing else
/// than its registers changes, so it may be entered at once. False if the exit is another, which [`handle`] has to look
/// at.
pub fn quick(vmcs: &mut impl Vmcs, platform: &impl Platform, guest: &mut Guest, c: &mut Context) -> bool {
    // The timer of a guest that is bounded by it begins anew with each entry: that is not for here.
    let policy = guest.policy & policy::CPUID != 0 && !guest.timer;
    let mine = policy && vmcs.read(Field::ExitReason) == reason::CPUID;
    if mine {
        guest.count(reason::CPUID);
        guest.ask = Ask::Nothing;
        advance(vmcs);
        table(platform, guest, c);
    }
    mine
}

/// Handles the exit of the guest whose VMCS is current and whose registers are in `c`.
pub fn handle(
    vmcs: &mut impl Vmcs,
    platform: &mut impl Platform,
    guest: &mut Guest,
    c: &mut Context,
) -> Action {
    guest.ask = Ask::Nothing;
    keep_event(vmcs, guest);
    let reason = vmcs.read(Field::ExitReason);
    guest.count(reason);
    match reason {
        reason::EXCEPTION => exception(vmcs, guest),
        reason::EXTERNAL_INTERRUPT => Action::Interrupt(vmcs.read(Field::ExitInterruption) & 0xff),
        reason::TRIPLE_FAULT => Action::Ask(Message::new(label::TRIPLE_FAULT, &[]), true),
        // The real processor's own, of which the host makes nothing. A guest's processors are started and stopped by its
        // server, never by the activity state.
        reason::INIT | reason::SIPI => Action::Resume,
        reason::INTERRUPT_WINDOW if guest.wanted && guest.pending.is_none() => open(guest),
        // The entry injects.
        reason::INTERRUPT_WINDOW | reason::NMI_WINDOW => Action::Resume,
        reason::CPUID if guest.policy & policy::CPUID != 0 => {
            advance(vmcs);
            table(platform, guest, c);
            Action::Resume
        }
        reason::CPUID => {
            advance(vmcs);
            guest.ask = Ask::Cpuid;
            let [leaf, subleaf] = [c.rax, c.rcx].map(|value| value & 0xffff_ffff);
            let words = [leaf, subleaf, guest::cr4(vmcs), guest.xcr0];
            Action::Ask(Message::new(label::CPUID, &words), false)
        }
        reason::HLT => {
            advance(vmcs);
            let on = vmcs.read(Field::GuestRflags) & INTERRUPTS != 0;
            if guest.nmi || vmcs.read(Field::PendingDebug) != 0 {
                // An NMI or a single step ends it at once.
                return Action::Resume;
            }
            if on && guest.pending.is_some() {
                return Action::Resume;
            }
            if on && guest.wanted {
                return open(guest);
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
        reason::PAUSE => {
            advance(vmcs);
            Action::Yield
        }
        reason::VMCALL..=reason::VMXON
        | reason::INVEPT
        | reason::INVVPID
        | reason::VMFUNC
        | reason::ENCLS
        | reason::RDRAND
        | reason::RDSEED
        | reason::INVPCID
        | reason::XSAVES
        | reason::XRSTORS
        | reason::GETSEC
        | reason::MWAIT
        | reason::MONITOR => fault(vmcs, guest, INVALID_OPCODE),
        reason::RDPMC => fault(vmcs, guest, PROTECTION),
        reason::XSETBV => extended::xsetbv(vmcs, guest, c),
        reason::RDTSC | reason::RDTSCP => {
            let now = msr::time_stamp(vmcs, platform);
            (c.rax, c.rdx) = (now & 0xffff_ffff, now >> 32);
            if reason == reason::RDTSCP {
                c.rcx = msr::read(vmcs, platform, guest, msr::TSC_AUX).unwrap_or(0) & 0xffff_ffff;
            }
            advance(vmcs);
            Action::Resume
        }
        reason::CONTROL_REGISTER => control_register(vmcs, guest, c),
        reason::DEBUG_REGISTER => debug::access(vmcs, guest, c),
        reason::IO => port(vmcs, guest, c),
        reason::RDMSR => {
            let index = c.rcx as u32;
            if let Some(value) = msr::read(vmcs, platform, guest, index) {
                (c.rax, c.rdx) = (value & 0xffff_ffff, value >> 32);
                advance(vmcs);
                return Action::Resume;
            }
            ask_msr(vmcs, guest, Ask::MsrRead, Message::new(label::MSR_READ, &[index.into()]))
        }
        reason::WRMSR => {
            let (index, value) = (c.rcx as u32, c.rax & 0xffff_ffff | c.rdx << 32);
            match msr::write(vmcs, platform, guest, index, value) {
                Some(true) => {
                    advance(vmcs);
                    Action::Resume
                }
                Some(false) => fault(vmcs, guest, PROTECTION),
                None => {
                    let message = Message::new(label::MSR_WRITE, &[index.into(), value]);
                    ask_msr(vmcs, guest, Ask::MsrWrite, message)
                }
            }
        }
        reason::EPT_VIOLATION => {
            let qualification = vmcs.read(Field::Qualification);
            block_again(vmcs, guest, qualification);
            let access = qualification & 7;
            // What an event's delivery met is never a plain access.
            let whole = !guest.brief || guest.event.is_some();
            guest.ask = if whole { Ask::Nothing } else { Ask::Enough };
            let linear = vmcs.read(Field::GuestLinear);
            let words = [vmcs.read(Field::GuestPhysical), access, linear, whole.into()];
            Action::Ask(with_event(Message::new(label::FAULT, &words), guest), true)
        }
        reason::PREEMPTION_TIMER => Action::Open,
        _ => other(vmcs, guest),
    }
}

/// The guest can take an interrupt, and the server wanted to know.
fn open(guest: &mut Guest) -> Action {
    guest.wanted = false;
    Action::Ask(Message::new(label::WINDOW, &[]), false)
}

/// An MSR that is not the kernel's: the server's by its policy, else there is none. The answer decides whether the
/// instruction is complete.
fn ask_msr(vmcs: &impl Vmcs, guest: &mut Guest, ask: Ask, message: Message) -> Action {
    if guest.policy & policy::MSR == 0 {
        return fault(vmcs, guest, PROTECTION);
    }
    guest.ask = ask;
    Action::Ask(message, false)
}

/// NMIs, for which the host has nothing to do, and the exceptions that are intercepted: debug exceptions and alignment
/// checks go to the guest unless they came up while an event was delivered; a machine check is the end of the guest that
/// met it.
fn exception(vmcs: &mut impl Vmcs, guest: &mut Guest) -> Action {
    const HARDWARE: u64 = 3;
    const ALIGNMENT: u64 = 17;
    let information = vmcs.read(Field::ExitInterruption);
    if information >> 8 & 7 == NMI {
        return Action::Resume;
    }
    block_again(vmcs, guest, information);
    let (error, length) = match information & 0xff {
        ALIGNMENT => (vmcs.read(Field::ExitErrorCode), 0),
        // INT1 comes as an event of its own kind, with its length.
        debug::VECTOR => (0, vmcs.read(Field::ExitLength)),
        _ => return other(vmcs, guest),
    };
    if guest.event.is_some() {
        return other(vmcs, guest);
    }
    if information & 0x7ff == HARDWARE << 8 | debug::VECTOR {
        let causes = vmcs.read(Field::Qualification);
        debug::trap(vmcs, guest, causes);
    }
    guest.event = Some(Event { information: information & KEPT, error, length });
    Action::Resume
}

/// CPUID from the server's table, which it may change at any time: it decides what the guest sees, and nothing else.
fn table(platform: &impl Platform, guest: &Guest, c: &mut Context) {
    /// The leaf whose ECX has CR4.OSXSAVE, and that bit.
    const FEATURES: u64 = 1;
    const OSXSAVE: u64 = 1 << 27;
    let table = Table { platform, state: guest.state };
    let (leaf, subleaf) = (c.rax & 0xffff_ffff, c.rcx & 0xffff_ffff);
    let [one, any] = [subleaf, ANY_SUBLEAF].map(|subleaf| leaf | subleaf << 32);
    let found = table.places().find(|place| {
        let key = table.word(*place);
        key == one || key == any
    });
    let words = |place| (table.word(place + 1), table.word(place + 2));
    let (first, second) = found.map_or((0, 0), words);
    (c.rax, c.rbx) = (first & 0xffff_ffff, first >> 32);
    (c.rcx, c.rdx) = (second & 0xffff_ffff, second >> 32);
    if leaf == FEATURES {
        c.rcx = c.rcx & !OSXSAVE | u64::from(guest.osxsave) << 27;
    } else if leaf == XSTATE && subleaf == 0 {
        c.rbx = table.xsave_size(guest.xcr0);
    }
}

/// The leaf whose subleaf 0 has, in EBX, the size that XSAVE needs with the guest's XCR0.
const XSTATE: u64 = 13;

/// The CPUID table of a state page.
struct Table<'a, P> {
    platform: &'a P,
    state: u64,
}

impl<P: Platform> Table<'_, P> {
    fn word(&self, index: usize) -> u64 {
        self.platform.load(self.state.wrapping_add(index as u64 * 8))
    }

    /// The first words of its entries.
    fn places(&self) -> impl Iterator<Item = usize> + use<P> {
        let count = self.word(CPUID_COUNT).min(CPUID_MOST as u64) as usize;
        (0..count).map(|n| CPUID_TABLE + n * CPUID_ENTRY)
    }

    /// That size, by the subleaves of [`XSTATE`]: EAX and EBX are size and place of a component (SDM Vol. 1, 13.2).
    #[cold]
    #[inline(never)]
    fn xsave_size(&self, xcr0: u64) -> u64 {
        /// x87, SSE and the header.
        const LEAST: u64 = 576;
        let ends = self.places().filter_map(|place| {
            let (key, value) = (self.word(place), self.word(place + 1));
            let component = key >> 32;
            let on =
                key & 0xffff_ffff == XSTATE && (2..63).contains(&component) && xcr0 >> component & 1 == 1;
            on.then(|| (value & 0xffff_ffff) + (value >> 32))
        });
        ends.fold(LEAST, u64::max) & 0xffff_ffff
    }
}

/// Vector, type, error-code flag, valid: bit 12 and above are undefined in what an exit tells of an event.
const KEPT: u64 = 0x8000_0fff;

/// An event that the exit interrupted is delivered with the next entry (SDM Vol. 3C, 27.2.4). An NMI blocks others only
/// when it is delivered.
fn keep_event(vmcs: &mut impl Vmcs, guest: &mut Guest) {
    let information = vmcs.read(Field::Vectoring);
    if information & 1 << 31 != 0 {
        guest.event = Some(Event {
            information: information & KEPT,
            error: vmcs.read(Field::VectoringErrorCode),
            length: vmcs.read(Field::ExitLength),
        });
        if information >> 8 & 7 == NMI {
            let blocked = vmcs.read(Field::Interruptibility);
            vmcs.write(Field::Interruptibility, blocked & !NMI_BLOCKED);
        }
    }
}

/// An IRET that faulted has ended the blocking of NMIs already: it begins again (27.2.3). `information` is what the exit
/// tells in bit 12.
fn block_again(vmcs: &mut impl Vmcs, guest: &Guest, information: u64) {
    const UNBLOCKED: u64 = 1 << 12;
    if information & UNBLOCKED != 0 && guest.event.is_none() {
        let blocked = vmcs.read(Field::Interruptibility);
        vmcs.write(Field::Interruptibility, blocked | NMI_BLOCKED);
    }
}

/// Interruptibility: blocking by NMI.
const NMI_BLOCKED: u64 = 8;

fn other(vmcs: &impl Vmcs, guest: &Guest) -> Action {
    let words =
        [Field::ExitReason, Field::Qualification, Field::GuestRip, Field::ExitLength].map(|f| vmcs.read(f));
    Action::Ask(with_event(Message::new(label::OTHER, &words), guest), true)
}

/// Tells the server which event's delivery the exit cut short.
fn with_event(mut message: Message, guest: &Guest) -> Message {
    if let Some(event) = guest.event {
        message.words[EVENT..EVENT + 2].copy_from_slice(&[event.information, event.error]);
    }
    message
}

/// Has the guest take an exception instead of its instruction.
pub(super) fn fault(vmcs: &impl Vmcs, guest: &mut Guest, vector: u64) -> Action {
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
    let with_state = port != 0 && guest.policy & policy::STATE_PORT == port << 16;
    Action::Ask(message, with_state)
}

/// MOV to and from CR0, CR3, CR4 (SDM Vol. 3C, table 27-3). CR8 belongs to the interrupt controller, so to the server.
fn control_register(vmcs: &mut impl Vmcs, guest: &mut Guest, c: &mut Context) -> Action {
    let qualification = vmcs.read(Field::Qualification);
    let number = (qualification >> 8 & 15) as usize;
    let mut rsp = vmcs.read(Field::GuestRsp);
    let place = guest::register(c, number).unwrap_or(&mut rsp);
    let long = vmcs.read(Field::GuestEfer) & 1 << 10 != 0;
    let value = if long { *place } else { *place & 0xffff_ffff };
    let access = (qualification & 15, qualification >> 4 & 3);
    // PAE paging outside long mode begins with entries out of the guest's memory, which its server reads.
    let [cr0, cr4] = [guest::cr0(vmcs), guest::cr4(vmcs)];
    let efer = vmcs.read(Field::GuestEfer);
    let loads = match access {
        (0, 0) => guest::uses_pdptes(value, cr4, efer),
        (3, 0) => guest::uses_pdptes(cr0, cr4, efer),
        (4, 0) => guest::uses_pdptes(cr0, value, efer),
        _ => false,
    };
    if loads {
        return other(vmcs, guest);
    }
    let good = match access {
        (0, 0) => guest::set_cr0(vmcs, guest, value),
        (4, 0) => guest::set_cr4(vmcs, guest, value),
        (3, 0) => {
            guest::set_cr3(vmcs, guest, value);
            true
        }
        (3, 1) => {
            *place = vmcs.read(Field::GuestCr3);
            vmcs.write(Field::GuestRsp, rsp);
            true
        }
        _ => return other(vmcs, guest),
    };
    if good {
        advance(vmcs);
        Action::Resume
    } else {
        fault(vmcs, guest, PROTECTION)
    }
}

#[cfg(test)]
mod tests;
