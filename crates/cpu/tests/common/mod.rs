//! What the tests share: a bus of RAM alone, states, random numbers.
#![allow(dead_code)] // each test file uses a part

// Named, since unit tests of the no_std crate share this too.
use std::{format, string::String, vec::Vec};

use hako_engine::{At, Attention, Bus, Lines};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, RFlags, SegAttr, SegReg, Segment, Width};

/// RAM; ports and MMIO answer with ones and are written down.
pub struct TestBus {
    pub memory: GuestMemory,
    pub lines: Lines,
    /// What the lines are from this count on.
    pub rises_at: Option<u64>,
    pub log: Vec<(u64, String)>,
    /// What the next accesses report.
    pub attention: Attention,
}

impl TestBus {
    pub fn new(memory: GuestMemory) -> TestBus {
        let lines = Lines { a20: true, ..Lines::default() };
        TestBus { memory, lines, rises_at: None, log: Vec::new(), attention: Attention::empty() }
    }

    fn note(&mut self, at: At, what: String) -> Attention {
        self.log.push((at.count, what));
        self.attention
    }
}

impl Bus for TestBus {
    fn port_in(&mut self, at: At, port: u16, _: Width, data: &mut [u8]) -> Attention {
        data.fill(0xff);
        self.note(at, format!("in {port:#x} {}", data.len()))
    }
    fn port_out(&mut self, at: At, port: u16, _: Width, data: &[u8]) -> Attention {
        self.note(at, format!("out {port:#x} {data:x?}"))
    }
    fn mmio_read(&mut self, at: At, gpa: Gpa, data: &mut [u8]) -> Attention {
        data.fill(0xff);
        self.note(at, format!("read {gpa} {}", data.len()))
    }
    fn mmio_write(&mut self, at: At, gpa: Gpa, data: &[u8]) -> Attention {
        self.note(at, format!("write {gpa} {data:x?}"))
    }
    fn acknowledge(&mut self, at: At) -> u8 {
        self.lines.intr = false;
        self.note(at, "acknowledge".into());
        0x20
    }
    fn lines(&mut self, at: At) -> Lines {
        if self.rises_at.is_some_and(|n| at.count >= n) {
            self.rises_at = None;
            self.lines.intr = true;
        }
        let lines = self.lines;
        self.lines.nmi = false;
        lines
    }
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }
}

/// A flat segment.
pub fn flat(selector: u16, attr: u32) -> Segment {
    Segment { selector, attr: SegAttr::from_bits_retain(attr), limit: !0, base: 0 }
}

/// 64-bit mode, ring 0, the first GiB mapped one to one by one large page; tables at 1000h.
pub fn long_mode(memory: &GuestMemory) -> CpuState {
    memory.store(Gpa(0x1000), 0x2003u64).unwrap();
    memory.store(Gpa(0x2000), 0x83u64).unwrap();
    let mut s = CpuState::reset();
    s.seg = [flat(0x10, 0xc093); 6];
    s.seg[SegReg::Cs as usize] = flat(8, 0xa09b);
    (s.cr0, s.cr3, s.cr4, s.efer) = (0x8001_0031, 0x1000, 0x20, 0x500);
    s.rflags = RFlags::FIXED;
    s
}

/// 32-bit protected mode without paging, ring 0, flat.
pub fn protected_mode() -> CpuState {
    let mut s = CpuState::reset();
    s.seg = [flat(0x10, 0xc093); 6];
    s.seg[SegReg::Cs as usize] = flat(8, 0xc09b);
    s.cr0 = 0x11;
    s
}

/// Repeatable random numbers (xorshift), with a liking for edges.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn value(&mut self) -> u64 {
        const EDGES: [u64; 8] =
            [0, 1, !0, 0x80, 0x7fff_ffff, 0x8000_0000, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000];
        match self.below(4) {
            0 => EDGES[self.below(8) as usize],
            1 => self.next() >> self.below(64),
            _ => self.next(),
        }
    }
}
