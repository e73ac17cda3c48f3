//! System instructions: descriptor-table registers, selector tests, HLT, CLI and STI, caches and TLBs (SDM Vol. 2).

use hako_x86::{
    Activity, Cr0, Cr4, DescTable, Descriptor, RFlags, SegAttr, Segment, Selector, Shadow, SystemType,
    Vector, descriptors,
};

use crate::access::canonical;
use crate::attn::Attn;
use crate::cx::{Cx, Step, Trap};
use crate::flags::Flags;
use crate::op::{ADDRESS_MASK, MEM, Op};
use crate::paging::Access;
use crate::seg::{Blame, null_segment};
use crate::why::Why;

impl Cx<'_> {
    /// #GP(0) above level 0.
    pub fn level_0(&mut self) -> Step {
        if self.cpu.cpl != 0 { Err(self.gp(0, Why::NotLevel0)) } else { Ok(()) }
    }

    /// #UD in real and virtual-8086 mode.
    fn protected_only(&mut self) -> Step {
        if self.cpu.protected() { Ok(()) } else { Err(self.ud(Why::NotInRealMode)) }
    }

    /// #GP(0) above level 0 while CR4.UMIP is set.
    fn umip(&mut self) -> Step {
        if self.cpu.cpl != 0 && self.cpu.cr4_has(Cr4::UMIP) {
            return Err(self.gp(0, Why::Umip));
        }
        Ok(())
    }

    fn set_zf(&mut self, zf: bool) {
        let bits = self.cpu.fl.bits() & !RFlags::ZF.bits();
        self.cpu.fl = Flags::from_bits(bits | if zf { RFlags::ZF.bits() } else { 0 });
    }

    fn memory_only(&mut self, op: &Op) -> Step {
        if op.pfx & MEM == 0 { Err(self.ud(Why::NeedsMemoryOperand)) } else { Ok(()) }
    }

    /// Reads the limit and base that LGDT and LIDT load.
    fn load_table(&mut self, op: &Op) -> Result<DescTable, Trap> {
        self.memory_only(op)?;
        self.level_0()?;
        let at = self.ea(op);
        let base_at = at.wrapping_add(2) & ADDRESS_MASK[usize::from(op.asize & 3)];
        let limit = self.rd::<u16>(op.seg, at)?;
        if self.cpu.long64() {
            let base = self.rd::<u64>(op.seg, base_at)?;
            if !canonical(base) {
                return Err(self.gp(0, Why::NotCanonical));
            }
            return Ok(DescTable { base, limit });
        }
        let base = u64::from(self.rd::<u32>(op.seg, base_at)?);
        let mask = if op.osize == 1 { 0xff_ffff } else { 0xffff_ffff };
        Ok(DescTable { base: base & mask, limit })
    }

    /// Stores a table register: whole or not at all.
    fn store_table(&mut self, op: &Op, table: DescTable) -> Step {
        self.memory_only(op)?;
        self.umip()?;
        let at = self.ea(op);
        let base_at = at.wrapping_add(2) & ADDRESS_MASK[usize::from(op.asize & 3)];
        let base_len = if self.cpu.long64() { 8 } else { 4 };
        let limit = self.probe(op.seg, at, 2, Access::Write)?;
        let base = self.probe(op.seg, base_at, base_len, Access::Write)?;
        self.store_span(&limit, table.limit);
        if base_len == 8 {
            self.store_span(&base, table.base);
        } else {
            self.store_span(&base, table.base as u32);
        }
        Ok(())
    }

    /// The system segment of LLDT and LTR after the checks they share.
    fn system_segment(
        &mut self,
        sel: Selector,
        wanted: fn(SystemType, bool) -> bool,
        why: Why,
    ) -> Result<(Descriptor, Segment), Trap> {
        if sel.in_ldt() {
            return Err(self.blame(Blame::GP, sel, Why::SelectorNotInGdt));
        }
        let d = self.descriptor(sel, Blame::GP)?;
        let long = self.cpu.long();
        if !d.system().is_some_and(|ty| wanted(ty, long)) {
            return Err(self.blame(Blame::GP, sel, why));
        }
        let mut seg = d.segment(sel.0);
        // 16 bytes in 64-bit mode, 8 in compatibility mode (SDM Vol. 3A 7.2.3).
        if self.cpu.long64() {
            let high = self.descriptor_high(sel, Blame::GP)?;
            seg.base = descriptors::base64(d, high);
            if !descriptors::upper_type_is_zero(high) {
                return Err(self.blame(Blame::GP, sel, Why::UpperTypeNotZero));
            }
            if !canonical(seg.base) {
                return Err(self.blame(Blame::GP, sel, Why::NotCanonical));
            }
        }
        if !d.present() {
            return Err(self.blame(Blame::GP.with(Vector::NP), sel, Why::SegmentNotPresent));
        }
        Ok((d, seg))
    }

    /// The descriptor that LAR, LSL, VERR or VERW may tell about, if the selector leads to one that CPL and RPL may
    /// see.
    fn visible(&mut self, selector: u16) -> Result<Option<Descriptor>, Trap> {
        let sel = Selector(selector);
        let Some(d) = self.descriptor_if_any(sel)? else { return Ok(None) };
        // TSS and LDT descriptors have 16 bytes in 64-bit mode, call gates in compatibility mode too.
        let wide = match d.system() {
            None => false,
            Some(SystemType::CallGate32) => self.cpu.long(),
            Some(_) => self.cpu.long64(),
        };
        if wide && !self.has_upper_half(sel)? {
            return Ok(None);
        }
        let seen = d.is_conforming() || d.dpl() >= self.cpu.cpl.max(sel.rpl());
        Ok(seen.then_some(d))
    }
}

/// LGDT.
pub(crate) fn lgdt(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.cpu.gdtr = cx.load_table(op)?;
    Ok(())
}

/// LIDT.
pub(crate) fn lidt(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.cpu.idtr = cx.load_table(op)?;
    Ok(())
}

/// SGDT.
pub(crate) fn sgdt(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.store_table(op, cx.cpu.gdtr)
}

/// SIDT.
pub(crate) fn sidt(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.store_table(op, cx.cpu.idtr)
}

/// LLDT.
pub(crate) fn lldt(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.protected_only()?;
    cx.level_0()?;
    let sel = Selector(cx.rm::<u16>(op)?);
    if sel.is_null() {
        cx.cpu.ldtr = null_segment(sel);
        return Ok(());
    }
    let (_, seg) = cx.system_segment(sel, |ty, _| ty == SystemType::Ldt, Why::NotAnLdt)?;
    cx.cpu.ldtr = seg;
    Ok(())
}

/// SLDT.
pub(crate) fn sldt(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.protected_only()?;
    cx.umip()?;
    cx.store_selector(op, cx.cpu.ldtr.selector)
}

/// LTR.
pub(crate) fn ltr(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.protected_only()?;
    cx.level_0()?;
    let sel = Selector(cx.rm::<u16>(op)?);
    if sel.is_null() {
        return Err(cx.gp(0, Why::NullTss));
    }
    let available = |ty: SystemType, long: bool| ty == SystemType::Tss32 || ty == SystemType::Tss16 && !long;
    let (d, seg) = cx.system_segment(sel, available, Why::NotAnAvailableTss)?;
    cx.mark_busy(sel, d, true)?;
    cx.cpu.tr = Segment { attr: seg.attr | SegAttr::RW, ..seg };
    Ok(())
}

/// STR.
pub(crate) fn str(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.protected_only()?;
    cx.umip()?;
    cx.store_selector(op, cx.cpu.tr.selector)
}

/// SMSW: 16 bits of CR0 to memory, as much as the operand size holds to a register.
pub(crate) fn smsw(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.umip()?;
    let cr0 = cx.cpu.cr0;
    match (op.pfx & MEM, op.osize) {
        (0, 2) => cx.set_rm(op, cr0 as u32),
        (0, 3) => cx.set_rm(op, cr0),
        _ => cx.set_rm(op, cr0 as u16),
    }
}

/// LMSW: PE, MP, EM and TS; PE cannot be cleared.
pub(crate) fn lmsw(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.level_0()?;
    let value = u64::from(cx.rm::<u16>(op)?);
    let low = 0xe | if cx.cpu.cr0_has(Cr0::PE) { 0 } else { 1 };
    cx.write_cr0(cx.cpu.cr0 & !low | value & low)
}

/// CLTS.
pub(crate) fn clts(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.level_0()?;
    cx.cpu.cr0 &= !Cr0::TS.bits();
    Ok(())
}

/// INVD.
pub(crate) fn invd(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.level_0()
}

/// WBINVD.
pub(crate) fn wbinvd(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.level_0()
}

/// ARPL: the destination is written only if its RPL was too low, but must be writable in any case.
pub(crate) fn arpl(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.protected_only()?;
    let rpl = cx.reg::<u16>(op.reg) & 3;
    let adjusted = |old: u16| if old & 3 < rpl { Some(old & !3 | rpl) } else { None };
    if op.pfx & MEM == 0 {
        let new = adjusted(cx.reg(op.base));
        if let Some(new) = new {
            cx.set_reg(op.base, new);
        }
        cx.set_zf(new.is_some());
        return Ok(());
    }
    let span = cx.probe(op.seg, cx.ea(op), 2, Access::Write)?;
    let new = adjusted(cx.load_span(&span));
    if let Some(new) = new {
        cx.store_span(&span, new);
    }
    cx.set_zf(new.is_some());
    Ok(())
}

/// LAR.
pub(crate) fn lar(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.protected_only()?;
    let selector = cx.rm::<u16>(op)?;
    let long = cx.cpu.long();
    let valid = |d: &Descriptor| match d.system() {
        _ if d.is_code_or_data() => true,
        Some(SystemType::Ldt | SystemType::Tss32 | SystemType::Tss32Busy | SystemType::CallGate32) => true,
        Some(SystemType::Tss16 | SystemType::Tss16Busy | SystemType::CallGate16 | SystemType::TaskGate) => {
            !long
        }
        _ => false,
    };
    let found = cx.visible(selector)?.filter(valid);
    store_found(cx, op, found.map(|d| (d.0 >> 32) as u32 & 0x00ff_ff00));
    Ok(())
}

/// LSL.
pub(crate) fn lsl(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.protected_only()?;
    let selector = cx.rm::<u16>(op)?;
    let long = cx.cpu.long();
    let valid = |d: &Descriptor| match d.system() {
        _ if d.is_code_or_data() => true,
        Some(SystemType::Ldt | SystemType::Tss32 | SystemType::Tss32Busy) => true,
        Some(SystemType::Tss16 | SystemType::Tss16Busy) => !long,
        _ => false,
    };
    let found = cx.visible(selector)?.filter(valid);
    store_found(cx, op, found.map(|d| d.limit()));
    Ok(())
}

/// The result of LAR and LSL: ZF says whether there is one.
fn store_found(cx: &mut Cx<'_>, op: &Op, value: Option<u32>) {
    if let Some(value) = value {
        match op.osize {
            1 => cx.set_reg(op.reg, value as u16),
            2 => cx.set_reg(op.reg, value),
            _ => cx.set_reg(op.reg, u64::from(value)),
        }
    }
    cx.set_zf(value.is_some());
}

/// VERR.
pub(crate) fn verr(cx: &mut Cx<'_>, op: &Op) -> Step {
    verify(cx, op, |d| d.is_readable())
}

/// VERW.
pub(crate) fn verw(cx: &mut Cx<'_>, op: &Op) -> Step {
    verify(cx, op, |d| d.is_writable_data())
}

fn verify(cx: &mut Cx<'_>, op: &Op, may: fn(&Descriptor) -> bool) -> Step {
    cx.protected_only()?;
    let selector = cx.rm::<u16>(op)?;
    let found = cx.visible(selector)?;
    cx.set_zf(found.is_some_and(|d| may(&d)));
    Ok(())
}

/// HLT.
pub(crate) fn hlt(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.level_0()?;
    cx.cpu.activity = Activity::Halted;
    cx.cpu.attend(Attn::EVENT);
    Ok(())
}

/// Which flag CLI and STI change here: IF, or VIF with virtual interrupts (SDM Vol. 3B 20.3, 20.4).
fn interrupt_flag(cx: &mut Cx<'_>) -> Result<RFlags, Trap> {
    if !cx.cpu.cr0_has(Cr0::PE) || cx.cpu.cpl <= cx.cpu.iopl() {
        return Ok(RFlags::IF);
    }
    let virtual_interrupts = if cx.cpu.v86() { Cr4::VME } else { Cr4::PVI };
    if cx.cpu.cpl == 3 && cx.cpu.cr4_has(virtual_interrupts) {
        return Ok(RFlags::VIF);
    }
    Err(cx.gp(0, Why::IoplTooLow))
}

/// CLI.
pub(crate) fn cli(cx: &mut Cx<'_>, _op: &Op) -> Step {
    let flag = interrupt_flag(cx)?;
    cx.cpu.set_rflags(cx.cpu.rflags() & !flag.bits());
    Ok(())
}

/// STI: interrupts and NMIs stay off for one more instruction if interrupts were off.
pub(crate) fn sti(cx: &mut Cx<'_>, _op: &Op) -> Step {
    let flag = interrupt_flag(cx)?;
    if flag == RFlags::VIF && cx.cpu.flag(RFlags::VIP) {
        return Err(cx.gp(0, Why::VirtualInterruptPending));
    }
    // While nothing waits the shadow can be seen only by who looks at the CPU right after this instruction.
    let seen = cx.count().wrapping_add(1) >= cx.cpu.until;
    if flag == RFlags::IF && !cx.cpu.flag(RFlags::IF) && (seen || cx.cpu.lines.intr || cx.cpu.event_waits()) {
        cx.cpu.set_shadow(Shadow::Sti);
    }
    cx.cpu.set_rflags(cx.cpu.rflags() | flag.bits());
    Ok(())
}
