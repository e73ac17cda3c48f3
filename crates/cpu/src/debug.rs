//! Debug exceptions, and debugging by the host (SDM Vol. 3B chapter 17).
//!
//! Traps collect in `sys.pending_db` while an instruction runs and are taken at the next boundary, where
//! [`crate::interrupt::boundary`] knows the order of events. Instruction breakpoints are faults and raised before the
//! instruction.

use hako_engine::{Breakpoint, BreakpointKind, Debug, DebugHit};
use hako_x86::{Cr4, RFlags, SegReg, Shadow, Vector};

use crate::Cpu;
use crate::attn::Attn;
use crate::cx::{Cx, Trap};
use crate::why::Why;

/// DR6: an access to a debug register was caught.
const BD: u64 = 1 << 13;
/// DR6: single step.
pub(crate) const BS: u64 = 1 << 14;
/// DR6: the T bit of a TSS.
pub(crate) const BT: u64 = 1 << 15;
/// DR6: breakpoints 0 to 3.
const B: u64 = 0xf;
/// DR7: any access to a debug register is a #DB.
pub(crate) const GD: u64 = 1 << 13;

/// What DR6 holds after `value` is written.
pub(crate) fn dr6(value: u64) -> u64 {
    value & (B | BD | BS | BT) | 0xffff_0ff0
}

/// What DR7 holds after `value` is written.
pub(crate) fn dr7(value: u64) -> u64 {
    value & 0xffff_23ff | 0x400
}

/// What a breakpoint of DR7 watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Execute,
    Write,
    Io,
    Access,
}

/// A debug register with its part of DR7.
#[derive(Clone, Copy)]
struct Armed {
    index: usize,
    kind: Kind,
    address: u64,
    len: u64,
}

/// The breakpoints that are enabled, locally or globally.
fn armed(cpu: &Cpu) -> impl Iterator<Item = Armed> {
    let (dr7, dr) = (cpu.sys.dr7, cpu.sys.dr);
    let de = cpu.cr4_has(Cr4::DE);
    dr.into_iter().enumerate().filter(move |(i, _)| dr7 >> (i * 2) & 3 != 0).filter_map(
        move |(index, address)| {
            let control = dr7 >> (16 + index * 4);
            let kind = match control & 3 {
                0 => Kind::Execute,
                1 => Kind::Write,
                2 if de => Kind::Io,
                2 => return None,
                _ => Kind::Access,
            };
            let len = [1, 2, 8, 4][(control >> 2 & 3) as usize];
            Some(Armed { index, kind, address: address & !(len - 1), len })
        },
    )
}

/// Which breakpoints of the wanted kinds a range touches, as bits of DR6.
fn hits(cpu: &Cpu, wanted: fn(Kind) -> bool, at: u64, len: u64) -> u64 {
    armed(cpu)
        .filter(|b| wanted(b.kind) && at < b.address.wrapping_add(b.len) && b.address < at.wrapping_add(len))
        .fold(0, |bits, b| bits | 1 << b.index)
}

/// After DR7, CR4.DE or the host's breakpoints have changed: whether memory accesses and instructions are watched.
pub(crate) fn rearm(cpu: &mut Cpu) {
    let guest = armed(cpu).any(|b| matches!(b.kind, Kind::Write | Kind::Access));
    let host = cpu.sys.host.breakpoints.iter().any(|b| b.kind != BreakpointKind::Execute);
    if cpu.watch != (guest || host) {
        cpu.watch = guest || host;
        cpu.update_mode();
    }
    cpu.attend(Attn::EVENT);
}

/// Whether instructions have to be executed one by one, with questions before and after each.
pub(crate) fn update_careful(cpu: &mut Cpu) {
    cpu.careful = cpu.flag(RFlags::TF)
        || cpu.flag(RFlags::RF)
        || cpu.watch
        || cpu.sys.pending_db != 0
        || cpu.sys.host.step
        || !cpu.sys.host.breakpoints.is_empty()
        || armed(cpu).any(|b| matches!(b.kind, Kind::Execute | Kind::Io));
}

/// A data access while breakpoints on data are armed.
pub(crate) fn watch(cx: &mut Cx<'_>, lin: u64, len: u64, write: bool) {
    let wanted = if write { |k| matches!(k, Kind::Write | Kind::Access) } else { |k| k == Kind::Access };
    let bits = hits(cx.cpu, wanted, lin, len);
    cx.cpu.sys.pending_db |= bits;
    let hit = |b: &Breakpoint| {
        let end = b.address.wrapping_add(u64::from(b.len.max(1)));
        let kind = b.kind == BreakpointKind::Access || b.kind == BreakpointKind::Write && write;
        kind && lin < end && b.address < lin.wrapping_add(len)
    };
    if let Some(i) = cx.cpu.sys.host.breakpoints.iter().position(hit) {
        cx.cpu.sys.host_hit = Some(i);
    }
}

/// A port access: I/O breakpoints trap after it.
pub(crate) fn watch_port(cpu: &mut Cpu, port: u16, len: u64) {
    let bits = hits(cpu, |k| k == Kind::Io, u64::from(port), len);
    if bits != 0 {
        cpu.sys.pending_db |= bits;
        cpu.attend(Attn::EVENT);
    }
}

/// Before the instruction at `cpu.rip`, while `cpu.careful`: the host's breakpoints stop the CPU; the guest's raise #DB.
pub(crate) fn before(cx: &mut Cx<'_>) -> Result<Option<DebugHit>, Trap> {
    let cpu = &mut *cx.cpu;
    let base = if cpu.long64() { 0 } else { cpu.seg[SegReg::Cs as usize].base };
    let lin = base.wrapping_add(cpu.rip) & if cpu.long() { !0 } else { 0xffff_ffff };
    let here = (cpu.count, cpu.rip);
    if cpu.sys.host_stop != Some(here) {
        let hit = |b: &Breakpoint| b.kind == BreakpointKind::Execute && b.address == lin;
        if let Some(i) = cpu.sys.host.breakpoints.iter().position(hit) {
            // The next run goes past it.
            cpu.sys.host_stop = Some(here);
            return Ok(Some(DebugHit::Breakpoint(i)));
        }
    }
    cpu.sys.host_stop = None;
    cpu.sys.host_hit = None;
    cpu.sys.rf = cpu.flag(RFlags::RF);
    if !cpu.sys.rf && cpu.events.shadow != Shadow::MovSs {
        let bits = hits(cpu, |k| k == Kind::Execute, lin, 1);
        if bits != 0 {
            cpu.sys.pending_db |= bits;
            trap(cpu);
            return Err(cx.fault(Vector::DB, None, Why::InstructionBreakpoint));
        }
    }
    cpu.sys.step = cpu.flag(RFlags::TF);
    Ok(None)
}

/// After a completed instruction, while `cpu.careful`: collects the single-step trap and ends RF; the host's breakpoints
/// and steps stop the CPU.
pub(crate) fn after(cx: &mut Cx<'_>) -> Result<Option<DebugHit>, Trap> {
    let cpu = &mut *cx.cpu;
    // The step of an instruction that loads SS is lost: the trap that comes is that of the next one, if it completes.
    if core::mem::take(&mut cpu.sys.step) && cpu.events.shadow != Shadow::MovSs {
        cpu.sys.pending_db |= BS;
    }
    if core::mem::take(&mut cpu.sys.rf) && !cpu.sys.repeating {
        cpu.set_rflags(cpu.rflags() & !RFlags::RF.bits());
    }
    cpu.attend(Attn::EVENT);
    if let Some(i) = cpu.sys.host_hit.take() {
        return Ok(Some(DebugHit::Breakpoint(i)));
    }
    Ok(cpu.sys.host.step.then_some(DebugHit::Step))
}

/// Takes the pending debug traps into DR6; `false` if there are none. Bits 0 to 3 say what hit now, the others
/// accumulate (SDM Vol. 3B 17.2.3).
pub(crate) fn trap(cpu: &mut Cpu) -> bool {
    let bits = core::mem::take(&mut cpu.sys.pending_db);
    if bits == 0 {
        return false;
    }
    cpu.sys.dr6 = merged(cpu.sys.dr6, bits);
    true
}

/// DR6 after a debug exception for `bits`.
pub(crate) fn merged(dr6: u64, bits: u64) -> u64 {
    dr6 & !B | bits
}

/// A debug register was named while DR7.GD is set.
pub(crate) fn general_detect(cx: &mut Cx<'_>) -> Trap {
    cx.cpu.sys.dr6 |= BD;
    cx.fault(Vector::DB, None, Why::GeneralDetect)
}

/// A #DB is about to be delivered: its handler may use the debug registers.
pub(crate) fn entering_handler(cpu: &mut Cpu) {
    cpu.sys.dr7 &= !GD;
}

impl Cpu {
    /// Debugging by the host from the next [`Cpu::run`] on.
    pub fn set_debug(&mut self, debug: &Debug) {
        self.sys.host = debug.clone();
        self.sys.host_stop = None;
        rearm(self);
    }
}
