//! XCR0: which parts of the vector state a guest has turned on (SDM Vol. 1, 13.3). All of what the processor has is saved
//! and loaded for every guest and task at every switch, whatever its XCR0, so none ever meets another's registers.

use super::exit::{Action, PROTECTION, advance, fault, privileged};
use super::guest::Guest;
use super::vmcs::Vmcs;
use crate::context::Context;

/// CR4.OSXSAVE.
pub const OSXSAVE: u64 = 1 << 18;
/// x87, which is always on.
pub const X87: u64 = 1;
const SSE: u64 = 2;
const AVX: u64 = 4;
/// Opmask, upper halves of ZMM0-15, ZMM16-31.
const AVX512: u64 = 7 << 5;

/// Whether XCR0 may have this value, on a processor that can have `allowed` of it.
pub fn valid(value: u64, allowed: u64) -> bool {
    let needs = |part: u64, of: u64| value & part == 0 || value & of == of;
    value & X87 != 0 && value & !allowed == 0 && needs(AVX, SSE) && needs(AVX512, AVX512 | AVX | SSE)
}

impl Guest {
    /// What XCR0 has to be while the guest runs; the host's where it does not matter.
    pub fn running_xcr0(&self) -> u64 {
        if self.osxsave { self.xcr0 } else { self.xcr0_allowed }
    }
}

/// XSETBV (SDM Vol. 2D).
pub(super) fn xsetbv(vmcs: &mut impl Vmcs, guest: &mut Guest, c: &Context) -> Action {
    let (index, value) = (c.rcx & 0xffff_ffff, c.rax & 0xffff_ffff | c.rdx << 32);
    if index != 0 || !privileged(vmcs) || !valid(value, guest.xcr0_allowed) {
        return fault(vmcs, guest, PROTECTION);
    }
    guest.xcr0 = value;
    advance(vmcs);
    Action::Resume
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_need_what_they_build_on() {
        for (value, allowed, good) in [
            (1, 7, true),
            (3, 7, true),
            (7, 7, true),
            (0, 7, false),
            (2, 7, false),
            (5, 7, false),
            (7, 3, false),
            (0xe7, 0xe7, true),
            (0x27, 0xe7, false),
            (0xe3, 0xe7, false),
            (1 << 63 | 3, u64::MAX >> 1, false),
        ] {
            assert_eq!(valid(value, allowed), good, "{value:#x} of {allowed:#x}");
        }
    }
}
