//! What only a processor can do. All of the kernel's `unsafe` is in here.

pub mod apic;
pub mod clock;
pub mod cpu;
pub mod entry;
pub mod hardware;
pub mod memory;
pub mod pci;
pub mod percpu;
pub mod pic;
pub mod serial;
mod start;
mod strings;
mod tables;
pub mod vmx;
