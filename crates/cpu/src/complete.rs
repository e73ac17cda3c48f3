//! Single instructions of a guest that runs on another processor, completed cheaply.
//!
//! [`Cpu::set_state`], [`Cpu::step`] and [`Cpu::state`] complete any instruction. This is the short way for those that
//! change general registers, RIP and arithmetic flags alone, as nearly all that access devices do. What decides how they
//! are decoded and translated is taken over by [`Cpu::set_registers`] and stays until it changes. About memory nothing is
//! taken for granted, for the guest writes it without leaving marks: what an instruction decoded to last time counts if
//! its bytes are the same, and where a page walk led counts if every entry on the way is.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use hako_engine::Bus;
use hako_mem::{PAGE_MASK, PAGE_SIZE};
use hako_x86::{CpuState, Cr0, Cr4, RFlags, StateError};

use crate::Cpu;
use crate::access::Phys;
use crate::attn::Attn;
use crate::convert::check_registers;
use crate::cx::{Cx, Trap};
use crate::debug;
use crate::decode;
use crate::flags::{ARITH, Flags};
use crate::op::{BLOCK_RIP, Op, Place, REP, REPNE};
use crate::paging::{Access, Who};

/// What a plain instruction works on, in its place.
#[derive(Debug)]
pub struct Work<'a> {
    /// General registers by encoding.
    pub gpr: &'a mut [u64; 16],
    /// RIP.
    pub rip: &'a mut u64,
    /// RFLAGS.
    pub rflags: &'a mut u64,
}

/// What came of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// It is complete, or a repeated one has made some of its iterations.
    Yes,
    /// A repeated one has made some of its iterations, of which the next raises an exception.
    Partly,
    /// It is not plain or raises an exception; nothing has changed.
    No,
}

/// Iterations of a repeated instruction at a time.
const ITERATIONS: u64 = 64;
/// Flags with which an instruction is not plain: steps, breakpoints, virtual-8086 mode, alignment checks, open user pages.
const ODD: u64 = RFlags::TF.bits() | RFlags::RF.bits() | RFlags::VM.bits() | RFlags::AC.bits();
/// With these in CR4 what memory may be accessed depends on registers that are not taken over.
const PROTECTION_KEYS: u64 = Cr4::PKE.bits() | Cr4::PKS.bits();

/// Where a walk led.
#[derive(Clone, Copy)]
struct Walk {
    page: u64,
    who: Who,
    /// [`Known::setting`] then.
    setting: u64,
    /// Where the page is.
    to: Phys,
    path: Path,
}

/// The entries of a walk: where each is, and what it holds.
#[derive(Clone, Copy)]
struct Path {
    entries: [(u64, u64); 4],
    depth: usize,
}

impl Path {
    const NONE: Path = Path { entries: [(0, 0); 4], depth: 0 };
}

/// What 16 bytes at a slab offset decoded to.
#[derive(Clone, Copy)]
struct Decoded {
    offset: u64,
    bytes: u128,
    size: u8,
    op: Op,
}

const DECODED: usize = 16;

/// What was found out about memory, and counts as long as memory is the same.
pub(crate) struct Known {
    /// By kind of access.
    walks: [Walk; 3],
    ops: [Decoded; DECODED],
    /// Of the walk made last, by physical address.
    path: Path,
    /// Another number whenever what walks depend on may be another: control registers.
    setting: u64,
}

impl Known {
    /// Nothing.
    pub fn new() -> Box<Known> {
        let walk = Walk { page: 0, who: Who::System, setting: 0, to: Phys::Bus(0), path: Path::NONE };
        let decoded = Decoded { offset: u64::MAX, bytes: 0, size: 0, op: Op::EMPTY };
        Box::new(Known { walks: [walk; 3], ops: [decoded; DECODED], path: Path::NONE, setting: 0 })
    }

    /// Memory lies elsewhere.
    pub fn forget(&mut self) {
        self.walks.iter_mut().for_each(|walk| walk.path.depth = 0);
        self.ops.iter_mut().for_each(|known| known.offset = u64::MAX);
    }

    /// Control registers may have changed.
    pub fn renew(&mut self) {
        self.setting = self.setting.wrapping_add(1);
    }

    /// The entries of a walk that has come to its end.
    pub fn note(&mut self, entries: &[(u64, u64); 4], depth: usize) {
        self.path = Path { entries: *entries, depth };
    }
}

impl Cpu {
    /// Takes over the registers of a state for [`Cpu::complete`]: all but MSRs, x87, SSE and the time-stamp counter.
    ///
    /// # Errors
    /// When they are none that this CPU can have; then nothing has changed.
    pub fn set_registers(&mut self, state: &CpuState) -> Result<(), StateError> {
        check_registers(state)?;
        let controls = |cpu: &Cpu| (cpu.cr0, cpu.cr3, cpu.cr4, cpu.efer);
        let (before, setting) = (controls(self), self.known.setting);
        self.sys.between_instructions();
        self.load_registers(state);
        if controls(self) == before {
            self.known.setting = setting;
        }
        debug::update_careful(self);
        Ok(())
    }

    /// Completes an instruction, or some iterations of a repeated one, if it is plain and raises no exception; `work` holds
    /// what it works on and then what it made of that. Everything else is as [`Cpu::set_registers`] was told, which has to
    /// be called again after any answer but [`Completed::Yes`].
    pub fn complete(&mut self, bus: &mut dyn Bus, work: Work<'_>) -> Completed {
        let legacy_pae = self.cr0_has(Cr0::PG) && self.cr4_has(Cr4::PAE) && !self.long();
        let odd = (*work.rflags | self.rest) & ODD | self.cr4 & PROTECTION_KEYS;
        if odd != 0 || legacy_pae || self.careful || self.watch || !self.config.uncached {
            return Completed::No;
        }
        self.r[..16].copy_from_slice(work.gpr);
        (self.rip, self.r[usize::from(BLOCK_RIP)]) = (*work.rip, *work.rip);
        self.at = Place::default();
        self.fl = Flags::from_bits(*work.rflags);
        self.rest = *work.rflags & RFlags::all().bits() & !ARITH | RFlags::FIXED.bits();
        self.attn = Attn::empty();
        let memory = bus.memory();
        let known = self.memory.as_ref().is_some_and(|m| core::ptr::eq(m.map(), memory.map()));
        let slab = Arc::clone(memory.slab());
        let mut cx = Cx { cpu: self, bus, slab };
        if !known {
            cx.take_map(&mut Vec::new());
        }
        let before = cx.cpu.count;
        let done = match cx.plain() {
            true => Completed::Yes,
            false if cx.cpu.count != before => Completed::Partly,
            false => return Completed::No,
        };
        work.gpr.copy_from_slice(&self.r[..16]);
        (*work.rip, *work.rflags) = (self.rip, self.rflags());
        done
    }
}

impl Cx<'_> {
    /// Executes the plain instruction at RIP; false if it is none or faults.
    fn plain(&mut self) -> bool {
        let start = self.cpu.rip;
        let lin = self.cpu.fast[1].base.wrapping_add(start) & self.cpu.ip_mask;
        let Some(op) = self.plain_op(lin) else { return false };
        let most = if op.pfx & (REP | REPNE) != 0 { ITERATIONS } else { 1 };
        self.cpu.until = self.cpu.count.wrapping_add(most);
        self.cpu.rip = start.wrapping_add(u64::from(op.len)) & self.cpu.ip_mask;
        let done = (op.run)(self, &op).is_ok();
        if done {
            self.cpu.count = self.cpu.count.wrapping_add(1);
        } else {
            self.cpu.rip = start;
        }
        done
    }

    /// The plain instruction at a linear address, if it is one and lies in memory, well inside a page.
    fn plain_op(&mut self, lin: u64) -> Option<Op> {
        if lin & PAGE_MASK > PAGE_SIZE - 16 {
            return None;
        }
        let left = self.code_bytes_left(lin).ok()?;
        let phys = self.find(lin, Access::Execute, self.cpu.who()).ok()?;
        let (Phys::Plain(offset) | Phys::Ram(offset) | Phys::Rom(offset, _)) = phys else { return None };
        let bytes = self.slab.load::<u128>(offset);
        let (size, lacks) = (self.cpu.code_size, self.cpu.lacks);
        let known = &mut self.cpu.known.ops[(offset >> 2 ^ offset >> 6) as usize % DECODED];
        if known.offset != offset || known.bytes != bytes || known.size != size {
            let mut op = Op::EMPTY;
            let raw = bytes.to_le_bytes();
            if !is_plain(&raw, size == 2) || decode::decode(&raw, size, lacks, 0, &mut op).is_err() {
                return None;
            }
            *known = Decoded { offset, bytes, size, op };
        }
        let op = known.op;
        (u64::from(op.len) <= left).then_some(op)
    }

    /// Where a linear address leads, after the page's checks: the walk is shortened where it goes as it did last time.
    pub fn find(&mut self, lin: u64, access: Access, who: Who) -> Result<Phys, Trap> {
        let odd = self.cpu.flag(RFlags::AC) || self.cpu.cr4 & PROTECTION_KEYS != 0;
        if !self.cpu.config.uncached || !self.cpu.long() || odd {
            let gpa = self.walk(lin, access, who)?;
            return Ok(self.phys(gpa));
        }
        let (page, offset) = (lin & !PAGE_MASK, lin & PAGE_MASK);
        let setting = self.cpu.known.setting;
        let known = &self.cpu.known.walks[access as usize];
        if known.page == page && known.who == who && known.setting == setting && self.is_same(&known.path) {
            return Ok(known.to.add(offset));
        }
        let gpa = self.walk(lin, access, who)? & !PAGE_MASK;
        let to = self.phys(gpa);
        let mut path = self.cpu.known.path;
        for (at, _) in path.entries.iter_mut().take(path.depth) {
            match self.phys(*at) {
                Phys::Ram(offset) | Phys::Plain(offset) | Phys::Rom(offset, _) => *at = offset,
                // A table in a device is read each time.
                Phys::Bus(_) => return Ok(to.add(offset)),
            }
        }
        self.cpu.known.walks[access as usize] = Walk { page, who, setting, to, path };
        Ok(to.add(offset))
    }

    /// Whether the entries on a path, which are at slab offsets, hold what they held.
    fn is_same(&self, path: &Path) -> bool {
        for (at, entry) in path.entries.iter().take(path.depth) {
            if self.slab.load::<u64>(*at) != *entry {
                return false;
            }
        }
        path.depth != 0
    }
}

/// Whether an instruction with these bytes changes general registers, RIP and arithmetic flags alone (besides memory):
/// moves, arithmetic, logic, shifts, bits and strings; `long` is 64-bit code, where 40h to 4Fh are prefixes.
fn is_plain(bytes: &[u8; 16], long: bool) -> bool {
    let mut rest = bytes.iter().copied();
    let prefix = |b: &u8| {
        matches!(b, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3) || long && b & 0xf0 == 0x40
    };
    match rest.find(|b| !prefix(b)) {
        Some(0x0f) => is_plain_two_byte(rest.next(), rest.next()),
        // The rest of the first forty are pushes and pops of segments, adjustments and prefixes.
        Some(opcode @ 0..=0x3f) => opcode & 7 < 6,
        // INC and DEC, not calls, jumps and pushes.
        Some(0xff) => rest.next().is_some_and(|modrm| modrm >> 4 & 3 == 0),
        Some(opcode) => matches!(
            opcode,
            0x63 | 0x69 | 0x6b | 0x80..=0x8b | 0xa0..=0xaf | 0xc0 | 0xc1 | 0xc6 | 0xc7 | 0xd0..=0xd3 | 0xf6 | 0xf7 | 0xfe
        ),
        None => false,
    }
}

/// The same for what stands behind 0Fh: CMOV, SETcc, bits, double shifts, IMUL, CMPXCHG, MOVZX and MOVSX, XADD, MOVNTI;
/// MOVBE.
fn is_plain_two_byte(second: Option<u8>, third: Option<u8>) -> bool {
    match second {
        Some(0x38) => matches!(third, Some(0xf0 | 0xf1)),
        Some(opcode) => matches!(
            opcode,
            0x40..=0x4f | 0x90..=0x9f | 0xa3..=0xa5 | 0xab..=0xad | 0xaf..=0xb1 | 0xb3 | 0xb6 | 0xb7 | 0xba..=0xc1 | 0xc3
        ),
        None => false,
    }
}
