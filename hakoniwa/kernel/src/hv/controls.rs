//! VM-execution, exit and entry controls: what is wanted, as tables, and what the processor allows.

/// How much a control matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// On from the start; without it there are no guests.
    On,
    /// On if there is one.
    Preferred,
    /// Off at first, but the processor must be able to set it: the kernel turns it on when needed.
    Later,
    /// Off at first, and used later if the processor can set it.
    MaybeLater,
}

/// A control: its bit, its name in the SDM, how much it matters.
pub type Control = (u32, &'static str, Need);

use Need::*;

/// Pin-based controls.
pub const PIN: &[Control] = &[
    (0, "external-interrupt exiting", On),
    (3, "NMI exiting", On),
    (5, "virtual NMIs", On),
    (6, "VMX-preemption timer", MaybeLater),
];

/// Primary processor-based controls.
pub const PRIMARY: &[Control] = &[
    (2, "interrupt-window exiting", Later),
    (3, "TSC offsetting", On),
    (7, "HLT exiting", On),
    (10, "MWAIT exiting", On),
    (11, "RDPMC exiting", On),
    (19, "CR8-load exiting", On),
    (20, "CR8-store exiting", On),
    (22, "NMI-window exiting", Later),
    (23, "MOV-DR exiting", On),
    (25, "I/O bitmaps", On),
    (28, "MSR bitmaps", On),
    (29, "MONITOR exiting", On),
    (31, "secondary controls", On),
];

/// Secondary processor-based controls.
pub const SECONDARY: &[Control] = &[
    (1, "EPT", On),
    (3, "RDTSCP", Preferred),
    (5, "VPID", Preferred),
    (6, "WBINVD exiting", On),
    (7, "unrestricted guest", On),
    (10, "PAUSE-loop exiting", Preferred),
    (12, "INVPCID", Preferred),
];

/// VM-exit controls.
pub const EXIT: &[Control] = &[
    (2, "save debug controls", On),
    (9, "host address-space size", On),
    (15, "acknowledge interrupt on exit", On),
    (18, "save IA32_PAT", On),
    (19, "load IA32_PAT", On),
    (20, "save IA32_EFER", On),
    (21, "load IA32_EFER", On),
];

/// VM-entry controls.
pub const ENTRY: &[Control] = &[
    (2, "load debug controls", On),
    (9, "IA-32e mode guest", Later),
    (14, "load IA32_PAT", On),
    (15, "load IA32_EFER", On),
];

/// The bit of a control by its name, for those that change later.
pub const fn bit(table: &[Control], number: u32) -> u64 {
    let mut index = 0;
    while index < table.len() {
        if table[index].0 == number {
            return 1 << number;
        }
        index += 1;
    }
    0
}

/// Chooses a controls word: `capability` has the bits that must be one in its lower half and those that may be one in
/// its upper half (SDM Vol. 3D, A.3 to A.5). The error names the first control that is missing.
pub fn negotiate(table: &[Control], capability: u64) -> Result<u64, &'static str> {
    let (must, may) = (capability & 0xffff_ffff, capability >> 32);
    let mut value = must;
    for (number, name, need) in table {
        let bit = 1u64 << number;
        match need {
            On | Later if may & bit == 0 => return Err(name),
            Later | MaybeLater if must & bit != 0 => return Err(name),
            On => value |= bit,
            Preferred => value |= may & bit,
            Later | MaybeLater => {}
        }
    }
    Ok(value)
}

/// The five controls words of a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Controls {
    /// Pin-based.
    pub pin: u64,
    /// Primary processor-based.
    pub primary: u64,
    /// Secondary processor-based.
    pub secondary: u64,
    /// VM exit.
    pub exit: u64,
    /// VM entry.
    pub entry: u64,
    /// The bits of CR4 that the processor lets be one.
    pub cr4: u64,
    /// The parts of XCR0 that the processor has; 0 without XSAVE.
    pub xcr0: u64,
    /// EPT can have pages of 2 MiB.
    pub large_pages: bool,
}

/// Whether guests have RDTSCP.
pub const RDTSCP: u64 = bit(SECONDARY, 3);
/// Whether VPIDs are in use.
pub const VPID: u64 = bit(SECONDARY, 5);
/// Turns on exits when the guest can take an interrupt.
pub const INTERRUPT_WINDOW: u64 = bit(PRIMARY, 2);
/// Turns on exits when the guest can take an NMI.
pub const NMI_WINDOW: u64 = bit(PRIMARY, 22);
/// Turns on the preemption timer.
pub const PREEMPTION_TIMER: u64 = bit(PIN, 6);
/// Says that the guest is in long mode.
pub const LONG_MODE: u64 = bit(ENTRY, 9);

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = 0xffff_ffff << 32;

    #[test]
    fn required_bits_of_the_processor_are_kept() {
        let value = negotiate(PIN, ALL | 0x16).unwrap();
        assert_eq!(value, 0x16 | 1 | 8 | 0x20);
    }

    #[test]
    fn a_missing_control_is_named() {
        let without_ept = ALL & !(1 << (32 + 1));
        assert_eq!(negotiate(SECONDARY, without_ept), Err("EPT"));
        let without_window = ALL & !(1 << (32 + 2));
        assert_eq!(negotiate(PRIMARY, without_window), Err("interrupt-window exiting"));
    }

    #[test]
    fn a_preferred_control_may_be_missing() {
        let without_vpid = ALL & !(1 << (32 + 5));
        assert_eq!(negotiate(SECONDARY, without_vpid).unwrap() & VPID, 0);
    }

    #[test]
    fn a_control_that_cannot_be_off_when_it_must_is_named() {
        assert_eq!(negotiate(ENTRY, ALL | LONG_MODE), Err("IA-32e mode guest"));
    }
}
