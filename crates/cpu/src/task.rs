//! Hardware task switching with 16- and 32-bit TSSs (SDM Vol. 3A chapter 7).

use hako_x86::tss::{self, TssLayout};
use hako_x86::{Cr0, Cr4, Descriptor, RFlags, SegAttr, SegReg, Segment, Selector, SystemType, Vector};

use crate::attn::Attn;
use crate::cx::{Cx, Step, Trap};
use crate::debug;
use crate::paging::Access;
use crate::seg::{Blame, null_segment};
use crate::why::Why;

/// What asks for a task switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Jmp,
    Call,
    /// IRET with NT set.
    Iret,
    /// An event through a task gate; `ext` is the EXT bit of its errors.
    Interrupt {
        ext: u32,
    },
}

impl Entry {
    fn ext(self) -> u32 {
        match self {
            Entry::Interrupt { ext } => ext,
            _ => 0,
        }
    }

    /// The new task is nested in the old one, which stays busy.
    fn nests(self) -> bool {
        matches!(self, Entry::Call | Entry::Interrupt { .. })
    }
}

/// What a TSS holds of a task.
struct Image {
    cr3: Option<u32>,
    ip: u32,
    flags: u32,
    gpr: [u32; 8],
    /// ES, CS, SS, DS, FS, GS.
    seg: [u16; 6],
    ldt: u16,
    trap: bool,
}

/// The layout that a TSS's type gives.
fn layout(wide: bool) -> &'static TssLayout {
    if wide { &tss::TSS32 } else { &tss::TSS16 }
}

impl Cx<'_> {
    /// Switches to the task of `sel`, whose descriptor `d` the caller has found to be a TSS that `entry` may enter.
    /// `old` is RIP and RFLAGS that the old task goes on with. The outer error came before the switch was committed,
    /// in the old task; the inner one in the new task.
    pub fn switch_task(
        &mut self,
        sel: Selector,
        d: Descriptor,
        entry: Entry,
        old: (u64, u64),
    ) -> Result<Step, Trap> {
        let ext = entry.ext();
        if !d.present() {
            return Err(self.blame(Blame::gp(ext).with(Vector::NP), sel, Why::SegmentNotPresent));
        }
        let wide = d.type_bits() & 8 != 0;
        let to = layout(wide);
        if d.limit() < to.min_limit {
            return Err(self.blame(Blame::ts(ext), sel, Why::TssTooShort));
        }
        let (base, old_tr) = (u64::from(d.base()), self.cpu.tr);
        let from = layout(old_tr.attr.bits() & 8 != 0);
        let old_tss = self.probe_switch(sel, d, entry, from)?;
        // In this order: a task may switch to itself.
        self.save_task(from, entry, old, old_tss)?;
        let mut image = self.read_tss(base, wide)?;
        if entry.nests() {
            self.write_linear_sys(base.wrapping_add(u64::from(tss::BACK_LINK)), old_tr.selector)?;
            image.flags |= RFlags::NT.bits() as u32;
        }
        if entry != Entry::Iret {
            self.mark_busy(sel, d, true)?;
        }
        let busy = Descriptor(d.0 | Descriptor::BUSY);
        self.cpu.tr = busy.segment(sel.0);
        self.load_task(&image);
        Ok(self.load_task_segments(&image, ext))
    }

    /// Everything the switch writes is checked before it changes anything. Returns the old task's descriptor if it
    /// is to be made available.
    fn probe_switch(
        &mut self,
        sel: Selector,
        d: Descriptor,
        entry: Entry,
        from: &TssLayout,
    ) -> Result<Option<Descriptor>, Trap> {
        let old_tr = self.cpu.tr;
        let (old_sel, blame) = (Selector(old_tr.selector), Blame::ts(entry.ext()));
        if old_tr.limit < from.min_limit {
            return Err(self.blame(blame, old_sel, Why::TssTooShort));
        }
        let bytes = |l: &TssLayout| u64::from(l.min_limit) + 1;
        self.probe_linear_sys(old_tr.base, bytes(from), Access::Write)?;
        let to = layout(d.type_bits() & 8 != 0);
        let link = if entry.nests() { Access::Write } else { Access::Read };
        self.probe_linear_sys(u64::from(d.base()), 2, link)?;
        self.probe_linear_sys(u64::from(d.base()), bytes(to), Access::Read)?;
        if entry != Entry::Iret {
            self.probe_access_byte(sel)?;
        }
        if entry.nests() {
            return Ok(None);
        }
        self.probe_access_byte(old_sel)?;
        self.descriptor(old_sel, blame).map(Some)
    }

    /// Reads what the new task starts with.
    fn read_tss(&mut self, base: u64, wide: bool) -> Result<Image, Trap> {
        let l = layout(wide);
        let mut field = |at: u16, wide: bool| -> Result<u32, Trap> {
            let lin = base.wrapping_add(u64::from(at));
            if wide {
                return self.read_linear_sys::<u32>(lin);
            }
            self.read_linear_sys::<u16>(lin).map(u32::from)
        };
        let mut image = Image {
            cr3: l.cr3.map(|at| field(at, true)).transpose()?,
            ip: field(l.ip, wide)?,
            flags: field(l.flags(), wide)?,
            gpr: [0; 8],
            seg: [0; 6],
            ldt: field(l.ldt, false)? as u16,
            trap: wide && field(tss::TRAP, false)? & 1 != 0,
        };
        for (i, r) in (0..).zip(image.gpr.iter_mut()) {
            // A 16-bit task leaves the upper halves as ones, as processors do.
            *r = field(l.gpr(i), wide)? | if wide { 0 } else { 0xffff_0000 };
        }
        for (i, s) in (0..l.segments).zip(image.seg.iter_mut()) {
            *s = field(l.segment(i), false)? as u16;
        }
        Ok(image)
    }

    /// Stores the old task and ends its being busy where it is left for good.
    fn save_task(
        &mut self,
        l: &TssLayout,
        entry: Entry,
        (rip, flags): (u64, u64),
        old_tss: Option<Descriptor>,
    ) -> Step {
        let tr = self.cpu.tr;
        if let Some(d) = old_tss {
            self.mark_busy(Selector(tr.selector), d, false)?;
        }
        let nt = if entry == Entry::Iret { RFlags::NT.bits() } else { 0 };
        self.put_tss(l, l.ip, rip)?;
        self.put_tss(l, l.flags(), flags & !nt)?;
        for i in 0..8 {
            self.put_tss(l, l.gpr(i), self.cpu.r[usize::from(i)])?;
        }
        for i in 0..l.segments {
            let lin = tr.base.wrapping_add(u64::from(l.segment(i)));
            let selector = self.cpu.seg[usize::from(i)].selector;
            self.write_linear_sys(lin, selector)?;
        }
        Ok(())
    }

    fn put_tss(&mut self, l: &TssLayout, at: u16, value: u64) -> Step {
        let lin = self.cpu.tr.base.wrapping_add(u64::from(at));
        match l.width {
            4 => self.write_linear_sys(lin, value as u32),
            _ => self.write_linear_sys(lin, value as u16),
        }
    }

    /// Loads the registers of the new task. Segments are unusable until they are checked.
    fn load_task(&mut self, image: &Image) {
        let cpu = &mut *self.cpu;
        cpu.cr0 |= Cr0::TS.bits();
        cpu.rip = u64::from(image.ip);
        for (r, &v) in cpu.r.iter_mut().zip(&image.gpr) {
            *r = u64::from(v);
        }
        for (s, &selector) in cpu.seg.iter_mut().zip(&image.seg) {
            *s = null_segment(Selector(selector));
        }
        cpu.ldtr = null_segment(Selector(image.ldt));
        cpu.set_rflags(u64::from(image.flags));
        cpu.cpl = if cpu.v86() { 3 } else { (image.seg[SegReg::Cs as usize] & 3) as u8 };
        // The new task's RF holds for its first instruction.
        cpu.sys.rf = false;
        cpu.sys.step = false;
        // L0 to L3 and LE belong to the old task.
        cpu.sys.dr7 &= !0x155;
        debug::rearm(cpu);
        cpu.update_mode();
        if image.trap {
            cpu.sys.pending_db |= debug::BT;
        }
        cpu.attend(Attn::EVENT);
    }

    /// CR3, LDTR and the segment registers of the new task, with all checks (SDM Vol. 3A table 7-1).
    fn load_task_segments(&mut self, image: &Image, ext: u32) -> Step {
        if let Some(cr3) = image.cr3
            && self.cpu.cr0_has(Cr0::PG)
        {
            let cr3 = u64::from(cr3);
            if self.cpu.cr4_has(Cr4::PAE) {
                self.load_pdptes(cr3)?;
            }
            self.cpu.cr3 = cr3;
            self.cpu.flush_tlb();
        }
        let blame = Blame::ts(ext);
        self.load_task_ldt(Selector(image.ldt), blame)?;
        if self.cpu.v86() {
            for reg in SegReg::ALL {
                self.cpu.seg[reg as usize] = self.real_segment(reg, image.seg[reg as usize]);
            }
            self.cpu.update_mode();
        } else {
            self.load_task_registers(image, blame)?;
        }
        if self.cpu.rip > u64::from(self.cpu.seg[SegReg::Cs as usize].limit) {
            return Err(self.gp(ext, Why::TargetBeyondLimit));
        }
        Ok(())
    }

    fn load_task_registers(&mut self, image: &Image, blame: Blame) -> Step {
        let sel = |r: SegReg| Selector(image.seg[r as usize]);
        let mut cs = self.task_code(sel(SegReg::Cs), blame)?;
        self.touch(&mut cs)?;
        self.cpu.set_seg(SegReg::Cs, cs);
        let cpl = self.cpu.cpl;
        let mut ss = self.stack_segment(sel(SegReg::Ss), cpl, blame)?;
        self.touch(&mut ss)?;
        self.cpu.set_seg(SegReg::Ss, ss);
        for reg in [SegReg::Es, SegReg::Ds, SegReg::Fs, SegReg::Gs] {
            let mut seg = self.data_segment(sel(reg), cpl, blame)?;
            self.touch(&mut seg)?;
            self.cpu.set_seg(reg, seg);
        }
        Ok(())
    }

    fn load_task_ldt(&mut self, sel: Selector, blame: Blame) -> Step {
        if sel.is_null() {
            return Ok(());
        }
        if sel.in_ldt() {
            return Err(self.blame(blame, sel, Why::LdtNotInGdt));
        }
        let d = self.descriptor(sel, blame)?;
        if d.system() != Some(SystemType::Ldt) {
            return Err(self.blame(blame, sel, Why::NotAnLdt));
        }
        if !d.present() {
            return Err(self.blame(blame, sel, Why::SegmentNotPresent));
        }
        self.cpu.ldtr = d.segment(sel.0);
        Ok(())
    }

    /// CS of a new task: its RPL is the new CPL.
    fn task_code(&mut self, sel: Selector, blame: Blame) -> Result<Segment, Trap> {
        if sel.is_null() {
            return Err(self.blame(blame, sel, Why::NullCode));
        }
        let d = self.descriptor(sel, blame)?;
        if !d.is_code() {
            return Err(self.blame(blame, sel, Why::NotCode));
        }
        let matches = if d.is_conforming() { d.dpl() <= sel.rpl() } else { d.dpl() == sel.rpl() };
        if !matches {
            return Err(self.blame(blame, sel, Why::CodeDplWrong));
        }
        if !d.present() {
            return Err(self.blame(blame.with(Vector::NP), sel, Why::SegmentNotPresent));
        }
        Ok(d.segment(sel.0))
    }
}

/// Whether TR holds a 32-bit TSS, so that there is an I/O permission map (SDM Vol. 1 19.5.2).
pub(crate) fn has_io_map(tr: &Segment) -> bool {
    !tr.attr.contains(SegAttr::UNUSABLE) && tr.attr.bits() & 0xd == 9
}
