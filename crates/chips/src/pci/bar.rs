//! Base address registers (PCI 3.0, 6.2.5).

/// The address space that a BAR decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// I/O ports.
    Io,
    /// Memory below 4 GiB.
    Memory32 {
        /// Reads have no side effects.
        prefetchable: bool,
    },
    /// Memory anywhere; takes the next BAR as the upper half.
    Memory64 {
        /// Reads have no side effects.
        prefetchable: bool,
    },
    /// The expansion ROM at 0x30, enabled by its own bit 0 as well.
    Rom,
}

/// A base address register as the device has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// 0 to 5, or 6 for the expansion ROM.
    pub index: u8,
    /// What it decodes.
    pub kind: BarKind,
    /// Bytes, a power of two.
    pub size: u64,
}

/// Index of the expansion ROM's register.
pub const ROM_INDEX: u8 = 6;

impl Bar {
    /// BAR `index` (0 to 5). The size is rounded up to a power of two that the kind allows.
    pub const fn new(index: u8, kind: BarKind, size: u64) -> Bar {
        let (least, most) = match kind {
            BarKind::Io => (4, 0x100),
            BarKind::Memory32 { .. } => (0x10, 1 << 31),
            BarKind::Memory64 { .. } => (0x10, 1 << 62),
            BarKind::Rom => (0x800, 1 << 24),
        };
        let size = if size < least {
            least
        } else if size > most {
            most
        } else {
            size.next_power_of_two()
        };
        Bar { index, kind, size }
    }

    /// The expansion ROM.
    pub const fn rom(size: u64) -> Bar {
        Bar::new(ROM_INDEX, BarKind::Rom, size)
    }

    /// Where the register is.
    pub(crate) const fn offset(&self) -> u8 {
        match self.kind {
            BarKind::Rom => 0x30,
            _ => 0x10 + 4 * (self.index % 6),
        }
    }

    /// Bytes of the register.
    pub(crate) const fn width(&self) -> u8 {
        if matches!(self.kind, BarKind::Memory64 { .. }) { 8 } else { 4 }
    }

    /// The bits that say the kind.
    pub(crate) const fn fixed_bits(&self) -> u64 {
        match self.kind {
            BarKind::Io => 1,
            BarKind::Memory32 { prefetchable } => (prefetchable as u64) << 3,
            BarKind::Memory64 { prefetchable } => 4 | (prefetchable as u64) << 3,
            BarKind::Rom => 0,
        }
    }

    /// The bits that the guest can write: the address above the size, and the ROM's enable bit.
    pub(crate) const fn write_mask(&self) -> u64 {
        !(self.size - 1) | matches!(self.kind, BarKind::Rom) as u64
    }

    /// What the register's `value` and the command register say.
    pub(crate) fn range(&self, value: u64, command: u16) -> BarRange {
        let address = value & !(self.size - 1);
        let space = if self.kind == BarKind::Io { 1 } else { 2 };
        let enabled = command & space != 0 && (self.kind != BarKind::Rom || value & 1 != 0);
        // While a driver sizes the register it holds all ones; 0 is what it holds before anybody set it. Neither
        // is an address that a device is meant to answer at.
        let last = match self.kind {
            BarKind::Io => 0xffff,
            BarKind::Memory64 { .. } => u64::MAX,
            BarKind::Memory32 { .. } | BarKind::Rom => 0xffff_ffff,
        };
        let sane = address != 0 && address.checked_add(self.size - 1).is_some_and(|end| end < last);
        BarRange { index: self.index, kind: self.kind, address, size: self.size, enabled: enabled && sane }
    }
}

/// Where a BAR is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarRange {
    /// 0 to 5, or 6 for the expansion ROM.
    pub index: u8,
    /// What it decodes.
    pub kind: BarKind,
    /// The programmed address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Whether the device answers there: decoding is on and the address is one.
    pub enabled: bool,
}
