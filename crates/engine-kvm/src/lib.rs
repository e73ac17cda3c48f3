//! The kvm engine: /dev/kvm behind [`hako_engine::Vcpu`].
//!
//! [`Vm`] owns the guest-physical address space and, on request, the interrupt controllers and the timer inside the
//! kernel; [`KvmVcpu`] executes. [`probe`] says whether this host can do it and how fast.
//!
//! Invariants, each kept in one place:
//! - *Complete before you look*: when [`hako_engine::Vcpu::run`] has returned, no I/O access is half done; only
//!   `run.rs` knows such a state, and finishes it before it leaves.
//! - No pointer into `kvm_run` leaves `page.rs`; data slices are lent to the bus for one call.
//! - `kvm_run.immediate_exit` is 0 outside `run` and is set by three alone: a signal handler on the vCPU's own thread
//!   (`kick.rs`), `finish` and `look` (`run.rs`).
//! - Memory slots follow the `MemoryMap` and nothing else (`slots.rs`).

mod alarm;
mod cpuid;
mod debug;
mod error;
mod irqchip;
mod kick;
mod page;
mod probe;
mod run;
mod slots;
mod speed;
mod state;
mod vcpu;
mod vm;

pub use cpuid::{CpuidExtra, CpuidMask, CpuidModel, CpuidReg};
pub use irqchip::{IoApicState, IrqchipState, LapicState, PicState, PitChannelState, PitState};
pub use probe::{Probe, cpuid_extras, probe};
pub use speed::Speed;
pub use state::Parts;
pub use vcpu::{ExitCounts, KvmVcpu};
pub use vm::{Vm, VmConfig};
