//! Far jumps, calls and returns: to code segments, through call gates and task gates, to tasks, and to outer levels
//! (SDM Vol. 2: JMP, CALL, RET; Vol. 3A 5.8, 5.8.6).

use hako_x86::{
    Descriptor, Gate, RFlags, SegAttr, SegReg, Segment, Selector, SystemType, Vector, descriptors,
};

use crate::access::canonical;
use crate::cx::{Cx, Step, Trap};
use crate::op::{ADDRESS_MASK, Op};
use crate::seg::Blame;
use crate::stack::Stack;
use crate::task::Entry;
use crate::why::Why;

/// JMP ptr16:16, ptr16:32.
pub(crate) fn jmp_far_imm(cx: &mut Cx<'_>, op: &Op) -> Step {
    let (selector, offset) = far_immediate(op);
    cx.jump_far(selector, offset, op.osize)
}

/// JMP m16:16, m16:32, m16:64.
pub(crate) fn jmp_far_mem(cx: &mut Cx<'_>, op: &Op) -> Step {
    let (selector, offset) = cx.far_pointer(op)?;
    cx.jump_far(selector, offset, op.osize)
}

/// CALL ptr16:16, ptr16:32.
pub(crate) fn call_far_imm(cx: &mut Cx<'_>, op: &Op) -> Step {
    let (selector, offset) = far_immediate(op);
    cx.call_far(selector, offset, op.osize)
}

/// CALL m16:16, m16:32, m16:64.
pub(crate) fn call_far_mem(cx: &mut Cx<'_>, op: &Op) -> Step {
    let (selector, offset) = cx.far_pointer(op)?;
    cx.call_far(selector, offset, op.osize)
}

/// RETF, RETF imm16.
pub(crate) fn ret_far(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.return_far(u64::from(op.imm as u16), op.osize)
}

/// Selector and offset of a far pointer in the instruction.
fn far_immediate(op: &Op) -> (u16, u64) {
    let mask = if op.osize == 1 { 0xffff } else { 0xffff_ffff };
    (op.disp as u16, u64::from(op.imm as u32) & mask)
}

/// Bits of an instruction pointer of an operand size.
pub(crate) fn ip_mask(osize: u8) -> u64 {
    ADDRESS_MASK[usize::from(osize.saturating_sub(1) & 3)]
}

/// Where a far transfer leads.
enum Target {
    /// A code segment, RPL set to the level it runs at.
    Code(Segment),
    /// A call gate, with the width of what it pushes.
    Gate(Gate, u8),
    /// A TSS.
    Task(Selector, Descriptor),
}

impl Cx<'_> {
    /// RIP and RFLAGS that an old task is saved with by an instruction.
    fn task_return(&self) -> (u64, u64) {
        (self.cpu.rip, self.cpu.rflags() & !RFlags::RF.bits())
    }

    fn jump_far(&mut self, selector: u16, offset: u64, osize: u8) -> Step {
        if !self.cpu.protected() {
            return self.jump_real(selector, offset & ip_mask(osize));
        }
        match self.far_target(Selector(selector))? {
            Target::Code(mut cs) => {
                let rip = offset & ip_mask(osize);
                self.check_entry(&cs, rip, 0)?;
                self.touch(&mut cs)?;
                self.commit_code(cs, rip);
            }
            Target::Gate(gate, _) => {
                let (mut cs, d) = self.gate_code(gate.selector)?;
                if !d.is_conforming() && d.dpl() != self.cpu.cpl {
                    return Err(self.blame(Blame::GP, gate.selector, Why::CodeDplWrong));
                }
                let rip = self.gate_ip(gate, &cs)?;
                self.touch(&mut cs)?;
                self.commit_code(cs, rip);
            }
            Target::Task(sel, d) => {
                let old = self.task_return();
                let switched = self.switch_task(sel, d, Entry::Jmp, old)?;
                self.after_switch(switched);
            }
        }
        Ok(())
    }

    fn jump_real(&mut self, selector: u16, rip: u64) -> Step {
        let cs = self.real_segment(SegReg::Cs, selector);
        if rip > u64::from(cs.limit) {
            return Err(self.gp(0, Why::TargetBeyondLimit));
        }
        self.commit_code(cs, rip);
        Ok(())
    }

    fn call_far(&mut self, selector: u16, offset: u64, osize: u8) -> Step {
        let cs = u64::from(self.cpu.seg[SegReg::Cs as usize].selector);
        let back = [cs, self.cpu.rip];
        let mut stack = self.present_stack(0);
        stack.aligned = self.cpu.alignment_checked();
        if !self.cpu.protected() {
            self.probe_frame(&stack, 2, osize)?;
            let rip = self.cpu.rip;
            self.jump_real(selector, offset & ip_mask(osize))?;
            let sp = self.write_frame(&stack, &[cs, rip], osize)?;
            self.set_sp(sp);
            return Ok(());
        }
        match self.far_target(Selector(selector))? {
            Target::Code(mut cs) => {
                let rip = offset & ip_mask(osize);
                self.probe_frame(&stack, 2, osize)?;
                self.check_entry(&cs, rip, 0)?;
                self.touch(&mut cs)?;
                let sp = self.write_frame(&stack, &back, osize)?;
                self.set_sp(sp);
                self.commit_code(cs, rip);
            }
            Target::Gate(gate, width) => self.call_gate(gate, width, stack, &back)?,
            Target::Task(sel, d) => {
                let old = self.task_return();
                let switched = self.switch_task(sel, d, Entry::Call, old)?;
                self.after_switch(switched);
            }
        }
        Ok(())
    }

    /// CALL through a call gate, to the same level or an inner one (SDM Vol. 3A 5.8.4, 5.8.5).
    fn call_gate(&mut self, gate: Gate, width: u8, present: Stack, back: &[u64; 2]) -> Step {
        let (mut cs, d) = self.gate_code(gate.selector)?;
        if d.is_conforming() || d.dpl() == self.cpu.cpl {
            self.probe_frame(&present, 2, width)?;
            let rip = self.gate_ip(gate, &cs)?;
            self.touch(&mut cs)?;
            let sp = self.write_frame(&present, back, width)?;
            self.set_sp(sp);
            self.commit_code(cs, rip);
            return Ok(());
        }
        let cpl = d.dpl();
        cs.selector = Selector(cs.selector).with_rpl(cpl).0;
        let mut stack = if self.cpu.long() {
            let rsp = self.inner_rsp(hako_x86::tss::rsp64(cpl), 0)?;
            Stack::long(Self::null_stack(Selector(u16::from(cpl)), cpl), rsp, cpl, 0)
        } else {
            self.inner_stack(cpl, 0)?
        };
        let params = if self.cpu.long() { 0 } else { u64::from(gate.params) };
        let mut values = [0; 4 + 31];
        values[0] = u64::from(self.cpu.seg[SegReg::Ss as usize].selector);
        values[1] = self.cpu.r[4];
        let mut n = 2;
        for i in (0..params).rev() {
            values[n] = self.peek(i << width, width)?;
            n += 1;
        }
        values[n..n + 2].copy_from_slice(back);
        let values = &values[..n + 2];
        self.probe_frame(&stack, values.len(), width)?;
        let rip = self.gate_ip(gate, &cs)?;
        self.touch(&mut cs)?;
        self.touch(&mut stack.seg)?;
        let sp = self.write_frame(&stack, values, width)?;
        self.cpu.r[4] = stack.rsp(self.cpu.r[4], sp);
        self.cpu.seg[SegReg::Ss as usize] = stack.seg;
        self.cpu.cpl = cpl;
        self.commit_code(cs, rip);
        Ok(())
    }

    /// What the selector of a far jump or call leads to, after the checks that both share.
    fn far_target(&mut self, sel: Selector) -> Result<Target, Trap> {
        if sel.is_null() {
            return Err(self.gp(0, Why::NullCode));
        }
        let d = self.descriptor(sel, Blame::GP)?;
        if d.is_code_or_data() {
            return self.far_code(sel, d).map(Target::Code);
        }
        let (ty, long) = (d.system(), self.cpu.long());
        let width = match (ty, long) {
            (Some(SystemType::CallGate16), false) => 1,
            (Some(SystemType::CallGate32), false) => 2,
            (Some(SystemType::CallGate32), true) => 3,
            (Some(SystemType::TaskGate | SystemType::Tss16 | SystemType::Tss32), false) => 0,
            _ => return Err(self.blame(Blame::GP, sel, Why::NotATarget)),
        };
        if d.dpl() < self.cpu.cpl || d.dpl() < sel.rpl() {
            return Err(self.blame(Blame::GP, sel, Why::GateDplTooLow));
        }
        if sel.in_ldt() && matches!(ty, Some(SystemType::Tss16 | SystemType::Tss32)) {
            return Err(self.blame(Blame::GP, sel, Why::TssNotInGdt));
        }
        if !d.present() {
            return Err(self.blame(Blame::GP.with(Vector::NP), sel, Why::SegmentNotPresent));
        }
        let mut gate = d.gate();
        if long {
            let high = self.descriptor_high(sel, Blame::GP)?;
            if !descriptors::upper_type_is_zero(high) {
                return Err(self.blame(Blame::GP, sel, Why::UpperTypeNotZero));
            }
            gate = gate.extended(high);
        }
        match ty {
            Some(SystemType::TaskGate) => {
                Ok(Target::Task(gate.selector, self.tss_of_gate(gate.selector, 0)?))
            }
            Some(SystemType::Tss16 | SystemType::Tss32) => Ok(Target::Task(sel, d)),
            _ => Ok(Target::Gate(gate, width)),
        }
    }

    /// A code segment that a far jump or call names directly.
    fn far_code(&mut self, sel: Selector, d: Descriptor) -> Result<Segment, Trap> {
        let cpl = self.cpu.cpl;
        if !d.is_code() {
            return Err(self.blame(Blame::GP, sel, Why::NotCode));
        }
        if self.cpu.long() && d.long() && d.big() {
            return Err(self.blame(Blame::GP, sel, Why::CodeLongAndBig));
        }
        if d.is_conforming() {
            if d.dpl() > cpl {
                return Err(self.blame(Blame::GP, sel, Why::CodeDplTooHigh));
            }
        } else if sel.rpl() > cpl {
            return Err(self.blame(Blame::GP, sel, Why::CodeRplTooHigh));
        } else if d.dpl() != cpl {
            return Err(self.blame(Blame::GP, sel, Why::CodeDplWrong));
        }
        if !d.present() {
            return Err(self.blame(Blame::GP.with(Vector::NP), sel, Why::SegmentNotPresent));
        }
        Ok(d.segment(sel.with_rpl(cpl).0))
    }

    /// The code segment of a call gate; RPL is the present level, which suits all but calls to an inner level.
    fn gate_code(&mut self, sel: Selector) -> Result<(Segment, Descriptor), Trap> {
        if sel.is_null() {
            return Err(self.gp(0, Why::NullCode));
        }
        let d = self.descriptor(sel, Blame::GP)?;
        if !d.is_code() {
            return Err(self.blame(Blame::GP, sel, Why::NotCode));
        }
        if d.dpl() > self.cpu.cpl {
            return Err(self.blame(Blame::GP, sel, Why::CodeDplTooHigh));
        }
        if self.cpu.long() && (!d.long() || d.big()) {
            return Err(self.blame(Blame::GP, sel, Why::GateNeeds64BitCode));
        }
        if !d.present() {
            return Err(self.blame(Blame::GP.with(Vector::NP), sel, Why::SegmentNotPresent));
        }
        Ok((d.segment(sel.with_rpl(self.cpu.cpl).0), d))
    }

    /// The entry point of a gate.
    fn gate_ip(&mut self, gate: Gate, cs: &Segment) -> Result<u64, Trap> {
        self.check_entry(cs, gate.offset, 0)?;
        Ok(gate.offset)
    }

    /// Whether an instruction pointer lies in its segment, or is canonical in 64-bit mode.
    pub fn check_entry(&mut self, cs: &Segment, rip: u64, ext: u32) -> Step {
        if self.cpu.long() && cs.attr.contains(SegAttr::L) {
            return if canonical(rip) { Ok(()) } else { Err(self.gp(ext, Why::TargetNotCanonical)) };
        }
        if rip > u64::from(cs.limit) {
            return Err(self.gp(ext, Why::TargetBeyondLimit));
        }
        Ok(())
    }

    /// Goes on at CS:RIP.
    pub fn commit_code(&mut self, cs: Segment, rip: u64) {
        self.cpu.set_seg(SegReg::Cs, cs);
        self.cpu.rip = rip;
    }

    fn return_far(&mut self, release: u64, osize: u8) -> Step {
        let n = 1u64 << osize;
        let rip = self.peek(0, osize)?;
        let sel = Selector(self.peek(n, osize)? as u16);
        let sp = self.cpu.r[4].wrapping_add(2 * n + release);
        if !self.cpu.protected() {
            let cs = self.real_segment(SegReg::Cs, sel.0);
            if rip > u64::from(cs.limit) {
                return Err(self.gp(0, Why::TargetBeyondLimit));
            }
            self.set_sp(sp);
            self.commit_code(cs, rip);
            return Ok(());
        }
        let mut cs = self.return_code(sel)?;
        let cpl = sel.rpl();
        if cpl == self.cpu.cpl {
            self.check_entry(&cs, rip, 0)?;
            self.touch(&mut cs)?;
            self.set_sp(sp);
            self.commit_code(cs, rip);
            return Ok(());
        }
        let outer_sp = self.peek(2 * n + release, osize)?;
        let outer_ss = Selector(self.peek(3 * n + release, osize)? as u16);
        let mut ss = self.return_stack(outer_ss, cpl, &cs)?;
        self.check_entry(&cs, rip, 0)?;
        self.touch(&mut cs)?;
        self.touch(&mut ss)?;
        self.cpu.seg[SegReg::Ss as usize] = ss;
        self.cpu.cpl = cpl;
        self.drop_privileged_segments(cpl);
        self.commit_code(cs, rip);
        self.load_outer_sp(outer_sp.wrapping_add(release), osize);
        Ok(())
    }

    /// The stack pointer of an outer level, as wide as its stack.
    pub fn load_outer_sp(&mut self, sp: u64, osize: u8) {
        self.cpu.r[4] = match (self.cpu.stack_mask, osize) {
            (0xffff, _) => self.cpu.r[4] & !0xffff | sp & 0xffff,
            (_, 3) => sp,
            _ => sp & 0xffff_ffff,
        };
    }

    /// CS of a far return or IRET, after its checks.
    pub fn return_code(&mut self, sel: Selector) -> Result<Segment, Trap> {
        if sel.is_null() {
            return Err(self.gp(0, Why::NullCode));
        }
        let d = self.descriptor(sel, Blame::GP)?;
        if !d.is_code() {
            return Err(self.blame(Blame::GP, sel, Why::NotCode));
        }
        if sel.rpl() < self.cpu.cpl {
            return Err(self.blame(Blame::GP, sel, Why::ReturnInward));
        }
        if self.cpu.long() && d.long() && d.big() {
            return Err(self.blame(Blame::GP, sel, Why::CodeLongAndBig));
        }
        let matches = if d.is_conforming() { d.dpl() <= sel.rpl() } else { d.dpl() == sel.rpl() };
        if !matches {
            return Err(self.blame(Blame::GP, sel, Why::CodeDplWrong));
        }
        if !d.present() {
            return Err(self.blame(Blame::GP.with(Vector::NP), sel, Why::SegmentNotPresent));
        }
        Ok(d.segment(sel.0))
    }

    /// SS of a return to level `cpl`; 64-bit code below level 3 may have a null one.
    pub fn return_stack(&mut self, sel: Selector, cpl: u8, cs: &Segment) -> Result<Segment, Trap> {
        let to64 = self.cpu.long() && cs.attr.contains(SegAttr::L);
        if sel.is_null() && to64 && cpl < 3 && sel.rpl() == cpl {
            return Ok(Self::null_stack(sel, cpl));
        }
        self.stack_segment(sel, cpl, Blame::GP)
    }
}
