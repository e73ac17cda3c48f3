//! The PC board: memory map, port and MMIO routing, PCI, interrupt routing, power.
//!
//! A [`Board`] is everything of a machine that is not the CPU: two kinds, [`Bare`] and [`Pc`], behind one set of
//! methods. It has no clock and no host: every access says when it happens, what the guest says is left in
//! [`Output`] for the machine to fetch, what a chip wants of the machine is a wish. Single-owner and `Send`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bare;
pub mod board;
pub mod names;
pub mod output;
pub mod pc;

pub use bare::Bare;
pub use board::Board;
pub use output::Output;
pub use pc::{Disks, Layout, Pc, PcConfig};
