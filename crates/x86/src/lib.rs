//! The x86-64 architecture as data: registers, the engine-neutral CPU state, descriptors, MSR and CPUID names,
//! and the page-table walk. No behaviour lives here; engines, firmware and reports share these words.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bits;
pub mod cpuid;
pub mod descriptors;
pub mod features;
pub mod models;
pub mod msr;
pub mod regs;
pub mod segment;
pub mod state;
pub mod tss;
pub mod vector;
pub mod width;

pub use bits::{Cr0, Cr4, Efer, RFlags};
pub use cpuid::Model;
pub use descriptors::{Descriptor, Gate, Selector, SystemType};
pub use features::Features;
pub use models::{CpuModelError, parse_cpu};
pub use regs::{Gpr, SegReg};
pub use segment::{DescTable, SegAttr, Segment};
pub use state::{Activity, CpuState, Events, PendingException, PendingInterrupt, Shadow, StateError};
pub use vector::Vector;
pub use width::Width;
