//! hako's core without the standard library: its own entry point, panic handler, allocator and system calls.
//!
//! It boots the boot sector below on the software CPU, on the PC board, under the built-in firmware, and ends with
//! status 0 if the guest printed what it should. That it links proves that x86, mem, engine, cpu, chips, board and
//! firmware need nothing but core and alloc.
#![no_std]
#![no_main]

extern crate alloc;

mod guest;
mod host;

use host::exit;

/// Where the start-up code calls.
#[unsafe(no_mangle)]
extern "C" fn rust_start() -> ! {
    match guest::run() {
        Ok(()) => exit(0, "the core runs without the standard library\n"),
        Err(why) => exit(1, why),
    }
}
