//! Exceptions, interrupts and their order: the INT instructions, double and triple faults, and what is taken between
//! two instructions (SDM Vol. 3A 6.3 to 6.9, 6.15).

use hako_x86::{Activity, Cr0, Cr4, RFlags, Shadow, Vector, tss};

use crate::Cpu;
use crate::attn::Attn;
use crate::cx::{Cx, Step, Trap};
use crate::debug;
use crate::fault::{Fault, FaultRecord};
use crate::gate::{Event, Source};
use crate::op::Op;
use crate::why::Why;

/// How two exceptions combine when the second comes while the first is being delivered (SDM Vol. 3A table 6-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Combined {
    /// The second is delivered; the first comes again when its instruction is repeated.
    Serial,
    /// #DF.
    Double,
    /// Shutdown.
    Triple,
}

/// Classes of exceptions (SDM Vol. 3A table 6-4).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Benign,
    Contributory,
    PageFault,
    DoubleFault,
}

fn class(vector: Vector) -> Class {
    match vector {
        Vector::DE | Vector::TS | Vector::NP | Vector::SS | Vector::GP => Class::Contributory,
        Vector::PF => Class::PageFault,
        Vector::DF => Class::DoubleFault,
        _ => Class::Benign,
    }
}

/// What `second` becomes while `first` is being delivered.
pub(crate) fn combine(first: Vector, second: Vector) -> Combined {
    match (class(first), class(second)) {
        (Class::DoubleFault, Class::Contributory | Class::PageFault) => Combined::Triple,
        (Class::Contributory, Class::Contributory) => Combined::Double,
        (Class::PageFault, Class::Contributory | Class::PageFault) => Combined::Double,
        _ => Combined::Serial,
    }
}

/// INT n.
pub(crate) fn int_n(cx: &mut Cx<'_>, op: &Op) -> Step {
    let vector = op.imm as u8;
    if cx.cpu.v86() {
        if cx.cpu.cr4_has(Cr4::VME) && !redirected_to_idt(cx, vector)? {
            return int_in_v86(cx, vector);
        }
        if cx.cpu.iopl() < 3 {
            return Err(cx.gp(0, Why::IoplTooLow));
        }
    }
    software(cx, vector, Source::Software)
}

/// INT3.
pub(crate) fn int3(cx: &mut Cx<'_>, _op: &Op) -> Step {
    requested(cx, Vector::BP, Source::Software)
}

/// INTO.
pub(crate) fn into(cx: &mut Cx<'_>, _op: &Op) -> Step {
    if cx.cpu.fl.of() { requested(cx, Vector::OF, Source::Software) } else { Ok(()) }
}

/// INT1: #DB on request, without DR6 and without a check of the gate's DPL. Traps that MOV SS held off come with it.
pub(crate) fn int1(cx: &mut Cx<'_>, _op: &Op) -> Step {
    requested(cx, Vector::DB, Source::Exception)?;
    debug::trap(cx.cpu);
    Ok(())
}

/// An exception that an instruction asks for.
fn requested(cx: &mut Cx<'_>, vector: Vector, source: Source) -> Step {
    let rip = cx.rip();
    log(cx, &Fault { vector, error: None, why: None }, rip);
    software(cx, vector.0, source)
}

/// Delivers an interrupt that an instruction asks for.
fn software(cx: &mut Cx<'_>, vector: u8, source: Source) -> Step {
    let (rip, flags) = (cx.cpu.rip, cx.cpu.rflags() & !RFlags::RF.bits());
    let event = Event { vector, source, error: None, rip, flags };
    let switched = cx.deliver_event(&event)?;
    cx.cpu.counters.events = cx.cpu.counters.events.wrapping_add(1);
    cx.after_switch(switched);
    Ok(())
}

/// Whether the interrupt redirection map of the TSS sends a software interrupt of a virtual-8086 task to the IDT (SDM
/// Vol. 3B 20.3).
fn redirected_to_idt(cx: &mut Cx<'_>, vector: u8) -> Result<bool, Trap> {
    let tr = cx.cpu.tr;
    let field = u64::from(tss::IO_MAP_BASE);
    if field + 1 > u64::from(tr.limit) {
        return Err(cx.gp(0, Why::TssTooShort));
    }
    let map: u16 = cx.read_linear_sys(tr.base.wrapping_add(field))?;
    let at = i64::from(map) - i64::from(tss::REDIRECTION_BYTES) + i64::from(vector / 8);
    if at < 0 || at > i64::from(tr.limit) {
        return Err(cx.gp(0, Why::TssTooShort));
    }
    let byte: u8 = cx.read_linear_sys(tr.base.wrapping_add(at as u64))?;
    Ok(byte & 1 << (vector & 7) != 0)
}

/// INT n inside a virtual-8086 task, through the vector table at its address 0 (methods 5 and 6).
fn int_in_v86(cx: &mut Cx<'_>, vector: u8) -> Step {
    let entry: u32 = cx.read_linear_sys(u64::from(vector) * 4)?;
    let iopl3 = cx.cpu.iopl() == 3;
    let mut image = cx.cpu.rflags() & !RFlags::RF.bits();
    if !iopl3 {
        let vif = image & RFlags::VIF.bits() != 0;
        image = image & !RFlags::IF.bits() | RFlags::IOPL.bits();
        if vif {
            image |= RFlags::IF.bits();
        }
    }
    let event = Event { vector, source: Source::Software, error: None, rip: cx.cpu.rip, flags: image };
    cx.cpu.sys.step = false;
    cx.enter_real(&event, entry, image)?;
    let masked = if iopl3 { RFlags::IF } else { RFlags::VIF };
    cx.cpu.set_rflags(cx.cpu.rflags() & !(masked | RFlags::TF | RFlags::RF).bits());
    Ok(())
}

/// Delivers the exception in `cpu.fault`, raised by the instruction at `cpu.rip`. Further faults on the way become
/// double and triple faults here.
pub(crate) fn fault(cx: &mut Cx<'_>) {
    let Some(fault) = cx.cpu.fault.take() else { return };
    raise(cx, fault, None);
}

/// Delivers an exception, where another one may be under way already.
pub(crate) fn raise(cx: &mut Cx<'_>, first: Fault, mut during: Option<Vector>) {
    let mut fault = first;
    loop {
        log(cx, &fault, cx.cpu.rip);
        match during.map_or(Combined::Serial, |d| combine(d, fault.vector)) {
            Combined::Serial => {}
            Combined::Double => {
                fault = Fault { vector: Vector::DF, error: Some(0), why: Some(Why::DoubleFault) };
                log(cx, &fault, cx.cpu.rip);
            }
            Combined::Triple => {
                cx.cpu.activity = Activity::Shutdown;
                cx.cpu.attend(Attn::EVENT);
                return;
            }
        }
        during = Some(fault.vector);
        if fault.vector == Vector::DB {
            debug::entering_handler(cx.cpu);
        }
        let event = exception(cx, &fault);
        let result = cx.deliver_event(&event).and_then(|switched| switched);
        match (result, cx.cpu.fault.take()) {
            (Err(_), Some(next)) => fault = next,
            _ => return taken(cx),
        }
    }
}

/// The event that an exception is. Real mode pushes no error codes.
fn exception(cx: &Cx<'_>, fault: &Fault) -> Event {
    let mut flags = cx.cpu.rflags();
    // The image has RF set for faults, so that the instruction's breakpoint does not hit again (SDM Vol. 3B 17.3.1.1).
    if is_fault(fault) || cx.cpu.sys.repeating {
        flags |= RFlags::RF.bits();
    }
    let error = if cx.cpu.cr0_has(Cr0::PE) { fault.error } else { None };
    Event { vector: fault.vector.0, source: Source::Exception, error, rip: cx.cpu.rip, flags }
}

/// Whether an exception is of the fault class and no instruction breakpoint (SDM Vol. 3A table 6-1).
fn is_fault(fault: &Fault) -> bool {
    match fault.vector {
        Vector::DB => fault.why == Some(Why::GeneralDetect),
        Vector::NMI | Vector::BP | Vector::OF | Vector::DF | Vector::MC => false,
        _ => true,
    }
}

fn log(cx: &mut Cx<'_>, fault: &Fault, rip: u64) {
    let record = FaultRecord {
        vector: fault.vector,
        error: fault.error,
        why: fault.why,
        cr2: cx.cpu.cr2,
        rip,
        cs: cx.cpu.seg[hako_x86::SegReg::Cs as usize].selector,
        count: cx.count(),
    };
    cx.cpu.faults.push(record);
}

/// An event has been delivered: the CPU runs.
fn taken(cx: &mut Cx<'_>) {
    cx.cpu.activity = Activity::Running;
    cx.cpu.events.shadow = Shadow::None;
    cx.cpu.counters.events = cx.cpu.counters.events.wrapping_add(1);
    cx.cpu.attend(Attn::EVENT);
}

/// Delivers an interrupt or NMI; a fault on the way is raised.
fn interrupt(cx: &mut Cx<'_>, vector: u8, source: Source) {
    let rf = if cx.cpu.sys.repeating { RFlags::RF.bits() } else { 0 };
    let event = Event { vector, source, error: None, rip: cx.cpu.rip, flags: cx.cpu.rflags() | rf };
    let result = cx.deliver_event(&event).and_then(|switched| switched);
    match (result, cx.cpu.fault.take()) {
        // While an interrupt is delivered a first exception is not combined: interrupts are benign.
        (Err(_), Some(fault)) => raise(cx, fault, None),
        _ => taken(cx),
    }
}

/// At an instruction boundary: takes the pending events that the flags, the shadow and the NMI mask allow, in the order
/// of their priority (SDM Vol. 3A table 6-2); wakes a halted CPU. Returns whether one was taken.
pub(crate) fn boundary(cx: &mut Cx<'_>) -> bool {
    if core::mem::take(&mut cx.cpu.sys.pdptes_stale) {
        cx.reload_pdptes();
    }
    let shadow = cx.cpu.events.shadow;
    let mut took = false;
    if matches!(cx.cpu.activity, Activity::Running | Activity::Halted) {
        took |= resume(cx);
        took |= shadow != Shadow::MovSs && traps(cx);
        // STI may hold NMIs off too; it does, so that one between STI and HLT does not lose HLT its interrupt.
        took |= shadow == Shadow::None && nmi(cx);
        took |= shadow == Shadow::None && external(cx);
        took |= virtual_interrupt(cx);
    }
    debug::update_careful(cx.cpu);
    took
}

/// Whether the CPU can still take events.
fn alive(cx: &Cx<'_>) -> bool {
    cx.cpu.activity != Activity::Shutdown
}

/// An event whose delivery began before the state was loaded.
fn resume(cx: &mut Cx<'_>) -> bool {
    if let Some(e) = cx.cpu.events.exception.take() {
        raise(cx, Fault { vector: Vector(e.vector), error: e.error_code, why: None }, None);
    } else if let Some(i) = cx.cpu.events.interrupt.take() {
        interrupt(cx, i.vector, if i.soft { Source::Software } else { Source::External });
    } else {
        return false;
    }
    true
}

/// Debug traps of the instruction before.
fn traps(cx: &mut Cx<'_>) -> bool {
    let due = alive(cx) && debug::trap(cx.cpu);
    if due {
        raise(cx, Fault { vector: Vector::DB, error: None, why: None }, None);
    }
    due
}

fn nmi(cx: &mut Cx<'_>) -> bool {
    let due = alive(cx) && cx.cpu.events.nmi_pending && !cx.cpu.events.nmi_masked;
    if due {
        cx.cpu.events.nmi_pending = false;
        cx.cpu.events.nmi_masked = true;
        interrupt(cx, Vector::NMI.0, Source::External);
    }
    due
}

fn external(cx: &mut Cx<'_>) -> bool {
    let due = alive(cx) && cx.cpu.lines.intr && cx.cpu.flag(RFlags::IF);
    if due {
        let at = cx.at();
        let vector = cx.bus.acknowledge(at);
        cx.cpu.lines.intr = false;
        cx.cpu.attend(Attn::LINES);
        interrupt(cx, vector, Source::External);
    }
    due
}

/// #GP before an instruction at level 3 while a virtual interrupt is pending and enabled (SDM Vol. 3B 20.3.2, 20.4).
fn virtual_interrupt(cx: &mut Cx<'_>) -> bool {
    let cpu = &*cx.cpu;
    let extension = if cpu.v86() { Cr4::VME } else { Cr4::PVI };
    let due =
        alive(cx) && cpu.cpl == 3 && cpu.flag(RFlags::VIF) && cpu.flag(RFlags::VIP) && cpu.cr4_has(extension);
    if due {
        raise(
            cx,
            Fault { vector: Vector::GP, error: Some(0), why: Some(Why::VirtualInterruptPending) },
            None,
        );
    }
    due
}

impl Cpu {
    /// A non-maskable interrupt edge.
    pub fn nmi(&mut self) {
        self.events.nmi_pending = true;
        self.attend(Attn::EVENT);
    }
}

impl Cx<'_> {
    /// After a task switch by an instruction: a fault that came in the new task is raised there, not at the
    /// instruction.
    pub fn after_switch(&mut self, switched: Step) {
        if switched.is_err()
            && let Some(fault) = self.cpu.fault.take()
        {
            raise(self, fault, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_combine_as_in_table_6_5() {
        use Combined::{Double, Serial, Triple};
        let (benign, contributory, page) = (Vector::UD, Vector::GP, Vector::PF);
        let table = [
            (benign, [Serial, Serial, Serial]),
            (contributory, [Serial, Double, Serial]),
            (page, [Serial, Double, Double]),
            (Vector::DF, [Serial, Triple, Triple]),
        ];
        for (first, row) in table {
            for (second, want) in [benign, contributory, page].into_iter().zip(row) {
                assert_eq!(combine(first, second), want, "{first:?} then {second:?}");
            }
        }
    }

    #[test]
    fn contributory_exceptions_are_de_ts_np_ss_gp() {
        let all: alloc::vec::Vec<u8> =
            (0..32).filter(|&v| combine(Vector::GP, Vector(v)) == Combined::Double).collect();
        assert_eq!(all, [0, 10, 11, 12, 13]);
    }
}
