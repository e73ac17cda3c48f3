//! Protection keys: the rights to a page by the number that bits 62:59 of its paging entry hold, in PKRU for user pages
//! and in IA32_PKRS for supervisor pages (SDM Vol. 3A 4.6.2).

use hako_x86::{Cr0, Cr4};

use crate::Cpu;
use crate::cx::{Cx, Step};
use crate::op::Op;
use crate::paging::{Access, Who};
use crate::why::Why;

/// A right that a key takes away, in the lowest of the 16 pairs of bits: access to data.
const ACCESS_DISABLE: u32 = 1;
/// Writes.
const WRITE_DISABLE: u32 = 2;
/// Both.
const PAIR: u32 = 3;

/// Of each kind of pages, user's and supervisor's, the keys by which translations have been let into the TLBs, as the
/// bits that a register of rights has for them. Only a change of those needs the translations made anew.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeysInUse([u32; 2]);

impl KeysInUse {
    /// A page with a key is let in.
    fn note(&mut self, user_page: bool, key: u32) {
        self.0[usize::from(user_page)] |= PAIR << (2 * key);
    }

    /// Whether a change of rights changes what has been let in.
    fn change(&self, user_pages: bool, changed: u32) -> bool {
        self.0[usize::from(user_pages)] & changed != 0
    }
}

impl Cpu {
    /// Whether pages have keys: long mode alone knows them.
    #[inline(always)]
    pub(crate) fn keys_checked(&self) -> bool {
        self.cr4 & (Cr4::PKE | Cr4::PKS).bits() != 0 && self.long()
    }

    /// Whether the key in the last paging entry of a page forbids an access to data; if it does not, the page is let
    /// into the TLBs.
    pub(crate) fn key_forbids(&mut self, entry: u64, user_page: bool, access: Access, who: Who) -> bool {
        let (switch, rights) =
            if user_page { (Cr4::PKE, self.fpu.pkru) } else { (Cr4::PKS, self.sys.pkrs as u32) };
        if access == Access::Execute || !self.cr4_has(switch) {
            return false;
        }
        let key = (entry >> 59 & 15) as u32;
        let right = rights >> (2 * key);
        let writes = access == Access::Write && (who == Who::User || self.cr0_has(Cr0::WP));
        let forbids = right & ACCESS_DISABLE != 0 || writes && right & WRITE_DISABLE != 0;
        if !forbids {
            self.tlb.keys.note(user_page, key);
        }
        forbids
    }

    /// Replaces PKRU.
    pub(crate) fn set_pkru(&mut self, value: u32) {
        let changed = self.fpu.pkru ^ value;
        self.fpu.pkru = value;
        self.rights_changed(true, changed);
    }

    /// Bits of PKRU or IA32_PKRS have changed.
    pub(crate) fn rights_changed(&mut self, user_pages: bool, changed: u32) {
        if self.tlb.keys.change(user_pages, changed) {
            self.flush_tlb();
        }
    }
}

impl Cx<'_> {
    /// RDPKRU and WRPKRU are there when the system says that it uses keys, and want zeros in registers.
    fn pkru_usable(&mut self, zeros: u32) -> Step {
        if !self.cpu.cr4_has(Cr4::PKE) {
            return Err(self.ud(Why::PkruDisabled));
        }
        if zeros != 0 {
            return Err(self.gp(0, Why::PkruOperand));
        }
        Ok(())
    }
}

/// RDPKRU.
pub(crate) fn rdpkru(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.pkru_usable(cx.reg(1))?;
    cx.set_reg(0, cx.cpu.fpu.pkru);
    cx.set_reg(2, 0u32);
    Ok(())
}

/// WRPKRU.
pub(crate) fn wrpkru(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.pkru_usable(cx.reg::<u32>(1) | cx.reg::<u32>(2))?;
    cx.cpu.set_pkru(cx.reg(0));
    Ok(())
}
