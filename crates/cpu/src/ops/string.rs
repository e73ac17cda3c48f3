//! MOVS, STOS, LODS, SCAS, CMPS, alone and repeated (SDM Vol. 1 7.3.9).
//!
//! A repeated instruction is a series of iterations with an instruction boundary after each: it leaves early when
//! something wants attention or the count asked for is reached, with (E/R)IP still on itself. Where source and
//! destination are plain RAM, a whole run of iterations inside one page goes as one copy.

use hako_mem::{PAGE_MASK, PAGE_SIZE, SlabOffset};
use hako_x86::RFlags;

use crate::cx::{Cx, Step, Trap};
use crate::op::{ADDRESS_MASK, Op, REP, REPNE};
use crate::operand::Operand;
use crate::ops::alu::{Cmp, apply};

const RCX: u8 = 1;
const RSI: u8 = 6;
const RDI: u8 = 7;
const ES: u8 = 0;

impl Cx<'_> {
    /// A register as an address or count of the instruction's address size.
    #[inline(always)]
    pub fn index_reg(&self, op: &Op, reg: u8) -> u64 {
        self.cpu.r[usize::from(reg & 15)] & ADDRESS_MASK[usize::from(op.asize & 3)]
    }

    /// Replaces an address or count register: 16-bit ones keep the rest of the register.
    #[inline(always)]
    pub fn set_index_reg(&mut self, op: &Op, reg: u8, value: u64) {
        let mask = ADDRESS_MASK[usize::from(op.asize & 3)];
        let r = &mut self.cpu.r[usize::from(reg & 15)];
        *r = if op.asize == 0 { *r & !mask } else { 0 } | value & mask;
    }

    /// Moves an address register by `n` elements of `bytes`, up or down as DF says.
    #[inline(always)]
    pub fn advance(&mut self, op: &Op, reg: u8, bytes: u64, n: u64) {
        let step = bytes.wrapping_mul(n);
        let step = if self.cpu.flag(RFlags::DF) { step.wrapping_neg() } else { step };
        let v = self.index_reg(op, reg).wrapping_add(step);
        self.set_index_reg(op, reg, v);
    }

    /// Runs a string instruction: once, or repeated as prefix and (E/R)CX say.
    ///
    /// `body` gets the number of iterations it may make at most, makes one or more, and returns how many, and whether
    /// repetition goes on. It leaves its registers as after what it made, also when it fails.
    #[inline(always)]
    pub fn repeat(
        &mut self,
        op: &Op,
        mut body: impl FnMut(&mut Self, &Op, u64) -> Result<(u64, bool), Trap>,
    ) -> Step {
        if op.pfx & (REP | REPNE) == 0 {
            body(self, op, 1)?;
            return Ok(());
        }
        let mut made = 0u64;
        self.cpu.sys.repeating = false;
        loop {
            let left = self.index_reg(op, RCX);
            if left == 0 {
                // What is left of a 32-bit count is written even if nothing was repeated.
                break;
            }
            let room = self.cpu.until.saturating_sub(self.count()).max(1);
            let most = if self.cpu.careful { 1 } else { left.min(room) };
            // A fault leaves the iterations before it done and counted.
            let (n, on) = body(self, op, most)?;
            made = made.wrapping_add(n);
            self.cpu.count = self.cpu.count.wrapping_add(n);
            self.set_index_reg(op, RCX, left.wrapping_sub(n));
            if left == n || !on {
                break;
            }
            if self.cpu.careful || !self.cpu.attn.is_empty() || self.count() >= self.cpu.until {
                self.cpu.rip = self.rip();
                self.cpu.sys.repeating = true;
                break;
            }
        }
        // The run loop counts one for the instruction itself.
        self.cpu.count = self.cpu.count.wrapping_sub(u64::from(made > 0));
        Ok(())
    }

    /// How many elements of `bytes` fit, from `off` upwards, in this page and before the address size wraps.
    pub fn run_length(&self, op: &Op, seg: u8, off: u64, bytes: u64) -> u64 {
        let lin = self.cpu.fast[usize::from(seg & 7)].base.wrapping_add(off);
        let page = PAGE_SIZE - (lin & PAGE_MASK);
        let wrap = ADDRESS_MASK[usize::from(op.asize & 3)].wrapping_sub(off).saturating_add(1);
        page.min(wrap) / bytes
    }
}

pub(crate) fn movs<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let bytes = size_of::<T>() as u64;
    cx.repeat(op, |cx, op, most| {
        let (src, dst) = (cx.index_reg(op, RSI), cx.index_reg(op, RDI));
        let mut n = 1;
        if most > 1 && !cx.cpu.flag(RFlags::DF) {
            n = copy_run(cx, op, src, dst, bytes, most);
        }
        if n <= 1 {
            n = 1;
            let v = cx.rd::<T>(op.seg, src)?;
            cx.wr(ES, dst, v)?;
        }
        cx.advance(op, RSI, bytes, n);
        cx.advance(op, RDI, bytes, n);
        Ok((n, true))
    })
}

/// Copies as many elements upwards as lie in RAM, in one page each; 0 or 1 if it is not worth it.
fn copy_run(cx: &mut Cx<'_>, op: &Op, src: u64, dst: u64, bytes: u64, most: u64) -> u64 {
    let n = most.min(cx.run_length(op, op.seg, src, bytes)).min(cx.run_length(op, ES, dst, bytes));
    if n < 2 {
        return 0;
    }
    let len = n * bytes;
    let (Some(from), Some(to)) = (cx.read_hit(op.seg, src, len), cx.write_hit(ES, dst, len)) else {
        return 0;
    };
    // Element by element, a destination just above the source repeats a pattern; a plain copy would not.
    if to > from && to - from < len {
        let apart = (to - from) / bytes;
        if apart < 2 {
            return 0;
        }
        let n = apart.min(n);
        return if cx.slab.copy_within(SlabOffset(from), SlabOffset(to), n * bytes) { n } else { 0 };
    }
    if cx.slab.copy_within(SlabOffset(from), SlabOffset(to), len) { n } else { 0 }
}

pub(crate) fn stos<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    let bytes = size_of::<T>() as u64;
    let v = T::get(cx.cpu, 0);
    cx.repeat(op, |cx, op, most| {
        let dst = cx.index_reg(op, RDI);
        let mut n = 1;
        if most > 1 && !cx.cpu.flag(RFlags::DF) {
            let run = most.min(cx.run_length(op, ES, dst, bytes));
            if run > 1
                && let Some(to) = cx.write_hit(ES, dst, run * bytes)
            {
                fill(cx, to, v, run);
                n = run;
            }
        }
        if n == 1 {
            cx.wr(ES, dst, v)?;
        }
        cx.advance(op, RDI, bytes, n);
        Ok((n, true))
    })
}

/// Stores `n` copies of `v`.
fn fill<T: Operand>(cx: &mut Cx<'_>, to: u64, v: T, n: u64) {
    let bytes = size_of::<T>() as u64;
    let byte = v.to_u64() as u8;
    if v == T::from_u64(u64::from(byte).wrapping_mul(0x0101_0101_0101_0101)) {
        cx.slab.fill(SlabOffset(to), n * bytes, byte);
        return;
    }
    for i in 0..n {
        cx.slab.store(to + i * bytes, v);
    }
}

pub(crate) fn lods<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.repeat(op, |cx, op, _| {
        let v = cx.rd::<T>(op.seg, cx.index_reg(op, RSI))?;
        T::set(cx.cpu, 0, v);
        cx.advance(op, RSI, size_of::<T>() as u64, 1);
        Ok((1, true))
    })
}

/// Whether REPE or REPNE goes on after a comparison.
#[inline(always)]
fn goes_on(cx: &Cx<'_>, op: &Op) -> bool {
    cx.cpu.fl.zf() != (op.pfx & REPNE != 0)
}

pub(crate) fn scas<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.repeat(op, |cx, op, _| {
        let v = cx.rd::<T>(ES, cx.index_reg(op, RDI))?;
        cx.cpu.fl = apply::<Cmp, T>(cx.cpu, T::get(cx.cpu, 0), v).1;
        cx.advance(op, RDI, size_of::<T>() as u64, 1);
        Ok((1, goes_on(cx, op)))
    })
}

pub(crate) fn cmps<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.repeat(op, |cx, op, _| {
        let a = cx.rd::<T>(op.seg, cx.index_reg(op, RSI))?;
        let b = cx.rd::<T>(ES, cx.index_reg(op, RDI))?;
        cx.cpu.fl = apply::<Cmp, T>(cx.cpu, a, b).1;
        cx.advance(op, RSI, size_of::<T>() as u64, 1);
        cx.advance(op, RDI, size_of::<T>() as u64, 1);
        Ok((1, goes_on(cx, op)))
    })
}
