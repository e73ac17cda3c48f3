//! The x87 instructions (SDM Vol. 1 chapter 8, Vol. 2 F).
//!
//! Of the decoder they get the last instruction opcode in `op.imm`: the low three bits of the first byte, then ModRM.

pub(crate) mod arith;
pub(crate) mod bcd;
pub(crate) mod compare;
pub(crate) mod control;
pub(crate) mod elementary;
pub(crate) mod load;
pub(crate) mod registers;
pub(crate) mod remainder;
pub(crate) mod scale;
pub(crate) mod store;

use hako_mem::Word;
use hako_x86::{Activity, Cr0, SegReg, Vector};

use super::stack::ES;
use super::state::{F80, FpuState};
use crate::cx::{Cx, Step, Trap};
use crate::op::{ADDRESS_MASK, MEM, Op};
use crate::operand::Address;
use crate::paging::Access;
use crate::why::Why;

/// The register ST(i) that an instruction without memory operand names.
#[inline(always)]
fn sti(op: &Op) -> u8 {
    op.imm as u8 & 7
}

impl Cx<'_> {
    /// The x87 registers.
    #[inline(always)]
    fn x(&mut self) -> &mut FpuState {
        &mut self.cpu.fpu
    }

    /// What every x87 instruction asks first: whether there is an FPU to use, and, unless it is one of the few that do
    /// not `wait`, whether an exception of an earlier instruction waits (SDM Vol. 3A table 2-2, Vol. 1 8.6).
    #[inline(always)]
    fn x87(&mut self) -> Step {
        let off = self.cpu.cr0 & (Cr0::EM | Cr0::TS).bits() != 0;
        if off || self.cpu.fpu.sw & ES != 0 {
            return self.x87_refuse(off);
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn x87_refuse(&mut self, off: bool) -> Step {
        if off { self.x87_there() } else { self.x87_pending() }
    }

    /// The same for instructions that do not wait.
    #[inline]
    fn x87_there(&mut self) -> Step {
        if self.cpu.cr0 & (Cr0::EM | Cr0::TS).bits() != 0 {
            return Err(self.fault(Vector::NM, None, Why::FpuUnavailable));
        }
        Ok(())
    }

    /// Delivers the exception that waits. Without CR0.NE that is the interrupt controller's matter: FERR# is asserted,
    /// and the instruction does not begin until an interrupt has come, unless IGNNE# lets it (SDM Vol. 1 8.7.2).
    #[cold]
    pub(crate) fn x87_pending(&mut self) -> Step {
        if self.cpu.fpu.sw & ES == 0 {
            return Ok(());
        }
        if self.cpu.cr0_has(Cr0::NE) {
            return Err(self.fault(Vector::MF, None, Why::FpuException));
        }
        self.ferr(true);
        let at = self.at();
        if self.bus.ignne(at) {
            return Ok(());
        }
        // Not executed, and without an exception of its own: the CPU waits in front of it.
        self.cpu.activity = Activity::Halted;
        self.cpu.fault = None;
        Err(Trap::Fault)
    }

    /// FERR# falls when no exception waits any more, and when CR0.NE is set, with which exceptions are none of the interrupt
    /// controller's business (SDM Vol. 3A 2.5).
    pub(crate) fn settle_ferr(&mut self) {
        if self.cpu.ferr && (self.cpu.fpu.sw & ES == 0 || self.cpu.cr0_has(Cr0::NE)) {
            self.ferr(false);
        }
    }

    /// Drives FERR#.
    fn ferr(&mut self, level: bool) {
        self.cpu.ferr = level;
        let at = self.at();
        let attention = self.bus.ferr(at, level);
        self.cpu.attend_bus(attention);
    }

    /// Notes the instruction in the FPU's instruction pointer, and its operand, if it is in memory, in the data pointer.
    #[inline(always)]
    fn note(&mut self, op: &Op) {
        let (fip, fcs) = (self.rip(), self.cpu.seg[SegReg::Cs as usize].selector);
        if op.pfx & MEM != 0 {
            let fds = self.cpu.seg.get(usize::from(op.seg)).map_or(0, |s| s.selector);
            let fdp = self.ea(op);
            let fpu = self.x();
            (fpu.fdp, fpu.fds) = (fdp, fds);
        }
        let fpu = self.x();
        (fpu.fop, fpu.fip, fpu.fcs) = (op.imm as u16 & 0x7ff, fip, fcs);
    }

    /// An instruction without memory operand begins.
    #[inline(always)]
    fn begin(&mut self, op: &Op) -> Step {
        self.x87()?;
        self.note(op);
        Ok(())
    }

    /// An instruction begins and reads its operand.
    #[inline(always)]
    fn operand<T: Word, A: Address>(&mut self, op: &Op) -> Result<T, Trap> {
        self.x87()?;
        let value = match A::read(self, op, size_of::<T>() as u64) {
            Some(at) => self.slab.load(at),
            None => self.rd_slow(op.seg, self.ea(op))?,
        };
        self.note(op);
        Ok(value)
    }

    /// Writes the memory operand.
    #[inline(always)]
    fn put<T: Word, A: Address>(&mut self, op: &Op, value: T) -> Step {
        match A::write(self, op, size_of::<T>() as u64) {
            Some(at) => {
                self.slab.store(at, value);
                Ok(())
            }
            None => self.wr_slow(op.seg, self.ea(op), value),
        }
    }

    /// The offset `n` bytes into the memory operand.
    #[inline(always)]
    pub(crate) fn ea_plus(&self, op: &Op, n: u64) -> u64 {
        self.ea(op).wrapping_add(n) & ADDRESS_MASK[usize::from(op.asize & 3)]
    }

    /// Reads the ten bytes at `at` in the memory operand.
    #[inline]
    pub(crate) fn read_f80(&mut self, op: &Op, at: u64) -> Result<F80, Trap> {
        let mant = self.rd::<u64>(op.seg, self.ea_plus(op, at))?;
        let se = self.rd::<u16>(op.seg, self.ea_plus(op, at + 8))?;
        Ok(F80 { mant, se })
    }

    /// Writes the ten bytes at `at` in the memory operand, all or none.
    #[inline]
    pub(crate) fn write_f80(&mut self, op: &Op, at: u64, value: F80) -> Step {
        let (low, high) = (self.ea_plus(op, at), self.ea_plus(op, at + 8));
        if self.write_hit(op.seg, low, 8).is_none() || self.write_hit(op.seg, high, 2).is_none() {
            self.probe(op.seg, low, 8, Access::Write)?;
            self.probe(op.seg, high, 2, Access::Write)?;
        }
        self.wr(op.seg, low, value.mant)?;
        self.wr(op.seg, high, value.se)
    }
}
