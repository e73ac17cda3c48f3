//! The built-in BIOS: interrupt services answered in Rust through one trap port.
//!
//! [`rom()`] is the guest's half: the reset vector, and for each service a stub that writes to [`TRAP_PORT`]. The machine
//! then stops the CPU at that instruction's end, fetches its state and hands it to [`Bios::service`], which edits
//! registers, the caller's FLAGS on the stack, and memory; the machine puts the state back and the stub returns to the
//! caller. A service that waits does so in the guest: it moves rip to the part of its stub that halts with interrupts
//! on and asks again. All that the services remember is in the BIOS data areas of guest memory.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bda;
mod boot;
mod call;
mod clock;
mod disk;
mod font;
mod image;
mod keyboard;
mod option_rom;
mod pci;
mod platform;
mod post;
mod rom;
mod serial;
mod service;
mod system;
mod video;

use alloc::string::String;

use hako_mem::{Gpa, GuestMemory};
use hako_x86::CpuState;

use call::Call;

pub use hako_mem::{MemoryRange, RangeKind};
pub use option_rom::{KERNEL_ROM_FILE, kernel_asked, kernel_rom};
pub use platform::{Drive, Platform};
pub use rom::{LEN as ROM_LEN, TRAP_PORT, rom};
pub use service::Service;
pub use system::memory_map;

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
    /// The power-on work is done, or INT 19h was called: start the kernel that the machine holds (see
    /// [`Bios::for_kernel`]).
    Kernel,
}

/// INT 17h's status in AH: the port did not answer.
const NO_PRINTER: u8 = 0x01;

/// The built-in BIOS.
#[derive(Clone, Debug, Default)]
pub struct Bios {
    boot_error: Option<String>,
    kernel: bool,
}

impl Bios {
    /// A BIOS that has not run yet. Its first service, asked for by the reset stub, is the power-on work.
    pub fn new() -> Bios {
        Bios::default()
    }

    /// A BIOS that boots no medium: the machine has a kernel to start instead.
    pub fn for_kernel() -> Bios {
        Bios { kernel: true, ..Bios::default() }
    }

    /// Answers a write to [`TRAP_PORT`]. `state` is the CPU's after the OUT has completed.
    pub fn service(
        &mut self,
        state: &mut CpuState,
        mem: &GuestMemory,
        platform: &mut dyn Platform,
    ) -> Outcome {
        let Some(service) = Service::at(state) else { return Outcome::Ignored };
        let call = &mut Call { cpu: state, mem, platform };
        match service {
            Service::Post => {
                post::post(call);
                return self.boot(call);
            }
            Service::Video => video::video(call),
            Service::Equipment => {
                let equipment = bda::EQUIPMENT.get(call);
                call.set_ax(equipment);
            }
            Service::MemorySize => {
                let kb = bda::MEMORY_KB.get(call);
                call.set_ax(kb);
            }
            Service::Disk => disk::disk(call),
            Service::Serial => serial::serial(call),
            Service::System => return system::system(call),
            Service::Keyboard => keyboard::keyboard(call),
            Service::Printer => call.set_ah(NO_PRINTER),
            Service::NoBoot => boot::no_boot(call, &mut self.boot_error),
            Service::Boot => return self.boot(call),
            Service::Clock => clock::clock(call),
            // 0050:0000 is the status of Print Screen: there is no printer.
            Service::PrintScreen => call.store(Gpa(0x500), 0xffu8),
            Service::Tick => clock::tick(call),
            Service::Key => return keyboard::key(call),
            Service::Paused => keyboard::paused(call),
            Service::RtcInterrupt => clock::rtc_interrupt(call),
            Service::Waiting => clock::waiting(call),
        }
        Outcome::Resume
    }

    fn boot(&mut self, call: &mut Call<'_>) -> Outcome {
        if self.kernel {
            return Outcome::Kernel;
        }
        boot::boot(call, &mut self.boot_error);
        Outcome::Resume
    }

    /// Why nothing was booted ("no bootable medium: ..."), after the last attempt has failed.
    pub fn boot_error(&self) -> Option<&str> {
        self.boot_error.as_deref()
    }
}
