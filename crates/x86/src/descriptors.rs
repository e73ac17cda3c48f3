//! Selectors, segment descriptors and gates as they lie in descriptor tables (SDM Vol. 3A 3.4.2, 3.4.5, 3.5, 6.11,
//! 6.14.1).

use crate::{SegAttr, Segment};

/// A segment selector (SDM Vol. 3A 3.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Selector(pub u16);

impl Selector {
    /// The requested privilege level.
    pub const fn rpl(self) -> u8 {
        (self.0 & 3) as u8
    }

    /// Whether it selects from the LDT.
    pub const fn in_ldt(self) -> bool {
        self.0 & 4 != 0
    }

    /// The byte offset of its descriptor in the table.
    pub const fn offset(self) -> u16 {
        self.0 & !7
    }

    /// Whether it is a null selector: GDT entry 0, with any RPL.
    pub const fn is_null(self) -> bool {
        self.0 & !3 == 0
    }

    /// The selector as exceptions report it: RPL and with it EXT and IDT cleared (SDM Vol. 3A 6.13).
    pub const fn error_code(self) -> u32 {
        (self.0 & !3) as u32
    }

    /// The same selector with another RPL.
    pub const fn with_rpl(self, rpl: u8) -> Selector {
        Selector(self.0 & !3 | (rpl & 3) as u16)
    }
}

/// Types of system descriptors (SDM Vol. 3A table 3-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SystemType {
    /// 16-bit TSS, available.
    Tss16 = 1,
    /// LDT.
    Ldt = 2,
    /// 16-bit TSS, busy.
    Tss16Busy = 3,
    /// 16-bit call gate.
    CallGate16 = 4,
    /// Task gate.
    TaskGate = 5,
    /// 16-bit interrupt gate.
    InterruptGate16 = 6,
    /// 16-bit trap gate.
    TrapGate16 = 7,
    /// 32-bit TSS (64-bit in IA-32e mode), available.
    Tss32 = 9,
    /// 32-bit TSS (64-bit in IA-32e mode), busy.
    Tss32Busy = 0xb,
    /// 32-bit call gate (64-bit in IA-32e mode).
    CallGate32 = 0xc,
    /// 32-bit interrupt gate (64-bit in IA-32e mode).
    InterruptGate32 = 0xe,
    /// 32-bit trap gate (64-bit in IA-32e mode).
    TrapGate32 = 0xf,
}

impl SystemType {
    /// The type with this number; 0, 8, 0Ah and 0Dh are reserved.
    pub const fn from_bits(bits: u8) -> Option<SystemType> {
        Some(match bits {
            1 => SystemType::Tss16,
            2 => SystemType::Ldt,
            3 => SystemType::Tss16Busy,
            4 => SystemType::CallGate16,
            5 => SystemType::TaskGate,
            6 => SystemType::InterruptGate16,
            7 => SystemType::TrapGate16,
            9 => SystemType::Tss32,
            0xb => SystemType::Tss32Busy,
            0xc => SystemType::CallGate32,
            0xe => SystemType::InterruptGate32,
            0xf => SystemType::TrapGate32,
            _ => return None,
        })
    }
}

/// The 8 bytes of a segment descriptor or gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Descriptor(pub u64);

impl Descriptor {
    /// Bit 41: a busy TSS.
    pub const BUSY: u64 = 1 << 41;
    /// Bit 40: an accessed code or data segment.
    pub const ACCESSED: u64 = 1 << 40;

    /// A code, data or system descriptor with the given parts; `limit` is in bytes and is stored in units of 4 KiB
    /// where it does not fit into 20 bits.
    pub const fn new(base: u32, limit: u32, attr: SegAttr) -> Descriptor {
        let (limit, g) = if limit > 0xf_ffff { (limit >> 12, 1 << 15) } else { (limit, 0) };
        let attr = (attr.bits() & 0xf0ff & !(1 << 15) | g) as u64;
        let (base, limit) = (base as u64, limit as u64);
        Descriptor(
            limit & 0xffff
                | (base & 0xff_ffff) << 16
                | attr << 40
                | (limit >> 16 & 0xf) << 48
                | (base >> 24) << 56,
        )
    }

    /// The 32-bit base address.
    pub const fn base(self) -> u32 {
        ((self.0 >> 16 & 0xff_ffff) | (self.0 >> 56 & 0xff) << 24) as u32
    }

    /// The limit in bytes: granularity applied, low 12 bits of a page-granular limit set.
    pub const fn limit(self) -> u32 {
        let raw = (self.0 & 0xffff | (self.0 >> 48 & 0xf) << 16) as u32;
        if self.0 & 1 << 55 != 0 { raw << 12 | 0xfff } else { raw }
    }

    /// The access rights.
    pub const fn attr(self) -> SegAttr {
        SegAttr::from_bits_retain((self.0 >> 40) as u32 & 0xf0ff)
    }

    /// The four type bits.
    pub const fn type_bits(self) -> u8 {
        (self.0 >> 40 & 0xf) as u8
    }

    /// The descriptor privilege level.
    pub const fn dpl(self) -> u8 {
        (self.0 >> 45 & 3) as u8
    }

    /// Present.
    pub const fn present(self) -> bool {
        self.0 & 1 << 47 != 0
    }

    /// Code or data, as opposed to system.
    pub const fn is_code_or_data(self) -> bool {
        self.0 & 1 << 44 != 0
    }

    /// A code segment.
    pub const fn is_code(self) -> bool {
        self.type_bits() & 8 != 0 && self.is_code_or_data()
    }

    /// A data segment.
    pub const fn is_data(self) -> bool {
        self.type_bits() & 8 == 0 && self.is_code_or_data()
    }

    /// A conforming code segment.
    pub const fn is_conforming(self) -> bool {
        self.type_bits() & 0xc == 0xc && self.is_code_or_data()
    }

    /// A writable data segment.
    pub const fn is_writable_data(self) -> bool {
        self.type_bits() & 0xa == 2 && self.is_code_or_data()
    }

    /// Data, or code that may be read.
    pub const fn is_readable(self) -> bool {
        self.type_bits() & 0xa != 8 && self.is_code_or_data()
    }

    /// 64-bit code (L).
    pub const fn long(self) -> bool {
        self.0 & 1 << 53 != 0
    }

    /// D/B: 32-bit code or a big stack.
    pub const fn big(self) -> bool {
        self.0 & 1 << 54 != 0
    }

    /// The system type; `None` for code and data and for reserved types.
    pub const fn system(self) -> Option<SystemType> {
        if self.is_code_or_data() { None } else { SystemType::from_bits(self.type_bits()) }
    }

    /// The segment register that loading this descriptor with `selector` gives.
    pub const fn segment(self, selector: u16) -> Segment {
        Segment { selector, attr: self.attr(), limit: self.limit(), base: self.base() as u64 }
    }

    /// The gate that these bytes are.
    pub const fn gate(self) -> Gate {
        Gate {
            selector: Selector((self.0 >> 16) as u16),
            offset: self.0 & 0xffff | self.0 >> 32 & 0xffff_0000,
            params: (self.0 >> 32 & 0x1f) as u8,
        }
    }
}

/// The address parts of a gate (SDM Vol. 3A 5.8.3, 6.11, 6.14.1); type, DPL and P are those of the [`Descriptor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Gate {
    /// The code segment, or the TSS of a task gate.
    pub selector: Selector,
    /// The entry point.
    pub offset: u64,
    /// Call gates: how many words or doublewords are copied to the new stack. 64-bit interrupt gates: the IST
    /// index in the low three bits.
    pub params: u8,
}

impl Gate {
    /// With the upper 8 bytes of a 64-bit gate.
    pub const fn extended(self, high: u64) -> Gate {
        Gate { offset: self.offset & 0xffff_ffff | high << 32, ..self }
    }

    /// The low 8 bytes of a gate as they lie in memory.
    pub const fn encode(self, ty: SystemType, dpl: u8, present: bool) -> Descriptor {
        Descriptor(
            self.offset & 0xffff
                | (self.selector.0 as u64) << 16
                | (self.params as u64 & 0x1f) << 32
                | (ty as u64) << 40
                | (dpl as u64 & 3) << 45
                | (present as u64) << 47
                | (self.offset >> 16 & 0xffff) << 48,
        )
    }
}

/// The base of a 16-byte system descriptor (LDT or TSS in IA-32e mode; SDM Vol. 3A 3.5, 7.2.3).
pub const fn base64(low: Descriptor, high: u64) -> u64 {
    low.base() as u64 | high << 32
}

/// Whether the type field of the upper 8 bytes of a 16-byte descriptor is zero, as it must be.
pub const fn upper_type_is_zero(high: u64) -> bool {
    high >> 40 & 0x1f == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_code_decodes() {
        let d = Descriptor(0x00cf_9b00_0000_ffff);
        assert_eq!((d.base(), d.limit()), (0, 0xffff_ffff));
        assert!(d.is_code() && d.present() && d.big() && !d.long() && !d.is_conforming() && d.is_readable());
        assert_eq!(d.attr().bits(), 0xc09b);
    }

    #[test]
    fn base_and_limit_are_gathered_from_their_pieces() {
        let d = Descriptor(0x1245_9267_8901_cdef);
        assert_eq!(d.base(), 0x1267_8901);
        assert_eq!(d.limit(), 0x5_cdef);
        assert!(d.is_writable_data());
    }

    #[test]
    fn new_is_the_inverse_of_the_accessors() {
        let attr = SegAttr::from_bits_retain(0x4093);
        for (base, limit) in [(0, 0), (0x1234_5678, 0xf_ffff), (!0, 0x1234)] {
            let d = Descriptor::new(base, limit, attr);
            assert_eq!((d.base(), d.limit(), d.attr()), (base, limit, attr));
        }
        let big = Descriptor::new(0, 0xffff_ffff, attr);
        assert_eq!((big.limit(), big.attr().bits()), (0xffff_ffff, 0xc093));
    }

    #[test]
    fn gates_round_trip() {
        let gate = Gate { selector: Selector(0x33), offset: 0x1234_5678, params: 5 };
        let d = gate.encode(SystemType::CallGate32, 3, true);
        assert_eq!(d.gate(), gate);
        assert_eq!((d.system(), d.dpl(), d.present()), (Some(SystemType::CallGate32), 3, true));
        assert_eq!(d.gate().extended(0xffff_8000).offset, 0xffff_8000_1234_5678);
    }

    #[test]
    fn error_codes_keep_index_and_table_only() {
        assert_eq!(Selector(0x2f).error_code(), 0x2c);
        assert!(Selector(3).is_null() && !Selector(4).is_null());
        assert_eq!(Selector(0x20).with_rpl(3).0, 0x23);
    }
}
