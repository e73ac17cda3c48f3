//! The software x86-64 CPU: decoder, block cache, TLBs, interpreter.
//!
//! [`Cpu`] is the live state; [`Cpu::run`] executes until something needs attention. Instructions are decoded once into
//! [`op::Op`]s (a handler and its operands), kept in blocks found by where their bytes lie in the slab, and run in a
//! loop that looks at the world outside only when a handler says so. Memory goes through [`tlb`]s straight to the slab;
//! the [`hako_engine::Bus`] sees only what is not RAM.
//!
//! Invariants every handler keeps:
//! * It returns `Err` only if it has changed nothing architectural (but for what the SDM lets a faulting instruction
//!   change, such as the progress of REP).
//! * It sets `cpu.rip` only if the decoder ends a block after it, or if it then returns [`cx::Trap::Jump`].
//! * What the run loop must look at before the next instruction is reported through [`Cpu::attend`].
#![no_std]
#![cfg_attr(not(test), forbid(unsafe_code))]
#![cfg_attr(test, deny(unsafe_code))] // tests run code on the host

extern crate alloc;
#[cfg(test)]
extern crate std;

mod access;
mod attn;
mod code;
mod complete;
mod config;
mod control;
mod convert;
mod cpu;
mod cpuid;
mod cx;
mod debug;
mod decode;
mod far;
mod fault;
mod flags;
mod flush;
mod fpu;
mod gate;
mod init;
mod interrupt;
mod io;
mod iret;
mod msr;
mod mtrr;
mod op;
mod operand;
mod ops;
mod paging;
mod protection;
mod run;
mod seg;
mod segfast;
mod simd;
mod stack;
mod sys;
mod syscall;
mod sysregs;
mod task;
mod tlb;
mod user;
mod why;

pub use complete::{Completed, Work};
pub use config::Config;
pub use cpu::{Counters, Cpu, Stop, StopKind};
pub use fault::{FaultLog, FaultRecord};
pub use why::Why;
