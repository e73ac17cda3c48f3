//! The kvm engine: /dev/kvm behind [`hako_engine::Vcpu`].
//!
//! [`Vm`] owns the guest-physical address space and, on request, the interrupt controllers and the timer inside the
//! kernel; [`KvmVcpu`] executes. [`probe()`] says whether this host can do it and how fast.
//!
//! In use: `Vm::new(config, &memory)`, `vm.vcpu(0)`, `vcpu.measure(&memory)` if the choice of engine is still open,
//! `vcpu.set_state(..)`, then `run` until it says something. What the caller has to know beyond the trait:
//! - *HLT.* Without `VmConfig::irqchip` it is an exit, and a halted CPU that is run again says `Halt` at once unless
//!   the lines wake it. With it, `run` says `Halt` when the CPU has been found halted, or waiting for a SIPI, after
//!   20 ms without an exit, and says it again every 20 ms. [`KvmVcpu::interrupts_enabled`], [`IrqchipState::timer_is_heard`] and
//!   [`LapicState::timer_runs`] tell whether anything can still wake it.
//! - *Refused.* rip stands on the instruction. [`KvmVcpu::partial_state`] with [`Parts::CORE`] and back again costs
//!   nothing worth measuring; instructions that need the FPU, debug registers or MSRs need those parts too.
//! - *A20.* KVM has no mask for it: a board that closes the gate maps odd megabytes onto even ones.
//! - *Writes of the guest* leave no marks in the slab's pages.
//! - *Starved.* A KVM that emulates may never let an interrupt in. [`KvmVcpu::take_starved`] then tells why `run` came back
//!   with `Deadline`: somebody else executes the guest to where it takes interrupts, except for what is [`Inside`] KVM.
//! - *Devices on other threads.* [`Vm::outside`] makes a driver's notifications events, and messages that any thread
//!   sends, without an exit of a CPU.
//! - [`hako_engine::Deadline::Count`] is an error: KVM does not count.
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
mod outside;
mod page;
mod probe;
mod run;
mod slots;
mod speed;
mod starved;
mod state;
mod vcpu;
mod vm;

pub use cpuid::{CpuidExtra, CpuidMask, CpuidModel, CpuidReg};
pub use irqchip::{Inside, IoApicState, IrqchipState, LapicState, PicState, PitChannelState, PitState};
pub use outside::{Bound, Doorbell, Message, Outside, Place, Sender};
pub use probe::{Probe, cpuid_extras, probe};
pub use speed::Speed;
pub use state::Parts;
pub use vcpu::{ExitCounts, KvmVcpu};
pub use vm::{Vm, VmConfig};
