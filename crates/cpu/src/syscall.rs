//! SYSENTER, SYSEXIT, SYSCALL, SYSRET, SWAPGS (SDM Vol. 2B; Vol. 3A 5.8.7, 5.8.8). Intel's semantics: SYSCALL and
//! SYSRET are #UD outside 64-bit mode, and SYSRET to a non-canonical address faults at level 0.

use hako_x86::{Cr0, Efer, RFlags, SegAttr, SegReg, Segment};

use crate::access::canonical;
use crate::attn::Attn;
use crate::cx::{Cx, Step};
use crate::debug;
use crate::op::Op;
use crate::why::Why;

const RCX: usize = 1;
const RDX: usize = 2;
const RSP: usize = 4;
const R11: usize = 11;

/// Width of code that a fast transfer leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    Bits32,
    Bits64,
}

/// The flat code segment that fast transfers load without looking at a descriptor.
fn flat_code(selector: u16, cpl: u8, width: Code) -> Segment {
    let size = if width == Code::Bits64 { SegAttr::L } else { SegAttr::DB };
    flat(selector, cpl, 0xb, size)
}

/// The flat stack segment.
fn flat_stack(selector: u16, cpl: u8) -> Segment {
    flat(selector, cpl, 3, SegAttr::DB)
}

fn flat(selector: u16, cpl: u8, ty: u32, size: SegAttr) -> Segment {
    let attr =
        SegAttr::from_bits_retain(ty | u32::from(cpl) << 5) | SegAttr::S | SegAttr::P | SegAttr::G | size;
    Segment { selector, attr, limit: 0xffff_ffff, base: 0 }
}

/// Commits to a flat CS and SS at a level.
fn transfer(cx: &mut Cx<'_>, cs: Segment, ss: Segment, cpl: u8, rip: u64) {
    cx.cpu.seg[SegReg::Cs as usize] = cs;
    cx.cpu.seg[SegReg::Ss as usize] = ss;
    cx.cpu.cpl = cpl;
    cx.cpu.rip = rip;
    cx.cpu.update_level();
}

/// SYSENTER.
pub(crate) fn sysenter(cx: &mut Cx<'_>, _op: &Op) -> Step {
    let cs = cx.cpu.sys.sysenter_cs as u16 & !3;
    if !cx.cpu.cr0_has(Cr0::PE) {
        return Err(cx.gp(0, Why::NotInRealMode));
    }
    if cs == 0 {
        return Err(cx.gp(0, Why::NullSysenterCs));
    }
    let long = cx.cpu.long();
    let mask = if long { !0 } else { 0xffff_ffff };
    cx.cpu.r[RSP] = cx.cpu.sys.sysenter_esp & mask;
    let rip = cx.cpu.sys.sysenter_eip & mask;
    cx.cpu.set_rflags(cx.cpu.rflags() & !(RFlags::VM | RFlags::IF | RFlags::RF).bits());
    let width = if long { Code::Bits64 } else { Code::Bits32 };
    transfer(cx, flat_code(cs, 0, width), flat_stack(cs.wrapping_add(8), 0), 0, rip);
    Ok(())
}

/// SYSEXIT.
pub(crate) fn sysexit(cx: &mut Cx<'_>, op: &Op) -> Step {
    let base = cx.cpu.sys.sysenter_cs as u16 & !3;
    if !cx.cpu.cr0_has(Cr0::PE) {
        return Err(cx.gp(0, Why::NotInRealMode));
    }
    if base == 0 {
        return Err(cx.gp(0, Why::NullSysenterCs));
    }
    cx.level_0()?;
    let (rip, rsp) = (cx.cpu.r[RDX], cx.cpu.r[RCX]);
    if op.osize == 3 {
        if !canonical(rip) || !canonical(rsp) {
            return Err(cx.gp(0, Why::TargetNotCanonical));
        }
        cx.cpu.r[RSP] = rsp;
        let cs = base.wrapping_add(32) | 3;
        transfer(cx, flat_code(cs, 3, Code::Bits64), flat_stack(cs.wrapping_add(8), 3), 3, rip);
    } else {
        cx.cpu.r[RSP] = rsp & 0xffff_ffff;
        let cs = base.wrapping_add(16) | 3;
        let (cs, ss) = (flat_code(cs, 3, Code::Bits32), flat_stack(cs.wrapping_add(8), 3));
        transfer(cx, cs, ss, 3, rip & 0xffff_ffff);
    }
    Ok(())
}

/// #UD unless SYSCALL and SYSRET are enabled and code is 64-bit.
fn enabled(cx: &mut Cx<'_>) -> Step {
    if !cx.cpu.long64() {
        return Err(cx.ud(Why::Only64Bit));
    }
    if cx.cpu.efer & Efer::SCE.bits() == 0 {
        return Err(cx.ud(Why::SyscallDisabled));
    }
    Ok(())
}

/// SYSCALL and SYSRET step by the TF they load, not by the one they started with.
fn step_by_new_flags(cx: &mut Cx<'_>) {
    cx.cpu.sys.step = false;
    if cx.cpu.flag(RFlags::TF) {
        cx.cpu.sys.pending_db |= debug::BS;
        cx.cpu.attend(Attn::EVENT);
    }
}

/// SYSCALL.
pub(crate) fn syscall(cx: &mut Cx<'_>, _op: &Op) -> Step {
    enabled(cx)?;
    let flags = cx.cpu.rflags() & !RFlags::RF.bits();
    cx.cpu.r[RCX] = cx.cpu.rip;
    cx.cpu.r[R11] = flags;
    let cs = (cx.cpu.sys.star >> 32) as u16 & !3;
    let rip = cx.cpu.sys.lstar;
    cx.cpu.set_rflags(flags & !cx.cpu.sys.fmask);
    transfer(cx, flat_code(cs, 0, Code::Bits64), flat_stack(cs.wrapping_add(8), 0), 0, rip);
    step_by_new_flags(cx);
    Ok(())
}

/// SYSRET.
pub(crate) fn sysret(cx: &mut Cx<'_>, op: &Op) -> Step {
    /// What is loaded from R11: all but RF and VM.
    const LOADED: u64 = 0x3c_7fd7;
    enabled(cx)?;
    cx.level_0()?;
    let rip = cx.cpu.r[RCX];
    let base = (cx.cpu.sys.star >> 48) as u16;
    let wide = op.osize == 3;
    if wide && !canonical(rip) {
        return Err(cx.gp(0, Why::TargetNotCanonical));
    }
    let ss = flat_stack(base.wrapping_add(8) | 3, 3);
    let flags = cx.cpu.r[R11] & LOADED;
    if wide {
        transfer(cx, flat_code(base.wrapping_add(16) | 3, 3, Code::Bits64), ss, 3, rip);
    } else {
        transfer(cx, flat_code(base | 3, 3, Code::Bits32), ss, 3, rip & 0xffff_ffff);
    }
    cx.cpu.set_rflags(flags);
    step_by_new_flags(cx);
    Ok(())
}

/// SWAPGS: 64-bit mode only, as the decoder knows.
pub(crate) fn swapgs(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.level_0()?;
    let gs = cx.cpu.seg[SegReg::Gs as usize].base;
    let new = core::mem::replace(&mut cx.cpu.sys.kernel_gs_base, gs);
    cx.cpu.set_base(SegReg::Gs, new);
    Ok(())
}
