//! Near JMP, CALL, RET, Jcc, LOOPcc, JCXZ, and the condition codes.

use crate::Cpu;
use crate::access::canonical;
use crate::cx::{Cx, Step, Trap};
use crate::op::{ADDRESS_MASK, Op};
use crate::operand::Operand;
use crate::why::Why;

/// Whether condition code `cc` (SDM Vol. 1 appendix B) holds.
#[inline(always)]
pub(crate) fn condition(cpu: &Cpu, cc: u8) -> bool {
    let f = cpu.fl;
    let positive = match cc >> 1 & 7 {
        0 => f.of(),
        1 => f.cf(),
        2 => f.zf(),
        3 => f.cf() || f.zf(),
        4 => f.sf(),
        5 => f.pf(),
        6 => f.sf() != f.of(),
        _ => f.zf() || f.sf() != f.of(),
    };
    positive != (cc & 1 != 0)
}

impl Cx<'_> {
    /// Checks a near branch target (SDM Vol. 2A, JMP): within CS's limit, or canonical.
    #[inline(always)]
    pub fn check_target(&mut self, target: u64) -> Result<u64, Trap> {
        if self.cpu.code_size == 2 {
            if canonical(target) { Ok(target) } else { Err(self.gp(0, Why::TargetNotCanonical)) }
        } else if target < self.cpu.code_end {
            Ok(target)
        } else {
            Err(self.gp(0, Why::TargetBeyondLimit))
        }
    }

    /// The same for a target that comes from an operand as wide as `T`: 64-bit ones belong to 64-bit mode, and no others.
    #[inline(always)]
    fn near_target<T: Operand>(&mut self, target: T) -> Result<u64, Trap> {
        let target = target.to_u64();
        let good = if T::BITS == 64 { canonical(target) } else { target < self.cpu.code_end };
        if good { Ok(target) } else { self.check_target(target) }
    }

    #[inline(always)]
    fn jump<T: Operand>(&mut self, target: T) -> Step {
        self.cpu.rip = self.near_target(target)?;
        Ok(())
    }
}

/// The target of a relative branch as wide as `T`; the decoder has made `disp` relative to the block.
#[inline(always)]
fn relative<T: Operand>(cx: &Cx<'_>, op: &Op) -> T {
    let block = cx.cpu.r[crate::op::BLOCK_RIP as usize];
    T::from_u64(block.wrapping_add(op.disp as u64))
}

pub(crate) fn jmp<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let target = relative::<T>(cx, op);
    cx.jump(target)
}

pub(crate) fn jmp_rm<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let target = cx.rm::<T>(op)?;
    cx.jump(target)
}

/// Jcc with condition `CC`. The block may go on after it.
pub(crate) fn jcc<const CC: u8, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    if condition(cx.cpu, CC) {
        let target = relative::<T>(cx, op);
        cx.cpu.rip = cx.near_target(target)?;
        return Err(Trap::Jump);
    }
    Ok(())
}

#[inline(always)]
fn call_to<T: Operand>(cx: &mut Cx<'_>, op: &Op, target: T) -> Step {
    let target = cx.near_target(target)?;
    let back = T::from_u64(cx.next_rip(op));
    cx.push(back)?;
    cx.cpu.rip = target;
    Ok(())
}

pub(crate) fn call<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let target = relative::<T>(cx, op);
    call_to::<T>(cx, op, target)
}

pub(crate) fn call_rm<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let target = cx.rm::<T>(op)?;
    call_to::<T>(cx, op, target)
}

/// RET, with `imm` bytes of parameters.
pub(crate) fn ret<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let sp = cx.cpu.r[4];
    let target: T = match cx.stack_read_hit::<T>(sp) {
        Some(at) => cx.slab.load(at),
        None => cx.rd_slow(2, sp & cx.cpu.stack_mask)?,
    };
    cx.jump(target)?;
    let release = size_of::<T>() as u64 + u64::from(op.imm as u16);
    cx.move_sp::<T>(sp.wrapping_add(release));
    Ok(())
}

/// Counts (E/R)CX down by the address size and says whether it is zero then.
fn count_down(cx: &mut Cx<'_>, op: &Op) -> (u64, bool) {
    let mask = ADDRESS_MASK[usize::from(op.asize & 3)];
    let old = cx.cpu.r[1];
    let left = old.wrapping_sub(1) & mask;
    let kept = if op.asize == 0 { old & !mask } else { 0 };
    (kept | left, left == 0)
}

/// LOOP, LOOPE, LOOPNE: `imm` is 0 for LOOPNE, 1 for LOOPE, 2 for LOOP.
pub(crate) fn loop_cc<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let (rcx, done) = count_down(cx, op);
    let zf = cx.cpu.fl.zf();
    let wanted = match op.imm {
        0 => !zf,
        1 => zf,
        _ => true,
    };
    if !done && wanted {
        let target = relative::<T>(cx, op);
        cx.jump(target)?;
    }
    cx.cpu.r[1] = rcx;
    Ok(())
}

/// JCXZ, JECXZ, JRCXZ by address size.
pub(crate) fn jcxz<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    if cx.cpu.r[1] & ADDRESS_MASK[usize::from(op.asize & 3)] == 0 {
        let target = relative::<T>(cx, op);
        return cx.jump(target);
    }
    Ok(())
}
