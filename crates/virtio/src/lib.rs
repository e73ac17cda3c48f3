//! Virtio devices: queues, the PCI transports, blk, console, rng, balloon.
//!
//! Written to "Virtual I/O Device (VIRTIO) Version 1.2"; section numbers in this crate are that document's.
//!
//! A device is two values. Its configuration side is a [`Function`]: the registers of one PCI function, modern
//! ([`Flavour::Modern`]) or legacy ([`Flavour::Legacy`]), which the board holds as a [`PciDevice`]. What serves its
//! queues is a [`Worker`]: the positions in the queues and a [`Serve`] with the backend. The worker serves in line,
//! during the driver's notification, or at a [`Station`] on another thread of the machine.
//!
//! Nothing that a driver writes into its queues is believed: descriptors are read once, every address is checked when
//! it is used, chains are no longer than their queue, and a notification does a bounded amount of work. A driver that
//! breaks the rules finds its device in need of a reset (2.1, DEVICE_NEEDS_RESET).
//!
//! [`PciDevice`]: hako_chips::pci::PciDevice
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod balloon;
pub mod blk;
pub mod console;
mod function;
mod function_away;
mod function_saved;
mod legacy;
pub mod model;
mod modern;
pub mod queue;
pub mod registers;
pub mod rng;
mod saved;
pub mod station;
pub mod worker;

pub use balloon::{Balloon, Reclaim, balloon};
pub use blk::{BlkConfig, blk};
pub use console::{ConsoleSize, console};
pub use function::{Flavour, Function};
pub use model::{Model, Serve};
pub use queue::{Chain, Fault};
pub use registers::Registers;
pub use rng::{Entropy, Seeded, rng};
pub use station::{Notify, Station, Terms};
pub use worker::{Served, Worker};
