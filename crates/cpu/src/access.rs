//! Memory as instructions see it: segment, linear and physical addresses, RAM and devices.
//!
//! The fast path is one segment compare, one TLB compare and one load. Everything else (page crossings, misses, devices,
//! cached code, breakpoints, odd segments) goes through [`Span`]: the checked pieces of an access, resolved before
//! anything is read or written.

use hako_mem::{Gpa, Lookup, PAGE_MASK, PAGE_SIZE, PageFlags, RegionKind, SlabOffset, Word};
use hako_x86::{SegAttr, SegReg, Vector};

use crate::attn::Attn;
use crate::cpu::Cpu;
use crate::cx::{Cx, Step, Trap};
use crate::flags::Flags;
use crate::paging::{Access, Who};
use crate::segfast::rights;
use crate::tlb::CODE;
use crate::why::Why;

/// Where a physical address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phys {
    /// RAM at a slab offset.
    Ram(u64),
    /// RAM at a slab offset, which a TLB that allows the access knows: it may be read or written without further ado.
    Plain(u64),
    /// ROM at a slab offset; writes go to the bus at the address.
    Rom(u64, u64),
    /// A device or nothing.
    Bus(u64),
}

impl Phys {
    /// The address `n` bytes on, in the same page.
    #[inline(always)]
    pub fn add(self, n: u64) -> Phys {
        match self {
            Phys::Ram(off) => Phys::Ram(off + n),
            Phys::Plain(off) => Phys::Plain(off + n),
            Phys::Rom(off, gpa) => Phys::Rom(off + n, gpa + n),
            Phys::Bus(gpa) => Phys::Bus(gpa + n),
        }
    }
}

/// A checked access of up to 16 bytes: one piece, or two where it crosses a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    first: Phys,
    /// Bytes in `first`.
    split: u8,
    second: Phys,
}

impl Span {
    /// Whether it is RAM or ROM in one piece, so that what follows in the page is, too.
    pub fn is_ram(&self) -> bool {
        !matches!(self.first, Phys::Bus(_)) && self.first == self.second
    }
}

impl Cx<'_> {
    // ---- by segment and offset ----

    /// Reads from the segment with the given number.
    #[inline(always)]
    pub fn rd<T: Word>(&mut self, seg: u8, off: u64) -> Result<T, Trap> {
        match self.read_hit(seg, off, size_of::<T>() as u64) {
            Some(at) => Ok(self.slab.load(at)),
            None => self.rd_slow(seg, off),
        }
    }

    /// Writes to the segment with the given number.
    #[inline(always)]
    pub fn wr<T: Word>(&mut self, seg: u8, off: u64, value: T) -> Step {
        match self.write_hit(seg, off, size_of::<T>() as u64) {
            Some(at) => {
                self.slab.store(at, value);
                Ok(())
            }
            None => self.wr_slow(seg, off, value),
        }
    }

    /// The slab offset of a read that segment and TLB allow.
    #[inline(always)]
    pub fn read_hit(&self, seg: u8, off: u64, n: u64) -> Option<u64> {
        let s = &self.cpu.fast[usize::from(seg & 7)];
        if off.wrapping_add(n) > s.readable {
            return None;
        }
        self.cpu.tlb.read.find(s.base.wrapping_add(off), n)
    }

    /// The slab offset of a write that segment and TLB allow.
    #[inline(always)]
    pub fn write_hit(&self, seg: u8, off: u64, n: u64) -> Option<u64> {
        let s = &self.cpu.fast[usize::from(seg & 7)];
        if off.wrapping_add(n) > s.writable {
            return None;
        }
        self.cpu.tlb.write.find(s.base.wrapping_add(off), n)
    }

    /// The slab offset of a write to a page that holds cached code, which hears of it if it is not beside the code: data,
    /// or a stack, in the same page as the program.
    #[inline(never)]
    fn write_hit_code(&mut self, seg: u8, off: u64, n: u64) -> Option<u64> {
        let s = &self.cpu.fast[usize::from(seg & 7)];
        if off.wrapping_add(n) > s.writable {
            return None;
        }
        let at = self.cpu.tlb.write.find_code(s.base.wrapping_add(off), n)?;
        if self.cpu.blocks.touches(&self.slab, at, n) {
            self.code_written(at, n);
        }
        Some(at)
    }

    #[cold]
    #[inline(never)]
    pub fn rd_slow<T: Word>(&mut self, seg: u8, off: u64) -> Result<T, Trap> {
        let span = self.probe(seg, off, size_of::<T>() as u64, Access::Read)?;
        Ok(self.load_span(&span))
    }

    #[cold]
    #[inline(never)]
    pub fn wr_slow<T: Word>(&mut self, seg: u8, off: u64, value: T) -> Step {
        if let Some(at) = self.write_hit_code(seg, off, size_of::<T>() as u64) {
            self.slab.store(at, value);
            return Ok(());
        }
        let span = self.probe(seg, off, size_of::<T>() as u64, Access::Write)?;
        self.store_span(&span, value);
        Ok(())
    }

    /// Replaces a value in memory by `f` of it; write access is checked before the read. `f` may run more than once
    /// when another CPU changes a locked operand in between; its flags are those of the last run.
    #[inline(always)]
    pub fn rmw<T: Word>(&mut self, seg: u8, off: u64, lock: bool, f: impl Fn(&Cpu, T) -> (T, Flags)) -> Step {
        let n = size_of::<T>() as u64;
        match self.write_hit(seg, off, n).or_else(|| self.write_hit_code(seg, off, n)) {
            Some(at) => self.rmw_at(at, lock, f),
            None => self.rmw_slow(seg, off, &f)?,
        }
        Ok(())
    }

    /// The same for RAM at a slab offset.
    #[inline(always)]
    pub fn rmw_at<T: Word>(&mut self, at: u64, lock: bool, f: impl Fn(&Cpu, T) -> (T, Flags)) {
        let mut old: T = self.slab.load(at);
        let (mut new, mut flags) = f(self.cpu, old);
        let n = size_of::<T>() as u32;
        if !lock || at & u64::from(n - 1) != 0 {
            self.slab.store(at, new);
        } else {
            while let Err(now) = self.slab.compare_exchange(at, n, old.to_u64(), new.to_u64()) {
                old = T::from_u64(now);
                (new, flags) = f(self.cpu, old);
            }
        }
        self.cpu.fl = flags;
    }

    #[cold]
    #[inline(never)]
    fn rmw_slow<T: Word>(&mut self, seg: u8, off: u64, f: &dyn Fn(&Cpu, T) -> (T, Flags)) -> Step {
        let span = self.probe(seg, off, size_of::<T>() as u64, Access::Write)?;
        let old = self.load_span(&span);
        let (new, flags) = f(self.cpu, old);
        self.store_span(&span, new);
        self.cpu.fl = flags;
        Ok(())
    }

    /// Checks an access of `n` (1 to 16) bytes completely, without making it.
    pub fn probe(&mut self, seg: u8, off: u64, n: u64, access: Access) -> Result<Span, Trap> {
        let lin = self.linear(seg, off, n, access == Access::Write)?;
        if self.cpu.alignment_checked() && lin & (n.min(8) - 1) != 0 {
            return Err(self.fault(Vector::AC, Some(0), Why::Misaligned));
        }
        self.span(lin, n, access, self.cpu.who())
    }

    /// Checks a stack write of `n` bytes `below` bytes under the present stack pointer, for instructions that push
    /// several values.
    pub fn probe_push(&mut self, below: u64, n: u64) -> Result<Span, Trap> {
        let sp = self.cpu.r[4].wrapping_sub(below) & self.cpu.stack_mask;
        self.probe(SegReg::Ss as u8, sp, n, Access::Write)
    }

    /// The linear address of `n` bytes in a segment, after the segment's checks (SDM Vol. 3A 5.3, 5.4, 3.3.7.1).
    pub fn linear(&mut self, seg: u8, off: u64, n: u64, write: bool) -> Result<u64, Trap> {
        let stack = seg == SegReg::Ss as u8;
        let s = self.cpu.seg.get(usize::from(seg)).copied().unwrap_or_default();
        let last = n - 1;
        let why = if self.cpu.long64() {
            let lin = self.cpu.fast[usize::from(seg & 7)].base.wrapping_add(off);
            if canonical(lin) && canonical(lin.wrapping_add(last)) {
                return Ok(lin);
            }
            if stack { Why::StackNotCanonical } else { Why::NotCanonical }
        } else {
            let real = !self.cpu.protected();
            let (readable, writable) = if real { (true, true) } else { rights(&s) };
            let limit = u64::from(s.limit);
            let down = !s.attr.contains(SegAttr::CODE) && s.attr.contains(SegAttr::DC);
            let in_limit = if down {
                let top = if s.attr.contains(SegAttr::DB) { 0xffff_ffff } else { 0xffff };
                off > limit && off + last <= top
            } else {
                off + last <= limit
            };
            if !real && s.attr.contains(SegAttr::UNUSABLE) {
                Why::NullSegment
            } else if write && !writable {
                Why::NotWritable
            } else if !write && !readable {
                Why::NotReadable
            } else if !in_limit {
                Why::BeyondLimit
            } else {
                return Ok(s.base.wrapping_add(off) & 0xffff_ffff);
            }
        };
        Err(if stack { self.ss(0, why) } else { self.gp(0, why) })
    }

    // ---- by linear address ----

    /// Reads as the supervisor, whatever CPL is: descriptor tables, IDT, TSS.
    #[inline]
    pub fn read_linear_sys<T: Word>(&mut self, lin: u64) -> Result<T, Trap> {
        let n = size_of::<T>() as u64;
        let lin = self.wrap_linear(lin);
        if let Some(at) = self.cpu.tlb.read.find_as(lin, n, 0)
            && !self.cpu.watch
            && !self.cpu.tlb.is_open()
        {
            return Ok(self.slab.load(at));
        }
        let span = self.span(lin, n, Access::Read, Who::System)?;
        Ok(self.load_span(&span))
    }

    /// Writes as the supervisor, whatever CPL is.
    #[inline]
    pub fn write_linear_sys<T: Word>(&mut self, lin: u64, value: T) -> Step {
        self.write_linear(self.wrap_linear(lin), value, Who::System)
    }

    /// Writes with the given privilege.
    #[inline]
    pub fn write_linear<T: Word>(&mut self, lin: u64, value: T, who: Who) -> Step {
        let n = size_of::<T>() as u64;
        if let Some(at) = self.write_hit_as(lin, n, who) {
            self.slab.store(at, value);
            return Ok(());
        }
        let span = self.span(lin, n, Access::Write, who)?;
        self.store_span(&span, value);
        Ok(())
    }

    /// Checks a write of 1 to 16 bytes with the given privilege, without making it.
    #[inline]
    pub fn probe_linear(&mut self, lin: u64, n: u64, who: Who) -> Step {
        if self.write_hit_as(lin, n, who).is_some() {
            return Ok(());
        }
        self.span(lin, n, Access::Write, who).map(drop)
    }

    /// The slab offset of a write that the TLB allows.
    #[inline]
    fn write_hit_as(&self, lin: u64, n: u64, who: Who) -> Option<u64> {
        let unhindered = !self.cpu.watch && (who != Who::System || !self.cpu.tlb.is_open());
        self.cpu.tlb.write.find_as(lin, n, who.key()).filter(|_| unhindered)
    }

    /// Checks a supervisor access to `len` bytes, without making it.
    pub fn probe_linear_sys(&mut self, lin: u64, len: u64, access: Access) -> Step {
        let mut at = 0;
        while at < len {
            let here = self.wrap_linear(lin.wrapping_add(at));
            let n = (PAGE_SIZE - (here & PAGE_MASK)).min(len - at);
            self.translate(here, access, Who::System)?;
            at += n;
        }
        Ok(())
    }

    /// Linear addresses have 32 bits outside long mode.
    pub fn wrap_linear(&self, lin: u64) -> u64 {
        if self.cpu.long() { lin } else { lin & 0xffff_ffff }
    }

    /// Translates all pages of an access of 1 to 16 bytes.
    #[inline]
    pub fn span(&mut self, lin: u64, n: u64, access: Access, who: Who) -> Result<Span, Trap> {
        if self.cpu.watch || lin & PAGE_MASK > PAGE_SIZE - n {
            return self.span_slow(lin, n, access, who);
        }
        let first = self.translate(lin, access, who)?;
        Ok(Span { first, split: n as u8, second: first })
    }

    #[inline(never)]
    fn span_slow(&mut self, lin: u64, n: u64, access: Access, who: Who) -> Result<Span, Trap> {
        if self.cpu.watch && access != Access::Execute {
            crate::debug::watch(self, lin, n, access == Access::Write);
        }
        let left = PAGE_SIZE - (lin & PAGE_MASK);
        let first = self.translate(lin, access, who)?;
        if n <= left {
            return Ok(Span { first, split: n as u8, second: first });
        }
        let next = self.wrap_linear(lin.wrapping_add(left));
        let second = self.translate(next, access, who)?;
        Ok(Span { first, split: left as u8, second })
    }

    /// What the TLB knows of a linear address.
    #[inline(always)]
    fn hit(&self, lin: u64, access: Access, who: Who) -> Option<Phys> {
        let tlb = &self.cpu.tlb;
        let table = match access {
            Access::Read => &tlb.read,
            Access::Write => &tlb.write,
            Access::Execute => &tlb.exec,
        };
        if who == Who::System && tlb.is_open() {
            return None;
        }
        let tag = lin & !PAGE_MASK | table.generation() | who.key();
        let e = table.entry(lin);
        let off = lin.wrapping_add(e.addend);
        if e.tag == tag {
            Some(Phys::Plain(off))
        } else if e.tag == tag | CODE {
            Some(Phys::Ram(off))
        } else {
            None
        }
    }

    /// Where a linear address leads, after the page's checks.
    #[inline]
    pub fn translate(&mut self, lin: u64, access: Access, who: Who) -> Result<Phys, Trap> {
        match self.hit(lin, access, who) {
            Some(phys) => Ok(phys),
            None => self.translate_slow(lin, access, who),
        }
    }

    #[inline(never)]
    fn translate_slow(&mut self, lin: u64, access: Access, who: Who) -> Result<Phys, Trap> {
        let key = who.key();
        let phys = self.find(lin, access, who)?;
        match (phys, access) {
            // Nothing is kept that the guest may change unseen.
            (Phys::Ram(off), Access::Write) if self.cpu.config.uncached => {
                self.slab.set_flags(SlabOffset(off), PageFlags::DIRTY);
            }
            _ if self.cpu.config.uncached => {}
            (Phys::Ram(off) | Phys::Rom(off, _), Access::Read) => self.cpu.tlb.read.fill(lin, key, off),
            (Phys::Ram(off) | Phys::Rom(off, _), Access::Execute) => self.cpu.tlb.exec.fill(lin, key, off),
            (Phys::Ram(off), Access::Write) => {
                self.slab.set_flags(SlabOffset(off), PageFlags::DIRTY);
                self.cpu.counters.ram_writes = self.cpu.counters.ram_writes.wrapping_add(1);
                let code = self.slab.flags(SlabOffset(off)).any(PageFlags::CODE);
                self.cpu.tlb.write.fill(lin, if code { key | CODE } else { key }, off);
                // What may be written may be read.
                self.cpu.tlb.read.fill(lin, key, off);
            }
            _ => {}
        }
        Ok(phys)
    }

    // ---- by physical address ----

    /// Where a physical address leads; the A20 gate is applied.
    #[inline]
    pub fn phys(&mut self, gpa: u64) -> Phys {
        let gpa = if self.cpu.lines.a20 { gpa } else { gpa & !(1 << 20) };
        let hit = match self.cpu.region {
            Some((start, r)) if gpa.wrapping_sub(start) < r.left => Some((gpa - start, r)),
            _ => self.look_up(gpa),
        };
        match hit {
            Some((into, r)) if r.kind == RegionKind::Ram => Phys::Ram(r.offset.0.wrapping_add(into)),
            Some((into, r)) => Phys::Rom(r.offset.0.wrapping_add(into), gpa),
            None => Phys::Bus(gpa),
        }
    }

    #[cold]
    #[inline(never)]
    fn look_up(&mut self, gpa: u64) -> Option<(u64, Lookup)> {
        let found = self.cpu.memory.as_ref()?.lookup(Gpa(gpa))?;
        self.cpu.region = Some((gpa, found));
        Some((0, found))
    }

    /// Reads from a physical address (paging entries), naturally aligned.
    #[inline]
    pub fn read_phys<T: Word>(&mut self, gpa: u64) -> T {
        match self.phys(gpa) {
            Phys::Plain(off) | Phys::Ram(off) | Phys::Rom(off, _) => self.slab.load(off),
            device => T::from_u128(self.load_bytes(device, size_of::<T>())),
        }
    }

    /// Writes to a physical address, naturally aligned.
    pub fn write_phys<T: Word>(&mut self, gpa: u64, value: T) {
        let phys = self.phys(gpa);
        self.store_bytes(phys, size_of::<T>(), value.to_u128());
    }

    /// Reads what a span covers.
    pub fn load_span<T: Word>(&mut self, span: &Span) -> T {
        let n = size_of::<T>();
        let split = usize::from(span.split);
        if split >= n {
            if let Phys::Plain(off) | Phys::Ram(off) | Phys::Rom(off, _) = span.first {
                return self.slab.load(off);
            }
            return T::from_u128(self.load_bytes(span.first, n));
        }
        let low = self.load_bytes(span.first, split);
        let high = self.load_bytes(span.second, n - split);
        T::from_u128(low | high << (split * 8))
    }

    /// Writes what a span covers.
    #[inline]
    pub fn store_span<T: Word>(&mut self, span: &Span, value: T) {
        let n = size_of::<T>();
        let split = usize::from(span.split);
        if let Phys::Plain(off) = span.first
            && split >= n
        {
            return self.slab.store(off, value);
        }
        let value = value.to_u128();
        if split >= n {
            return self.store_bytes(span.first, n, value);
        }
        self.store_bytes(span.first, split, value);
        self.store_bytes(span.second, n - split, value >> (split * 8));
    }

    /// Reads items of `bytes` bytes, of which the first is what the span covers. More than one follow it in its page.
    pub fn load_run(&mut self, span: &Span, bytes: usize, data: &mut [u8]) {
        if data.len() > bytes {
            if let Phys::Plain(off) | Phys::Ram(off) | Phys::Rom(off, _) = span.first {
                self.slab.read(SlabOffset(off), data);
            }
            return;
        }
        let value = match bytes {
            1 => u32::from(self.load_span::<u8>(span)),
            2 => u32::from(self.load_span::<u16>(span)),
            _ => self.load_span::<u32>(span),
        };
        for (to, from) in data.iter_mut().zip(value.to_le_bytes()) {
            *to = from;
        }
    }

    /// Writes items as [`Cx::load_run`] reads them.
    pub fn store_run(&mut self, span: &Span, bytes: usize, data: &[u8]) {
        if data.len() > bytes {
            for (i, item) in data.chunks(bytes).enumerate() {
                self.store_bytes(span.first.add((i * bytes) as u64), item.len(), little_endian(item));
            }
            return;
        }
        let value = little_endian(data);
        match bytes {
            1 => self.store_span(span, value as u8),
            2 => self.store_span(span, value as u16),
            _ => self.store_span(span, value as u32),
        }
    }

    pub fn load_bytes(&mut self, phys: Phys, n: usize) -> u128 {
        let mut buf = [0; 16];
        match phys {
            Phys::Plain(off) | Phys::Ram(off) | Phys::Rom(off, _) => {
                if !self.slab.read(SlabOffset(off), &mut buf[..n]) {
                    buf[..n].fill(0xff);
                }
            }
            Phys::Bus(_) => {
                for i in (0..n).step_by(8) {
                    self.bus_read(phys.add(i as u64), &mut buf[i..n.min(i + 8)]);
                }
            }
        }
        u128::from_le_bytes(buf)
    }

    fn bus_read(&mut self, phys: Phys, buf: &mut [u8]) {
        let Phys::Bus(gpa) = phys else { return };
        let at = self.at();
        let a = self.bus.mmio_read(at, Gpa(gpa), buf);
        self.cpu.counters.io = self.cpu.counters.io.wrapping_add(1);
        self.cpu.attend_bus(a);
    }

    /// Writes 1 to 16 bytes that lie in one page.
    fn store_bytes(&mut self, phys: Phys, n: usize, value: u128) {
        let bytes = value.to_le_bytes();
        match phys {
            Phys::Plain(off) | Phys::Ram(off) => {
                if self.slab.flags(SlabOffset(off)).any(PageFlags::CODE) {
                    self.code_written(off, n as u64);
                }
                match n {
                    1 => self.slab.store(off, value as u8),
                    2 => self.slab.store(off, value as u16),
                    4 => self.slab.store(off, value as u32),
                    8 => self.slab.store(off, value as u64),
                    16 => self.slab.store(off, value),
                    _ => (0..n).for_each(|i| self.slab.store(off + i as u64, bytes[i & 15])),
                }
                self.slab.set_flags(SlabOffset(off), PageFlags::DIRTY);
            }
            Phys::Rom(_, gpa) | Phys::Bus(gpa) => {
                for i in (0..n).step_by(8) {
                    let at = self.at();
                    let a = self.bus.mmio_write(at, Gpa(gpa + i as u64), &bytes[i..n.min(i + 8)]);
                    self.cpu.counters.io = self.cpu.counters.io.wrapping_add(1);
                    self.cpu.attend_bus(a);
                }
            }
        }
    }

    /// Bytes of a page that holds cached code are about to change.
    pub fn code_written(&mut self, off: u64, n: u64) {
        if self.cpu.blocks.written(&self.slab, off, n) {
            self.cpu.attend(Attn::CODE);
        }
    }
}

fn little_endian(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |value, &b| value << 8 | u128::from(b))
}

/// Whether bits 63:47 of a linear address are equal.
#[inline(always)]
pub(crate) fn canonical(lin: u64) -> bool {
    (lin.wrapping_add(1 << 47)) >> 48 == 0
}
