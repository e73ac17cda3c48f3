//! The CPU on any code, in any mode, with tables that may be spoiled.
//!
//! Besides not panicking: it keeps the count it is given, writes nowhere but RAM, and what it does is the same whether
//! it runs in one go or an instruction at a time, and whether or not it is moved into another CPU on the way.

use std::sync::Arc;

use hako_cpu::{Config, Cpu, StopKind};
use hako_engine::{At, Attention, Bus, Lines};
use hako_mem::{Gpa, GuestMemory, MemoryMap, PAGE_SIZE, Region, RegionKind, Slab, SlabOffset};
use hako_x86::{CpuState, Cr0, RFlags, SegAttr, Width};

use crate::compare::differences;
use crate::input::Input;
use crate::modes::{self, CODE, Mode, RAM};

/// Instructions that a run may take.
const LIMIT: u64 = 300;
/// So many exceptions in a row count as instructions, but not when single instructions are asked for.
const LIVELOCK: u64 = 60;
/// ROM behind RAM.
const ROM: Gpa = Gpa(RAM);
/// The slab: a guard page, RAM, the ROM, a guard page.
const SLAB: u64 = RAM + 3 * PAGE_SIZE;
/// What the ROM and the guards hold.
const UNTOUCHED: u8 = 0xf4;

/// RAM and ROM; ports, MMIO and MSRs that answer with a function of what was asked.
struct Paper {
    memory: GuestMemory,
    /// The map with and without ROM.
    other: MemoryMap,
    lines: Lines,
    seed: u64,
    /// Instructions executed by the CPUs before this one.
    base: u64,
    /// A call of several items has come to something: it ends the run of iterations only behind the last of them, and
    /// single instructions behind the first.
    merged: bool,
}

impl Paper {
    fn new(seed: u64) -> Paper {
        let slab = Arc::new(Slab::heap(SLAB));
        let mut map = MemoryMap::new();
        let ram = Region { gpa: Gpa(0), len: RAM, kind: RegionKind::Ram, offset: SlabOffset(PAGE_SIZE) };
        let rom =
            Region { gpa: ROM, len: PAGE_SIZE, kind: RegionKind::Rom, offset: SlabOffset(PAGE_SIZE + RAM) };
        assert!(map.map(ram).is_ok());
        let other = map.clone();
        assert!(map.map(rom).is_ok());
        for guard in [0, PAGE_SIZE + RAM, 2 * PAGE_SIZE + RAM] {
            assert!(slab.fill(SlabOffset(guard), PAGE_SIZE, UNTOUCHED));
        }
        let memory = GuestMemory::new(slab, map);
        Paper { memory, other, lines: Lines { a20: true, ..Lines::default() }, seed, base: 0, merged: false }
    }

    /// Some number.
    fn hash(&self, what: u64) -> u64 {
        let x = (what ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (x ^ x >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    /// Another one at any other time.
    fn mix(&self, at: At, what: u64) -> u64 {
        self.hash(self.base.wrapping_add(at.count) << 32 ^ what)
    }

    /// Always the same there.
    fn answer(&self, what: u64, data: &mut [u8]) -> Attention {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = self.hash(what.wrapping_add(i as u64)) as u8;
        }
        Attention::empty()
    }

    /// Some writes raise or drop lines, or change the map.
    fn react(&mut self, at: At, what: u64) -> Attention {
        let mix = self.mix(at, what) >> 40;
        if mix & 7 == 0 {
            let map = core::mem::replace(&mut self.other, self.memory.map().clone());
            self.memory.set_map(map);
            return Attention::MAP;
        }
        if mix & 7 == 1 {
            self.lines.intr ^= mix & 8 != 0;
            self.lines.nmi |= mix & 0x30 == 0;
            self.lines.a20 ^= mix & 0xc0 == 0;
            return Attention::LINES;
        }
        match mix & 7 {
            2 => Attention::EVENTS,
            3 => Attention::WISH,
            _ => Attention::empty(),
        }
    }

    fn check(&self) {
        for guard in [0, PAGE_SIZE + RAM, 2 * PAGE_SIZE + RAM] {
            let mut page = [0; PAGE_SIZE as usize];
            assert!(self.memory.slab().read(SlabOffset(guard), &mut page));
            assert!(page.iter().all(|b| *b == UNTOUCHED), "something outside RAM was written");
        }
    }

    fn ram(&self) -> Vec<u8> {
        let mut bytes = vec![0; RAM as usize];
        assert!(self.memory.slab().read(SlabOffset(PAGE_SIZE), &mut bytes));
        bytes
    }
}

/// The times of the items of one call: each is an instruction.
fn times(at: At) -> impl Iterator<Item = At> {
    (at.count..).map(move |count| At { count, ..at })
}

impl Bus for Paper {
    fn port_in(&mut self, at: At, port: u16, width: Width, data: &mut [u8]) -> Attention {
        assert!(!data.is_empty() && data.len().is_multiple_of(width.bytes()));
        for (at, item) in times(at).zip(data.chunks_mut(width.bytes())) {
            self.answer(self.mix(at, port.into()), item);
        }
        Attention::empty()
    }
    fn port_out(&mut self, at: At, port: u16, width: Width, data: &[u8]) -> Attention {
        assert!(!data.is_empty() && data.len().is_multiple_of(width.bytes()));
        let items = data.len() / width.bytes();
        let attention = times(at).take(items).map(|at| self.react(at, port.into())).collect::<Attention>();
        self.merged |= items > 1 && !attention.is_empty();
        attention
    }
    fn mmio_read(&mut self, _: At, gpa: Gpa, data: &mut [u8]) -> Attention {
        self.one_page(gpa, data.len());
        assert!(self.memory.lookup(gpa).is_none(), "memory is read through the bus");
        // The same at any time: code is fetched again when a repeated instruction is resumed.
        self.answer(gpa.0, data)
    }
    fn mmio_write(&mut self, _: At, gpa: Gpa, data: &[u8]) -> Attention {
        self.one_page(gpa, data.len());
        let kind = self.memory.lookup(gpa).map(|hit| hit.kind);
        assert!(kind != Some(RegionKind::Ram), "RAM is written through the bus");
        // Without a reaction: the frame of an exception may go to MMIO, and is written between instructions.
        Attention::empty()
    }
    fn msr_read(&mut self, at: At, index: u32) -> Option<u64> {
        (index & 1 == 0).then(|| self.mix(at, index.into()))
    }
    fn msr_write(&mut self, at: At, index: u32, _: u64) -> Option<Attention> {
        (index & 1 == 0).then(|| self.react(at, index.into()))
    }
    fn acknowledge(&mut self, at: At) -> u8 {
        self.lines.intr = false;
        self.mix(at, 0) as u8 & 31
    }
    fn lines(&mut self, _: At) -> Lines {
        let lines = self.lines;
        self.lines.nmi = false;
        lines
    }
    fn tsc(&mut self, at: At) -> u64 {
        self.base + at.count
    }
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }
}

impl Paper {
    /// The contract of MMIO: 1 to 8 bytes within a page.
    fn one_page(&self, gpa: Gpa, len: usize) {
        assert!((1..=8).contains(&len) && (gpa.0 & (PAGE_SIZE - 1)) + len as u64 <= PAGE_SIZE);
    }
}

/// A world and a state from the front of the script; the rest is code.
fn world(input: &mut Input<'_>) -> (CpuState, Paper) {
    let mode = input.pick(&Mode::ALL);
    let shape = input.u8();
    let mut state = modes::state(mode);
    let paper = Paper::new(input.u8().into());
    let handlers = input.u64().to_le_bytes();
    modes::tables(mode, &paper.memory, &handlers);
    for r in [0, 1, 2, 3, 5, 6, 7, 8] {
        state.gpr[r] =
            if shape & 1 == 0 { mode.offset(modes::DATA) + u64::from(input.u8()) } else { input.wild() };
    }
    if shape & 2 != 0 {
        let kept = RFlags::VM;
        state.rflags =
            (state.rflags & kept) | (RFlags::from_bits_truncate(input.wild()) - kept) | RFlags::FIXED;
    }
    if shape & 4 != 0 {
        state.cr0 ^= input.wild() & !(Cr0::PE | Cr0::PG).bits();
        state.cr4 ^= input.wild() & 0xff;
        state.dr7 = u64::from(input.u32());
        state.dr = [0; 4].map(|_| CODE + u64::from(input.u8()));
    }
    if shape & 8 != 0 {
        let seg = &mut state.seg[usize::from(input.u8()) % 6];
        seg.limit = input.wild() as u32;
        seg.base = input.wild();
        seg.attr = SegAttr::from_bits_retain(seg.attr.bits() ^ (input.u16() & 0xf0ff) as u32);
    }
    if shape & 0x30 == 0x30 {
        // Tables that nobody would make.
        for _ in 0..input.u8() % 8 {
            let at = u64::from(input.u16()) % CODE;
            let _ = paper.memory.store(Gpa(at), input.wild());
        }
    }
    if shape & 0x40 != 0 {
        state.gpr[4] = input.wild();
    }
    let code = input.take(512);
    assert!(paper.memory.write(Gpa(CODE), code).is_ok());
    (state, paper)
}

/// What is compared at the end.
struct End {
    count: u64,
    state: CpuState,
    ram: Vec<u8>,
}

impl End {
    /// After a run of a new CPU, `chunk` instructions at a time; `None` if its state is refused, or if exceptions are
    /// about to count as instructions or string output came to something.
    fn of(bytes: &[u8], limit: u64, chunk: u64) -> Option<End> {
        let (state, mut paper) = world(&mut Input::new(bytes));
        let mut cpu = Cpu::new(Config::default());
        cpu.set_state(&state).ok()?;
        let done = play(&mut cpu, &mut paper, limit, chunk);
        done.then(|| End { count: cpu.count(), state: cpu.state(), ram: paper.ram() })
    }
}

/// Whether a halted CPU goes on by itself: an event that came with the last instruction, or a line that is up by now.
fn wakes(state: &CpuState, lines: Lines) -> bool {
    let pending = state.events.exception.is_some() || state.events.nmi_pending && !state.events.nmi_masked;
    pending || lines.intr && state.rflags.contains(RFlags::IF)
}

/// Runs to the limit, or until the CPU stops for good; `chunk` instructions at a time. Whether the end says something.
fn play(cpu: &mut Cpu, paper: &mut Paper, limit: u64, chunk: u64) -> bool {
    let limit = limit - paper.base;
    // Each comes back for a reason, and reasons are made by instructions and interrupts.
    let mut runs = 0;
    while cpu.count() < limit {
        let until = (cpu.count() + chunk).min(limit);
        let before = cpu.count();
        let stop = cpu.run(paper, until);
        assert!(cpu.count() >= before && cpu.count() <= until, "the count went from {before} past {until}");
        runs += 1;
        assert!(runs < 100 * LIMIT, "{stop:?} and again, at {before}: {:x?}", cpu.state());
        match stop.kind {
            StopKind::TripleFault => break,
            StopKind::Halt if !wakes(&cpu.state(), paper.lines) => break,
            StopKind::Debug(_) => panic!("nobody asked for a debug stop"),
            _ => {}
        }
    }
    paper.check();
    cpu.counters().events < LIVELOCK && !paper.merged
}

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let Some(whole) = End::of(bytes, LIMIT, LIMIT) else { return };
    let singly = End::of(bytes, LIMIT, 1);
    if let Some(singly) = singly
        && (whole.count, &whole.state, &whole.ram) != (singly.count, &singly.state, &singly.ram)
    {
        explain(bytes);
    }

    // In two CPUs. Translations and page-directory pointers are no part of a state.
    let (state, mut paper) = world(&mut Input::new(bytes));
    let mut first = Cpu::new(Config::default());
    assert!(first.set_state(&state).is_ok());
    let _ = play(&mut first, &mut paper, LIMIT / 2, LIMIT);
    let middle = first.state();
    if middle.cr0 & Cr0::PG.bits() == 0 && first.count() == LIMIT / 2 {
        let mut second = Cpu::new(Config::default());
        let done = second.set_state(&middle);
        assert!(done.is_ok(), "a CPU left a state that another refuses: {done:?}");
        assert_eq!(second.state(), middle);
        paper.base = first.count();
        if play(&mut second, &mut paper, LIMIT, LIMIT) {
            let difference = differences(&whole.state, &second.state());
            assert!(difference.is_empty(), "moved into another CPU half-way:\n{difference}");
            assert!(whole.ram == paper.ram(), "moved into another CPU half-way: memory differs");
        }
    }
}

/// Finds the first instruction after which one go and single instructions differ.
fn explain(bytes: &[u8]) {
    for limit in 1..=LIMIT {
        let (Some(a), Some(b)) = (End::of(bytes, limit, limit), End::of(bytes, limit, 1)) else { return };
        let difference = differences(&a.state, &b.state);
        let counts = (a.count, b.count);
        assert!(
            difference.is_empty(),
            "instruction {counts:?} in one go / singly:\n{difference}\n{:x?}",
            a.state
        );
        assert!(a.ram == b.ram, "instruction {counts:?} in one go / singly: memory differs\n{:x?}", a.state);
    }
}
