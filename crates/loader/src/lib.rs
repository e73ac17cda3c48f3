//! Image formats: PVH, bzImage, Multiboot 1 and 2, turned into memory contents and a CPU state.
//!
//! [`detect`] says by content how an image wants to be booted; [`plan()`] checks everything in it and gives each part its
//! place, touching no memory; [`Plan::write`] writes. [`load`] is both. Files that lie about their sizes, overlap or don't
//! fit are an error that names what, where, and the remedy.
//!
//! | format | taken for | entered in |
//! |---|---|---|
//! | `HdrS` at 0x202 | bzImage | 64-bit mode, or 32-bit where the kernel has no 64-bit entry; 16-bit by choice |
//! | Multiboot 1 header, ELF or with addresses | Multiboot | 32-bit protected mode |
//! | ELF with a Xen note of type 18 | PVH | 32-bit protected mode |
//! | Multiboot 2 header | Multiboot 2 | 32-bit protected mode |
//!
//! The first line that fits decides, which is what other loaders of kernels make of files with several headers.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bytes;
mod elf;
mod error;
mod linux;
mod multiboot;
mod plan;
mod protocol;
mod pvh;
mod request;
mod space;
mod state;

pub use error::LoadError;
pub use hako_mem::{MemoryRange, RangeKind};
pub use linux::is_bzimage;
pub use plan::{Loaded, Plan};
pub use protocol::{Protocol, detect, may_be_kernel};
pub use request::{Module, Request};
pub use space::Used;

use hako_mem::GuestMemory;

/// Checks an image and gives each of its parts a place.
pub fn plan<'a>(image: &'a [u8], request: &Request<'a>) -> Result<Plan<'a>, LoadError> {
    request.check()?;
    let protocol = match request.protocol {
        Some(protocol) => protocol,
        None => detect(image)?.ok_or_else(protocol::unknown)?,
    };
    match protocol {
        Protocol::Pvh => pvh::plan(image, request),
        Protocol::Linux64 | Protocol::Linux32 | Protocol::Linux16 => linux::plan(image, request, protocol),
        Protocol::Multiboot => multiboot::one::plan(image, request),
        Protocol::Multiboot2 => multiboot::two::plan(image, request),
    }
}

/// Loads an image: [`plan()`], then [`Plan::write`].
pub fn load<'a>(image: &'a [u8], request: &Request<'a>, memory: &GuestMemory) -> Result<Loaded, LoadError> {
    plan(image, request)?.write(memory).map_err(|why| LoadError::Unsupported {
        what: alloc::format!("the memory map promises RAM that is not there: {why}"),
        remedy: "give Request::memory what the board has",
    })
}
