//! Delivery of one event through the interrupt vector table or an IDT gate (SDM Vol. 3A 6.12, 6.13, 6.14, 20.1.4;
//! Vol. 2A, INT n).

use hako_x86::{Descriptor, Gate, RFlags, SegReg, Segment, Selector, SystemType, Vector, tss};

use crate::access::canonical;
use crate::cx::{Cx, Step, Trap};
use crate::seg::{Blame, null_segment};
use crate::stack::Stack;
use crate::task::Entry;
use crate::why::Why;

/// What an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A maskable interrupt or NMI.
    External,
    /// A fault, trap or abort that the processor raised; INT1 counts as one.
    Exception,
    /// INT n, INT3, INTO: gates are checked against CPL, and errors do not carry EXT.
    Software,
}

/// An event being delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub vector: u8,
    pub source: Source,
    pub error: Option<u32>,
    /// Where the handler returns to.
    pub rip: u64,
    /// RFLAGS as the handler finds them on its stack.
    pub flags: u64,
}

impl Event {
    /// The EXT bit of errors on the way.
    fn ext(&self) -> u32 {
        u32::from(self.source != Source::Software)
    }

    /// The error code that names the event's IDT entry (SDM Vol. 3A 6.13).
    fn idt_error(&self) -> u32 {
        u32::from(self.vector) * 8 + 2 + self.ext()
    }
}

/// A gate that passed its checks, and what it leads to.
struct Target {
    cs: Segment,
    rip: u64,
    cpl: u8,
    /// IF is cleared.
    interrupt: bool,
}

/// What delivery clears besides IF.
const CLEARED: u64 = RFlags::TF.bits() | RFlags::NT.bits() | RFlags::VM.bits() | RFlags::RF.bits();

impl Cx<'_> {
    /// Delivers an event. The outer error came before anything was changed; the inner one after a task switch, in
    /// the new task.
    pub fn deliver_event(&mut self, event: &Event) -> Result<Step, Trap> {
        // Entering a handler discards the single step of the instruction before it (SDM Vol. 3B 17.3.1.4).
        self.cpu.sys.step = false;
        self.cpu.sys.repeating = false;
        if self.cpu.long() {
            return self.deliver_long(event).map(Ok);
        }
        if self.cpu.cr0_has(hako_x86::Cr0::PE) {
            return self.deliver_protected(event);
        }
        self.deliver_real(event, event.flags).map(Ok)
    }

    /// Through the interrupt vector table, with 16-bit frames. `flags` is what goes onto the stack. IF (or, with
    /// virtual interrupts, VIF) is cleared by the caller's rule.
    pub fn deliver_real(&mut self, event: &Event, flags: u64) -> Step {
        let at = u64::from(event.vector) * 4;
        if at + 3 > u64::from(self.cpu.idtr.limit) {
            return Err(self.gp(event.idt_error(), Why::IdtLimit));
        }
        let entry: u32 = self.read_linear_sys(self.cpu.idtr.base.wrapping_add(at))?;
        self.enter_real(event, entry, flags)?;
        let cleared = RFlags::IF | RFlags::TF | RFlags::AC | RFlags::RF;
        self.cpu.set_rflags(self.cpu.rflags() & !cleared.bits());
        Ok(())
    }

    /// Pushes FLAGS, CS and IP and loads CS:IP from a vector table entry, in real or virtual-8086 mode.
    pub fn enter_real(&mut self, event: &Event, entry: u32, flags: u64) -> Step {
        let stack = self.present_stack(0);
        let cs = self.cpu.seg[SegReg::Cs as usize].selector;
        let ip = u64::from(entry & 0xffff);
        let new = self.real_segment(SegReg::Cs, (entry >> 16) as u16);
        self.probe_frame(&stack, 3, 1)?;
        if ip > u64::from(new.limit) {
            return Err(self.gp(0, Why::TargetBeyondLimit));
        }
        let sp = self.write_frame(&stack, &[flags, u64::from(cs), event.rip], 1)?;
        self.set_sp(sp);
        self.cpu.set_seg(SegReg::Cs, new);
        self.cpu.rip = ip;
        Ok(())
    }

    /// Protected and virtual-8086 mode.
    fn deliver_protected(&mut self, event: &Event) -> Result<Step, Trap> {
        let at = u64::from(event.vector) * 8;
        if at + 7 > u64::from(self.cpu.idtr.limit) {
            return Err(self.gp(event.idt_error(), Why::IdtLimit));
        }
        let gate = Descriptor(self.read_linear_sys(self.cpu.idtr.base.wrapping_add(at))?);
        let (osize, interrupt) = match gate.system() {
            Some(SystemType::TaskGate) => (0, false),
            Some(SystemType::InterruptGate16) => (1, true),
            Some(SystemType::TrapGate16) => (1, false),
            Some(SystemType::InterruptGate32) => (2, true),
            Some(SystemType::TrapGate32) => (2, false),
            _ => return Err(self.gp(event.idt_error(), Why::IdtNotAGate)),
        };
        self.check_gate(event, gate)?;
        if osize == 0 {
            return self.deliver_to_task(event, gate.gate().selector);
        }
        let mut target = self.gate_target(event, gate.gate(), interrupt)?;
        if self.cpu.v86() || target.cpl < self.cpu.cpl {
            self.enter_inner(event, &mut target, osize)?;
        } else {
            let stack = self.present_stack(event.ext());
            let cs = self.cpu.seg[SegReg::Cs as usize].selector;
            let (values, n) = frame(&[event.flags, u64::from(cs), event.rip], event.error);
            self.probe_frame(&stack, n, osize)?;
            self.check_ip(&target, event)?;
            self.touch(&mut target.cs)?;
            let sp = self.write_frame(&stack, &values[..n], osize)?;
            self.set_sp(sp);
        }
        self.enter(&target);
        Ok(Ok(()))
    }

    /// DPL and presence of a gate.
    fn check_gate(&mut self, event: &Event, gate: Descriptor) -> Step {
        if event.source == Source::Software && gate.dpl() < self.cpu.cpl {
            return Err(self.gp(event.idt_error(), Why::IdtDplTooLow));
        }
        if !gate.present() {
            return Err(self.np(event.idt_error(), Why::IdtNotPresent));
        }
        Ok(())
    }

    /// The code segment of an interrupt or trap gate, and the level it runs at.
    fn gate_target(&mut self, event: &Event, gate: Gate, interrupt: bool) -> Result<Target, Trap> {
        let (sel, blame) = (gate.selector, Blame::gp(event.ext()));
        if sel.is_null() {
            return Err(self.gp(event.ext(), Why::NullCode));
        }
        let d = self.descriptor(sel, blame)?;
        if !d.is_code() {
            return Err(self.blame(blame, sel, Why::NotCode));
        }
        if d.dpl() > self.cpu.cpl {
            return Err(self.blame(blame, sel, Why::CodeDplTooHigh));
        }
        if self.cpu.long() && (!d.long() || d.big()) {
            return Err(self.blame(blame, sel, Why::GateNeeds64BitCode));
        }
        if !d.present() {
            return Err(self.blame(blame.with(Vector::NP), sel, Why::SegmentNotPresent));
        }
        let cpl = if d.is_conforming() { self.cpu.cpl } else { d.dpl() };
        if self.cpu.v86() && cpl != 0 {
            return Err(self.blame(blame, sel, Why::V86HandlerNotLevel0));
        }
        Ok(Target { cs: d.segment(sel.with_rpl(cpl).0), rip: gate.offset, cpl, interrupt })
    }

    fn check_ip(&mut self, target: &Target, event: &Event) -> Step {
        if target.rip > u64::from(target.cs.limit) {
            return Err(self.gp(event.ext(), Why::TargetBeyondLimit));
        }
        Ok(())
    }

    /// Switches to the stack of an inner level and pushes the frame there, in legacy modes.
    fn enter_inner(&mut self, event: &Event, target: &mut Target, osize: u8) -> Step {
        let ext = event.ext();
        let mut stack = self.inner_stack(target.cpl, ext)?;
        let sel = |r: SegReg, cx: &Self| u64::from(cx.cpu.seg[r as usize].selector);
        let common = [sel(SegReg::Ss, self), self.cpu.r[4], event.flags, sel(SegReg::Cs, self), event.rip];
        let mut values = [0; 10];
        let mut n = 0;
        let v86 = self.cpu.v86();
        if v86 {
            for r in [SegReg::Gs, SegReg::Fs, SegReg::Ds, SegReg::Es] {
                values[n] = sel(r, self);
                n += 1;
            }
        }
        for v in common.into_iter().chain(event.error.map(u64::from)) {
            values[n] = v;
            n += 1;
        }
        self.probe_frame(&stack, n, osize)?;
        self.check_ip(target, event)?;
        self.touch(&mut target.cs)?;
        self.touch(&mut stack.seg)?;
        let sp = self.write_frame(&stack, &values[..n], osize)?;
        if v86 {
            for r in [SegReg::Gs, SegReg::Fs, SegReg::Ds, SegReg::Es] {
                self.cpu.seg[r as usize] = null_segment(Selector(0));
            }
        }
        self.cpu.r[4] = stack.rsp(self.cpu.r[4], sp);
        self.cpu.seg[SegReg::Ss as usize] = stack.seg;
        Ok(())
    }

    /// The stack that the TSS holds for an inner level, after its checks (SDM Vol. 3A 5.8.5, 6.12.1).
    pub fn inner_stack(&mut self, cpl: u8, ext: u32) -> Result<Stack, Trap> {
        let wide = self.cpu.tr.attr.bits() & 8 != 0;
        let layout = if wide { tss::TSS32 } else { tss::TSS16 };
        let (sp_at, ss_at) = (u64::from(layout.sp(cpl)), u64::from(layout.ss(cpl)));
        let tr = self.cpu.tr;
        if ss_at + 1 > u64::from(tr.limit) {
            return Err(self.ts(Selector(tr.selector).error_code() | ext, Why::TssTooShort));
        }
        let sp = if wide {
            u64::from(self.read_linear_sys::<u32>(tr.base.wrapping_add(sp_at))?)
        } else {
            u64::from(self.read_linear_sys::<u16>(tr.base.wrapping_add(sp_at))?)
        };
        let ss = Selector(self.read_linear_sys(tr.base.wrapping_add(ss_at))?);
        let seg = self.stack_segment(ss, cpl, Blame::ts(ext))?;
        Ok(Stack::legacy(seg, sp, cpl, ss.error_code() | ext))
    }

    /// The stack pointer that the 64-bit TSS holds at an offset.
    pub fn inner_rsp(&mut self, offset: u16, ext: u32) -> Result<u64, Trap> {
        let tr = self.cpu.tr;
        if u32::from(offset) + 7 > tr.limit {
            return Err(self.ts(Selector(tr.selector).error_code() | ext, Why::TssTooShort));
        }
        self.read_linear_sys(tr.base.wrapping_add(u64::from(offset)))
    }

    /// Long mode (SDM Vol. 3A 6.14).
    fn deliver_long(&mut self, event: &Event) -> Step {
        let at = u64::from(event.vector) * 16;
        if at + 15 > u64::from(self.cpu.idtr.limit) {
            return Err(self.gp(event.idt_error(), Why::IdtLimit));
        }
        let base = self.cpu.idtr.base.wrapping_add(at);
        let gate = Descriptor(self.read_linear_sys(base)?);
        let high: u64 = self.read_linear_sys(base.wrapping_add(8))?;
        let interrupt = match gate.system() {
            Some(SystemType::InterruptGate32) => true,
            Some(SystemType::TrapGate32) => false,
            _ => return Err(self.gp(event.idt_error(), Why::IdtNotAGate)),
        };
        self.check_gate(event, gate)?;
        let ext = event.ext();
        let mut target = self.gate_target(event, gate.gate().extended(high), interrupt)?;
        let ist = gate.gate().params & 7;
        let inner = target.cpl < self.cpu.cpl;
        let present = self.cpu.seg[SegReg::Ss as usize];
        let rsp = match (ist, inner) {
            (0, false) => self.cpu.r[4],
            (0, true) => self.inner_rsp(tss::rsp64(target.cpl), ext)?,
            (ist, _) => self.inner_rsp(tss::ist64(ist), ext)?,
        };
        let seg = if inner { Self::null_stack(Selector(u16::from(target.cpl)), target.cpl) } else { present };
        let cs = self.cpu.seg[SegReg::Cs as usize].selector;
        let head = [u64::from(present.selector), self.cpu.r[4], event.flags, u64::from(cs), event.rip];
        let (values, n) = frame(&head, event.error);
        let stack = Stack::long(seg, rsp & !0xf, target.cpl, ext);
        self.probe_frame(&stack, n, 3)?;
        if !canonical(target.rip) {
            return Err(self.gp(ext, Why::TargetNotCanonical));
        }
        self.touch(&mut target.cs)?;
        let sp = self.write_frame(&stack, &values[..n], 3)?;
        self.cpu.r[4] = sp;
        self.cpu.seg[SegReg::Ss as usize] = seg;
        self.enter(&target);
        Ok(())
    }

    /// Commits to a handler: CS, RIP, CPL and flags.
    fn enter(&mut self, target: &Target) {
        self.cpu.seg[SegReg::Cs as usize] = target.cs;
        self.cpu.rip = target.rip;
        self.cpu.cpl = target.cpl;
        let cleared = CLEARED | if target.interrupt { RFlags::IF.bits() } else { 0 };
        self.cpu.set_rflags(self.cpu.rflags() & !cleared);
        self.cpu.update_level();
    }

    /// Through a task gate: the new task's stack gets the error code (SDM Vol. 3A 6.12.2).
    fn deliver_to_task(&mut self, event: &Event, sel: Selector) -> Result<Step, Trap> {
        let ext = event.ext();
        let tss = self.tss_of_gate(sel, ext)?;
        let old = (event.rip, event.flags);
        let switched = self.switch_task(sel, tss, Entry::Interrupt { ext }, old)?;
        let Some(error) = event.error else { return Ok(switched) };
        Ok(switched.and_then(|()| self.push_task_error(error, ext)))
    }

    fn push_task_error(&mut self, error: u32, ext: u32) -> Step {
        let osize = if self.cpu.tr.attr.bits() & 8 != 0 { 2 } else { 1 };
        let stack = self.present_stack(ext);
        let sp = self.push_frame(&stack, &[u64::from(error)], osize)?;
        self.set_sp(sp);
        Ok(())
    }

    /// The TSS descriptor that a task gate names (SDM Vol. 2A, INT n and JMP, TASK-GATE).
    pub fn tss_of_gate(&mut self, sel: Selector, ext: u32) -> Result<Descriptor, Trap> {
        let blame = Blame::gp(ext);
        if sel.in_ldt() || sel.is_null() {
            return Err(self.blame(blame, sel, Why::TssNotInGdt));
        }
        let d = self.descriptor(sel, blame)?;
        if !matches!(d.system(), Some(SystemType::Tss16 | SystemType::Tss32)) {
            return Err(self.blame(blame, sel, Why::NotAnAvailableTss));
        }
        if !d.present() {
            return Err(self.blame(blame.with(Vector::NP), sel, Why::SegmentNotPresent));
        }
        Ok(d)
    }
}

/// A frame and, on top of it, the error code.
fn frame(head: &[u64], error: Option<u32>) -> ([u64; 6], usize) {
    let mut values = [0; 6];
    let mut n = 0;
    for (slot, v) in values.iter_mut().zip(head.iter().copied().chain(error.map(u64::from))) {
        *slot = v;
        n += 1;
    }
    (values, n)
}
