//! Frames of several values that are pushed onto a stack whole or not at all, and values read from the stack before
//! anything is popped.

use hako_mem::Word;
use hako_x86::{SegAttr, SegReg, Segment, Vector};

use crate::access::canonical;
use crate::cx::{Cx, Step, Trap};
use crate::op::ADDRESS_MASK;
use crate::segfast::rights;
use crate::why::Why;

const SS: u8 = SegReg::Ss as u8;

/// A stack that is about to be written, before it becomes SS:RSP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    /// The segment that SS will be.
    pub seg: Segment,
    /// The stack pointer before the push.
    pub sp: u64,
    /// Which bits of the stack pointer count; all of them in 64-bit mode.
    pub mask: u64,
    /// The privilege level that writes.
    pub cpl: u8,
    /// The error code of #SS when there is no room.
    pub error: u32,
    /// Misaligned pushes raise #AC. Never while an event is delivered: it could not end.
    pub aligned: bool,
}

impl Stack {
    /// A stack of a legacy or compatibility-mode segment.
    pub fn legacy(seg: Segment, sp: u64, cpl: u8, error: u32) -> Stack {
        let mask = ADDRESS_MASK[usize::from(seg.attr.contains(SegAttr::DB))];
        Stack { seg, sp, mask, cpl, error, aligned: false }
    }

    /// A stack of 64-bit mode.
    pub fn long(seg: Segment, sp: u64, cpl: u8, error: u32) -> Stack {
        Stack { seg, sp, mask: !0, cpl, error, aligned: false }
    }

    /// RSP after the stack pointer became `sp`, where it was `old`.
    pub fn rsp(&self, old: u64, sp: u64) -> u64 {
        match self.mask {
            0xffff => old & !0xffff | sp & 0xffff,
            mask => sp & mask,
        }
    }
}

impl Cx<'_> {
    /// The present stack, with the error code that #SS has.
    pub fn present_stack(&self, error: u32) -> Stack {
        let seg = self.cpu.seg[SegReg::Ss as usize];
        let (sp, mask, cpl) = (self.cpu.r[4], self.cpu.stack_mask, self.cpu.cpl);
        Stack { seg, sp, mask, cpl, error, aligned: false }
    }

    /// The linear address of `n` bytes on a stack (SDM Vol. 3A 5.3).
    fn stack_address(&mut self, stack: &Stack, off: u64, n: u64) -> Result<u64, Trap> {
        let last = off.wrapping_add(n - 1);
        let why = if stack.mask == !0 {
            if canonical(off) && canonical(last) {
                return Ok(off);
            }
            Why::StackNotCanonical
        } else {
            let (limit, attr) = (u64::from(stack.seg.limit), stack.seg.attr);
            let fits = if attr.contains(SegAttr::DC) && !attr.contains(SegAttr::CODE) {
                let top = if attr.contains(SegAttr::DB) { 0xffff_ffff } else { 0xffff };
                off > limit && last <= top
            } else {
                last <= limit
            };
            let usable = !self.cpu.protected() || rights(&stack.seg).1;
            if fits && usable {
                return Ok(self.wrap_linear(stack.seg.base.wrapping_add(off)));
            }
            if usable { Why::StackNoRoom } else { Why::NotWritable }
        };
        Err(self.ss(stack.error, why))
    }

    /// Checks that `count` values, each `1 << osize` bytes wide, can be pushed, without pushing them.
    pub fn probe_frame(&mut self, stack: &Stack, count: usize, osize: u8) -> Step {
        let n = 1u64 << osize;
        let who = self.cpu.who_at(stack.cpl);
        let mut sp = stack.sp;
        for _ in 0..count {
            sp = sp.wrapping_sub(n);
            let lin = self.stack_address(stack, sp & stack.mask, n)?;
            if stack.aligned && lin & (n - 1) != 0 {
                return Err(self.fault(Vector::AC, Some(0), Why::Misaligned));
            }
            self.probe_linear(lin, n, who)?;
        }
        Ok(())
    }

    /// Writes `values`, the first one first, that [`Cx::probe_frame`] found room for, and returns the new stack
    /// pointer.
    pub fn write_frame(&mut self, stack: &Stack, values: &[u64], osize: u8) -> Result<u64, Trap> {
        let n = 1u64 << osize;
        let mut sp = stack.sp;
        for &value in values {
            sp = sp.wrapping_sub(n);
            let lin = self.stack_address(stack, sp & stack.mask, n)?;
            let who = self.cpu.who_at(stack.cpl);
            match osize {
                1 => self.write_linear(lin, value as u16, who)?,
                2 => self.write_linear(lin, value as u32, who)?,
                _ => self.write_linear(lin, value, who)?,
            }
        }
        Ok(sp)
    }

    /// Both: pushes all values or none, and returns the new stack pointer.
    pub fn push_frame(&mut self, stack: &Stack, values: &[u64], osize: u8) -> Result<u64, Trap> {
        self.probe_frame(stack, values.len(), osize)?;
        self.write_frame(stack, values, osize)
    }

    /// Reads a value `1 << osize` bytes wide, `off` bytes above the present top of the stack.
    pub fn peek(&mut self, off: u64, osize: u8) -> Result<u64, Trap> {
        let at = self.cpu.r[4].wrapping_add(off) & self.cpu.stack_mask;
        self.read_sized(SegReg::Ss as u8, at, osize)
    }

    /// Reads a value `1 << osize` bytes wide from a segment.
    pub fn read_sized(&mut self, seg: u8, off: u64, osize: u8) -> Result<u64, Trap> {
        Ok(match osize {
            0 => u64::from(self.rd::<u8>(seg, off)?),
            1 => u64::from(self.rd::<u16>(seg, off)?),
            2 => u64::from(self.rd::<u32>(seg, off)?),
            _ => self.rd::<u64>(seg, off)?,
        })
    }
}

/// One value at a time, as PUSH and POP do.
impl Cx<'_> {
    /// The slab offset of the stack at `sp`, if segment and TLB allow a read. A 64-bit operand is a matter of 64-bit mode,
    /// where SS has neither base nor limit.
    #[inline(always)]
    pub fn stack_read_hit<T: Word>(&self, sp: u64) -> Option<u64> {
        let n = size_of::<T>() as u64;
        if n == 8 { self.cpu.tlb.read.find(sp, n) } else { self.read_hit(SS, sp & self.cpu.stack_mask, n) }
    }

    /// Pushes a value, as wide as `T`.
    #[inline(always)]
    pub fn push<T: Word>(&mut self, value: T) -> Step {
        let n = size_of::<T>() as u64;
        let sp = self.cpu.r[4].wrapping_sub(n);
        let hit = if n == 8 {
            self.cpu.tlb.write.find(sp, n)
        } else {
            self.write_hit(SS, sp & self.cpu.stack_mask, n)
        };
        match hit {
            Some(at) => self.slab.store(at, value),
            None => self.wr_slow(SS, sp & self.cpu.stack_mask, value)?,
        }
        self.move_sp::<T>(sp);
        Ok(())
    }

    /// Pops a value, as wide as `T`.
    #[inline(always)]
    pub fn pop<T: Word>(&mut self) -> Result<T, Trap> {
        let sp = self.cpu.r[4];
        let value = match self.stack_read_hit::<T>(sp) {
            Some(at) => self.slab.load(at),
            None => self.rd_slow(SS, sp & self.cpu.stack_mask)?,
        };
        self.move_sp::<T>(sp.wrapping_add(size_of::<T>() as u64));
        Ok(value)
    }

    /// [`Cx::set_sp`], knowing that a 64-bit operand means a 64-bit stack.
    #[inline(always)]
    pub fn move_sp<T: Word>(&mut self, sp: u64) {
        if size_of::<T>() == 8 {
            self.cpu.r[4] = sp;
        } else {
            self.set_sp(sp);
        }
    }

    /// Replaces the part of RSP that the stack's width covers.
    #[inline(always)]
    pub fn set_sp(&mut self, sp: u64) {
        let mask = self.cpu.stack_mask;
        self.cpu.r[4] = self.cpu.r[4] & !mask | sp & mask;
    }
}
