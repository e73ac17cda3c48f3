//! Guests: what VT-x needs beyond an ordinary task. Everything here is logic over a VMCS behind a trait, and runs on
//! the host too; the instructions are in the binary's `arch::vmx`.

pub mod capability;
pub mod check;
pub mod controls;
pub mod debug;
pub mod exit;
pub mod extended;
pub mod guest;
pub mod msr;
pub mod quirk;
pub mod reason;
pub mod vmcs;

pub use guest::Guest;
