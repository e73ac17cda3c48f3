//! One virtual CPU.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use hako_x86::CpuState;

use crate::{Bus, EngineError, Exit};

/// When `run` has to come back at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Not before something happens.
    Never,
    /// Before instruction number `n` + 1 of this CPU, counted as in [`crate::At::count`]. Engines that count.
    Count(u64),
    /// After so much of the host's time. Engines that run in real time.
    After(Duration),
}

/// What a host breakpoint watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakpointKind {
    /// Execution.
    Execute,
    /// Data writes.
    Write,
    /// Data reads and writes.
    Access,
}

/// A breakpoint of the host: engine configuration, never bytes in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breakpoint {
    /// What it watches.
    pub kind: BreakpointKind,
    /// Linear address.
    pub address: u64,
    /// Length in bytes: 1, 2, 4 or 8 (1 for `Execute`).
    pub len: u8,
}

/// Debugging by the host.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Debug {
    /// Come back after every instruction.
    pub step: bool,
    /// Come back before (execute) or after (data) these.
    pub breakpoints: Vec<Breakpoint>,
}

/// Makes a running CPU come back soon, from any thread.
pub trait Kick: Send + Sync {
    /// The next instruction boundary, or the next `run`, ends with [`crate::ExitKind::Kicked`].
    fn kick(&self);
}

/// One virtual CPU of any engine.
pub trait Vcpu: Send {
    /// Executes instructions until something needs attention. A CPU whose state is halted stays so until an interrupt
    /// that its flags allow is on the lines (it then takes it) or the deadline comes; engines that cannot wait return
    /// `ExitKind::Halt` at once.
    fn run(&mut self, bus: &mut dyn Bus, until: Deadline) -> Result<Exit, EngineError>;

    /// The state at the present instruction boundary; finishes a pending I/O access first.
    fn state(&mut self, bus: &mut dyn Bus) -> Result<CpuState, EngineError>;

    /// Replaces the state; drops nothing silently.
    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError>;

    /// A non-maskable interrupt edge.
    fn nmi(&mut self) -> Result<(), EngineError>;

    /// Host debugging from the next `run` on.
    fn set_debug(&mut self, debug: &Debug) -> Result<(), EngineError>;

    /// A handle that interrupts `run`.
    fn kicker(&self) -> Arc<dyn Kick>;

    /// Instructions completed so far (each REP iteration counts one), where the engine counts them.
    fn count(&self) -> Option<u64>;
}
