//! What a user task stands on: its entry, the system calls, a heap, printing.

#![no_std]

pub mod calls;
pub mod console;
mod heap;
pub mod load;
pub mod print;
mod start;
pub mod vm;

pub use calls::*;
pub use hakoniwa_abi as abi;
