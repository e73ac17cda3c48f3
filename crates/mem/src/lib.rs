//! Guest memory: the only way to guest RAM.
//!
//! Three values: a [`Slab`] is one piece of host memory that backs everything a guest can read without asking a chip
//! (RAM, ROM, VGA memory); a [`MemoryMap`] says which guest-physical range shows which part of the slab, read-only or
//! not; [`GuestMemory`] is the pair, cheap to clone. Reads and writes are by value or by copy, bounds-checked, never
//! through a Rust reference, because a guest may run on another thread. Every write leaves its mark per page
//! ([`Slab::note_write`]), so that code caches, dirty logs and memory pools are exact.
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod gpa;
#[cfg(feature = "std")]
pub mod host;
pub mod map;
pub mod memory;
pub mod range;
pub mod slab;
pub mod word;

pub use gpa::{Gpa, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE};
pub use map::{Lookup, MapError, MemoryMap, Region, RegionKind};
pub use memory::{GuestMemory, MemError};
pub use range::{MemoryRange, RangeKind};
pub use slab::{Backing, PageFlags, Slab, SlabOffset};
pub use word::Word;
