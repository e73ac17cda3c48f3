//! Segment registers with their hidden parts, and the descriptor-table registers (SDM Vol. 3A 3.4.3, 24.4.1).

use bitflags::bitflags;

bitflags! {
    /// Access rights of a segment in the layout of a VMCS (SDM Vol. 3C 24.4.1, table 24-2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct SegAttr: u32 {
        /// The four type bits (with `S` set: accessed, writable/readable, expand-down/conforming, code).
        const TYPE = 0xf;
        /// Accessed.
        const ACCESSED = 1 << 0;
        /// Data: writable; code: readable.
        const RW = 1 << 1;
        /// Data: expand-down; code: conforming.
        const DC = 1 << 2;
        /// Code segment.
        const CODE = 1 << 3;
        /// Code or data, not system.
        const S = 1 << 4;
        /// Descriptor privilege level, two bits.
        const DPL = 3 << 5;
        /// Present.
        const P = 1 << 7;
        /// Available to software.
        const AVL = 1 << 12;
        /// 64-bit code.
        const L = 1 << 13;
        /// Default operation size 32 / big stack.
        const DB = 1 << 14;
        /// Granularity 4 KiB (kept for display; `Segment::limit` is already in bytes).
        const G = 1 << 15;
        /// Null selector was loaded: the segment can't be used.
        const UNUSABLE = 1 << 16;
    }
}

/// A segment register: the selector and its hidden part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Segment {
    /// The visible selector.
    pub selector: u16,
    /// Access rights.
    pub attr: SegAttr,
    /// The last valid offset in bytes (granularity already applied).
    pub limit: u32,
    /// The linear base address.
    pub base: u64,
}

impl Segment {
    /// A segment as real mode has it after `selector` was loaded: base is selector x 16, limit 64 KiB, writable data.
    pub const fn real(selector: u16) -> Segment {
        Segment {
            selector,
            attr: SegAttr::from_bits_retain(0x93),
            limit: 0xffff,
            base: (selector as u64) << 4,
        }
    }

    /// The descriptor privilege level.
    pub const fn dpl(&self) -> u8 {
        ((self.attr.bits() >> 5) & 3) as u8
    }

    /// The requested privilege level of the selector.
    pub const fn rpl(&self) -> u8 {
        (self.selector & 3) as u8
    }
}

/// GDTR or IDTR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DescTable {
    /// Linear address of the table.
    pub base: u64,
    /// The last valid byte offset.
    pub limit: u16,
}
