//! The page walk (SDM Vol. 3A chapter 4): 32-bit, PAE and 4-level paging.

use hako_mem::Word;
use hako_x86::{Cr0, Cr4, Efer, Features, RFlags};

use crate::Cpu;
use crate::cx::{Cx, Trap};
use crate::tlb::USER;
use crate::why::Why;

/// Physical address bits, as CPUID leaf 8000_0008h says.
pub(crate) const PHYS_BITS: u32 = 40;

/// What a memory access is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Data read.
    Read,
    /// Data write, or read for a write that follows.
    Write,
    /// Instruction fetch.
    Execute,
}

/// On whose behalf memory is accessed (SDM Vol. 3A 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// An instruction at CPL 3.
    User,
    /// An instruction at CPL 0 to 2: with EFLAGS.AC it may reach user pages in spite of SMAP.
    Supervisor,
    /// The processor itself: descriptor tables, IDT, TSS, the stack of an inner level.
    System,
}

impl Who {
    /// The key of its translations in the TLB.
    #[inline(always)]
    pub fn key(self) -> u64 {
        if self == Who::User { USER } else { 0 }
    }
}

impl Cpu {
    /// On whose behalf the present instruction accesses memory.
    #[inline(always)]
    pub(crate) fn who(&self) -> Who {
        if self.cpl == 3 { Who::User } else { Who::Supervisor }
    }

    /// On whose behalf a stack of level `cpl` is written, which may be an inner one.
    pub(crate) fn who_at(&self, cpl: u8) -> Who {
        match (cpl, self.cpl) {
            (3, _) => Who::User,
            (_, 3) => Who::System,
            _ => Who::Supervisor,
        }
    }
}

const P: u64 = 1 << 0;
const RW: u64 = 1 << 1;
const US: u64 = 1 << 2;
const A: u64 = 1 << 5;
const D: u64 = 1 << 6;
const PS: u64 = 1 << 7;
const NX: u64 = 1 << 63;
/// Bits 51:12.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Address bits above what the CPU has.
const BEYOND: u64 = ADDRESS & (!0 << PHYS_BITS);

/// Page-fault error code bits (SDM Vol. 3A 4.7).
mod error {
    pub const P: u32 = 1 << 0;
    pub const W: u32 = 1 << 1;
    pub const U: u32 = 1 << 2;
    pub const RSVD: u32 = 1 << 3;
    pub const I: u32 = 1 << 4;
    pub const PK: u32 = 1 << 5;
}

/// One level of a walk.
struct Level {
    /// Lowest linear-address bit that the entries of this level select by.
    shift: u32,
    /// Bits of the index.
    bits: u32,
    /// An entry with PS set maps a page here.
    large: bool,
    /// Reserved bits of an entry that points to a table or maps a 4 KiB page.
    reserved: u64,
}

impl Level {
    const fn new(shift: u32, bits: u32, large: bool, reserved: u64) -> Level {
        Level { shift, bits, large, reserved }
    }
}

const FOUR_LEVEL: [Level; 4] = [
    Level::new(39, 9, false, BEYOND | PS),
    Level::new(30, 9, true, BEYOND),
    Level::new(21, 9, true, BEYOND),
    Level::new(12, 9, false, BEYOND),
];
const PAE_HIGH: u64 = 0x7ff0_0000_0000_0000;
const PAE: [Level; 2] =
    [Level::new(21, 9, true, BEYOND | PAE_HIGH), Level::new(12, 9, false, BEYOND | PAE_HIGH)];
const LEGACY: [Level; 2] = [Level::new(22, 10, false, 0), Level::new(12, 10, false, 0)];
const LEGACY_PSE: [Level; 2] = [Level::new(22, 10, true, 0), Level::new(12, 10, false, 0)];
/// Reserved bits of a PAE page-directory-pointer entry (table 4-8).
const PDPTE_RESERVED: u64 = BEYOND | 0xfff0_0000_0000_01e6;

impl Cx<'_> {
    /// Translates a linear address to a physical one, checks the access, and sets accessed and dirty bits.
    pub fn walk(&mut self, lin: u64, access: Access, who: Who) -> Result<u64, Trap> {
        if !self.cpu.cr0_has(Cr0::PG) {
            return Ok(lin);
        }
        if self.cpu.long() {
            self.walk_tables::<u64>(lin, access, who, self.cpu.cr3 & ADDRESS, &FOUR_LEVEL)
        } else if self.cpu.cr4_has(Cr4::PAE) {
            let pdpte = self.cpu.pdpte[(lin >> 30 & 3) as usize];
            if pdpte & P == 0 {
                return Err(self.page_fault(lin, access, who, 0, Why::PageNotPresent));
            }
            self.walk_tables::<u64>(lin, access, who, pdpte & ADDRESS, &PAE)
        } else {
            let levels = if self.cpu.cr4_has(Cr4::PSE) { &LEGACY_PSE } else { &LEGACY };
            self.walk_tables::<u32>(lin, access, who, self.cpu.cr3 & 0xffff_f000, levels)
        }
    }

    fn walk_tables<T: Word>(
        &mut self,
        lin: u64,
        access: Access,
        who: Who,
        root: u64,
        levels: &[Level],
    ) -> Result<u64, Trap> {
        let wide = size_of::<T>() == 8;
        let no_nx = if wide && self.cpu.efer & Efer::NXE.bits() == 0 { NX } else { 0 };
        let mut table = root;
        // Where the entries on the way are, and what they hold.
        let mut path = [(0u64, 0u64); 4];
        let (mut allowed, mut nx, mut accessed) = (RW | US, 0, A);
        for (depth, level) in levels.iter().enumerate() {
            let index = lin >> level.shift & ((1 << level.bits) - 1);
            let at = table + index * size_of::<T>() as u64;
            let entry = self.read_phys::<T>(at).to_u64();
            if entry & P == 0 {
                return Err(self.page_fault(lin, access, who, 0, Why::PageNotPresent));
            }
            let large = level.large && entry & PS != 0;
            let mut reserved = level.reserved | no_nx;
            if large {
                if level.shift == 30 && !self.cpu.has(Features::PDPE1GB) {
                    reserved |= PS;
                }
                reserved |= if wide { (1 << level.shift) - 0x2000 } else { 1 << 21 };
            }
            if entry & reserved != 0 {
                return Err(self.page_fault(lin, access, who, error::P | error::RSVD, Why::PageReservedBit));
            }
            allowed &= entry;
            accessed &= entry;
            nx |= entry & NX;
            if let Some(step) = path.get_mut(depth) {
                *step = (at, entry);
            }
            if large || level.shift == 12 {
                if let Some(why) = self.denied(access, who, allowed, wide && nx != 0) {
                    let keys = self.key_error(entry, allowed, access, who);
                    return Err(self.page_fault(lin, access, who, error::P | keys, why));
                }
                if self.cpu.keys_checked() && self.key_error(entry, allowed, access, who) != 0 {
                    return Err(self.page_fault(lin, access, who, error::P | error::PK, Why::ProtectionKey));
                }
                let dirty = if access == Access::Write { D } else { 0 };
                if accessed == 0 || entry & dirty != dirty {
                    self.mark_entries::<T>(&path[..=depth & 3], dirty);
                }
                if large {
                    self.cpu.tlb.note_large(lin, level.shift);
                }
                if self.cpu.config.uncached {
                    self.cpu.known.note(&path, depth + 1);
                }
                if who == Who::Supervisor && allowed & US != 0 && self.cpu.cr4_has(Cr4::SMAP) {
                    self.cpu.tlb.note_opened(lin);
                }
                let offset = (1 << level.shift) - 1;
                let base = match (large, wide) {
                    // PSE-36: bits 20:13 are address bits 39:32 (table 4-4).
                    (true, false) => entry & 0xffc0_0000 | (entry >> 13 & 0xff) << 32,
                    _ => entry & ADDRESS & !offset,
                };
                return Ok(base | lin & offset);
            }
            table = entry & ADDRESS & if wide { !0 } else { 0xffff_f000 };
        }
        Ok(lin)
    }

    /// Sets the accessed bits of the entries on a path, and bits of the last one.
    #[inline(never)]
    fn mark_entries<T: Word>(&mut self, path: &[(u64, u64)], dirty: u64) {
        for (i, &(at, entry)) in path.iter().enumerate() {
            let marked = entry | A | if i + 1 == path.len() { dirty } else { 0 };
            if marked != entry {
                self.write_phys(at, T::from_u64(marked));
            }
        }
    }

    /// Which right the access lacks (SDM Vol. 3A 4.6.1).
    fn denied(&self, access: Access, who: Who, allowed: u64, nx: bool) -> Option<Why> {
        let user = who == Who::User;
        let user_page = allowed & US != 0;
        if user && !user_page {
            return Some(Why::PageSupervisor);
        }
        if !user && user_page {
            if access == Access::Execute && self.cpu.cr4_has(Cr4::SMEP) {
                return Some(Why::SupervisorExecutesUserPage);
            }
            let open = who == Who::Supervisor && self.cpu.flag(RFlags::AC);
            if access != Access::Execute && self.cpu.cr4_has(Cr4::SMAP) && !open {
                return Some(Why::SupervisorAccessesUserPage);
            }
        }
        match access {
            Access::Execute if nx => Some(Why::PageNoExecute),
            Access::Write if allowed & RW == 0 && (user || self.cpu.cr0_has(Cr0::WP)) => {
                Some(Why::PageReadOnly)
            }
            _ => None,
        }
    }

    /// What a page's protection key adds to the error code: nothing if it allows the access.
    #[cold]
    fn key_error(&mut self, entry: u64, allowed: u64, access: Access, who: Who) -> u32 {
        let forbids = self.cpu.keys_checked() && self.cpu.key_forbids(entry, allowed & US != 0, access, who);
        if forbids { error::PK } else { 0 }
    }

    #[cold]
    fn page_fault(&mut self, lin: u64, access: Access, who: Who, code: u32, why: Why) -> Trap {
        let no_execute = self.cpu.cr4_has(Cr4::PAE) && self.cpu.efer & Efer::NXE.bits() != 0;
        let mut code = code;
        if access == Access::Write {
            code |= error::W;
        }
        if who == Who::User {
            code |= error::U;
        }
        if access == Access::Execute && (no_execute || self.cpu.cr4_has(Cr4::SMEP)) {
            code |= error::I;
        }
        self.pf(lin, code, why)
    }

    /// Loads the page-directory-pointer entries that PAE paging keeps in the CPU (SDM Vol. 3A 4.4.1): at MOV to CR3,
    /// and at MOV to CR0 or CR4 where that changes paging. #GP without a change if a present entry has a reserved bit.
    pub fn load_pdptes(&mut self, cr3: u64) -> Result<(), Trap> {
        let mut entries = [0u64; 4];
        for (i, e) in entries.iter_mut().enumerate() {
            *e = self.read_phys((cr3 & 0xffff_ffe0) + i as u64 * 8);
        }
        if entries.iter().any(|e| e & P != 0 && e & PDPTE_RESERVED != 0) {
            return Err(self.gp(0, Why::PdpteReservedBit));
        }
        self.cpu.pdpte = entries;
        Ok(())
    }
}
