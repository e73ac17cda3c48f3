//! Where things lie in task-state segments (SDM Vol. 3A 7.2.1, 7.6, 7.7).

/// The layout of a 16- or 32-bit TSS: offsets of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TssLayout {
    /// Bytes in each register field; the instruction pointer, flags and general registers have this width.
    pub width: u8,
    /// The smallest limit a descriptor may have.
    pub min_limit: u32,
    /// The stack pointer of level 0; its selector follows, then levels 1 and 2.
    pub sp0: u16,
    /// CR3, in a 32-bit TSS.
    pub cr3: Option<u16>,
    /// The instruction pointer; flags and the eight general registers in encoding order follow.
    pub ip: u16,
    /// ES; the other selectors follow in encoding order.
    pub es: u16,
    /// How many segment selectors there are.
    pub segments: u8,
    /// The LDT selector.
    pub ldt: u16,
}

/// The link to the previous task, 16 bits, in both layouts.
pub const BACK_LINK: u16 = 0;

/// The 16-bit TSS of the 80286 (SDM Vol. 3A figure 7-10).
pub const TSS16: TssLayout =
    TssLayout { width: 2, min_limit: 0x2b, sp0: 2, cr3: None, ip: 0x0e, es: 0x22, segments: 4, ldt: 0x2a };

/// The 32-bit TSS (SDM Vol. 3A figure 7-2).
pub const TSS32: TssLayout = TssLayout {
    width: 4,
    min_limit: 0x67,
    sp0: 4,
    cr3: Some(0x1c),
    ip: 0x20,
    es: 0x48,
    segments: 6,
    ldt: 0x60,
};

/// The word with the debug trap flag in bit 0, 32-bit TSS only.
pub const TRAP: u16 = 0x64;

/// The offset of the I/O permission map, 32- and 64-bit TSS.
pub const IO_MAP_BASE: u16 = 0x66;

/// Bytes of the interrupt redirection map that ends where the I/O permission map begins (SDM Vol. 3B 20.3).
pub const REDIRECTION_BYTES: u16 = 32;

/// The smallest limit of a 64-bit TSS.
pub const TSS64_MIN_LIMIT: u32 = 0x67;

impl TssLayout {
    /// Offset of the stack pointer of privilege level 0 to 2.
    pub const fn sp(&self, level: u8) -> u16 {
        self.sp0 + level as u16 * self.width as u16 * 2
    }

    /// Offset of the stack selector of privilege level 0 to 2.
    pub const fn ss(&self, level: u8) -> u16 {
        self.sp(level) + self.width as u16
    }

    /// Offset of the flags.
    pub const fn flags(&self) -> u16 {
        self.ip + self.width as u16
    }

    /// Offset of a general register, by encoding.
    pub const fn gpr(&self, index: u8) -> u16 {
        self.ip + self.width as u16 * (2 + index as u16)
    }

    /// Offset of a segment selector, by encoding.
    pub const fn segment(&self, index: u8) -> u16 {
        self.es + self.width as u16 * index as u16
    }
}

/// Offset of RSP for privilege level 0 to 2 in a 64-bit TSS (SDM Vol. 3A figure 7-11).
pub const fn rsp64(level: u8) -> u16 {
    4 + level as u16 * 8
}

/// Offset of interrupt stack pointer 1 to 7 in a 64-bit TSS.
pub const fn ist64(index: u8) -> u16 {
    0x1c + index as u16 * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_32_bit_tss_lie_as_in_figure_7_2() {
        assert_eq!((TSS32.sp(0), TSS32.ss(0), TSS32.sp(2), TSS32.ss(2)), (4, 8, 20, 24));
        assert_eq!((TSS32.flags(), TSS32.gpr(0), TSS32.gpr(7)), (36, 40, 68));
        assert_eq!((TSS32.segment(0), TSS32.segment(5), TSS32.ldt), (72, 92, 96));
    }

    #[test]
    fn fields_of_the_16_bit_tss_lie_as_in_figure_7_10() {
        assert_eq!((TSS16.sp(0), TSS16.ss(0), TSS16.sp(2), TSS16.ss(2)), (2, 4, 10, 12));
        assert_eq!((TSS16.flags(), TSS16.gpr(0), TSS16.gpr(7)), (16, 18, 32));
        assert_eq!((TSS16.segment(0), TSS16.segment(3), TSS16.ldt), (34, 40, 42));
    }

    #[test]
    fn fields_of_the_64_bit_tss_lie_as_in_figure_7_11() {
        assert_eq!((rsp64(0), rsp64(2), ist64(1), ist64(7)), (4, 20, 0x24, 0x54));
    }
}
