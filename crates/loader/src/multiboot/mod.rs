//! Multiboot 1 (specification 0.6.96) and 2 (2.0): a header in the first KiB of the file, 32-bit protected mode, EBX points
//! to what the loader found out.

mod image;
mod info;
pub mod one;
mod sections;
pub mod two;

use crate::{MemoryRange, RangeKind};

/// What hako calls itself.
pub const LOADER_NAME: &str = concat!("hako ", env!("CARGO_PKG_VERSION"));

/// The text screen that the BIOS has set up, as both versions describe framebuffers: address, bytes a line, columns, lines,
/// bits a character, and type 2, EGA text.
pub const TEXT_SCREEN: (u64, u32, u32, u32, u8, u8) = (0xb_8000, 160, 80, 25, 16, 2);

/// KiB of memory below 1 MiB (at most 640) and above it up to the first hole.
pub fn basic_memory(memory: &[MemoryRange]) -> (u32, u32) {
    let run = |start: u64, end: u64| {
        let mut at = start;
        for r in memory.iter().filter(|r| r.kind == RangeKind::Usable) {
            if r.start.0 <= at && r.end() > at {
                at = r.end().min(end);
            }
        }
        ((at - start) / 1024) as u32
    };
    (run(0, 640 << 10), run(1 << 20, 1 << 32))
}
