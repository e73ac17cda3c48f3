//! How to round, and what happened.

/// Invalid operation; the flags lie as in MXCSR and the x87 status word (SDM Vol. 1 4.9.1).
pub(crate) const IE: u32 = 1;
/// Denormal operand.
pub(crate) const DE: u32 = 2;
/// Divide by zero.
pub(crate) const ZE: u32 = 4;
/// Overflow.
pub(crate) const OE: u32 = 8;
/// Underflow.
pub(crate) const UE: u32 = 0x10;
/// Inexact result.
pub(crate) const PE: u32 = 0x20;
/// All six.
const ALL: u32 = 0x3f;

/// Rounding modes, numbered as in the control registers (SDM Vol. 1 table 4-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// To nearest, ties to even.
    Nearest,
    /// Toward minus infinity.
    Down,
    /// Toward plus infinity.
    Up,
    /// Toward zero.
    Zero,
}

impl Rounding {
    /// By the low two bits of a rounding-control field.
    pub const fn from_bits(bits: u32) -> Rounding {
        match bits & 3 {
            0 => Rounding::Nearest,
            1 => Rounding::Down,
            2 => Rounding::Up,
            _ => Rounding::Zero,
        }
    }
}

/// The environment of one operation, or of several whose flags are collected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Env {
    /// How to round.
    pub rounding: Rounding,
    /// Bits to which results in double extended precision are rounded: 24, 53 or 64.
    pub precision: u32,
    /// Which exceptions are masked.
    pub masks: u32,
    /// What happened.
    pub flags: u32,
    /// Denormal operands count as zero, silently.
    pub daz: bool,
    /// Tiny results become zero, if underflow is masked.
    pub ftz: bool,
    /// The last rounding was away from zero: x87's C1.
    pub up: bool,
    /// Nothing but the result matters as long as operands and result are normal: the host may compute it.
    pub fast: bool,
}

impl Env {
    /// As MXCSR says; its sticky flags stay there.
    #[inline]
    pub const fn sse(mxcsr: u32) -> Env {
        let rounding = Rounding::from_bits(mxcsr >> 13);
        let masks = mxcsr >> 7 & ALL;
        Env {
            rounding,
            precision: 64,
            masks,
            flags: 0,
            daz: mxcsr & 1 << 6 != 0,
            ftz: mxcsr & 1 << 15 != 0,
            up: false,
            fast: masks & PE != 0 && mxcsr & PE != 0 && matches!(rounding, Rounding::Nearest),
        }
    }

    /// As an x87 control word says.
    #[inline]
    pub const fn x87(cw: u16) -> Env {
        Env {
            rounding: Rounding::from_bits(cw as u32 >> 10),
            precision: match cw >> 8 & 3 {
                0 => 24,
                2 => 53,
                _ => 64,
            },
            masks: cw as u32 & ALL,
            flags: 0,
            daz: false,
            ftz: false,
            up: false,
            fast: false,
        }
    }

    /// Raises an exception that comes before the computation. True if it is unmasked, so that the operation stops.
    #[inline(always)]
    pub const fn pre(&mut self, flags: u32) -> bool {
        self.flags |= flags;
        flags & !self.masks != 0
    }

    /// What happened that is not masked.
    #[inline(always)]
    pub const fn unmasked(&self) -> u32 {
        self.flags & !self.masks
    }
}
