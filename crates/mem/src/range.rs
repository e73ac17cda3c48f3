//! The memory map as software is told it.

use crate::Gpa;

/// The type of a range in the memory map, with the numbers of INT 15h/E820h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum RangeKind {
    /// RAM that an operating system may use.
    Usable = 1,
    /// Not to be used.
    Reserved = 2,
    /// Holds ACPI tables, usable after they were read.
    AcpiReclaim = 3,
    /// Must survive sleep.
    AcpiNvs = 4,
}

/// A range of guest-physical addresses in the memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// First address.
    pub start: Gpa,
    /// Length in bytes.
    pub len: u64,
    /// What it is.
    pub kind: RangeKind,
}

impl MemoryRange {
    /// The first address after it.
    pub fn end(&self) -> u64 {
        self.start.0.saturating_add(self.len)
    }
}
