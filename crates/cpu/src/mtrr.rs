//! Memory type range registers (SDM Vol. 3A 11.11.2): kept and checked; types of memory change nothing here.

use hako_x86::msr;

use crate::paging::PHYS_BITS;

/// Pairs of variable-range registers.
const VARIABLE: u32 = 8;
/// MTRRCAP: eight variable ranges, fixed ranges, write-combining.
pub(crate) const CAP: u64 = 1 << 10 | 1 << 8 | VARIABLE as u64;
/// The MSR numbers of the fixed ranges.
const FIXED: [u32; 11] = [
    msr::MTRR_FIX64K_00000,
    msr::MTRR_FIX16K_80000,
    msr::MTRR_FIX16K_A0000,
    msr::MTRR_FIX4K_C0000,
    msr::MTRR_FIX4K_C0000 + 1,
    msr::MTRR_FIX4K_C0000 + 2,
    msr::MTRR_FIX4K_C0000 + 3,
    msr::MTRR_FIX4K_C0000 + 4,
    msr::MTRR_FIX4K_C0000 + 5,
    msr::MTRR_FIX4K_C0000 + 6,
    msr::MTRR_FIX4K_C0000 + 7,
];

/// All registers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Mtrrs {
    fixed: [u64; 11],
    /// Base and mask in turn.
    variable: [u64; VARIABLE as usize * 2],
    default: u64,
}

/// Whether a register takes a value.
type Check = fn(u64) -> bool;

/// Whether a byte is a memory type: UC, WC, WT, WP, WB.
fn is_type(t: u8) -> bool {
    matches!(t, 0 | 1 | 4 | 5 | 6)
}

impl Mtrrs {
    /// The register with an MSR number, and what it takes.
    fn find(&mut self, index: u32) -> Option<(&mut u64, Check)> {
        fn fixed(v: u64) -> bool {
            v.to_le_bytes().into_iter().all(is_type)
        }
        fn base(v: u64) -> bool {
            v >> PHYS_BITS == 0 && v & 0xf00 == 0 && is_type(v as u8)
        }
        fn mask(v: u64) -> bool {
            v >> PHYS_BITS == 0 && v & 0x7ff == 0
        }
        fn default(v: u64) -> bool {
            v & !0xcff == 0 && is_type(v as u8)
        }
        if index == msr::MTRR_DEF_TYPE {
            return Some((&mut self.default, default));
        }
        if let Some(i) = FIXED.iter().position(|&f| f == index) {
            return self.fixed.get_mut(i).map(|r| (r, fixed as Check));
        }
        let i = index.checked_sub(msr::MTRR_PHYSBASE0)?;
        let check = if i.is_multiple_of(2) { base } else { mask };
        self.variable.get_mut(i as usize).map(|r| (r, check as Check))
    }

    /// The value of an MTRR; `None` if it is no MTRR.
    pub fn read(&mut self, index: u32) -> Option<u64> {
        self.find(index).map(|(r, _)| *r)
    }

    /// Writes an MTRR; `None` if it is no MTRR, `Some(false)` if the value has reserved bits or types.
    pub fn write(&mut self, index: u32, value: u64) -> Option<bool> {
        let (r, valid) = self.find(index)?;
        let ok = valid(value);
        if ok {
            *r = value;
        }
        Some(ok)
    }

    /// Takes over a register of an engine whose physical addresses may be wider than ours (up to 52 bits), as a whole;
    /// otherwise like [`Mtrrs::write`].
    pub fn load(&mut self, index: u32, value: u64) -> Option<bool> {
        let (r, valid) = self.find(index)?;
        let ok = value >> 52 == 0 && valid(value & ((1 << PHYS_BITS) - 1)) || valid(value);
        if ok {
            *r = value;
        }
        Some(ok)
    }

    /// The numbers of all registers.
    pub fn indices() -> impl Iterator<Item = u32> {
        let variable = msr::MTRR_PHYSBASE0..msr::MTRR_PHYSBASE0 + VARIABLE * 2;
        core::iter::once(msr::MTRR_DEF_TYPE).chain(FIXED).chain(variable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_types_and_bits_are_refused() {
        let mut m = Mtrrs::default();
        assert_eq!(m.write(msr::MTRR_FIX4K_C0000, 0x0606_0606_0606_0606), Some(true));
        assert_eq!(m.write(msr::MTRR_FIX4K_C0000, 0x0606_0606_0606_0602), Some(false));
        assert_eq!(m.read(msr::MTRR_FIX4K_C0000), Some(0x0606_0606_0606_0606));
        assert_eq!(m.write(msr::MTRR_DEF_TYPE, 0xc06), Some(true));
        assert_eq!(m.write(msr::MTRR_DEF_TYPE, 0x1000), Some(false));
        assert_eq!(m.write(msr::MTRR_PHYSBASE0 + 1, 1 << 40), Some(false));
        assert_eq!(m.write(msr::PAT, 0), None);
        assert_eq!(m.load(msr::MTRR_PHYSBASE0 + 1, 0xffff_8000_0800), Some(true));
        assert_eq!(m.read(msr::MTRR_PHYSBASE0 + 1), Some(0xffff_8000_0800));
        assert_eq!(m.load(msr::MTRR_PHYSBASE0 + 1, 1 << 52), Some(false));
        assert_eq!(Mtrrs::indices().count(), 28);
    }
}
