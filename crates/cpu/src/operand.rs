//! Operands of a decoded instruction: registers of each width, memory operands.

use hako_mem::Word;

use crate::Cpu;
use crate::cx::{Cx, Step, Trap};
use crate::op::{ADDRESS_MASK, HIGH, MEM, Op};

/// An operand type of 8 to 64 bits.
pub(crate) trait Operand: Word + Default {
    /// Bits.
    const BITS: u32;
    /// Reads a register by its number in an [`Op`].
    fn get(cpu: &Cpu, reg: u8) -> Self;
    /// Writes a register: 32-bit values are zero-extended, 8- and 16-bit ones leave the rest (SDM Vol. 1 3.4.1.1).
    fn set(cpu: &mut Cpu, reg: u8, value: Self);
    /// Sign-extended to 64 bits.
    fn sext(self) -> u64;
}

impl Operand for u8 {
    const BITS: u32 = 8;
    #[inline(always)]
    fn get(cpu: &Cpu, reg: u8) -> u8 {
        (cpu.r[usize::from(reg & 15)] >> ((reg & HIGH) >> 2)) as u8
    }
    #[inline(always)]
    fn set(cpu: &mut Cpu, reg: u8, value: u8) {
        let shift = (reg & HIGH) >> 2;
        let r = &mut cpu.r[usize::from(reg & 15)];
        *r = *r & !(0xff << shift) | u64::from(value) << shift;
    }
    #[inline(always)]
    fn sext(self) -> u64 {
        self as i8 as u64
    }
}

macro_rules! operand {
    ($t:ty, $signed:ty, |$old:ident, $new:ident| $merge:expr) => {
        impl Operand for $t {
            const BITS: u32 = <$t>::BITS;
            #[inline(always)]
            fn get(cpu: &Cpu, reg: u8) -> $t {
                cpu.r[usize::from(reg & 31)] as $t
            }
            #[inline(always)]
            fn set(cpu: &mut Cpu, reg: u8, $new: $t) {
                let r = &mut cpu.r[usize::from(reg & 15)];
                let $old = *r;
                *r = $merge;
            }
            #[inline(always)]
            fn sext(self) -> u64 {
                self as $signed as u64
            }
        }
    };
}
operand!(u16, i16, |old, new| old & !0xffff | u64::from(new));
operand!(u32, i32, |_old, new| u64::from(new));
operand!(u64, i64, |_old, new| new);

/// How the address of a memory operand is made and looked up.
pub(crate) trait Address {
    /// The offset in the segment.
    fn offset(cx: &Cx<'_>, op: &Op) -> u64;
    /// The slab offset of `n` bytes, if segment and TLB allow the read.
    fn read(cx: &Cx<'_>, op: &Op, n: u64) -> Option<u64>;
    /// The slab offset of `n` bytes, if segment and TLB allow the write.
    fn write(cx: &Cx<'_>, op: &Op, n: u64) -> Option<u64>;
}

/// Any address size, any segment.
pub(crate) struct Segmented;

impl Address for Segmented {
    #[inline(always)]
    fn offset(cx: &Cx<'_>, op: &Op) -> u64 {
        cx.ea(op)
    }
    #[inline(always)]
    fn read(cx: &Cx<'_>, op: &Op, n: u64) -> Option<u64> {
        cx.read_hit(op.seg, cx.ea(op), n)
    }
    #[inline(always)]
    fn write(cx: &Cx<'_>, op: &Op, n: u64) -> Option<u64> {
        cx.write_hit(op.seg, cx.ea(op), n)
    }
}

/// 64-bit code, 64-bit address, and a segment that has no base there.
pub(crate) struct Flat;

impl Address for Flat {
    #[inline(always)]
    fn offset(cx: &Cx<'_>, op: &Op) -> u64 {
        cx.sum(op)
    }
    #[inline(always)]
    fn read(cx: &Cx<'_>, op: &Op, n: u64) -> Option<u64> {
        cx.cpu.tlb.read.find(cx.sum(op), n)
    }
    #[inline(always)]
    fn write(cx: &Cx<'_>, op: &Op, n: u64) -> Option<u64> {
        cx.cpu.tlb.write.find(cx.sum(op), n)
    }
}

impl Cx<'_> {
    /// Base, scaled index and displacement of the memory operand.
    #[inline(always)]
    fn sum(&self, op: &Op) -> u64 {
        let r = &self.cpu.r;
        r[usize::from(op.base & 31)]
            .wrapping_add(r[usize::from(op.index & 31)] << (op.index >> 6))
            .wrapping_add(op.disp as u64)
    }

    /// The offset of the memory operand in its segment.
    #[inline(always)]
    pub fn ea(&self, op: &Op) -> u64 {
        self.sum(op) & ADDRESS_MASK[usize::from(op.asize & 3)]
    }

    /// A register.
    #[inline(always)]
    pub fn reg<T: Operand>(&self, reg: u8) -> T {
        T::get(self.cpu, reg)
    }

    /// Writes a register.
    #[inline(always)]
    pub fn set_reg<T: Operand>(&mut self, reg: u8, value: T) {
        T::set(self.cpu, reg, value);
    }

    /// Reads the operand that ModRM r/m names.
    #[inline(always)]
    pub fn rm<T: Operand>(&mut self, op: &Op) -> Result<T, Trap> {
        if op.pfx & MEM != 0 { self.rd(op.seg, self.ea(op)) } else { Ok(T::get(self.cpu, op.base)) }
    }

    /// Writes the operand that ModRM r/m names.
    #[inline(always)]
    pub fn set_rm<T: Operand>(&mut self, op: &Op, value: T) -> Step {
        if op.pfx & MEM != 0 {
            return self.wr(op.seg, self.ea(op), value);
        }
        T::set(self.cpu, op.base, value);
        Ok(())
    }
}
