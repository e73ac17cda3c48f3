//! What VM entry checks before it looks at the guest's state: controls and the host's state (SDM Vol. 3C, 26.2). A refusal
//! is the kernel's own fault, so its log says which; and what the instructions' error numbers mean (30.4).

use super::{Broken, Checker, canonical};
use crate::hv::vmcs::{Field, Vmcs};

/// Every rule of 26.2 that is broken, as far as they fit.
pub fn check<V: Vmcs>(vmcs: &V) -> impl Iterator<Item = Broken> + use<V> {
    let mut checker = Checker { vmcs, broken: [None; 8], count: 0 };
    checker.execution_controls();
    checker.event();
    checker.areas();
    checker.host_registers();
    checker.host_segments();
    checker.broken.into_iter().flatten()
}

/// What a VM-instruction error number means, for those that entries can give.
pub fn meaning(error: u64) -> &'static str {
    match error {
        0 => "no VMCS is current",
        4 => "VMLAUNCH with a VMCS that is launched",
        5 => "VMRESUME with a VMCS that is not launched",
        6 => "VMRESUME after VMXOFF and VMXON",
        7 => "controls",
        8 => "the host's state",
        26 => "events blocked by MOV SS",
        _ => "an error that no entry gives",
    }
}

const NMI_EXITING: u32 = 3;
const VIRTUAL_NMIS: u32 = 5;
const NMI_WINDOW: u32 = 22;
const IO_BITMAPS: u32 = 25;
const MSR_BITMAPS: u32 = 28;
const SECONDARY: u32 = 31;
const EPT: u32 = 1;
const VPID: u32 = 5;
const UNRESTRICTED: u32 = 7;

impl<V: Vmcs> Checker<'_, V> {
    fn on(&self, field: Field, bit: u32) -> bool {
        self.read(field) >> bit & 1 == 1
    }

    /// 26.2.1.1.
    fn execution_controls(&mut self) {
        let (pin, primary) = (Field::Pin, Field::Primary);
        let secondary = |c: &Self, bit| c.on(primary, SECONDARY) && c.on(Field::Secondary, bit);
        self.rule("at most 4 CR3 targets", Field::Cr3Targets, self.read(Field::Cr3Targets) <= 4);
        for (bit, field) in
            [(IO_BITMAPS, Field::IoBitmapA), (IO_BITMAPS, Field::IoBitmapB), (MSR_BITMAPS, Field::MsrBitmap)]
        {
            let aligned = self.read(field) & 0xfff == 0;
            self.rule("a bitmap is a page", field, !self.on(primary, bit) || aligned);
        }
        let sound = !self.on(pin, VIRTUAL_NMIS) || self.on(pin, NMI_EXITING);
        self.rule("virtual NMIs need NMI exiting", pin, sound);
        let sound = !self.on(primary, NMI_WINDOW) || self.on(pin, VIRTUAL_NMIS);
        self.rule("NMI windows need virtual NMIs", primary, sound);
        let sound = !secondary(self, VPID) || self.read(Field::Vpid) != 0;
        self.rule("the VPID is not 0", Field::Vpid, sound);
        let sound = !secondary(self, UNRESTRICTED) || secondary(self, EPT);
        self.rule("an unrestricted guest needs EPT", Field::Secondary, sound);
        let pointer = self.read(Field::EptPointer);
        let sound = matches!(pointer & 7, 0 | 6) && pointer & 0xfb8 == 3 << 3 && pointer >> 52 == 0;
        self.rule("the EPT pointer is one", Field::EptPointer, !secondary(self, EPT) || sound);
    }

    /// 26.2.1.3: the event to inject.
    fn event(&mut self) {
        let field = Field::EntryInterruption;
        let event = self.read(field);
        if event >> 31 & 1 == 0 {
            return;
        }
        let (vector, kind, error) = (event & 0xff, event >> 8 & 7, event >> 11 & 1 == 1);
        self.rule("an event has no reserved bit", field, event & 0x7fff_f000 == 0 && kind != 1);
        self.rule("an NMI has vector 2", field, kind != 2 || vector == 2);
        self.rule("an exception has a vector below 32", field, kind != 3 || vector < 32);
        let protected = self.read(Field::GuestCr0) & 1 == 1;
        let has = kind == 3 && matches!(vector, 8 | 10..=14 | 17) && protected;
        self.rule("exceptions with an error code have one", field, error == has);
        let code = Field::EntryErrorCode;
        self.rule("an error code has 15 bits", code, !error || self.read(code) >> 15 == 0);
        let length = self.read(Field::EntryLength);
        let sound = !(4..=6).contains(&kind) || (1..=15).contains(&length);
        self.rule("an instruction has 1 to 15 bytes", Field::EntryLength, sound);
    }

    /// 26.2.1.2 and 26.2.1.3: MSRs to store and to load.
    fn areas(&mut self) {
        for (field, count) in [
            (Field::ExitMsrStore, Field::ExitMsrStoreCount),
            (Field::ExitMsrLoad, Field::ExitMsrLoadCount),
            (Field::EntryMsrLoad, Field::EntryMsrLoadCount),
        ] {
            let (at, used) = (self.read(field), self.read(count) != 0);
            self.rule(
                "an area of MSRs is aligned and in memory",
                field,
                !used || at & 15 == 0 && at >> 52 == 0,
            );
        }
    }

    /// 26.2.2 and 26.2.4.
    fn host_registers(&mut self) {
        const PAGING_NE_PROTECTED: u64 = 0x8000_0021;
        const VMXE_PAE: u64 = 0x2020;
        const LONG: u64 = 0x500;
        let has = |c: &Self, field, bits| c.read(field) & bits == bits;
        self.rule(
            "the host's CR0 has PG, NE, PE",
            Field::HostCr0,
            has(self, Field::HostCr0, PAGING_NE_PROTECTED),
        );
        self.rule("the host's CR4 has VMXE, PAE", Field::HostCr4, has(self, Field::HostCr4, VMXE_PAE));
        self.rule("the host's EFER has LMA, LME", Field::HostEfer, has(self, Field::HostEfer, LONG));
        self.rule("the host's CR3 lies in memory", Field::HostCr3, self.read(Field::HostCr3) >> 52 == 0);
        let known = self.read(Field::HostPat).to_le_bytes().iter().all(|kind| matches!(kind, 0 | 1 | 4..=7));
        self.rule("the host's PAT has only memory types", Field::HostPat, known);
        for field in [
            Field::HostRip,
            Field::HostSysenterEsp,
            Field::HostSysenterEip,
            Field::HostFsBase,
            Field::HostGsBase,
            Field::HostTrBase,
            Field::HostGdtrBase,
            Field::HostIdtrBase,
        ] {
            self.rule("the host's addresses are canonical", field, canonical(self.read(field)));
        }
    }

    /// 26.2.3.
    fn host_segments(&mut self) {
        use Field::*;
        for field in [HostCs, HostSs, HostDs, HostEs, HostFs, HostGs, HostTr] {
            self.rule("the host's selectors have RPL and TI 0", field, self.read(field) & 7 == 0);
        }
        for field in [HostCs, HostTr] {
            self.rule("the host's CS and TR are not null", field, self.read(field) != 0);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::hv::check::tests::{Fake, real_mode};
    use std::vec::Vec;

    fn host() -> Fake {
        let mut vmcs = real_mode();
        for (field, value) in [
            (Field::Pin, 0x3f),
            (Field::Primary, 1 << IO_BITMAPS | 1 << MSR_BITMAPS | 1 << SECONDARY),
            (Field::Secondary, 1 << EPT | 1 << VPID | 1 << UNRESTRICTED),
            (Field::Vpid, 1),
            (Field::EptPointer, 0x5000 | 3 << 3 | 6),
            (Field::HostCr0, 0x8001_0033),
            (Field::HostCr4, 0x26a0),
            (Field::HostEfer, 0xd01),
            (Field::HostPat, 0x0007_0406_0007_0406),
            (Field::HostCs, 8),
            (Field::HostTr, 0x28),
        ] {
            vmcs.write(field, value);
        }
        vmcs
    }

    fn broken(changes: &[(Field, u64)]) -> Vec<&'static str> {
        let mut vmcs = host();
        changes.iter().for_each(|(field, value)| vmcs.write(*field, *value));
        check(&vmcs).map(|b| b.rule).collect()
    }

    #[test]
    fn what_the_kernel_sets_up_breaks_no_rule() {
        assert_eq!(broken(&[]), Vec::<&str>::new());
        for event in [0x8000_0020, 0x8000_0202, 0x8000_030d, 0x8000_0306] {
            assert_eq!(broken(&[(Field::EntryInterruption, event)]), Vec::<&str>::new(), "{event:#x}");
        }
        let soft = [(Field::EntryInterruption, 0x8000_0480), (Field::EntryLength, 2)];
        assert_eq!(broken(&soft), Vec::<&str>::new());
    }

    #[test]
    fn each_broken_rule_is_named() {
        for (field, value, rule) in [
            (Field::Cr3Targets, 5, "at most 4 CR3 targets"),
            (Field::IoBitmapB, 0x10, "a bitmap is a page"),
            (Field::Pin, 0x37, "virtual NMIs need NMI exiting"),
            (Field::Vpid, 0, "the VPID is not 0"),
            (Field::Secondary, 1 << UNRESTRICTED, "an unrestricted guest needs EPT"),
            (Field::EptPointer, 0x5000 | 3 << 3 | 5, "the EPT pointer is one"),
            (Field::EntryInterruption, 0x8000_1030, "an event has no reserved bit"),
            (Field::EntryInterruption, 0x8000_0203, "an NMI has vector 2"),
            (Field::EntryInterruption, 0x8000_0b0d, "exceptions with an error code have one"),
            (Field::EntryInterruption, 0x8000_0480, "an instruction has 1 to 15 bytes"),
            (Field::HostCr4, 0x20, "the host's CR4 has VMXE, PAE"),
            (Field::HostEfer, 0, "the host's EFER has LMA, LME"),
            (Field::HostRip, 1 << 47, "the host's addresses are canonical"),
            (Field::HostSs, 3, "the host's selectors have RPL and TI 0"),
            (Field::HostTr, 0, "the host's CS and TR are not null"),
        ] {
            let rules = broken(&[(field, value)]);
            assert!(rules.contains(&rule), "{field:?} = {value:#x}: {rules:?}");
        }
    }
}
