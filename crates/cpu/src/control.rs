//! Control registers and moves to and from debug registers (SDM Vol. 3A 2.5, 9.8.5; Vol. 3B 17.2; Vol. 2, MOV CR and
//! MOV DR).

use hako_x86::{Cr0, Cr4, Efer, SegAttr, SegReg};

use crate::Cpu;
use crate::cpuid::cr4_of;
use crate::cx::{Cx, Step, Trap};
use crate::debug;
use crate::op::Op;
use crate::paging::PHYS_BITS;
use crate::why::Why;

/// CR0 bits that can be written; ET reads one.
const CR0_WRITABLE: u64 = Cr0::all().bits() & !Cr0::ET.bits();

/// CR3: the process-context identifier, while CR4.PCIDE is set.
pub(crate) const PCID: u64 = 0xfff;
/// What is written to CR3: the translations of the PCID stay.
const CR3_KEEP: u64 = 1 << 63;
/// CR4 bits that give pages protection keys.
const CR4_KEYS: Cr4 = Cr4::PKE.union(Cr4::PKS);
/// CR4 bits that decide what a translation is.
const CR4_PAGING: Cr4 = Cr4::PAE
    .union(Cr4::PSE)
    .union(Cr4::PGE)
    .union(Cr4::PCIDE)
    .union(Cr4::SMEP)
    .union(Cr4::SMAP)
    .union(CR4_KEYS);

impl Cpu {
    /// Uses the translations of the PCID that CR3 and CR4 say.
    pub(crate) fn select_context(&mut self) {
        let pcid = if self.cr4_has(Cr4::PCIDE) { self.cr3 & PCID } else { 0 };
        self.tlb.select(pcid as u16);
    }
}

impl Cx<'_> {
    /// A register of the width that MOV CR and MOV DR have: 64 bits in 64-bit mode, else 32.
    fn put_wide(&mut self, reg: u8, value: u64) {
        if self.cpu.long64() { self.set_reg(reg, value) } else { self.set_reg(reg, value as u32) }
    }

    fn get_wide(&self, reg: u8) -> u64 {
        if self.cpu.long64() { self.reg::<u64>(reg) } else { u64::from(self.reg::<u32>(reg)) }
    }

    /// Replaces CR0, with the switches into and out of protected mode, paging and long mode.
    pub fn write_cr0(&mut self, value: u64) -> Step {
        if value >> 32 != 0 {
            return Err(self.gp(0, Why::CrReservedBit));
        }
        let new = Cr0::from_bits_retain(value & CR0_WRITABLE | Cr0::ET.bits());
        let old = Cr0::from_bits_retain(self.cpu.cr0);
        if new.contains(Cr0::PG) && !new.contains(Cr0::PE) {
            return Err(self.gp(0, Why::PagingWithoutProtection));
        }
        if new.contains(Cr0::NW) && !new.contains(Cr0::CD) {
            return Err(self.gp(0, Why::NotWriteThroughWithCache));
        }
        if !new.contains(Cr0::PG) && self.cpu.cr4_has(Cr4::PCIDE) {
            return Err(self.gp(0, Why::PagingOffWithPcid));
        }
        let changed = new ^ old;
        let mut efer = self.cpu.efer;
        if changed.contains(Cr0::PG) {
            efer = self.switch_paging(new.contains(Cr0::PG))?;
        }
        let legacy_pae = self.cpu.cr4_has(Cr4::PAE) && efer & Efer::LMA.bits() == 0;
        if new.contains(Cr0::PG) && legacy_pae && changed.intersects(Cr0::PG | Cr0::CD | Cr0::NW) {
            self.load_pdptes(self.cpu.cr3)?;
        }
        self.cpu.cr0 = new.bits();
        self.cpu.efer = efer;
        if changed.contains(Cr0::PE) {
            self.cpu.cpl = 0;
        }
        if changed.intersects(Cr0::PG | Cr0::WP | Cr0::PE) {
            self.cpu.flush_tlb();
        }
        self.cpu.update_mode();
        if changed.contains(Cr0::NE) {
            self.settle_ferr();
        }
        Ok(())
    }

    /// EFER after paging is switched on or off; with LME that is the switch into or out of long mode (SDM Vol. 3A
    /// 9.8.5).
    fn switch_paging(&mut self, on: bool) -> Result<u64, Trap> {
        let efer = self.cpu.efer;
        let code = self.cpu.seg[SegReg::Cs as usize].attr;
        if !on {
            if self.cpu.long64() {
                return Err(self.gp(0, Why::PagingOffIn64BitMode));
            }
            return Ok(efer & !Efer::LMA.bits());
        }
        if efer & Efer::LME.bits() == 0 {
            return Ok(efer);
        }
        if !self.cpu.cr4_has(Cr4::PAE) {
            return Err(self.gp(0, Why::LongModeWithoutPae));
        }
        if code.contains(SegAttr::L) {
            return Err(self.gp(0, Why::LongModeFromLongCode));
        }
        if self.cpu.tr.attr.bits() & 0xd == 1 {
            return Err(self.gp(0, Why::LongModeWith16BitTss));
        }
        Ok(efer | Efer::LMA.bits())
    }

    /// CR3: without PCIDs a change of the address space; with them bit 63 says that the translations of the new one are
    /// still good (SDM Vol. 3A 4.10.4.1).
    fn write_cr3(&mut self, value: u64) -> Step {
        let pcids = self.cpu.cr4_has(Cr4::PCIDE);
        let keep = pcids && value & CR3_KEEP != 0;
        let value = if pcids { value & !CR3_KEEP } else { value };
        if self.cpu.long() && value >> PHYS_BITS != 0 {
            return Err(self.gp(0, Why::CrReservedBit));
        }
        if self.cpu.cr0_has(Cr0::PG) && self.cpu.cr4_has(Cr4::PAE) && !self.cpu.long() {
            self.load_pdptes(value)?;
        }
        self.cpu.cr3 = value;
        self.cpu.select_context();
        if !keep {
            self.cpu.tlb.flush_present();
        }
        Ok(())
    }

    fn write_cr4(&mut self, value: u64) -> Step {
        if value & !cr4_of(&self.cpu.config.model.features).bits() != 0 {
            return Err(self.gp(0, Why::CrReservedBit));
        }
        let new = Cr4::from_bits_retain(value);
        if self.cpu.long() && !new.contains(Cr4::PAE) {
            return Err(self.gp(0, Why::LongModeWithoutPae));
        }
        let changed = new ^ Cr4::from_bits_retain(self.cpu.cr4);
        if new.contains(Cr4::PCIDE)
            && changed.contains(Cr4::PCIDE)
            && (!self.cpu.long() || self.cpu.cr3 & PCID != 0)
        {
            return Err(self.gp(0, Why::PcidOutsideLongMode));
        }
        let paging = changed.intersects(CR4_PAGING);
        if paging && new.contains(Cr4::PAE) && self.cpu.cr0_has(Cr0::PG) && !self.cpu.long() {
            self.load_pdptes(self.cpu.cr3)?;
        }
        self.cpu.cr4 = value;
        if paging {
            self.cpu.select_context();
            self.cpu.flush_tlb();
        }
        // CR4.DE decides whether I/O breakpoints are armed.
        debug::rearm(self.cpu);
        self.cpu.update_mode();
        Ok(())
    }

    /// CR8: the local APIC's where the bus has one.
    fn task_priority(&mut self) -> u64 {
        let at = self.at();
        self.bus.task_priority(at).map_or(self.cpu.sys.cr8, u64::from)
    }

    fn set_task_priority(&mut self, priority: u8) {
        let at = self.at();
        match self.bus.set_task_priority(at, priority) {
            Some(attention) => self.cpu.attend_bus(attention),
            None => self.cpu.sys.cr8 = u64::from(priority),
        }
    }

    /// Reads the PDPTEs again after the state was replaced; wrong ones are left, as VM entry would not.
    pub fn reload_pdptes(&mut self) {
        let legacy_pae = self.cpu.cr4_has(Cr4::PAE) && !self.cpu.long();
        if self.cpu.cr0_has(Cr0::PG) && legacy_pae && self.load_pdptes(self.cpu.cr3).is_err() {
            self.cpu.fault = None;
        }
    }

    /// Which debug register a MOV means: DR4 and DR5 are aliases unless CR4.DE is set (SDM Vol. 3B 17.2.2). Any
    /// access while DR7.GD is set is a #DB.
    fn debug_register(&mut self, number: u8) -> Result<u8, Trap> {
        if number > 7 {
            return Err(self.ud(Why::BadRegister));
        }
        let alias = matches!(number, 4 | 5);
        if alias && self.cpu.cr4_has(Cr4::DE) {
            return Err(self.ud(Why::DebugRegisterAlias));
        }
        self.level_0()?;
        if self.cpu.sys.dr7 & debug::GD != 0 {
            return Err(debug::general_detect(self));
        }
        Ok(if alias { number + 2 } else { number })
    }
}

/// MOV from a control register: `op.reg` is its number.
pub(crate) fn mov_from_cr(cx: &mut Cx<'_>, op: &Op) -> Step {
    let value = match op.reg {
        0 => cx.cpu.cr0,
        2 => cx.cpu.cr2,
        3 => cx.cpu.cr3,
        4 => cx.cpu.cr4,
        8 => cx.task_priority(),
        _ => return Err(cx.ud(Why::BadRegister)),
    };
    cx.level_0()?;
    cx.put_wide(op.base, value);
    Ok(())
}

/// MOV to a control register.
pub(crate) fn mov_to_cr(cx: &mut Cx<'_>, op: &Op) -> Step {
    if !matches!(op.reg, 0 | 2 | 3 | 4 | 8) {
        return Err(cx.ud(Why::BadRegister));
    }
    cx.level_0()?;
    let value = cx.get_wide(op.base);
    match op.reg {
        0 => cx.write_cr0(value),
        2 => {
            cx.cpu.cr2 = value;
            Ok(())
        }
        3 => cx.write_cr3(value),
        4 => cx.write_cr4(value),
        _ if value > 15 => Err(cx.gp(0, Why::CrReservedBit)),
        _ => {
            cx.set_task_priority(value as u8);
            Ok(())
        }
    }
}

/// MOV from a debug register.
pub(crate) fn mov_from_dr(cx: &mut Cx<'_>, op: &Op) -> Step {
    let value = match cx.debug_register(op.reg)? {
        6 => cx.cpu.sys.dr6,
        7 => cx.cpu.sys.dr7,
        n => cx.cpu.sys.dr[usize::from(n & 3)],
    };
    cx.put_wide(op.base, value);
    Ok(())
}

/// MOV to a debug register.
pub(crate) fn mov_to_dr(cx: &mut Cx<'_>, op: &Op) -> Step {
    let number = cx.debug_register(op.reg)?;
    let value = cx.get_wide(op.base);
    if number >= 6 && value >> 32 != 0 {
        return Err(cx.gp(0, Why::DrReservedBit));
    }
    match number {
        6 => cx.cpu.sys.dr6 = debug::dr6(value),
        7 => cx.cpu.sys.dr7 = debug::dr7(value),
        n => cx.cpu.sys.dr[usize::from(n & 3)] = value,
    }
    debug::rearm(cx.cpu);
    Ok(())
}
