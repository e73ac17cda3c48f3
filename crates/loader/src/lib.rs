//! Image formats: PVH, bzImage, Multiboot 1 and 2, turned into memory contents and a CPU state.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
