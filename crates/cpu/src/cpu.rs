//! The live CPU.

use alloc::boxed::Box;

use hako_engine::{Attention, DebugHit, Exit, ExitKind, Lines};
use hako_mem::{GuestMemory, Lookup};
use hako_x86::{Activity, Cr0, Cr4, DescTable, Efer, Events, RFlags, SegAttr, SegReg, Segment, Shadow};

use crate::attn::Attn;
use crate::code::{Arena, Blocks};
use crate::complete::Known;
use crate::config::Config;
use crate::cpuid::IMPLEMENTED;
use crate::decode::Lacks;
use crate::fault::{Fault, FaultLog};
use crate::flags::{ARITH, Flags};
use crate::fpu::state::FpuState;
use crate::op::{ADDRESS_MASK, Place};
use crate::segfast::SegFast;
use crate::sysregs::SysRegs;
use crate::tlb::{self, Tlbs};

/// Why [`Cpu::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    /// The instruction count asked for is reached, or a chip's next event has moved.
    Deadline,
    /// HLT, and nothing that the flags allow wakes the CPU now.
    Halt,
    /// A triple fault.
    TripleFault,
    /// A chip has a wish.
    Wish,
    /// A host breakpoint or step.
    Debug(DebugHit),
}

/// Why [`Cpu::run`] came back, and the instruction that caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The reason.
    pub kind: StopKind,
    /// RIP (offset in CS) of the instruction executed last, or about to be executed for `Deadline` and breakpoints.
    pub rip: u64,
}

impl From<Stop> for Exit {
    fn from(stop: Stop) -> Exit {
        let kind = match stop.kind {
            StopKind::Deadline => ExitKind::Deadline,
            StopKind::Halt => ExitKind::Halt,
            StopKind::TripleFault => ExitKind::TripleFault,
            StopKind::Wish => ExitKind::Wish,
            StopKind::Debug(hit) => ExitKind::Debug(hit),
        };
        Exit { kind, rip: Some(stop.rip) }
    }
}

/// Numbers that change when the CPU does something that can be seen outside it. All wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    /// Writes to RAM since the CPU was made, at least one for each page written between two calls of
    /// [`Cpu::counters`].
    pub ram_writes: u64,
    /// Port and MMIO accesses.
    pub io: u64,
    /// Interrupts, exceptions and NMIs taken.
    pub events: u64,
}

/// One software CPU.
pub struct Cpu {
    /// General-purpose registers, then [`crate::op::ZERO`], [`crate::op::BLOCK_RIP`], and unused ones that keep
    /// register numbers free of bounds checks.
    pub(crate) r: [u64; 32],
    /// The arithmetic flags.
    pub(crate) fl: Flags,
    /// RFLAGS without the arithmetic flags.
    pub(crate) rest: u64,
    /// Where execution goes on when the block ends; the current RIP at instruction boundaries.
    pub(crate) rip: u64,
    /// The current instruction in the running block.
    pub(crate) at: Place,
    /// Instructions completed at the block's start; at instruction boundaries, in all.
    pub(crate) count: u64,
    /// The count at which `run` has to come back.
    pub(crate) until: u64,
    /// Why to leave the block.
    pub(crate) attn: Attn,

    pub(crate) fast: [SegFast; 8],
    /// Mask of stack addresses: 16, 32 or 64 bits.
    pub(crate) stack_mask: u64,
    /// Mask of RIP.
    pub(crate) ip_mask: u64,
    /// One past the last offset that may be fetched; 2^64 - 1 in 64-bit mode.
    pub(crate) code_end: u64,
    /// Default operand and address size of code: 0 = 16, 1 = 32, 2 = 64 bits.
    pub(crate) code_size: u8,
    pub(crate) cpl: u8,
    pub(crate) tlb: Tlbs,

    pub(crate) seg: [Segment; 6],
    pub(crate) ldtr: Segment,
    pub(crate) tr: Segment,
    pub(crate) gdtr: DescTable,
    pub(crate) idtr: DescTable,
    pub(crate) cr0: u64,
    pub(crate) cr2: u64,
    pub(crate) cr3: u64,
    pub(crate) cr4: u64,
    pub(crate) efer: u64,
    /// The page-directory-pointer entries that PAE paging loaded with CR3.
    pub(crate) pdpte: [u64; 4],
    pub(crate) sys: SysRegs,
    /// x87, MMX and SSE.
    pub(crate) fpu: FpuState,
    /// FERR# may be asserted: it is no part of the state, so nobody knows after one has been loaded.
    pub(crate) ferr: bool,

    pub(crate) events: Events,
    pub(crate) activity: Activity,
    pub(crate) lines: Lines,
    /// The exception being raised.
    pub(crate) fault: Option<Fault>,
    pub(crate) faults: FaultLog,
    pub(crate) counters: Counters,
    /// Execute one instruction at a time and ask `debug` before and after it.
    pub(crate) careful: bool,
    /// Data breakpoints are armed: memory accesses go the slow way and ask `debug`.
    pub(crate) watch: bool,

    /// The region that held the last physical address looked up.
    pub(crate) region: Option<(u64, Lookup)>,
    pub(crate) memory: Option<GuestMemory>,
    /// What CPUs without caches found out about memory.
    pub(crate) known: Box<Known>,
    pub(crate) blocks: Blocks,
    /// The instructions of `blocks`; with the run loop while that runs.
    pub(crate) arena: Arena,
    pub(crate) config: Config,
    /// What the model has not got of what the decoder knows.
    pub(crate) lacks: Lacks,
}

impl Cpu {
    /// A CPU after power-up.
    pub fn new(mut config: Config) -> Cpu {
        config.model = config.model.limited_to(IMPLEMENTED);
        let mut cpu = Cpu {
            r: [0; 32],
            fl: Flags::from_bits(0),
            rest: RFlags::FIXED.bits(),
            rip: 0,
            at: Place::default(),
            count: 0,
            until: 0,
            attn: Attn::empty(),
            fast: [SegFast::default(); 8],
            stack_mask: 0xffff,
            ip_mask: 0xffff,
            code_end: 0,
            code_size: 0,
            cpl: 0,
            tlb: Tlbs::new(),
            seg: [Segment::default(); 6],
            ldtr: Segment::default(),
            tr: Segment::default(),
            gdtr: DescTable::default(),
            idtr: DescTable::default(),
            cr0: 0,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            efer: 0,
            pdpte: [0; 4],
            sys: SysRegs::default(),
            fpu: FpuState::INITIAL,
            ferr: true,
            events: Events::default(),
            activity: Activity::Running,
            lines: Lines { a20: true, ..Lines::default() },
            fault: None,
            faults: FaultLog::default(),
            counters: Counters::default(),
            careful: false,
            watch: false,
            region: None,
            memory: None,
            known: Known::new(),
            blocks: Blocks::new(config.cpu),
            arena: Arena::new(),
            lacks: Lacks::of(&config.model.features),
            config,
        };
        cpu.reset();
        cpu
    }

    /// Makes the CPU as new, keeping its buffers.
    pub fn reset(&mut self) {
        self.r = [0; 32];
        self.sys = SysRegs::default();
        (self.count, self.until) = (0, 0);
        self.lines = Lines { a20: true, ..Lines::default() };
        self.fault = None;
        self.faults = FaultLog::default();
        self.counters = Counters::default();
        let slab = self.memory.take();
        self.blocks.clear(slab.as_ref().map(|m| &**m.slab()));
        self.arena.clear();
        self.region = None;
        let state = self.power_up_state();
        self.load(&state);
        self.attn = Attn::empty();
    }

    /// Instructions completed; each iteration of a repeated string instruction counts one.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether it is halted and an interrupt would wake it.
    pub fn awaits_interrupt(&self) -> bool {
        self.activity == Activity::Halted && self.flag(RFlags::IF)
    }

    /// The exceptions delivered last.
    pub fn faults(&self) -> &FaultLog {
        &self.faults
    }

    /// What the CPU has done that can be seen outside. Arms the detection of RAM writes anew, so that the next call
    /// tells whether there has been any.
    pub fn counters(&mut self) -> Counters {
        self.tlb.write.flush();
        self.counters
    }

    // ---- registers ----

    /// RFLAGS.
    pub(crate) fn rflags(&self) -> u64 {
        self.rest | self.fl.bits()
    }

    /// Replaces RFLAGS as it is; the caller has decided which bits may change.
    pub(crate) fn set_rflags(&mut self, value: u64) {
        const KEPT: u64 = RFlags::all().bits() & !ARITH;
        let old = self.rest;
        self.fl = Flags::from_bits(value);
        self.rest = value & KEPT | RFlags::FIXED.bits();
        let changed = old ^ self.rest;
        if changed & (RFlags::VM | RFlags::AC).bits() != 0 {
            self.update_mode();
        }
        let enabled = changed & self.rest & RFlags::IF.bits() != 0;
        if changed & (RFlags::TF | RFlags::RF | RFlags::VIF | RFlags::VIP).bits() != 0
            || enabled && self.lines.intr
        {
            self.attend(Attn::EVENT);
        }
    }

    /// Whether a flag outside the arithmetic ones is set.
    #[inline(always)]
    pub(crate) fn flag(&self, flag: RFlags) -> bool {
        self.rest & flag.bits() != 0
    }

    pub(crate) fn iopl(&self) -> u8 {
        (self.rest >> 12 & 3) as u8
    }

    // ---- modes ----

    #[inline(always)]
    pub(crate) fn cr0_has(&self, bits: Cr0) -> bool {
        self.cr0 & bits.bits() == bits.bits()
    }

    #[inline(always)]
    pub(crate) fn cr4_has(&self, bits: Cr4) -> bool {
        self.cr4 & bits.bits() == bits.bits()
    }

    /// Long mode is active: 64-bit or compatibility mode.
    #[inline(always)]
    pub(crate) fn long(&self) -> bool {
        self.efer & Efer::LMA.bits() != 0
    }

    /// 64-bit mode.
    #[inline(always)]
    pub(crate) fn long64(&self) -> bool {
        self.code_size == 2
    }

    /// Protected mode, virtual-8086 mode excluded.
    pub(crate) fn protected(&self) -> bool {
        self.cr0_has(Cr0::PE) && !self.flag(RFlags::VM)
    }

    /// Virtual-8086 mode.
    pub(crate) fn v86(&self) -> bool {
        self.flag(RFlags::VM)
    }

    /// Recomputes everything derived from CR0, CR4, EFER, RFLAGS.VM/AC, CPL and the segment registers.
    pub(crate) fn update_mode(&mut self) {
        self.update_code();
        self.update_stack();
        for reg in SegReg::ALL {
            self.update_fast(reg);
        }
        self.update_key();
    }

    /// Recomputes what CS, SS and CPL decide: in 64-bit mode segments other than FS and GS have neither base nor limit.
    pub(crate) fn update_level(&mut self) {
        let was_long = self.long64();
        self.update_code();
        if !was_long || !self.long64() {
            return self.update_mode();
        }
        self.update_fast(SegReg::Fs);
        self.update_fast(SegReg::Gs);
        self.update_key();
    }

    /// What CS says: the size of code and its end.
    fn update_code(&mut self) {
        let cs = &self.seg[SegReg::Cs as usize];
        let long = self.long() && cs.attr.contains(SegAttr::L);
        let end = u64::from(cs.limit) + 1;
        let size = u8::from(cs.attr.contains(SegAttr::DB));
        (self.code_size, self.ip_mask, self.code_end) =
            if long { (2, !0, u64::MAX) } else { (size, 0xffff_ffff, end) };
    }

    fn update_stack(&mut self) {
        let big = self.seg[SegReg::Ss as usize].attr.contains(SegAttr::DB);
        self.stack_mask = if self.long64() { !0 } else { ADDRESS_MASK[usize::from(big)] };
    }

    fn update_fast(&mut self, reg: SegReg) {
        let seg = &self.seg[reg as usize];
        self.fast[reg as usize] =
            if self.long64() { SegFast::long(reg, seg) } else { SegFast::legacy(seg, !self.protected()) };
    }

    /// What EFLAGS.AC and CPL say about memory accesses.
    pub(crate) fn update_key(&mut self) {
        if !self.flag(RFlags::AC) {
            self.tlb.close();
        }
        let user = if self.cpl == 3 { tlb::USER } else { 0 };
        let slow = if self.alignment_checked() || self.watch { tlb::SLOW } else { 0 };
        self.tlb.set_key(user | slow);
    }

    /// Whether misaligned accesses raise #AC (SDM Vol. 3A 6.15, interrupt 17).
    pub(crate) fn alignment_checked(&self) -> bool {
        self.cpl == 3 && self.cr0_has(Cr0::AM) && self.flag(RFlags::AC)
    }

    /// Replaces a segment register and what is derived from it.
    pub(crate) fn set_seg(&mut self, reg: SegReg, seg: Segment) {
        self.seg[reg as usize] = seg;
        let was_long = self.long64();
        match reg {
            SegReg::Cs => self.update_code(),
            SegReg::Ss => self.update_stack(),
            _ => {}
        }
        if was_long != self.long64() {
            self.update_mode();
        } else {
            self.update_fast(reg);
        }
    }

    /// Replaces the base of FS or GS.
    pub(crate) fn set_base(&mut self, reg: SegReg, base: u64) {
        self.seg[reg as usize].base = base;
        self.update_fast(reg);
    }

    /// Drops all translations.
    pub(crate) fn flush_tlb(&mut self) {
        self.tlb.flush();
    }

    // ---- attention ----

    /// Makes the run loop look at `what` before the next instruction.
    #[inline]
    pub(crate) fn attend(&mut self, what: Attn) {
        self.attn |= what;
    }

    /// Takes over what a bus access reported.
    #[inline]
    pub(crate) fn attend_bus(&mut self, a: Attention) {
        // The access may have moved data into cached code.
        if self.memory.as_ref().is_some_and(|m| m.slab().code_epoch() != self.blocks.epoch) {
            self.attn |= Attn::CODE;
        }
        if a.is_empty() {
            return;
        }
        for (theirs, ours) in [
            (Attention::WISH, Attn::WISH),
            (Attention::MAP, Attn::MAP),
            (Attention::LINES, Attn::LINES),
            (Attention::EVENTS, Attn::DEADLINE),
        ] {
            if a.contains(theirs) {
                self.attn |= ours;
            }
        }
    }

    /// Interrupts are held off for one instruction (SDM Vol. 3A 6.8.3).
    pub(crate) fn set_shadow(&mut self, shadow: Shadow) {
        self.events.shadow = shadow;
        self.attend(Attn::EVENT);
    }
}
