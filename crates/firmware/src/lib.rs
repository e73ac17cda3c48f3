//! The built-in BIOS: interrupt services answered in Rust through one trap port.
//!
//! [`rom`] is the guest's half: the reset vector, and for each service a stub that writes to [`TRAP_PORT`]. The machine
//! then stops the CPU at that instruction's end, fetches its state and hands it to [`Bios::service`], which edits
//! registers, the caller's FLAGS on the stack, and memory; the machine puts the state back and the stub returns to the
//! caller. A service that waits does so in the guest: it moves rip to the part of its stub that halts with interrupts
//! on and asks again. All that the services remember is in the BIOS data areas of guest memory.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod platform;
mod rom;
mod service;

use alloc::string::String;

use hako_mem::GuestMemory;
use hako_x86::CpuState;

pub use platform::{Drive, MemoryRange, Platform, RangeKind};
pub use rom::{TRAP_PORT, rom};
pub use service::Service;

/// What the machine does after a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Put the state back and go on.
    Resume,
    /// The trap did not come from a stub; nothing was changed: go on.
    Ignored,
    /// Reset the machine (Ctrl-Alt-Del).
    Reset,
    /// Switch the machine off (APM).
    PowerOff,
}

/// The built-in BIOS.
#[derive(Clone, Debug, Default)]
pub struct Bios {
    boot_error: Option<String>,
}

impl Bios {
    /// A BIOS that has not run yet. Its first service, asked for by the reset stub, is the power-on work.
    pub fn new() -> Bios {
        Bios::default()
    }

    /// Answers a write to [`TRAP_PORT`]. `state` is the CPU's after the OUT has completed.
    pub fn service(
        &mut self,
        state: &mut CpuState,
        mem: &GuestMemory,
        platform: &mut dyn Platform,
    ) -> Outcome {
        let _ = (mem, platform);
        match Service::at(state) {
            Some(_) => Outcome::Resume,
            None => Outcome::Ignored,
        }
    }

    /// Why nothing was booted ("no bootable medium: ..."), after the last attempt has failed.
    pub fn boot_error(&self) -> Option<&str> {
        self.boot_error.as_deref()
    }
}
