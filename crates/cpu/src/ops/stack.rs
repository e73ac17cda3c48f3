//! PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE.

use hako_x86::{Cr4, RFlags};

use crate::cx::{Cx, Step};
use crate::op::Op;
use crate::operand::Operand;
use crate::paging::Access;
use crate::why::Why;

const SS: u8 = 2;
const RSP: u8 = 4;
const RBP: u8 = 5;

/// PUSH of register `base`.
pub(crate) fn push_reg<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = T::get(cx.cpu, op.base);
    cx.push(v)
}

/// PUSH of what ModRM r/m names.
pub(crate) fn push_rm<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = cx.rm::<T>(op)?;
    cx.push(v)
}

pub(crate) fn push_imm<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.push(T::from_u64(op.imm as i64 as u64))
}

/// POP to register `base`; POP SP leaves the popped value.
pub(crate) fn pop_reg<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = cx.pop::<T>()?;
    T::set(cx.cpu, op.base, v);
    Ok(())
}

/// POP to what ModRM r/m names; an address based on (E/R)SP uses its value after the pop (SDM Vol. 2B, POP).
pub(crate) fn pop_rm<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let sp = cx.cpu.r[usize::from(RSP)];
    let v = cx.pop::<T>()?;
    let done = cx.set_rm(op, v);
    if done.is_err() {
        cx.cpu.r[usize::from(RSP)] = sp;
    }
    done
}

/// PUSHA: all eight or none.
pub(crate) fn pusha<T: Operand>(cx: &mut Cx<'_>, _op: &Op) -> Step {
    let n = size_of::<T>() as u64;
    for i in 1..=8 {
        cx.probe_push(i * n, n)?;
    }
    let sp = T::get(cx.cpu, RSP);
    for reg in 0..8 {
        let v = if reg == RSP { sp } else { T::get(cx.cpu, reg) };
        cx.push(v)?;
    }
    Ok(())
}

/// POPA: the image of (E)SP is skipped.
pub(crate) fn popa<T: Operand>(cx: &mut Cx<'_>, _op: &Op) -> Step {
    let n = size_of::<T>() as u64;
    let mut values = [T::default(); 8];
    let sp = cx.cpu.r[usize::from(RSP)];
    for (i, v) in values.iter_mut().rev().enumerate() {
        *v = cx.rd(SS, sp.wrapping_add(i as u64 * n) & cx.cpu.stack_mask)?;
    }
    for (reg, &v) in values.iter().enumerate() {
        if reg != usize::from(RSP) {
            T::set(cx.cpu, reg as u8, v);
        }
    }
    cx.set_sp(sp.wrapping_add(8 * n));
    Ok(())
}

/// PUSHF. In virtual-8086 mode with IOPL below 3 it needs VME, which shows VIF as IF (SDM Vol. 3B 20.2.7, 20.3).
pub(crate) fn pushf<T: Operand>(cx: &mut Cx<'_>, _op: &Op) -> Step {
    let mut flags = cx.cpu.rflags() & !(RFlags::VM | RFlags::RF).bits();
    if cx.cpu.v86() && cx.cpu.iopl() < 3 {
        if T::BITS != 16 || !cx.cpu.cr4_has(Cr4::VME) {
            return Err(cx.gp(0, Why::IoplTooLow));
        }
        flags |= RFlags::IOPL.bits();
        flags &= !RFlags::IF.bits();
        if cx.cpu.flag(RFlags::VIF) {
            flags |= RFlags::IF.bits();
        }
    }
    cx.push(T::from_u64(flags))
}

/// Which flags POPF may change, by mode and privilege (SDM Vol. 2B, POPF, table 4-16).
pub(crate) fn popf<T: Operand>(cx: &mut Cx<'_>, _op: &Op) -> Step {
    let always = RFlags::CF
        | RFlags::PF
        | RFlags::AF
        | RFlags::ZF
        | RFlags::SF
        | RFlags::OF
        | RFlags::DF
        | RFlags::TF
        | RFlags::NT
        | RFlags::AC
        | RFlags::ID;
    let (cpl, iopl) = (cx.cpu.cpl, cx.cpu.iopl());
    let mut may = always;
    let virtual_if = cx.cpu.v86() && iopl < 3;
    if virtual_if {
        if T::BITS != 16 || !cx.cpu.cr4_has(Cr4::VME) {
            return Err(cx.gp(0, Why::IoplTooLow));
        }
    } else {
        if cpl <= iopl {
            may |= RFlags::IF;
        }
        if cpl == 0 {
            may |= RFlags::IOPL;
        }
    }
    let sp = cx.cpu.r[usize::from(RSP)];
    let mut value = cx.rd::<T>(SS, sp & cx.cpu.stack_mask)?.to_u64();
    if virtual_if {
        let wants_if = value & RFlags::IF.bits() != 0;
        if wants_if && cx.cpu.flag(RFlags::VIP) || value & RFlags::TF.bits() != 0 {
            return Err(cx.gp(0, Why::IoplTooLow));
        }
        may |= RFlags::VIF;
        value &= !RFlags::VIF.bits();
        if wants_if {
            value |= RFlags::VIF.bits();
        }
    }
    cx.set_sp(sp.wrapping_add(size_of::<T>() as u64));
    // A 16-bit POPF knows the low half only, but for VIF, which stands for IF.
    let mut may = may.bits() & if T::BITS == 16 { 0xffff } else { !0 };
    if virtual_if {
        may |= RFlags::VIF.bits();
    } else if T::BITS != 16 {
        // RF is cleared.
        may |= RFlags::RF.bits();
        value &= !RFlags::RF.bits();
    }
    let flags = cx.cpu.rflags() & !may | value & may;
    cx.cpu.set_rflags(flags);
    Ok(())
}

/// ENTER: `imm` holds the size of the frame and, above it, the nesting level.
pub(crate) fn enter<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let n = size_of::<T>() as u64;
    let (size, level) = (u64::from(op.imm as u16), u64::from(op.imm as u32 >> 16 & 31));
    let (sp, bp) = (cx.cpu.r[usize::from(RSP)], cx.cpu.r[usize::from(RBP)]);
    let mask = cx.cpu.stack_mask;
    // Everything is checked before the first push, the last byte of the new frame included.
    for i in 1..=level + 1 {
        cx.probe_push(i * n, n)?;
    }
    for i in 1..level {
        cx.rd::<T>(SS, bp.wrapping_sub(i * n) & mask)?;
    }
    let pushes = if level == 0 { 1 } else { level + 1 };
    let end = sp.wrapping_sub(pushes * n).wrapping_sub(size) & mask;
    cx.probe(SS, end, n, Access::Write)?;
    cx.push(T::get(cx.cpu, RBP))?;
    let frame = cx.cpu.r[usize::from(RSP)];
    for i in 1..level {
        let v = cx.rd::<T>(SS, bp.wrapping_sub(i * n) & mask)?;
        cx.push(v)?;
    }
    if level > 0 {
        cx.push(T::from_u64(frame))?;
    }
    T::set(cx.cpu, RBP, T::from_u64(frame));
    cx.set_sp(end);
    Ok(())
}

/// LEAVE: (E/R)SP from (E/R)BP, then pop (E/R)BP.
pub(crate) fn leave<T: Operand>(cx: &mut Cx<'_>, _op: &Op) -> Step {
    let bp = cx.cpu.r[usize::from(RBP)];
    let v = cx.rd::<T>(SS, bp & cx.cpu.stack_mask)?;
    cx.set_sp(bp.wrapping_add(size_of::<T>() as u64));
    T::set(cx.cpu, RBP, v);
    Ok(())
}
