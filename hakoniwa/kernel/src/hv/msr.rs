//! The MSRs of a guest: those in the VMCS, those that entries and exits switch, the time-stamp counter. All others are
//! the server's or nobody's.

use super::debug;
use super::guest::{self, Guest};
use super::vmcs::{Field, Vmcs};
use crate::platform::Platform;
use hakoniwa_abi::guest::{TIME_ADDED, more};

/// IA32_TIME_STAMP_COUNTER.
const TSC: u32 = 0x10;
const EFER: u32 = 0xc000_0080;
/// IA32_DEBUGCTL.
const DEBUGCTL: u32 = 0x1d9;
/// Its flags that guests may write: LBR, which is dropped, and BTF.
const DEBUG_FLAGS: u64 = 3;
/// IA32_TSC_AUX, which RDTSCP reads.
pub const TSC_AUX: u32 = 0xc000_0103;

/// The MSRs that entries and exits switch because guests can set them: SYSCALL's, the swapped GS base, and, where guests
/// have RDTSCP, TSC_AUX.
pub const SWITCHED: [u32; 6] = [0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0102, TSC_AUX];

/// How many of the MSRs of a state are VMCS fields; the others are [`SWITCHED`].
const LISTED_FIELDS: usize = more::MSR_LIST.len() - SWITCHED.len();

/// The MSRs of a state in its order. One that is not switched reads as zero.
pub fn listed(vmcs: &impl Vmcs, platform: &impl Platform, guest: &Guest) -> [u64; more::MSR_LIST.len()] {
    const PLACES: [Field; LISTED_FIELDS] =
        [Field::GuestDebugctl, Field::GuestPat, Field::SysenterCs, Field::SysenterEsp, Field::SysenterEip];
    core::array::from_fn(|n| match PLACES.get(n) {
        Some(field) => vmcs.read(*field),
        None => platform.load(guest.msrs + (n - LISTED_FIELDS) as u64 * 16 + 8),
    })
}

/// MSRs that are VMCS fields.
const FIELDS: &[(u32, Field)] = &[
    (DEBUGCTL, Field::GuestDebugctl),
    (0x174, Field::SysenterCs),
    (0x175, Field::SysenterEsp),
    (0x176, Field::SysenterEip),
    (0x277, Field::GuestPat),
    (0xc000_0100, Field::GuestFsBase),
    (0xc000_0101, Field::GuestGsBase),
];

/// MSRs that guests read and write without an exit: the processor checks what they write, and they are the guest's own.
const DIRECT: &[u32] = &[
    0x174,
    0x175,
    0x176,
    0xc000_0081,
    0xc000_0082,
    0xc000_0083,
    0xc000_0084,
    0xc000_0100,
    0xc000_0101,
    0xc000_0102,
];

/// Writes the bitmap of the MSRs whose accesses exit (SDM Vol. 3C, 24.6.9): all but [`DIRECT`].
pub fn fill_bitmap(platform: &mut impl Platform, page: u64) {
    const WORDS: u64 = 512;
    /// Where the writes' half begins, in bits.
    const WRITES: u64 = 2048 * 8;
    for word in 0..WORDS {
        platform.store(page + word * 8, u64::MAX);
    }
    for index in DIRECT {
        // The low range comes first, then that from C0000000h.
        let bit = u64::from(index & 0x1fff) + u64::from(index >> 31) * 1024 * 8;
        for bit in [bit, bit + WRITES] {
            let at = page + bit / 64 * 8;
            let word = platform.load(at);
            platform.store(at, word & !(1 << (bit % 64)));
        }
    }
}

fn switched(vmcs: &impl Vmcs, guest: &Guest, index: u32) -> Option<u64> {
    let count = vmcs.read(Field::EntryMsrLoadCount) as usize;
    let number = SWITCHED.iter().take(count).position(|msr| *msr == index)?;
    Some(guest.msrs + number as u64 * 16 + 8)
}

fn field(index: u32) -> Option<Field> {
    FIELDS.iter().find(|(msr, _)| *msr == index).map(|(_, field)| *field)
}

/// The guest's time-stamp counter.
pub fn time_stamp(vmcs: &impl Vmcs, platform: &impl Platform) -> u64 {
    platform.time_stamp().wrapping_add(vmcs.read(Field::TscOffset))
}

/// An MSR of those that the kernel keeps for a guest.
pub fn read(vmcs: &impl Vmcs, platform: &impl Platform, guest: &Guest, index: u32) -> Option<u64> {
    match index {
        EFER => Some(vmcs.read(Field::GuestEfer)),
        TSC => Some(time_stamp(vmcs, platform)),
        _ => field(index)
            .map(|f| vmcs.read(f))
            .or_else(|| switched(vmcs, guest, index).map(|at| platform.load(at))),
    }
}

/// Writes such an MSR; `Some(false)` is #GP, `None` that it is not the kernel's. What an entry would refuse to load is
/// refused here.
pub fn write(
    vmcs: &mut impl Vmcs,
    platform: &mut impl Platform,
    guest: &Guest,
    index: u32,
    value: u64,
) -> Option<bool> {
    let mut value = value;
    let canonical = (value as i64) << 16 >> 16 == value as i64;
    match index {
        EFER => return Some(guest::set_efer(vmcs, value)),
        TSC => {
            let offset = value.wrapping_sub(platform.time_stamp());
            let added = offset.wrapping_sub(vmcs.read(Field::TscOffset));
            let at = guest.state + TIME_ADDED as u64 * 8;
            let before = platform.load(at);
            platform.store(at, before.wrapping_add(added));
            vmcs.write(Field::TscOffset, offset);
            return Some(true);
        }
        _ => {}
    }
    let sound = match index {
        DEBUGCTL => value & !DEBUG_FLAGS == 0,
        0x277 => value.to_le_bytes().iter().all(|kind| matches!(kind, 0 | 1 | 4..=7)),
        0x174 | TSC_AUX => value >> 32 == 0,
        0xc000_0081 => true,
        0xc000_0084 => value >> 32 == 0,
        _ => canonical,
    };
    if index == DEBUGCTL {
        value &= debug::BRANCHES;
    }
    match (field(index), switched(vmcs, guest, index)) {
        (Some(field), _) if sound => vmcs.write(field, value),
        (_, Some(at)) if sound => platform.store(at, value),
        (None, None) => return None,
        _ => return Some(false),
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Machine;

    #[test]
    fn a_state_lists_fields_first_then_what_is_switched() {
        assert_eq!(more::MSR_LIST[LISTED_FIELDS..], SWITCHED);
    }

    #[test]
    fn only_the_guests_own_registers_are_open_in_the_bitmap() {
        let mut machine = Machine::new(1);
        fill_bitmap(&mut machine, 0);
        let open = (0..512u64).map(|word| machine.load(word * 8).count_zeros()).sum::<u32>();
        assert_eq!(open as usize, DIRECT.len() * 2);
        assert_eq!(machine.load(0x174 / 64 * 8) >> (0x174 % 64) & 1, 0, "read of a low one");
        assert_eq!(machine.load(3072 + 0x100 / 8) & 7, 0, "write of FS, GS and swapped GS base");
    }
}
