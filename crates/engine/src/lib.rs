//! The contract between a CPU engine and the board.
//!
//! An engine executes guest instructions ([`Vcpu::run`]) until something needs attention and says why ([`Exit`]). While
//! it runs, everything outside RAM is asked of the [`Bus`], synchronously: an instruction completes or faults and is
//! never suspended half-way. A chip never sees an engine; an engine never sees a chip.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bus;
pub mod error;
pub mod exit;
pub mod irq;
pub mod time;
pub mod vcpu;

pub use bus::{At, Attention, Bus, Lines};
pub use error::EngineError;
pub use exit::{DebugHit, Exit, ExitKind, Refusal};
pub use irq::IrqSink;
pub use time::Time;
pub use vcpu::{Breakpoint, BreakpointKind, Deadline, Debug, Kick, Vcpu};
