//! The checks of VM entry on the guest's state (SDM Vol. 3C, 26.3), so that a refused entry says which rule it broke.

pub mod before;

use super::controls::LONG_MODE;
use super::vmcs::{Field, Vmcs, segment};
use hakoniwa_abi::guest::Segment;

/// A rule that the state breaks, the field that shows it, and that field's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken {
    /// The rule.
    pub rule: &'static str,
    /// The field.
    pub field: Field,
    /// Its value.
    pub value: u64,
}

const ES: usize = 0;
const CS: usize = 1;
const SS: usize = 2;
const DS: usize = 3;
const FS: usize = 4;
const GS: usize = 5;
const LDTR: usize = 6;
const TR: usize = 7;

const UNUSABLE: u64 = 1 << 16;
const VM86: u64 = 1 << 17;

struct Checker<'a, V> {
    vmcs: &'a V,
    broken: [Option<Broken>; 8],
    count: usize,
}

/// Every rule that is broken, as far as they fit.
pub fn check<V: Vmcs>(vmcs: &V) -> impl Iterator<Item = Broken> + use<V> {
    let mut checker = Checker { vmcs, broken: [None; 8], count: 0 };
    checker.control_registers();
    checker.segments();
    checker.system_segments();
    checker.tables_and_flags();
    checker.interruptibility();
    checker.broken.into_iter().flatten()
}

fn canonical(address: u64) -> bool {
    (address as i64) << 16 >> 16 == address as i64
}

impl<V: Vmcs> Checker<'_, V> {
    /// Notes a rule that is broken if `holds` is false.
    fn rule(&mut self, rule: &'static str, field: Field, holds: bool) {
        if !holds && let Some(place) = self.broken.get_mut(self.count) {
            *place = Some(Broken { rule, field, value: self.vmcs.read(field) });
            self.count += 1;
        }
    }

    fn read(&self, field: Field) -> u64 {
        self.vmcs.read(field)
    }

    fn segment(&self, number: usize) -> Segment {
        let [selector, base, limit, access] = segment(number).map(|field| self.vmcs.read(field));
        Segment { selector, base, limit, access }
    }

    fn long(&self) -> bool {
        self.read(Field::EntryControls) & LONG_MODE != 0
    }

    fn vm86(&self) -> bool {
        self.read(Field::GuestRflags) & VM86 != 0
    }

    /// 26.3.1.1.
    fn control_registers(&mut self) {
        let (cr0, cr3, cr4) =
            (self.read(Field::GuestCr0), self.read(Field::GuestCr3), self.read(Field::GuestCr4));
        let efer = self.read(Field::GuestEfer);
        let (paging, long) = (cr0 >> 31 & 1 == 1, self.long());
        self.rule("CR0.NE is 1", Field::GuestCr0, cr0 & 0x20 != 0);
        self.rule("CR0 bits 63:32 are 0", Field::GuestCr0, cr0 >> 32 == 0);
        self.rule("CR0.PG needs CR0.PE", Field::GuestCr0, !paging || cr0 & 1 == 1);
        self.rule("CR4.VMXE is 1", Field::GuestCr4, cr4 & 1 << 13 != 0);
        self.rule("IA-32e mode needs CR0.PG", Field::GuestCr0, !long || paging);
        self.rule("IA-32e mode needs CR4.PAE", Field::GuestCr4, !long || cr4 & 1 << 5 != 0);
        self.rule("CR4.PCIDE needs IA-32e mode", Field::GuestCr4, long || cr4 & 1 << 17 == 0);
        self.rule("CR3 lies in physical memory", Field::GuestCr3, cr3 >> 52 == 0);
        self.rule("EFER has no reserved bit", Field::GuestEfer, efer & !0xd01 == 0);
        self.rule("EFER.LMA is the IA-32e mode control", Field::GuestEfer, (efer >> 10 & 1 == 1) == long);
        let consistent = !paging || (efer >> 8 & 1) == (efer >> 10 & 1);
        self.rule("EFER.LMA is EFER.LME while paging", Field::GuestEfer, consistent);
        self.rule("DR7 bits 63:32 are 0", Field::GuestDr7, self.read(Field::GuestDr7) >> 32 == 0);
        let pat = self.read(Field::GuestPat).to_le_bytes();
        let known = pat.iter().all(|kind| matches!(kind, 0 | 1 | 4..=7));
        self.rule("PAT has only memory types", Field::GuestPat, known);
        for field in [Field::SysenterEsp, Field::SysenterEip] {
            self.rule("SYSENTER's addresses are canonical", field, canonical(self.read(field)));
        }
    }

    /// 26.3.1.2, for ES to GS.
    fn segments(&mut self) {
        let vm86 = self.vm86();
        for number in [CS, SS, DS, ES, FS, GS] {
            let s = self.segment(number);
            let [_, base, limit, access] = segment(number);
            let usable = s.access & UNUSABLE == 0 || number == CS;
            if number == FS || number == GS {
                self.rule("FS and GS bases are canonical", base, canonical(s.base));
            } else {
                self.rule("bases of CS, SS, DS, ES have 32 bits", base, !usable || s.base >> 32 == 0);
            }
            if vm86 {
                self.rule("in virtual-8086 mode bases are selectors * 16", base, s.base == s.selector << 4);
                self.rule("in virtual-8086 mode limits are FFFFh", limit, s.limit == 0xffff);
                self.rule("in virtual-8086 mode access rights are F3h", access, s.access == 0xf3);
            } else if usable {
                self.code_or_data(number, &s, access);
                self.granularity(&s, limit);
            }
        }
        if !vm86 {
            self.privilege();
        }
    }

    fn code_or_data(&mut self, number: usize, s: &Segment, field: Field) {
        let kind = s.access & 15;
        match number {
            CS => self.rule("CS is accessed code, or data 3", field, matches!(kind, 3 | 9 | 11 | 13 | 15)),
            SS => self.rule("SS is accessed writable data", field, matches!(kind, 3 | 7)),
            _ => {
                let readable = kind & 1 == 1 && (kind & 8 == 0 || kind & 2 != 0);
                self.rule("DS, ES, FS, GS are accessed and readable", field, readable);
            }
        }
        self.rule("S is 1", field, s.access & 0x10 != 0);
        self.rule("P is 1", field, s.access & 0x80 != 0);
        self.rule("access rights have no reserved bit", field, s.access & 0xfffe_0f00 == 0);
        if number == CS && self.long() && s.access & 1 << 13 != 0 {
            self.rule("64-bit CS has D clear", field, s.access & 1 << 14 == 0);
        }
    }

    fn granularity(&mut self, s: &Segment, field: Field) {
        let pages = s.access & 1 << 15 != 0;
        self.rule("G set needs limit bits 11:0 set", field, !pages || s.limit & 0xfff == 0xfff);
        self.rule("G clear needs limit bits 31:20 clear", field, pages || s.limit >> 20 == 0);
    }

    fn privilege(&mut self) {
        let (cs, ss) = (self.segment(CS), self.segment(SS));
        let (code, stack) = (cs.access >> 5 & 3, ss.access >> 5 & 3);
        let holds = match cs.access & 15 {
            3 => code == 0,
            9 | 11 => code == stack,
            13 | 15 => code <= stack,
            _ => true,
        };
        self.rule("CS.DPL fits SS.DPL", Field::GuestCsAccess, holds);
        let real = self.read(Field::GuestCr0) & 1 == 0 || cs.access & 15 == 3;
        self.rule("SS.DPL is 0 in real mode", Field::GuestSsAccess, !real || stack == 0);
    }

    /// 26.3.1.2, for TR and LDTR.
    fn system_segments(&mut self) {
        let (tr, ldtr) = (self.segment(TR), self.segment(LDTR));
        let busy = if self.long() { matches!(tr.access & 15, 11) } else { matches!(tr.access & 15, 3 | 11) };
        self.rule("TR is a busy task state segment", Field::GuestTrAccess, busy);
        self.rule("TR is usable", Field::GuestTrAccess, tr.access & UNUSABLE == 0);
        self.rule("TR's selector is of the GDT", Field::GuestTr, tr.selector & 4 == 0);
        let mut system = |s: &Segment, [_, base, limit, access]: [Field; 4]| {
            self.rule("system segments have S clear and P set", access, s.access & 0x90 == 0x80);
            self.rule("access rights have no reserved bit", access, s.access & 0xfffe_0f00 == 0);
            self.rule("bases of TR and LDTR are canonical", base, canonical(s.base));
            self.granularity(s, limit);
        };
        system(&tr, segment(TR));
        if ldtr.access & UNUSABLE == 0 {
            system(&ldtr, segment(LDTR));
            self.rule("LDTR is a local descriptor table", Field::GuestLdtrAccess, ldtr.access & 15 == 2);
            self.rule("LDTR's selector is of the GDT", Field::GuestLdtr, ldtr.selector & 4 == 0);
        }
    }

    /// 26.3.1.3 and 26.3.1.4.
    fn tables_and_flags(&mut self) {
        for field in [Field::GuestGdtrBase, Field::GuestIdtrBase] {
            self.rule("bases of GDTR and IDTR are canonical", field, canonical(self.read(field)));
        }
        for field in [Field::GuestGdtrLimit, Field::GuestIdtrLimit] {
            self.rule("limits of GDTR and IDTR have 16 bits", field, self.read(field) >> 16 == 0);
        }
        let (rip, flags) = (self.read(Field::GuestRip), self.read(Field::GuestRflags));
        let wide = self.long() && self.segment(CS).access & 1 << 13 != 0;
        let fits = if wide { canonical(rip) } else { rip >> 32 == 0 };
        self.rule("RIP fits the mode", Field::GuestRip, fits);
        self.rule("RFLAGS bit 1 is 1", Field::GuestRflags, flags & 2 != 0);
        self.rule("RFLAGS has no reserved bit", Field::GuestRflags, flags & !0x3f_7fd7 == 0);
        let real = self.read(Field::GuestCr0) & 1 == 0;
        let fits = !self.vm86() || !self.long() && !real;
        self.rule("RFLAGS.VM needs protected mode without IA-32e", Field::GuestRflags, fits);
        let event = self.read(Field::EntryInterruption);
        let external = event >> 31 & 1 == 1 && event >> 8 & 7 == 0;
        self.rule(
            "an external interrupt needs RFLAGS.IF",
            Field::GuestRflags,
            !external || flags & 1 << 9 != 0,
        );
    }

    /// 26.3.1.5.
    fn interruptibility(&mut self) {
        let blocked = self.read(Field::Interruptibility);
        let flags = self.read(Field::GuestRflags);
        self.rule("the activity state is known", Field::Activity, self.read(Field::Activity) <= 3);
        self.rule("interruptibility has no reserved bit", Field::Interruptibility, blocked & !0x1f == 0);
        self.rule("STI and MOV SS do not block together", Field::Interruptibility, blocked & 3 != 3);
        let sound = blocked & 1 == 0 || flags & 1 << 9 != 0;
        self.rule("blocking by STI needs RFLAGS.IF", Field::Interruptibility, sound);
        let (pending, steps) = (self.read(Field::PendingDebug), flags >> 8 & 1 == 1);
        self.rule(
            "pending debug exceptions have no reserved bit",
            Field::PendingDebug,
            pending & !0x1_500f == 0,
        );
        let branches = self.read(Field::GuestDebugctl) & 2 != 0;
        let sound = blocked & 3 == 0 || (pending >> 14 & 1 == 1) == (steps && !branches);
        self.rule("a blocked single step is pending, and only that", Field::PendingDebug, sound);
        let event = self.read(Field::EntryInterruption);
        let external = event >> 31 & 1 == 1 && event >> 8 & 7 == 0;
        self.rule(
            "an external interrupt is not blocked",
            Field::Interruptibility,
            !external || blocked & 3 == 0,
        );
        let nmi = event >> 31 & 1 == 1 && event >> 8 & 7 == 2;
        self.rule("an NMI is not blocked", Field::Interruptibility, !nmi || blocked & 0xa == 0);
        self.rule("the VMCS link pointer is all ones", Field::Link, self.read(Field::Link) == u64::MAX);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    pub struct Fake(BTreeMap<Field, u64>);

    impl Vmcs for Fake {
        fn read(&self, field: Field) -> u64 {
            self.0.get(&field).copied().unwrap_or(0)
        }

        fn write(&mut self, field: Field, value: u64) {
            self.0.insert(field, value);
        }
    }

    /// Real mode, as after reset.
    pub fn real_mode() -> Fake {
        let mut vmcs = Fake(BTreeMap::new());
        for (field, value) in [
            (Field::GuestCr0, 0x30),
            (Field::GuestCr4, 0x2000),
            (Field::GuestRflags, 2),
            (Field::GuestPat, 0x0007_0406_0007_0406),
            (Field::GuestDr7, 0x400),
            (Field::Link, u64::MAX),
        ] {
            vmcs.write(field, value);
        }
        for number in 0..8 {
            let [_, _, limit, access] = segment(number);
            vmcs.write(limit, 0xffff);
            let rights = match number {
                CS => 0x9b,
                LDTR => UNUSABLE,
                TR => 0x8b,
                _ => 0x93,
            };
            vmcs.write(access, rights);
        }
        vmcs
    }

    fn broken(changes: &[(Field, u64)]) -> Vec<&'static str> {
        let mut vmcs = real_mode();
        changes.iter().for_each(|(field, value)| vmcs.write(*field, *value));
        check(&vmcs).map(|b| b.rule).collect()
    }

    #[test]
    fn the_state_after_reset_breaks_no_rule() {
        assert_eq!(broken(&[]), Vec::<&str>::new());
    }

    #[test]
    fn long_mode_breaks_no_rule() {
        let state = [
            (Field::GuestCr0, 0x8000_0031),
            (Field::GuestCr4, 0x2020),
            (Field::GuestEfer, 0x500),
            (Field::EntryControls, LONG_MODE),
            (Field::GuestCsAccess, 0xa09b),
            (Field::GuestCsLimit, 0xffff_ffff),
            (Field::GuestRip, 0xffff_8000_0000_0000),
            (Field::GuestRflags, 0x202),
        ];
        assert_eq!(broken(&state), Vec::<&str>::new());
    }

    #[test]
    fn each_broken_rule_is_named() {
        for (field, value, rule) in [
            (Field::GuestCr0, 0x10, "CR0.NE is 1"),
            (Field::GuestCr0, 0x8000_0030, "CR0.PG needs CR0.PE"),
            (Field::GuestCr4, 0, "CR4.VMXE is 1"),
            (Field::GuestEfer, 0x400, "EFER.LMA is the IA-32e mode control"),
            (Field::GuestEfer, 2, "EFER has no reserved bit"),
            (Field::GuestPat, 2, "PAT has only memory types"),
            (Field::GuestCsAccess, 0x91, "CS is accessed code, or data 3"),
            (Field::GuestSsAccess, 0x91, "SS is accessed writable data"),
            (Field::GuestDsAccess, 0x99, "DS, ES, FS, GS are accessed and readable"),
            (Field::GuestEsAccess, 0x13, "P is 1"),
            (Field::GuestGsAccess, 0xf93, "access rights have no reserved bit"),
            (Field::GuestCsLimit, 0x10_0000, "G clear needs limit bits 31:20 clear"),
            (Field::GuestSsAccess, 0xf3, "CS.DPL fits SS.DPL"),
            (Field::GuestTrAccess, 0x89, "TR is a busy task state segment"),
            (Field::GuestTr, 4, "TR's selector is of the GDT"),
            (Field::GuestLdtrAccess, 0x83, "LDTR is a local descriptor table"),
            (Field::GuestFsBase, 1 << 47, "FS and GS bases are canonical"),
            (Field::GuestCsBase, 1 << 32, "bases of CS, SS, DS, ES have 32 bits"),
            (Field::GuestGdtrLimit, 0x1_0000, "limits of GDTR and IDTR have 16 bits"),
            (Field::GuestRip, 1 << 32, "RIP fits the mode"),
            (Field::GuestRflags, 0, "RFLAGS bit 1 is 1"),
            (Field::GuestRflags, 0xa, "RFLAGS has no reserved bit"),
            (Field::EntryInterruption, 0x8000_0020, "an external interrupt needs RFLAGS.IF"),
            (Field::Interruptibility, 1, "blocking by STI needs RFLAGS.IF"),
            (Field::Interruptibility, 0x20, "interruptibility has no reserved bit"),
            (Field::PendingDebug, 1 << 13, "pending debug exceptions have no reserved bit"),
            (Field::Activity, 4, "the activity state is known"),
            (Field::Link, 0, "the VMCS link pointer is all ones"),
        ] {
            let rules = broken(&[(field, value)]);
            assert!(rules.contains(&rule), "{field:?} = {value:#x}: {rules:?}");
        }
    }

    #[test]
    fn the_field_and_its_value_come_along() {
        let mut vmcs = real_mode();
        vmcs.write(Field::GuestTrAccess, 0x89);
        let broken = check(&vmcs).next().unwrap();
        assert_eq!((broken.field, broken.value), (Field::GuestTrAccess, 0x89));
    }
}
