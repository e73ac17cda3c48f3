//! IRET in all its ways (SDM Vol. 2A, IRET).

use hako_x86::{Cr4, RFlags, SegReg, Selector, SystemType, tss};

use crate::attn::Attn;
use crate::cx::{Cx, Step, Trap};
use crate::far::ip_mask;
use crate::op::Op;
use crate::seg::Blame;
use crate::task::Entry;
use crate::why::Why;

/// What a frame holds at its top, and in which width.
struct Frame {
    rip: u64,
    cs: Selector,
    flags: u64,
    osize: u8,
}

/// What every IRET loads.
const ALWAYS: u64 = RFlags::CF.bits()
    | RFlags::PF.bits()
    | RFlags::AF.bits()
    | RFlags::ZF.bits()
    | RFlags::SF.bits()
    | RFlags::TF.bits()
    | RFlags::DF.bits()
    | RFlags::OF.bits()
    | RFlags::NT.bits();
/// What a 32- or 64-bit IRET loads besides.
const WIDE: u64 = RFlags::RF.bits() | RFlags::AC.bits() | RFlags::ID.bits();

/// IRET, IRETD, IRETQ.
pub(crate) fn iret(cx: &mut Cx<'_>, op: &Op) -> Step {
    // NMIs are unblocked also by an IRET that faults (SDM Vol. 3A 6.7.1, Vol. 3C 27.2.3).
    cx.cpu.events.nmi_masked = false;
    cx.cpu.attend(Attn::EVENT);
    let result = if cx.cpu.v86() {
        from_v86(cx, op.osize)
    } else if !cx.cpu.protected() {
        in_real_mode(cx, op.osize)
    } else if cx.cpu.flag(RFlags::NT) {
        to_previous_task(cx)
    } else {
        in_protected_mode(cx, op.osize)
    };
    if result.is_ok() && op.osize != 1 {
        // RF is what was popped; it holds for the next instruction. A 16-bit image has no RF.
        cx.cpu.sys.rf = false;
    }
    result
}

fn pop_frame(cx: &mut Cx<'_>, osize: u8) -> Result<Frame, Trap> {
    let n = 1u64 << osize;
    let rip = cx.peek(0, osize)?;
    let cs = Selector(cx.peek(n, osize)? as u16);
    let flags = cx.peek(2 * n, osize)?;
    Ok(Frame { rip, cs, flags, osize })
}

/// The flags that `loaded` gives where only the bits of `mask` may change.
fn merged(cx: &Cx<'_>, loaded: u64, mask: u64) -> u64 {
    cx.cpu.rflags() & !mask | loaded & mask
}

fn in_real_mode(cx: &mut Cx<'_>, osize: u8) -> Step {
    let frame = pop_frame(cx, osize)?;
    let cs = cx.real_segment(SegReg::Cs, frame.cs.0);
    if frame.rip > u64::from(cs.limit) {
        return Err(cx.gp(0, Why::TargetBeyondLimit));
    }
    let wide = if osize == 1 { 0 } else { WIDE };
    let mask = ALWAYS | wide | (RFlags::IF | RFlags::IOPL).bits();
    let flags = merged(cx, frame.flags, mask);
    cx.set_sp(cx.cpu.r[4].wrapping_add(3 << osize));
    cx.commit_code(cs, frame.rip);
    cx.cpu.set_rflags(flags);
    Ok(())
}

/// From virtual-8086 mode to the same task (SDM Vol. 3B 20.2.5, 20.3).
fn from_v86(cx: &mut Cx<'_>, osize: u8) -> Step {
    let iopl3 = cx.cpu.iopl() == 3;
    let virtual_if = !iopl3 && osize == 1 && cx.cpu.cr4_has(Cr4::VME);
    if !iopl3 && !virtual_if {
        return Err(cx.gp(0, Why::IoplTooLow));
    }
    let frame = pop_frame(cx, osize)?;
    if virtual_if {
        let wants_if = frame.flags & RFlags::IF.bits() != 0;
        if frame.flags & RFlags::TF.bits() != 0 || wants_if && cx.cpu.flag(RFlags::VIP) {
            return Err(cx.gp(0, Why::VirtualInterruptPending));
        }
    }
    let cs = cx.real_segment(SegReg::Cs, frame.cs.0);
    if frame.rip > u64::from(cs.limit) {
        return Err(cx.gp(0, Why::TargetBeyondLimit));
    }
    let wide = if osize == 1 { 0 } else { WIDE };
    let flags = if virtual_if {
        let vif = if frame.flags & RFlags::IF.bits() != 0 { RFlags::VIF.bits() } else { 0 };
        merged(cx, frame.flags & !RFlags::VIF.bits() | vif, ALWAYS | RFlags::VIF.bits())
    } else {
        merged(cx, frame.flags, ALWAYS | wide | RFlags::IF.bits())
    };
    cx.set_sp(cx.cpu.r[4].wrapping_add(3 << osize));
    cx.commit_code(cs, frame.rip);
    cx.cpu.set_rflags(flags);
    Ok(())
}

/// NT is set: back to the task that the back link names (SDM Vol. 3A 7.4).
fn to_previous_task(cx: &mut Cx<'_>) -> Step {
    if cx.cpu.long() {
        return Err(cx.gp(0, Why::NoTasksInLongMode));
    }
    let at = cx.cpu.tr.base.wrapping_add(u64::from(tss::BACK_LINK));
    let sel = Selector(cx.read_linear_sys(at)?);
    let blame = Blame::ts(0);
    if sel.in_ldt() || sel.is_null() {
        return Err(cx.blame(blame, sel, Why::TssNotInGdt));
    }
    let d = cx.descriptor(sel, blame)?;
    if !matches!(d.system(), Some(SystemType::Tss16Busy | SystemType::Tss32Busy)) {
        return Err(cx.blame(blame, sel, Why::NotABusyTss));
    }
    let old = (cx.cpu.rip, cx.cpu.rflags() & !RFlags::RF.bits());
    let switched = cx.switch_task(sel, d, Entry::Iret, old)?;
    cx.after_switch(switched);
    Ok(())
}

fn in_protected_mode(cx: &mut Cx<'_>, osize: u8) -> Step {
    let frame = pop_frame(cx, osize)?;
    let cpl = cx.cpu.cpl;
    if frame.flags & RFlags::VM.bits() != 0 && cpl == 0 && osize == 2 && !cx.cpu.long() {
        return to_v86(cx, &frame);
    }
    let mut cs = cx.return_code(frame.cs)?;
    let outer = frame.cs.rpl() > cpl;
    // 64-bit mode pops SS:RSP always.
    if outer || cx.cpu.long64() {
        let n = 1u64 << osize;
        let sp = cx.peek(3 * n, osize)?;
        let ss = Selector(cx.peek(4 * n, osize)? as u16);
        let mut ss = cx.return_stack(ss, frame.cs.rpl(), &cs)?;
        cx.check_entry(&cs, frame.rip, 0)?;
        cx.touch(&mut cs)?;
        cx.touch(&mut ss)?;
        let flags = protected_flags(cx, &frame);
        cx.cpu.seg[SegReg::Ss as usize] = ss;
        cx.cpu.cpl = frame.cs.rpl();
        if outer {
            cx.drop_privileged_segments(frame.cs.rpl());
        }
        cx.commit_code(cs, frame.rip & ip_mask(osize));
        cx.load_outer_sp(sp, osize);
        cx.cpu.set_rflags(flags);
    } else {
        cx.check_entry(&cs, frame.rip, 0)?;
        cx.touch(&mut cs)?;
        let flags = protected_flags(cx, &frame);
        cx.set_sp(cx.cpu.r[4].wrapping_add(3 << osize));
        cx.commit_code(cs, frame.rip);
        cx.cpu.set_rflags(flags);
    }
    // Alignment checks follow AC and the new level.
    cx.cpu.update_level();
    Ok(())
}

/// The flags of a return in protected mode, by the level that returns.
fn protected_flags(cx: &Cx<'_>, frame: &Frame) -> u64 {
    let cpl = cx.cpu.cpl;
    let mut mask = ALWAYS;
    if frame.osize != 1 {
        mask |= WIDE;
    }
    if cpl <= cx.cpu.iopl() {
        mask |= RFlags::IF.bits();
    }
    if cpl == 0 {
        mask |= RFlags::IOPL.bits();
        if frame.osize != 1 {
            mask |= (RFlags::VIF | RFlags::VIP).bits();
        }
    }
    merged(cx, frame.flags, mask)
}

/// From level 0 into virtual-8086 mode.
fn to_v86(cx: &mut Cx<'_>, frame: &Frame) -> Step {
    let mut image = [0; 6];
    for (i, v) in (3..).zip(image.iter_mut()) {
        *v = cx.peek(i * 4, 2)?;
    }
    if frame.rip > 0xffff {
        return Err(cx.gp(0, Why::TargetBeyondLimit));
    }
    let [sp, ss, es, ds, fs, gs] = image;
    cx.cpu.cpl = 3;
    let mask = ALWAYS | WIDE | (RFlags::IF | RFlags::IOPL | RFlags::VM | RFlags::VIF | RFlags::VIP).bits();
    let flags = merged(cx, frame.flags, mask);
    cx.cpu.set_rflags(flags);
    let selectors = [es, u64::from(frame.cs.0), ss, ds, fs, gs];
    for (reg, sel) in SegReg::ALL.into_iter().zip(selectors) {
        cx.cpu.seg[reg as usize] = cx.real_segment(reg, sel as u16);
    }
    cx.cpu.r[4] = sp;
    cx.cpu.rip = frame.rip;
    cx.cpu.update_mode();
    Ok(())
}
