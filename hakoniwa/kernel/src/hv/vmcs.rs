//! The fields of a VMCS that are used, as a table (SDM Vol. 3D, appendix B).

use hakoniwa_abi::guest::PDPTES;

macro_rules! fields {
    ($($name:ident = $encoding:literal,)*) => {
        /// A field.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u32)]
        #[allow(missing_docs)]
        pub enum Field {
            $($name = $encoding,)*
        }

        /// Every field, for reports.
        pub const FIELDS: &[Field] = &[$(Field::$name,)*];
    };
}

fields! {
    Vpid = 0x0000,
    GuestEs = 0x0800,
    GuestCs = 0x0802,
    GuestSs = 0x0804,
    GuestDs = 0x0806,
    GuestFs = 0x0808,
    GuestGs = 0x080a,
    GuestLdtr = 0x080c,
    GuestTr = 0x080e,
    HostEs = 0x0c00,
    HostCs = 0x0c02,
    HostSs = 0x0c04,
    HostDs = 0x0c06,
    HostFs = 0x0c08,
    HostGs = 0x0c0a,
    HostTr = 0x0c0c,
    IoBitmapA = 0x2000,
    IoBitmapB = 0x2002,
    MsrBitmap = 0x2004,
    ExitMsrStore = 0x2006,
    ExitMsrLoad = 0x2008,
    EntryMsrLoad = 0x200a,
    TscOffset = 0x2010,
    EptPointer = 0x201a,
    GuestPhysical = 0x2400,
    Link = 0x2800,
    GuestDebugctl = 0x2802,
    GuestPat = 0x2804,
    GuestEfer = 0x2806,
    GuestPdpte0 = 0x280a,
    GuestPdpte1 = 0x280c,
    GuestPdpte2 = 0x280e,
    GuestPdpte3 = 0x2810,
    HostPat = 0x2c00,
    HostEfer = 0x2c02,
    Pin = 0x4000,
    Primary = 0x4002,
    ExceptionBitmap = 0x4004,
    FaultMask = 0x4006,
    FaultMatch = 0x4008,
    Cr3Targets = 0x400a,
    ExitControls = 0x400c,
    ExitMsrStoreCount = 0x400e,
    ExitMsrLoadCount = 0x4010,
    EntryControls = 0x4012,
    EntryMsrLoadCount = 0x4014,
    EntryInterruption = 0x4016,
    EntryErrorCode = 0x4018,
    EntryLength = 0x401a,
    Secondary = 0x401e,
    PauseGap = 0x4020,
    PauseWindow = 0x4022,
    InstructionError = 0x4400,
    ExitReason = 0x4402,
    ExitInterruption = 0x4404,
    ExitErrorCode = 0x4406,
    Vectoring = 0x4408,
    VectoringErrorCode = 0x440a,
    ExitLength = 0x440c,
    GuestEsLimit = 0x4800,
    GuestCsLimit = 0x4802,
    GuestSsLimit = 0x4804,
    GuestDsLimit = 0x4806,
    GuestFsLimit = 0x4808,
    GuestGsLimit = 0x480a,
    GuestLdtrLimit = 0x480c,
    GuestTrLimit = 0x480e,
    GuestGdtrLimit = 0x4810,
    GuestIdtrLimit = 0x4812,
    GuestEsAccess = 0x4814,
    GuestCsAccess = 0x4816,
    GuestSsAccess = 0x4818,
    GuestDsAccess = 0x481a,
    GuestFsAccess = 0x481c,
    GuestGsAccess = 0x481e,
    GuestLdtrAccess = 0x4820,
    GuestTrAccess = 0x4822,
    Interruptibility = 0x4824,
    Activity = 0x4826,
    SysenterCs = 0x482a,
    PreemptionTimer = 0x482e,
    HostSysenterCs = 0x4c00,
    Cr0Mask = 0x6000,
    Cr4Mask = 0x6002,
    Cr0Shadow = 0x6004,
    Cr4Shadow = 0x6006,
    Qualification = 0x6400,
    GuestLinear = 0x640a,
    GuestCr0 = 0x6800,
    GuestCr3 = 0x6802,
    GuestCr4 = 0x6804,
    GuestEsBase = 0x6806,
    GuestCsBase = 0x6808,
    GuestSsBase = 0x680a,
    GuestDsBase = 0x680c,
    GuestFsBase = 0x680e,
    GuestGsBase = 0x6810,
    GuestLdtrBase = 0x6812,
    GuestTrBase = 0x6814,
    GuestGdtrBase = 0x6816,
    GuestIdtrBase = 0x6818,
    GuestDr7 = 0x681a,
    GuestRsp = 0x681c,
    GuestRip = 0x681e,
    GuestRflags = 0x6820,
    PendingDebug = 0x6822,
    SysenterEsp = 0x6824,
    SysenterEip = 0x6826,
    HostCr0 = 0x6c00,
    HostCr3 = 0x6c02,
    HostCr4 = 0x6c04,
    HostFsBase = 0x6c06,
    HostGsBase = 0x6c08,
    HostTrBase = 0x6c0a,
    HostGdtrBase = 0x6c0c,
    HostIdtrBase = 0x6c0e,
    HostSysenterEsp = 0x6c10,
    HostSysenterEip = 0x6c12,
    HostRsp = 0x6c14,
    HostRip = 0x6c16,
}

/// A VMCS that is current.
pub trait Vmcs {
    /// Reads a field.
    fn read(&self, field: Field) -> u64;
    /// Writes a field.
    fn write(&mut self, field: Field, value: u64);
}

macro_rules! state {
    ($(#[$about:meta])* $name:ident: $($field:ident = $word:expr,)*) => {
        $(#[$about])*
        #[inline(always)]
        pub fn $name(mut f: impl FnMut(Field, usize)) {
            $(f(Field::$field, $word);)*
        }
    };
}

// Words 0 to 15 are registers, of which only RSP is in the VMCS; word 18 is CR0, 19 CR2, 21 CR4, 22 EFER, which need more
// than a copy. The calls are written out, because every exit with a state comes by.
state! {
    /// Calls with the words of the state page that are VMCS fields and that a state has even if it is not whole: field and
    /// word.
    each_field_at_least:
    GuestRsp = 4, GuestRip = 16, GuestRflags = 17, GuestCr3 = 20, Interruptibility = 23,
    GuestEsBase = 25, GuestEsLimit = 26, GuestEsAccess = 27,
    GuestCsBase = 29, GuestCsLimit = 30, GuestCsAccess = 31,
    GuestSsBase = 33, GuestSsLimit = 34, GuestSsAccess = 35,
    GuestDsBase = 37, GuestDsLimit = 38, GuestDsAccess = 39,
    GuestFsBase = 41, GuestFsLimit = 42, GuestFsAccess = 43,
    GuestGsBase = 45, GuestGsLimit = 46, GuestGsAccess = 47,
}

state! {
    /// The same with the others.
    each_other_field:
    GuestEs = 24, GuestCs = 28, GuestSs = 32, GuestDs = 36, GuestFs = 40, GuestGs = 44,
    GuestLdtr = 48, GuestLdtrBase = 49, GuestLdtrLimit = 50, GuestLdtrAccess = 51,
    GuestTr = 52, GuestTrBase = 53, GuestTrLimit = 54, GuestTrAccess = 55,
    GuestGdtrBase = 56, GuestGdtrLimit = 57, GuestIdtrBase = 58, GuestIdtrLimit = 59,
    GuestPdpte0 = PDPTES, GuestPdpte1 = PDPTES + 1, GuestPdpte2 = PDPTES + 2, GuestPdpte3 = PDPTES + 3,
}

/// The four fields of the segment with this number (ES, CS, SS, DS, FS, GS, LDTR, TR), in the order of a state's words.
pub fn segment(number: usize) -> [Field; 4] {
    use Field::*;
    const ALL: [[Field; 4]; 8] = [
        [GuestEs, GuestEsBase, GuestEsLimit, GuestEsAccess],
        [GuestCs, GuestCsBase, GuestCsLimit, GuestCsAccess],
        [GuestSs, GuestSsBase, GuestSsLimit, GuestSsAccess],
        [GuestDs, GuestDsBase, GuestDsLimit, GuestDsAccess],
        [GuestFs, GuestFsBase, GuestFsLimit, GuestFsAccess],
        [GuestGs, GuestGsBase, GuestGsLimit, GuestGsAccess],
        [GuestLdtr, GuestLdtrBase, GuestLdtrLimit, GuestLdtrAccess],
        [GuestTr, GuestTrBase, GuestTrLimit, GuestTrAccess],
    ];
    ALL[number & 7]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_without_repetition() {
        assert!(FIELDS.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn encodings_tell_width_and_kind() {
        // Bits 14:13 are the width: 0 16 bits, 1 64, 2 32, 3 natural; bits 11:10 the kind (SDM Vol. 3C, 24.11.2).
        for (field, width, kind) in [
            (Field::GuestTr, 0, 2),
            (Field::EptPointer, 1, 0),
            (Field::ExitReason, 2, 1),
            (Field::HostRip, 3, 3),
        ] {
            assert_eq!((field as u32 >> 13 & 3, field as u32 >> 10 & 3), (width, kind), "{field:?}");
        }
    }
}
