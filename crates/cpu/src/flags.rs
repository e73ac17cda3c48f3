//! The arithmetic flags, kept as what they are computed from, and the rest of RFLAGS.
//!
//! An instruction stores its result sign-extended and the vector of its carries; each flag is one or two operations
//! away, without a branch on what the instruction was (SDM Vol. 1 3.4.3.1).

use hako_x86::RFlags;

/// Carry out of the highest bit: CF.
pub(crate) const CARRY_OUT: u64 = 1 << 63;
/// Carry into the highest bit; differs from [`CARRY_OUT`] when OF is set.
pub(crate) const CARRY_IN: u64 = 1 << 62;
/// Carry out of bit 3: AF.
pub(crate) const CARRY_AUX: u64 = 1 << 3;
/// PF is the opposite of what the result says.
const PARITY_FLIP: u64 = 1 << 1;
/// SF is the opposite of what the result says.
const SIGN_FLIP: u64 = 1 << 0;
/// What of a 64-bit carry vector is kept.
pub(crate) const CARRY_BITS: u64 = CARRY_OUT | CARRY_IN | CARRY_AUX;

/// CF, PF, AF, ZF, SF, OF.
pub(crate) const ARITH: u64 = 0x8d5;

/// The arithmetic flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    /// The result, sign-extended to 64 bits.
    pub res: u64,
    /// Carries and corrections, see the constants.
    pub carry: u64,
}

impl Flags {
    #[inline(always)]
    pub fn cf(self) -> bool {
        self.carry & CARRY_OUT != 0
    }
    #[inline(always)]
    pub fn of(self) -> bool {
        (self.carry ^ (self.carry << 1)) & CARRY_OUT != 0
    }
    #[inline(always)]
    pub fn zf(self) -> bool {
        self.res == 0
    }
    #[inline(always)]
    pub fn sf(self) -> bool {
        ((self.res >> 63) ^ self.carry) & 1 != 0
    }
    #[inline(always)]
    pub fn pf(self) -> bool {
        ((self.res as u8).count_ones() as u64 ^ (self.carry >> 1)) & 1 == 0
    }
    #[inline(always)]
    pub fn af(self) -> bool {
        self.carry & CARRY_AUX != 0
    }

    /// As bits of RFLAGS.
    pub fn bits(self) -> u64 {
        self.cf() as u64
            | (self.pf() as u64) << 2
            | (self.af() as u64) << 4
            | (self.zf() as u64) << 6
            | (self.sf() as u64) << 7
            | (self.of() as u64) << 11
    }

    /// From bits of RFLAGS.
    pub fn from_bits(bits: u64) -> Flags {
        let bit = |flag: RFlags| bits & flag.bits() != 0;
        let mut carry = 0;
        if bit(RFlags::CF) {
            carry |= CARRY_OUT;
        }
        if bit(RFlags::CF) != bit(RFlags::OF) {
            carry |= CARRY_IN;
        }
        if bit(RFlags::AF) {
            carry |= CARRY_AUX;
        }
        if !bit(RFlags::PF) {
            carry |= PARITY_FLIP;
        }
        if bit(RFlags::SF) {
            carry |= SIGN_FLIP;
        }
        Flags { res: if bit(RFlags::ZF) { 0 } else { 0x100 }, carry }
    }

    /// With CF replaced, the others as they are.
    #[inline(always)]
    pub fn with_cf(self, cf: bool) -> Flags {
        let flip = if cf != self.cf() { CARRY_OUT | CARRY_IN } else { 0 };
        Flags { carry: self.carry ^ flip, ..self }
    }

    /// With OF replaced, the others as they are.
    #[inline(always)]
    pub fn with_of(self, of: bool) -> Flags {
        let flip = if of != self.of() { CARRY_IN } else { 0 };
        Flags { carry: self.carry ^ flip, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_of_flags_survives() {
        for i in 0..64u64 {
            let bits = i & 1 | (i & 2) << 1 | (i & 4) << 2 | (i & 8) << 3 | (i & 16) << 3 | (i & 32) << 6;
            let f = Flags::from_bits(bits);
            assert_eq!(f.bits(), bits);
            assert_eq!(f.with_cf(true).bits(), bits | 1);
            assert_eq!(f.with_cf(false).bits(), bits & !1);
            assert_eq!(f.with_of(true).bits(), bits | 0x800);
            assert_eq!(f.with_of(false).bits(), bits & !0x800);
        }
    }
}
