//! Device models of the PC as plain state machines.
//!
//! The contract, the same for every chip:
//! - no threads, locks, channels, clocks, port numbers, file descriptors or `unsafe` inside; the board knows where a
//!   chip sits, the chip knows its registers (`read(register, ..)`, `write(register, value, ..)`);
//! - what a chip needs arrives as an argument: the time ([`hako_engine::Time`]), guest memory for DMA, disks
//!   ([`block::Block`]), bytes from a backend;
//! - what it wants of the machine is asked of it after an access: wire levels (`irq() -> bool`), bytes to send
//!   (`take_output`), and `next_event() -> Time`, when it wants `tick(now)`;
//! - a register access is total: any offset, width and value at any time gives a defined result and never panics;
//! - `save()` and `restore()` exchange a versioned plain struct; restoring what the chip cannot be in is an error.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod acpi_pm;
pub mod block;
pub mod coprocessor;
pub mod debugcon;
pub mod debugexit;
pub mod dma8237;
pub mod fdc;
pub mod fw_cfg;
pub mod hpet;
pub mod i8042;
pub mod ide;
pub mod ioapic;
pub mod lapic;
pub mod latch;
pub mod pci;
pub mod pic;
pub mod pit;
pub mod reset;
pub mod rtc;
pub mod saved;
pub mod serial;
pub mod vga;
pub mod wish;

pub use block::{Block, BlockError};
pub use saved::{RestoreError, Saved};
pub use wish::Wish;
