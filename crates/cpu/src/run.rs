//! The run loop: blocks, instruction boundaries, faults.

use alloc::sync::Arc;

use hako_engine::Bus;
use hako_mem::{PAGE_MASK, PAGE_SIZE, Slab, SlabOffset};
use hako_x86::{Activity, Shadow};

use crate::access::{Phys, canonical};
use crate::attn::Attn;
use crate::code::{Arena, Exit, Known, MAX_BLOCK, MAX_BLOCK_BYTES, MAX_OPS, key};
use crate::cpu::{Cpu, Stop, StopKind};
use crate::cx::{Cx, Trap};
use crate::decode::{self, Flow, Lacks, MAX_LEN};
use crate::op::{BLOCK_RIP, Op, Place};
use crate::paging::Access;
use crate::why::Why;
use crate::{debug, interrupt};

/// How many conditional branches a block goes past.
const MAX_PASSED: usize = 2;
/// So many exceptions in a row without an instruction between them count as instructions from then on, so that a guest
/// whose handlers cannot even be fetched reaches its deadline.
const LIVELOCK: u32 = 64;

/// Exceptions without an instruction between them, and the count at the last one.
struct Faults {
    in_a_row: u32,
    count: u64,
}

/// What to execute next.
enum Next {
    /// A cached block.
    Block(u32),
    /// One instruction that cannot be cached.
    Single(Op),
}

impl Cpu {
    /// Executes instructions until `until` are completed in all, or something needs attention.
    pub fn run(&mut self, bus: &mut dyn Bus, until: u64) -> Stop {
        self.until = until;
        self.enter(bus, false)
    }

    /// Executes one instruction (one iteration of a repeated one), or delivers one exception that it raises. A pending
    /// event is taken before it.
    pub fn step(&mut self, bus: &mut dyn Bus) -> Stop {
        self.until = self.count.wrapping_add(1);
        self.enter(bus, true)
    }

    /// Whether an exception or NMI is to be delivered before the next instruction.
    pub(crate) fn event_waits(&self) -> bool {
        let e = &self.events;
        e.exception.is_some() || self.sys.pending_db != 0 || e.nmi_pending && !e.nmi_masked
    }

    fn enter(&mut self, bus: &mut dyn Bus, single: bool) -> Stop {
        let slab = Arc::clone(bus.memory().slab());
        self.attn |= Attn::MAP | Attn::LINES | Attn::CODE | Attn::EVENT;
        // Another CPU has cached instructions of pages that the write TLB may take for data.
        let marks = slab.code_marks();
        if core::mem::replace(&mut self.blocks.marks, marks) != marks {
            self.tlb.write.flush();
        }
        let mut arena = core::mem::take(&mut self.arena);
        let mut cx = Cx { cpu: self, bus, slab };
        cx.set_due_tsc();
        let stop = cx.execute(&mut arena, single);
        self.arena = arena;
        stop
    }
}

impl Cx<'_> {
    fn execute(&mut self, arena: &mut Arena, single: bool) -> Stop {
        // RIP of the instruction that ran last.
        let mut last_rip = self.cpu.rip;
        let mut faults = Faults { in_a_row: 0, count: self.cpu.count };
        loop {
            if !self.cpu.attn.is_empty()
                && let Some(kind) = self.look_around(arena)
            {
                let rip = if kind == StopKind::Deadline { self.cpu.rip } else { last_rip };
                return Stop { kind, rip };
            }
            if self.cpu.count >= self.cpu.until {
                return Stop { kind: StopKind::Deadline, rip: self.cpu.rip };
            }
            let done = if self.cpu.careful {
                match debug::before(self) {
                    Ok(None) => self.one(arena),
                    Ok(Some(hit)) => return Stop { kind: StopKind::Debug(hit), rip: self.cpu.rip },
                    Err(trap) => Err(trap),
                }
            } else if self.cpu.events.shadow != Shadow::None || self.cpu.config.uncached {
                self.one(arena)
            } else {
                self.chain(arena)
            };
            last_rip = self.rip();
            let done = match done {
                Ok(()) if self.cpu.careful => match debug::after(self) {
                    Ok(None) => Ok(()),
                    Ok(Some(hit)) => return Stop { kind: StopKind::Debug(hit), rip: last_rip },
                    Err(trap) => Err(trap),
                },
                done => done,
            };
            if done.is_ok() {
                continue;
            }
            self.deliver(&mut faults);
            if single {
                let shutdown = self.cpu.activity == Activity::Shutdown;
                let kind = if shutdown { StopKind::TripleFault } else { StopKind::Deadline };
                return Stop { kind, rip: last_rip };
            }
        }
    }

    /// Runs one instruction. The shadow that held events off ends with it, unless it casts a new one.
    fn one(&mut self, arena: &mut Arena) -> Result<(), Trap> {
        let shadow = core::mem::take(&mut self.cpu.events.shadow);
        let until = core::mem::replace(&mut self.cpu.until, self.cpu.count.wrapping_add(1));
        self.cpu.r[usize::from(BLOCK_RIP)] = self.cpu.rip;
        let next = if self.cpu.config.uncached {
            let lin = self.cpu.fast[1].base.wrapping_add(self.cpu.rip) & self.cpu.ip_mask;
            self.decode_single(lin).map(Next::Single)
        } else {
            self.next_block_slow(arena, Exit::NONE)
        };
        let done = match next {
            Ok(Next::Block(id)) => self.run_block(arena, id),
            Ok(Next::Single(op)) => self.run_ops(core::slice::from_ref(&op), u64::from(op.len)),
            Err(trap) => Err(trap),
        };
        self.cpu.until = until;
        if shadow != Shadow::None {
            self.cpu.attn |= Attn::EVENT;
        }
        done
    }

    /// Runs blocks until something wants attention, the count is reached, or an instruction faults.
    #[inline(never)]
    fn chain(&mut self, arena: &mut Arena) -> Result<(), Trap> {
        let mut from = Exit::NONE;
        loop {
            let start = self.cpu.rip;
            self.cpu.r[usize::from(BLOCK_RIP)] = start;
            let id = match self.next_block(from) {
                Some(id) => id,
                None => match self.next_block_slow(arena, from)? {
                    Next::Block(id) => id,
                    Next::Single(op) => {
                        return self.run_ops(core::slice::from_ref(&op), u64::from(op.len));
                    }
                },
            };
            let cpu = &mut *self.cpu;
            let Some(b) = cpu.blocks.get(id) else { return Ok(()) };
            let (first, len, bytes) = (b.first as usize, usize::from(b.len), u64::from(b.bytes));
            let Some(ops) = arena.get(first..first + len) else { return Ok(()) };
            cpu.blocks.current = id;
            if cpu.until.saturating_sub(cpu.count) <= len as u64 {
                return self.run_ops(ops, bytes);
            }
            cpu.rip = start.wrapping_add(bytes) & cpu.ip_mask;
            from = Exit { block: id, op: len as u32 };
            let mut done = len;
            for op in ops {
                self.cpu.at = op.at;
                if let Err(trap) = (op.run)(self, op) {
                    if trap == Trap::Fault {
                        return self.faulted_at(op, start);
                    }
                    from.op = u32::from(op.at.idx);
                    done = from.op as usize + 1;
                    break;
                }
                if !self.cpu.attn.is_empty() {
                    return self.left_at(ops, op, start, false);
                }
            }
            self.cpu.count = self.cpu.count.wrapping_add(done as u64);
        }
    }

    /// Delivers the exception raised at `cpu.rip`.
    #[cold]
    fn deliver(&mut self, faults: &mut Faults) {
        self.cpu.r[usize::from(BLOCK_RIP)] = self.cpu.rip;
        self.cpu.at = Place::default();
        faults.in_a_row = if faults.count == self.cpu.count { faults.in_a_row + 1 } else { 1 };
        if faults.in_a_row > LIVELOCK {
            self.cpu.count = self.cpu.count.wrapping_add(1);
        }
        faults.count = self.cpu.count;
        interrupt::fault(self);
        self.cpu.r[usize::from(BLOCK_RIP)] = self.cpu.rip;
        if self.cpu.activity != Activity::Running {
            self.cpu.attn |= Attn::EVENT;
        }
    }

    /// At an instruction boundary: everything that was reported since the last.
    #[inline(never)]
    fn look_around(&mut self, arena: &mut Arena) -> Option<StopKind> {
        self.cpu.r[usize::from(BLOCK_RIP)] = self.cpu.rip;
        self.cpu.at = Place::default();
        let attn = core::mem::take(&mut self.cpu.attn);
        if attn.contains(Attn::MAP) {
            self.take_map(arena);
        }
        if attn.contains(Attn::CODE) {
            let slab = Arc::clone(&self.slab);
            if self.cpu.blocks.sync(&slab) {
                self.cpu.tlb.write.flush();
            }
        }
        if attn.contains(Attn::LINES) {
            let at = self.at();
            let lines = self.bus.lines(at);
            if lines.nmi && self.cpu.activity != Activity::WaitForSipi {
                self.cpu.events.nmi_pending = true;
            }
            if lines.init {
                self.cpu.init();
            }
            if let Some(vector) = lines.sipi {
                self.cpu.start(vector);
            }
            if lines.a20 != self.cpu.lines.a20 {
                self.cpu.flush_tlb();
            }
            self.cpu.lines = lines;
        }
        // A wish is served before anything else happens; what else was reported is looked at afterwards.
        if attn.contains(Attn::WISH) {
            self.cpu.attn |= attn & (Attn::EVENT | Attn::LINES | Attn::DEADLINE);
            return Some(StopKind::Wish);
        }
        if attn.contains(Attn::DEADLINE) {
            self.cpu.attn |= attn & (Attn::EVENT | Attn::LINES);
            return Some(StopKind::Deadline);
        }
        if attn.intersects(Attn::EVENT | Attn::LINES)
            && self.cpu.until > self.cpu.count
            && self.cpu.activity != Activity::Shutdown
            && interrupt::boundary(self)
        {
            self.cpu.r[usize::from(BLOCK_RIP)] = self.cpu.rip;
        }
        match self.cpu.activity {
            Activity::Running => None,
            Activity::Shutdown => Some(StopKind::TripleFault),
            // At the deadline events are not taken: a halt that one of them is about to end is none.
            Activity::Halted if self.cpu.until <= self.cpu.count && self.cpu.event_waits() => {
                Some(StopKind::Deadline)
            }
            Activity::Halted | Activity::WaitForSipi => Some(StopKind::Halt),
        }
    }

    /// Takes over the memory map of the moment.
    #[inline(never)]
    pub(crate) fn take_map(&mut self, arena: &mut Arena) {
        let new = self.bus.memory();
        let known = self.cpu.memory.as_ref();
        let same_slab = known.is_some_and(|m| Arc::ptr_eq(m.slab(), new.slab()));
        if same_slab && known.is_some_and(|m| core::ptr::eq(m.map(), new.map())) {
            return;
        }
        let new = new.clone();
        self.cpu.region = None;
        self.cpu.known.forget();
        self.cpu.flush_tlb();
        if !same_slab {
            let old = self.cpu.memory.as_ref().map(|m| Arc::clone(m.slab()));
            self.cpu.blocks.clear(old.as_deref());
            arena.clear();
            self.slab = Arc::clone(new.slab());
            if !self.cpu.config.uncached {
                self.cpu.blocks.attach(&self.slab);
                arena.reserve(MAX_OPS);
            }
            self.cpu.blocks.epoch = self.slab.code_epoch();
        }
        self.cpu.memory = Some(new);
    }

    // ---- finding and decoding ----

    /// The cached block at `cpu.rip`, if the fetch TLB and the cache know it.
    #[inline(always)]
    fn next_block(&mut self, from: Exit) -> Option<u32> {
        let cpu = &mut *self.cpu;
        let lin = cpu.fast[1].base.wrapping_add(cpu.rip) & cpu.ip_mask;
        let key = key(cpu.tlb.exec.find(lin, 1)?, cpu.code_size);
        let id = cpu.blocks.find(from, key)?;
        let bytes = u64::from(cpu.blocks.get(id)?.bytes);
        (cpu.rip.wrapping_add(bytes) <= cpu.code_end).then_some(id)
    }

    /// The block at `cpu.rip`, decoded if need be.
    #[inline(never)]
    fn next_block_slow(&mut self, arena: &mut Arena, from: Exit) -> Result<Next, Trap> {
        let lin = self.cpu.fast[1].base.wrapping_add(self.cpu.rip) & self.cpu.ip_mask;
        let here = self.code_bytes_left(lin)?;
        let who = self.cpu.who();
        let phys = self.translate(lin, Access::Execute, who)?;
        let (Phys::Plain(off) | Phys::Ram(off) | Phys::Rom(off, _)) = phys else {
            return Ok(Next::Single(self.decode_single(lin)?));
        };
        let key = key(off, self.cpu.code_size);
        let known = self.cpu.blocks.look_up(key);
        if let Known::Fresh(id) | Known::Stale(id) = known
            && let Some(b) = self.cpu.blocks.get(id)
        {
            if u64::from(b.bytes) > here {
                return Ok(Next::Single(self.decode_single(lin)?));
            }
            let ops = b.first as usize..b.first as usize + usize::from(b.len);
            let stale = matches!(known, Known::Stale(_));
            if !stale || arena.get_mut(ops).is_some_and(|ops| b.mend(&self.slab, ops, self.cpu.lacks)) {
                self.cpu.blocks.revive(from, id);
                return Ok(Next::Block(id));
            }
        }
        let (mut from, mut known) = (from, known);
        if self.cpu.blocks.full(arena.len()) {
            self.cpu.blocks.clear(Some(&self.slab));
            arena.clear();
            (from, known) = (Exit::NONE, Known::Nothing);
        }
        let page_left = PAGE_SIZE - (lin & PAGE_MASK);
        let first = arena.len();
        let bytes =
            decode_block(&self.slab, arena, off, page_left.min(here), self.cpu.code_size, self.cpu.lacks);
        let len = arena.len() - first;
        if len == 0 {
            // The first instruction leaves the page or the segment.
            return Ok(Next::Single(self.decode_single(lin)?));
        }
        let old = match known {
            Known::Stale(id) => self.cpu.blocks.retire(id, len as u16),
            _ => None,
        };
        let first = match old {
            Some((_, place)) => {
                arena.copy_within(first.., place as usize);
                arena.truncate(first);
                place
            }
            None => first as u32,
        };
        let old = old.map(|(id, _)| id);
        let (id, fresh) = self.cpu.blocks.insert(&self.slab, from, key, old, first, len as u16, bytes);
        if fresh {
            self.cpu.tlb.write.mark_code(off);
        }
        Ok(Next::Block(id))
    }

    /// How many bytes there are from `cpu.rip` to the end of CS; at least one, or #GP.
    pub(crate) fn code_bytes_left(&mut self, lin: u64) -> Result<u64, Trap> {
        if self.cpu.code_size == 2 {
            return if canonical(lin) { Ok(u64::MAX) } else { Err(self.gp(0, Why::FetchNotCanonical)) };
        }
        let limit = u64::from(self.cpu.seg[1].limit);
        match (limit + 1).checked_sub(self.cpu.rip) {
            None | Some(0) => Err(self.gp(0, Why::FetchBeyondLimit)),
            Some(n) => Ok(n),
        }
    }

    /// Decodes one instruction byte by byte, faulting exactly where a byte cannot be fetched.
    #[inline(never)]
    fn decode_single(&mut self, lin: u64) -> Result<Op, Trap> {
        let mut bytes = [0; MAX_LEN];
        let mut have = 0;
        let who = self.cpu.who();
        let in_segment = self.code_bytes_left(lin)?;
        loop {
            let mut op = Op::EMPTY;
            if decode::decode(&bytes[..have], self.cpu.code_size, self.cpu.lacks, 0, &mut op).is_ok() {
                return Ok(op);
            }
            if have == MAX_LEN {
                return Err(self.gp(0, Why::TooLong));
            }
            if have as u64 >= in_segment {
                return Err(self.gp(0, Why::FetchBeyondLimit));
            }
            let at = self.wrap_linear(lin.wrapping_add(have as u64));
            if self.cpu.code_size == 2 && !canonical(at) {
                return Err(self.gp(0, Why::FetchNotCanonical));
            }
            // Up to the end of the page, the segment and the instruction at once.
            let n = (PAGE_SIZE - (at & PAGE_MASK)).min(in_segment - have as u64).min((MAX_LEN - have) as u64);
            let phys = self.translate(at, Access::Execute, who)?;
            // A device may notice being read, so it is asked for one byte at a time.
            let n = if matches!(phys, Phys::Bus(_)) { 1 } else { n as usize };
            let value = self.load_bytes(phys, n).to_le_bytes();
            bytes[have..have + n].copy_from_slice(&value[..n]);
            have += n;
        }
    }

    // ---- executing ----

    /// Runs the block with the given number as [`Cx::run_ops`] does.
    fn run_block(&mut self, arena: &Arena, id: u32) -> Result<(), Trap> {
        self.cpu.blocks.current = id;
        let Some(b) = self.cpu.blocks.get(id) else { return Ok(()) };
        let (first, len, bytes) = (b.first as usize, usize::from(b.len), u64::from(b.bytes));
        let Some(ops) = arena.get(first..first + len) else { return Ok(()) };
        self.run_ops(ops, bytes)
    }

    /// Runs a block's instructions, or as many as are left until the count asked for; the block has `bytes` bytes.
    /// RIP and count are right afterwards, also when an instruction faults.
    #[inline(never)]
    fn run_ops(&mut self, ops: &[Op], bytes: u64) -> Result<(), Trap> {
        let cpu = &mut *self.cpu;
        let left = cpu.until.saturating_sub(cpu.count);
        if left == 0 {
            return Ok(());
        }
        let start = cpu.rip;
        cpu.rip = start.wrapping_add(bytes) & cpu.ip_mask;
        let take = if left < ops.len() as u64 { left as usize } else { ops.len() };
        for op in &ops[..take] {
            self.cpu.at = op.at;
            match (op.run)(self, op) {
                Ok(()) => {}
                Err(Trap::Jump) => return self.left_at(ops, op, start, true),
                Err(Trap::Fault) => return self.faulted_at(op, start),
            }
            if !self.cpu.attn.is_empty() {
                return self.left_at(ops, op, start, false);
            }
        }
        match ops.get(take.wrapping_sub(1)) {
            Some(op) => self.left_at(ops, op, start, false),
            None => Ok(()),
        }
    }

    /// `op` faulted.
    #[inline(never)]
    fn faulted_at(&mut self, op: &Op, start: u64) -> Result<(), Trap> {
        self.cpu.rip = start.wrapping_add(u64::from(op.at.off)) & self.cpu.ip_mask;
        self.cpu.count = self.cpu.count.wrapping_add(u64::from(op.at.idx));
        Err(Trap::Fault)
    }

    /// The block was left after `op`, which need not be its last instruction.
    #[inline(never)]
    fn left_at(&mut self, ops: &[Op], op: &Op, start: u64, jumped: bool) -> Result<(), Trap> {
        let done = usize::from(op.at.idx) + 1;
        if done < ops.len() && !jumped {
            let past = u64::from(op.at.off) + u64::from(op.len);
            self.cpu.rip = start.wrapping_add(past) & self.cpu.ip_mask;
        }
        self.cpu.count = self.cpu.count.wrapping_add(done as u64);
        Ok(())
    }
}

/// Decodes instructions from slab offset `off` while they lie within `left` bytes. Returns their length.
fn decode_block(slab: &Slab, arena: &mut Arena, off: u64, left: u64, mode: u8, lacks: Lacks) -> u16 {
    let mut buf = [0; MAX_BLOCK_BYTES];
    let window = buf.len().min(left as usize);
    if !slab.read(SlabOffset(off), &mut buf[..window]) {
        return 0;
    }
    let (mut at, mut passed) = (0, 0);
    for idx in 0..MAX_BLOCK {
        // Decoded in its place: a copy would wait for the many small stores that make an instruction.
        arena.push(Op::EMPTY);
        let Some(op) = arena.last_mut() else { break };
        let Ok(flow) = decode::decode(&buf[at..window], mode, lacks, at as u16, op) else {
            arena.pop();
            break;
        };
        op.at.idx = idx as u16;
        at += usize::from(op.len);
        // Loops go back most of the time, other branches do not.
        let backward = op.disp <= i64::from(op.at.off);
        match flow {
            Flow::Next => {}
            Flow::Conditional if !backward && passed < MAX_PASSED => passed += 1,
            Flow::Conditional | Flow::Ends => break,
        }
    }
    at as u16
}
