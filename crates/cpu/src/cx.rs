//! What an instruction handler works with, and how it raises exceptions.

use alloc::sync::Arc;

use hako_engine::{At, Bus};
use hako_mem::Slab;
use hako_x86::Vector;

use crate::fault::Fault;
use crate::op::Op;
use crate::{Cpu, Why};

/// The CPU, the bus and the memory while instructions run.
pub(crate) struct Cx<'a> {
    pub cpu: &'a mut Cpu,
    pub bus: &'a mut dyn Bus,
    pub slab: Arc<Slab>,
}

/// Why the instruction after this one is not the next to execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trap {
    /// The instruction did not complete; the exception is in `cpu.fault`.
    Fault,
    /// It completed, and is a branch inside a block that was taken; `cpu.rip` is right.
    Jump,
}

/// How an instruction ended.
pub(crate) type Step = Result<(), Trap>;

impl Cx<'_> {
    /// Raises an exception.
    #[cold]
    pub fn fault(&mut self, vector: Vector, error: Option<u32>, why: Why) -> Trap {
        self.cpu.fault = Some(Fault { vector, error, why: Some(why) });
        Trap::Fault
    }

    /// #UD.
    #[cold]
    pub fn ud(&mut self, why: Why) -> Trap {
        self.fault(Vector::UD, None, why)
    }

    /// #GP with an error code.
    #[cold]
    pub fn gp(&mut self, error: u32, why: Why) -> Trap {
        self.fault(Vector::GP, Some(error), why)
    }

    /// #NP with an error code.
    #[cold]
    pub fn np(&mut self, error: u32, why: Why) -> Trap {
        self.fault(Vector::NP, Some(error), why)
    }

    /// #SS with an error code.
    #[cold]
    pub fn ss(&mut self, error: u32, why: Why) -> Trap {
        self.fault(Vector::SS, Some(error), why)
    }

    /// #TS with an error code.
    #[cold]
    pub fn ts(&mut self, error: u32, why: Why) -> Trap {
        self.fault(Vector::TS, Some(error), why)
    }

    /// #DE.
    #[cold]
    pub fn de(&mut self, why: Why) -> Trap {
        self.fault(Vector::DE, None, why)
    }

    /// #PF at a linear address: CR2 is loaded with it.
    #[cold]
    pub fn pf(&mut self, lin: u64, error: u32, why: Why) -> Trap {
        self.cpu.cr2 = lin;
        self.fault(Vector::PF, Some(error), why)
    }

    /// RIP of the current instruction.
    #[inline(always)]
    pub fn rip(&self) -> u64 {
        self.cpu.r[crate::op::BLOCK_RIP as usize].wrapping_add(u64::from(self.cpu.at.off)) & self.cpu.ip_mask
    }

    /// RIP of the instruction after `op`.
    #[inline(always)]
    pub fn next_rip(&self, op: &Op) -> u64 {
        let past = u64::from(op.at.off) + u64::from(op.len);
        self.cpu.r[crate::op::BLOCK_RIP as usize].wrapping_add(past) & self.cpu.ip_mask
    }

    /// Instructions completed before the current one.
    #[inline(always)]
    pub fn count(&self) -> u64 {
        self.cpu.count.wrapping_add(u64::from(self.cpu.at.idx))
    }

    /// Who accesses the bus, and when.
    #[inline(always)]
    pub fn at(&self) -> At {
        At { cpu: self.cpu.config.cpu, count: self.count() }
    }
}
