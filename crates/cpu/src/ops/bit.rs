//! BT, BTS, BTR, BTC, BSF, BSR, POPCNT, CRC32, BSWAP, MOVBE.

use crate::Cpu;
use crate::cx::{Cx, Step};
use crate::flags::Flags;
use crate::op::{ADDRESS_MASK, LOCK, MEM, Op};
use crate::operand::Operand;

/// What happens to the tested bit.
pub(crate) trait BitOp {
    const WRITES: bool = true;
    fn run(value: u64, bit: u64) -> u64;
}

macro_rules! bit_ops {
    ($($name:ident $writes:literal |$v:ident, $b:ident| $e:expr;)*) => {$(
        pub(crate) struct $name;
        impl BitOp for $name {
            const WRITES: bool = $writes;
            #[inline(always)]
            fn run($v: u64, $b: u64) -> u64 {
                $e
            }
        }
    )*};
}
bit_ops! {
    Bt false |v, _b| v;
    Bts true |v, b| v | b;
    Btr true |v, b| v & !b;
    Btc true |v, b| v ^ b;
}

fn test<B: BitOp, T: Operand>(cpu: &Cpu, value: T, index: u64) -> (T, Flags) {
    let bit = 1 << (index & u64::from(T::BITS - 1));
    let value = value.to_u64();
    (T::from_u64(B::run(value, bit)), cpu.fl.with_cf(value & bit != 0))
}

fn run<B: BitOp, T: Operand>(cx: &mut Cx<'_>, op: &Op, index: u64, off: u64) -> Step {
    if op.pfx & MEM == 0 {
        let (r, f) = test::<B, T>(cx.cpu, T::get(cx.cpu, op.base), index);
        if B::WRITES {
            T::set(cx.cpu, op.base, r);
        }
        cx.cpu.fl = f;
    } else if B::WRITES {
        return cx.rmw::<T>(op.seg, off, op.pfx & LOCK != 0, |cpu, v| test::<B, T>(cpu, v, index));
    } else {
        let v = cx.rd::<T>(op.seg, off)?;
        cx.cpu.fl = test::<B, T>(cx.cpu, v, index).1;
    }
    Ok(())
}

/// The bit index is an immediate, modulo the operand's width.
pub(crate) fn by_imm<B: BitOp, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let off = cx.ea(op);
    run::<B, T>(cx, op, op.imm as u64, off)
}

/// The bit index is a register; in memory it reaches as far as the register's signed value.
pub(crate) fn by_reg<B: BitOp, T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let index = T::get(cx.cpu, op.reg).sext();
    let words = (index as i64) >> T::BITS.trailing_zeros();
    let off = cx.ea(op).wrapping_add((words as u64).wrapping_mul(u64::from(T::BITS / 8)));
    run::<B, T>(cx, op, index, off & ADDRESS_MASK[usize::from(op.asize & 3)])
}

fn scan<T: Operand>(cx: &mut Cx<'_>, op: &Op, find: impl Fn(u64) -> u32) -> Step {
    let v = cx.rm::<T>(op)?;
    let zero = v == T::default();
    if !zero {
        T::set(cx.cpu, op.reg, T::from_u64(u64::from(find(v.to_u64()))));
    }
    cx.cpu.fl = Flags { res: u64::from(!zero), carry: 0 };
    Ok(())
}

pub(crate) fn bsf<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    scan::<T>(cx, op, u64::trailing_zeros)
}

pub(crate) fn bsr<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    scan::<T>(cx, op, |v| 63 - v.leading_zeros())
}

pub(crate) fn popcnt<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = cx.rm::<T>(op)?.to_u64();
    T::set(cx.cpu, op.reg, T::from_u64(u64::from(v.count_ones())));
    // ZF by the source; all others are cleared (SDM Vol. 2B, POPCNT).
    cx.cpu.fl = Flags::from_bits(if v == 0 { 0x40 } else { 0 });
    Ok(())
}

/// CRC32 of a source as wide as `T`, polynomial 11EDC6F41h reflected.
pub(crate) fn crc32<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = cx.rm::<T>(op)?.to_u64();
    let mut crc = cx.cpu.r[usize::from(op.reg & 15)] as u32;
    for byte in v.to_le_bytes().iter().take(size_of::<T>()) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    u32::set(cx.cpu, op.reg, crc);
    Ok(())
}

#[inline(always)]
fn swapped<T: Operand>(v: T) -> T {
    T::from_u64(v.to_u64().swap_bytes() >> (64 - T::BITS))
}

pub(crate) fn bswap<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    // With a 16-bit operand the result is undefined; CPUs give zero.
    let v = if T::BITS == 16 { T::default() } else { swapped(T::get(cx.cpu, op.base)) };
    T::set(cx.cpu, op.base, v);
    Ok(())
}

pub(crate) fn movbe_load<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = cx.rm::<T>(op)?;
    T::set(cx.cpu, op.reg, swapped(v));
    Ok(())
}

pub(crate) fn movbe_store<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let v = swapped(T::get(cx.cpu, op.reg));
    cx.set_rm(op, v)
}

/// CRC32 of a byte, whatever the operand size.
pub(crate) fn crc32_byte(cx: &mut Cx<'_>, op: &Op) -> Step {
    crc32::<u8>(cx, op)
}
