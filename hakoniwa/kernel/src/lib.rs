//! The microkernel without the machine: tasks, rights, messages, memory, scheduling, time.
//!
//! Everything here is plain state behind the [`Platform`](platform::Platform) trait and is tested on the host. The
//! binary adds what only a processor can do: entries and exits, page-table and interrupt-controller registers.
//!
//! The kernel runs to completion on one stack with interrupts off. A task that waits is a state in a table, never a
//! suspended kernel stack; so every call is a function from state to state, and its registers are written when the
//! answer comes.

#![no_std]
#![forbid(unsafe_code)]

pub mod boot;
pub mod context;
pub mod frames;
mod guests;
pub mod hv;
pub mod kernel;
pub mod log;
pub mod paging;
pub mod platform;
pub mod sched;
pub mod task;

mod init;
mod ipc;
pub mod lifecycle;
mod memory;
mod syscall;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use init::NoInit;
pub use kernel::Kernel;
