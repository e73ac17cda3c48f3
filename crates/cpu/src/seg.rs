//! Descriptor look-up and the loading of segment registers (SDM Vol. 3A 3.4.3, 5.5 to 5.7, 5.10; MOV, POP, LDS in
//! Vol. 2).

use hako_x86::{Descriptor, SegAttr, SegReg, Segment, Selector, Shadow, Vector, descriptors};

use crate::cx::{Cx, Step, Trap};
use crate::op::{ADDRESS_MASK, MEM, Op};
use crate::paging::Access;
use crate::why::Why;

/// Which exception a selector that fails a check raises, and its EXT bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blame {
    pub vector: Vector,
    pub ext: u32,
}

impl Blame {
    /// #GP raised by an instruction.
    pub const GP: Blame = Blame { vector: Vector::GP, ext: 0 };

    /// #GP.
    pub const fn gp(ext: u32) -> Blame {
        Blame { vector: Vector::GP, ext }
    }

    /// #TS.
    pub const fn ts(ext: u32) -> Blame {
        Blame { vector: Vector::TS, ext }
    }

    /// The same EXT bit with another exception.
    pub const fn with(self, vector: Vector) -> Blame {
        Blame { vector, ..self }
    }
}

/// What a null selector leaves in DS, ES, FS or GS (Intel processors clear the base).
pub(crate) fn null_segment(sel: Selector) -> Segment {
    Segment { selector: sel.0, attr: SegAttr::UNUSABLE, ..Segment::default() }
}

impl Cx<'_> {
    /// Raises what `blame` says about a selector.
    #[cold]
    pub fn blame(&mut self, blame: Blame, sel: Selector, why: Why) -> Trap {
        self.fault(blame.vector, Some(sel.error_code() | blame.ext), why)
    }

    /// The linear address of `bytes` of a selector's descriptor, if they lie in its table.
    fn descriptor_address(&self, sel: Selector, bytes: u32) -> Option<u64> {
        let (base, limit) = if sel.in_ldt() {
            let ldt = &self.cpu.ldtr;
            if ldt.attr.contains(SegAttr::UNUSABLE) {
                return None;
            }
            (ldt.base, ldt.limit)
        } else {
            (self.cpu.gdtr.base, u32::from(self.cpu.gdtr.limit))
        };
        let last = u32::from(sel.offset()) + (bytes - 1);
        (last <= limit).then(|| base.wrapping_add(u64::from(sel.offset())))
    }

    /// Reads a descriptor; the caller has dealt with null selectors.
    pub fn descriptor(&mut self, sel: Selector, blame: Blame) -> Result<Descriptor, Trap> {
        match self.descriptor_address(sel, 8) {
            Some(at) => Ok(Descriptor(self.read_linear_sys(at)?)),
            None => Err(self.blame(blame, sel, Why::SelectorBeyondTable)),
        }
    }

    /// Reads a descriptor where failing is no fault (LAR, LSL, VERR, VERW).
    pub fn descriptor_if_any(&mut self, sel: Selector) -> Result<Option<Descriptor>, Trap> {
        match self.descriptor_address(sel, 8) {
            Some(at) if !sel.is_null() => Ok(Some(Descriptor(self.read_linear_sys(at)?))),
            _ => Ok(None),
        }
    }

    /// Whether the 16 bytes of a system descriptor lie in its table, with a zero type in the upper half.
    pub fn has_upper_half(&mut self, sel: Selector) -> Result<bool, Trap> {
        match self.descriptor_address(sel, 16) {
            Some(at) => self.read_linear_sys(at.wrapping_add(8)).map(descriptors::upper_type_is_zero),
            None => Ok(false),
        }
    }

    /// Reads the upper 8 bytes of a 16-byte system descriptor or gate.
    pub fn descriptor_high(&mut self, sel: Selector, blame: Blame) -> Result<u64, Trap> {
        match self.descriptor_address(sel, 16) {
            Some(at) => self.read_linear_sys(at.wrapping_add(8)),
            None => Err(self.blame(blame, sel, Why::SelectorBeyondTable)),
        }
    }

    /// Replaces the byte with type, DPL and P of a descriptor in its table.
    fn write_access_byte(&mut self, sel: Selector, byte: u8) -> Step {
        match self.descriptor_address(sel, 8) {
            Some(at) => self.write_linear_sys(at.wrapping_add(5), byte),
            None => Ok(()),
        }
    }

    /// Marks a code or data segment that passed all checks accessed, in its descriptor table too: the last thing that
    /// can fault before it is loaded.
    pub fn touch(&mut self, seg: &mut Segment) -> Step {
        if !seg.attr.intersects(SegAttr::UNUSABLE | SegAttr::ACCESSED) {
            seg.attr |= SegAttr::ACCESSED;
            self.write_access_byte(Selector(seg.selector), seg.attr.bits() as u8)?;
        }
        Ok(())
    }

    /// Makes a TSS descriptor busy or available in its table.
    pub fn mark_busy(&mut self, sel: Selector, d: Descriptor, busy: bool) -> Step {
        let bits = if busy { d.0 | Descriptor::BUSY } else { d.0 & !Descriptor::BUSY };
        self.write_access_byte(sel, (bits >> 40) as u8)
    }

    /// Checks that the access byte of a descriptor can be written, without writing it.
    pub fn probe_access_byte(&mut self, sel: Selector) -> Step {
        match self.descriptor_address(sel, 8) {
            Some(at) => self.probe_linear_sys(at.wrapping_add(5), 1, Access::Write),
            None => Ok(()),
        }
    }

    /// A segment as real and virtual-8086 mode load it. Real mode keeps the limit that is there (SDM Vol. 3A 9.9.2,
    /// 20.1.1).
    pub fn real_segment(&self, reg: SegReg, selector: u16) -> Segment {
        let base = u64::from(selector) << 4;
        if self.cpu.v86() {
            return Segment { selector, attr: SegAttr::from_bits_retain(0xf3), limit: 0xffff, base };
        }
        let old = &self.cpu.seg[reg as usize];
        let kept = if old.attr.contains(SegAttr::UNUSABLE) {
            SegAttr::empty()
        } else {
            old.attr & (SegAttr::DB | SegAttr::G)
        };
        let limit = if old.attr.contains(SegAttr::UNUSABLE) { 0xffff } else { old.limit };
        let ty = if reg == SegReg::Cs { 0x9b } else { 0x93 };
        Segment { selector, attr: SegAttr::from_bits_retain(ty) | kept, limit, base }
    }

    /// Checks a selector for DS, ES, FS or GS. The segment is still to be [touched](Cx::touch).
    pub fn data_segment(&mut self, sel: Selector, cpl: u8, blame: Blame) -> Result<Segment, Trap> {
        if sel.is_null() {
            return Ok(null_segment(sel));
        }
        let d = self.descriptor(sel, blame)?;
        if !d.is_readable() {
            return Err(self.blame(blame, sel, Why::NotDataOrReadableCode));
        }
        if !d.is_conforming() && d.dpl() < cpl.max(sel.rpl()) {
            return Err(self.blame(blame, sel, Why::DataDplTooLow));
        }
        if !d.present() {
            return Err(self.blame(blame.with(Vector::NP), sel, Why::SegmentNotPresent));
        }
        Ok(d.segment(sel.0))
    }

    /// Checks a selector for SS at privilege level `cpl`. The segment is still to be [touched](Cx::touch).
    pub fn stack_segment(&mut self, sel: Selector, cpl: u8, blame: Blame) -> Result<Segment, Trap> {
        if sel.is_null() {
            return Err(self.blame(blame, sel, Why::NullStack));
        }
        let d = self.descriptor(sel, blame)?;
        if sel.rpl() != cpl {
            return Err(self.blame(blame, sel, Why::StackRplWrong));
        }
        if !d.is_writable_data() {
            return Err(self.blame(blame, sel, Why::StackNotWritable));
        }
        if d.dpl() != cpl {
            return Err(self.blame(blame, sel, Why::StackDplWrong));
        }
        if !d.present() {
            return Err(self.blame(blame.with(Vector::SS), sel, Why::StackNotPresent));
        }
        Ok(d.segment(sel.0))
    }

    /// SS with a null selector, as 64-bit mode allows it below level 3 (SDM Vol. 3A 5.4.1.1).
    pub fn null_stack(sel: Selector, cpl: u8) -> Segment {
        let dpl = SegAttr::from_bits_retain(u32::from(cpl) << 5);
        Segment { attr: SegAttr::UNUSABLE | dpl, ..null_segment(sel) }
    }

    /// The segment that loading a selector into a register other than CS gives, after all checks.
    pub fn checked_segment(&mut self, reg: SegReg, selector: u16) -> Result<Segment, Trap> {
        if !self.cpu.protected() {
            return Ok(self.real_segment(reg, selector));
        }
        let (sel, cpl) = (Selector(selector), self.cpu.cpl);
        let mut seg = if reg != SegReg::Ss {
            self.data_segment(sel, cpl, Blame::GP)?
        } else if sel.is_null() && self.cpu.long64() && cpl < 3 && sel.rpl() == cpl {
            Self::null_stack(sel, cpl)
        } else {
            self.stack_segment(sel, cpl, Blame::GP)?
        };
        self.touch(&mut seg)?;
        Ok(seg)
    }

    /// Loads a segment register other than CS.
    pub fn load_segment(&mut self, reg: SegReg, selector: u16) -> Step {
        let seg = self.checked_segment(reg, selector)?;
        self.cpu.set_seg(reg, seg);
        Ok(())
    }

    /// DS, ES, FS and GS that a less privileged level may not use become null (RET and IRET to an outer level). Nothing
    /// is loaded, so the base stays: in 64-bit mode FS and GS go on with it.
    pub fn drop_privileged_segments(&mut self, cpl: u8) {
        for reg in [SegReg::Es, SegReg::Ds, SegReg::Fs, SegReg::Gs] {
            let seg = &self.cpu.seg[reg as usize];
            let conforming = seg.attr.contains(SegAttr::S | SegAttr::CODE | SegAttr::DC);
            if !seg.attr.contains(SegAttr::UNUSABLE) && seg.dpl() < cpl && !conforming {
                self.cpu.seg[reg as usize] = Segment { base: seg.base, ..null_segment(Selector(0)) };
            }
        }
    }
}

/// The segment register that the instruction names.
fn segment_register(cx: &mut Cx<'_>, number: u8) -> Result<SegReg, Trap> {
    match SegReg::ALL.get(usize::from(number)) {
        Some(&reg) => Ok(reg),
        None => Err(cx.ud(Why::BadRegister)),
    }
}

/// MOV to a segment register. Loading SS holds events off for one instruction (SDM Vol. 3A 6.8.3).
pub(crate) fn mov_to_sreg(cx: &mut Cx<'_>, op: &Op) -> Step {
    let reg = segment_register(cx, op.reg)?;
    if reg == SegReg::Cs {
        return Err(cx.ud(Why::BadRegister));
    }
    let selector = cx.rm::<u16>(op)?;
    cx.load_segment(reg, selector)?;
    if reg == SegReg::Ss {
        cx.cpu.set_shadow(Shadow::MovSs);
    }
    Ok(())
}

/// MOV from a segment register: 16 bits to memory, zero-extended to a wider register.
pub(crate) fn mov_from_sreg(cx: &mut Cx<'_>, op: &Op) -> Step {
    let reg = segment_register(cx, op.reg)?;
    cx.store_selector(op, cx.cpu.seg[reg as usize].selector)
}

/// PUSH of the segment register in `op.imm`; a 32-bit push writes the low 16 bits only, as all present processors do.
pub(crate) fn push_sreg(cx: &mut Cx<'_>, op: &Op) -> Step {
    let reg = segment_register(cx, op.imm as u8)?;
    let selector = cx.cpu.seg[reg as usize].selector;
    match op.osize {
        1 => cx.push(selector),
        2 => {
            let sp = cx.cpu.r[4].wrapping_sub(4);
            cx.wr(SegReg::Ss as u8, sp & cx.cpu.stack_mask, selector)?;
            cx.set_sp(sp);
            Ok(())
        }
        _ => cx.push(u64::from(selector)),
    }
}

/// POP of the segment register in `op.imm`. Loading SS holds events off for one instruction.
pub(crate) fn pop_sreg(cx: &mut Cx<'_>, op: &Op) -> Step {
    let reg = segment_register(cx, op.imm as u8)?;
    let selector = cx.peek(0, 1)? as u16;
    let sp = cx.cpu.r[4].wrapping_add(1 << op.osize);
    let seg = cx.checked_segment(reg, selector)?;
    // RSP moves by the width of the stack that was popped from, also when SS changes.
    cx.set_sp(sp);
    cx.cpu.set_seg(reg, seg);
    if reg == SegReg::Ss {
        cx.cpu.set_shadow(Shadow::MovSs);
    }
    Ok(())
}

/// LDS, LES, LFS, LGS, LSS: `op.imm` is the segment register.
pub(crate) fn load_far_pointer(cx: &mut Cx<'_>, op: &Op) -> Step {
    let reg = segment_register(cx, op.imm as u8)?;
    let (selector, offset) = cx.far_pointer(op)?;
    cx.load_segment(reg, selector)?;
    match op.osize {
        1 => cx.set_reg(op.reg, offset as u16),
        2 => cx.set_reg(op.reg, offset as u32),
        _ => cx.set_reg(op.reg, offset),
    }
    Ok(())
}

impl Cx<'_> {
    /// Reads a far pointer from memory: the offset, as wide as the operand size, then the selector.
    pub fn far_pointer(&mut self, op: &Op) -> Result<(u16, u64), Trap> {
        if op.pfx & MEM == 0 {
            return Err(self.ud(Why::NeedsMemoryOperand));
        }
        let at = self.ea(op);
        let offset = self.read_sized(op.seg, at, op.osize)?;
        let selector =
            self.rd::<u16>(op.seg, at.wrapping_add(1 << op.osize) & ADDRESS_MASK[usize::from(op.asize & 3)])?;
        Ok((selector, offset))
    }

    /// Stores a selector or another 16-bit system value: 16 bits to memory, zero-extended to a wider register.
    pub fn store_selector(&mut self, op: &Op, value: u16) -> Step {
        if op.pfx & MEM != 0 || op.osize == 1 {
            return self.set_rm(op, value);
        }
        self.set_rm(op, u64::from(value))
    }
}
