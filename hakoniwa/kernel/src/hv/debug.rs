//! Debug registers of guests (SDM Vol. 3B, chapter 17). They live here, not in the processor: MOV DR and #DB exit, DR7 is
//! switched by entries and exits, and DR0 to DR3 are loaded for guests that turned a breakpoint on. So no breakpoint of a
//! guest is ever seen by the host or by another guest.

use super::exit::{Action, PROTECTION, advance, fault, privileged};
use super::guest::{self, Event, Guest};
use super::vmcs::{Field, Vmcs};
use crate::context::Context;

/// DR0 to DR3, DR6, DR7 after reset and INIT.
pub const RESET: [u64; 6] = [0, 0, 0, 0, 0xffff_0ff0, 0x400];

/// #DB.
pub const VECTOR: u64 = 1;
const INVALID_OPCODE: u64 = 6;
/// DR7.GD: any access to debug registers is #DB.
const GENERAL_DETECT: u64 = 1 << 13;
/// DR6.BD, what #DB says then.
const DETECTED: u64 = 1 << 13;
/// DR6 bits that one #DB sets: B0 to B3, BD, BS.
const CAUSES: u64 = 0x600f;
/// RFLAGS.TF.
const TRAP: u64 = 1 << 8;
/// IA32_DEBUGCTL.BTF: single steps are branches.
pub const BRANCHES: u64 = 2;
/// The pending debug exception of a single step.
const STEP: u64 = 1 << 14;
/// The bits of the pending debug exceptions: B0 to B3, that one of them is enabled, BS.
pub const PENDING: u64 = 0x500f;

/// Sets DR0 to DR3, DR6 or DR7 as 0 to 5, with the bits that are fixed in it.
pub fn set(vmcs: &mut impl Vmcs, guest: &mut Guest, index: usize, value: u64) {
    let value = match index {
        4 => value & 0xe00f | 0xffff_0ff0,
        5 => value & 0xffff_23ff | 0x400,
        _ => value,
    };
    if let Some(register) = guest.debug.get_mut(index) {
        *register = value;
    }
    if index == 5 {
        vmcs.write(Field::GuestDr7, value);
    }
    guest.arm = guest.breaks();
}

impl Guest {
    /// Whether a breakpoint is on, so that DR0 to DR3 matter.
    pub fn breaks(&self) -> bool {
        self.debug[5] & 0xff != 0
    }
}

/// MOV to and from debug registers (SDM Vol. 3C, table 27-4). The exit comes before the checks that the instruction makes
/// (25.1.3), so they are made here.
pub(super) fn access(vmcs: &mut impl Vmcs, guest: &mut Guest, c: &mut Context) -> Action {
    const DEBUG_EXTENSIONS: u64 = 1 << 3;
    let qualification = vmcs.read(Field::Qualification);
    let (number, reads) = ((qualification & 7) as usize, qualification >> 4 & 1 == 1);
    if matches!(number, 4 | 5) && guest::cr4(vmcs) & DEBUG_EXTENSIONS != 0 {
        return fault(vmcs, guest, INVALID_OPCODE);
    }
    if !privileged(vmcs) {
        return fault(vmcs, guest, PROTECTION);
    }
    if guest.debug[5] & GENERAL_DETECT != 0 {
        trap(vmcs, guest, DETECTED);
        guest.event = Some(Event::exception(VECTOR, true));
        return Action::Resume;
    }
    let index = if number < 4 { number } else { 4 + (number & 1) };
    let mut rsp = vmcs.read(Field::GuestRsp);
    let place = guest::register(c, (qualification >> 8 & 15) as usize).unwrap_or(&mut rsp);
    if reads {
        *place = guest.debug[index];
        vmcs.write(Field::GuestRsp, rsp);
    } else {
        let value = if guest::wide(vmcs) { *place } else { *place & 0xffff_ffff };
        if index > 3 && value >> 32 != 0 {
            return fault(vmcs, guest, PROTECTION);
        }
        set(vmcs, guest, index, value);
    }
    advance(vmcs);
    Action::Resume
}

/// What the processor does to debug registers with a #DB, which it leaves to the host if that exits: DR6 tells the causes,
/// DR7.GD and the flags of IA32_DEBUGCTL go off. The shadow of STI or MOV SS ends with the delivery.
pub(super) fn trap(vmcs: &mut impl Vmcs, guest: &mut Guest, causes: u64) {
    let status = guest.debug[4] & !0xf | causes & CAUSES;
    set(vmcs, guest, 4, status);
    let control = guest.debug[5] & !GENERAL_DETECT;
    set(vmcs, guest, 5, control);
    vmcs.write(Field::GuestDebugctl, 0);
    let blocked = vmcs.read(Field::Interruptibility);
    vmcs.write(Field::Interruptibility, blocked & !3);
}

/// An instruction was completed for a guest that single-steps: #DB follows.
pub(super) fn step(vmcs: &mut impl Vmcs) {
    if vmcs.read(Field::GuestRflags) & TRAP != 0 && vmcs.read(Field::GuestDebugctl) & BRANCHES == 0 {
        let pending = vmcs.read(Field::PendingDebug);
        vmcs.write(Field::PendingDebug, pending | STEP);
    }
}
