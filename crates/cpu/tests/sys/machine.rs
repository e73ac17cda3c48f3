//! A CPU with some memory, in each mode, and descriptor tables to break.

use hako_cpu::{Config, Cpu, FaultRecord, Stop, StopKind, Why};
use hako_engine::{At, Attention, Bus, Lines};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{
    Activity, CpuState, Cr0, Cr4, DescTable, Descriptor, Efer, Gpr, RFlags, SegAttr, SegReg, Segment,
    Selector, SystemType, Vector, Width,
};

/// Where things lie in memory.
pub const GDT: u64 = 0x1000;
pub const IDT: u64 = 0x2000;
pub const TSS: u64 = 0x3000;
pub const LDT: u64 = 0x4000;
pub const TSS2: u64 = 0x5000;
pub const CODE: u64 = 0x8000;
pub const HANDLER: u64 = 0x9000;
/// Stack pointers of level 0 and level 3, and of the TSS's level 0.
pub const STACK: u64 = 0x7000;
pub const STACK3: u64 = 0x7800;
pub const STACK0: u64 = 0x6000;
pub const DATA: u64 = 0xa000;
const TABLES: u64 = 0x10000;
const RAM: u64 = 2 << 20;

/// Selectors of the GDT.
pub mod sel {
    pub const CODE0: u16 = 0x08;
    pub const DATA0: u16 = 0x10;
    pub const CODE3: u16 = 0x1b;
    pub const DATA3: u16 = 0x23;
    pub const TSS: u16 = 0x28;
    pub const LDT: u16 = 0x38;
    pub const CODE16: u16 = 0x48;
    pub const DATA16: u16 = 0x50;
    pub const CONFORMING: u16 = 0x58;
    pub const DATA_ABSENT: u16 = 0x60;
    pub const CODE_ABSENT: u16 = 0x68;
    pub const READ_ONLY: u16 = 0x70;
    pub const EXECUTE_ONLY: u16 = 0x78;
    pub const LONG0: u16 = 0x80;
    pub const LONG3: u16 = 0x8b;
    pub const TSS2: u16 = 0x90;
    /// For the test: 0xa0 to 0xf8.
    pub const FREE: u16 = 0xa0;
    /// The last descriptor ends where the GDT does.
    pub const BEYOND: u16 = 0x100;
}

pub fn attr(bits: u32) -> SegAttr {
    SegAttr::from_bits_retain(bits)
}

pub fn flat(bits: u32) -> Descriptor {
    Descriptor::new(0, 0xffff_ffff, attr(bits))
}

/// A bus that records and answers.
pub struct Board {
    pub memory: GuestMemory,
    pub lines: Lines,
    pub vector: u8,
    pub acknowledged: u32,
    pub ports: Vec<(u16, u32)>,
    pub input: u32,
    /// What ports give before `input`.
    pub input_bytes: Vec<u8>,
    /// All bytes written to ports, and in how many calls.
    pub written: Vec<u8>,
    pub calls: u32,
    /// What port accesses report.
    pub attention: Attention,
    pub tsc: u64,
    pub msr: Option<(u32, u64)>,
    /// The task priority, if a local APIC keeps it.
    pub priority: Option<u8>,
    /// What FERR# was driven to.
    pub ferr: Vec<bool>,
    /// IGNNE#.
    pub ignne: bool,
}

impl Bus for Board {
    fn port_in(&mut self, _: At, _: u16, _: Width, data: &mut [u8]) -> Attention {
        if !self.input_bytes.is_empty() {
            let given: Vec<u8> = self.input_bytes.drain(..data.len()).collect();
            data.copy_from_slice(&given);
            return self.attention;
        }
        for (to, from) in data.iter_mut().zip(self.input.to_le_bytes().into_iter().cycle()) {
            *to = from;
        }
        self.attention
    }
    fn port_out(&mut self, _: At, port: u16, width: Width, data: &[u8]) -> Attention {
        self.calls += 1;
        self.written.extend(data);
        for item in data.chunks(width.bytes()) {
            let mut bytes = [0; 4];
            bytes[..item.len()].copy_from_slice(item);
            self.ports.push((port, u32::from_le_bytes(bytes)));
        }
        self.attention
    }
    fn msr_read(&mut self, _: At, index: u32) -> Option<u64> {
        self.msr.filter(|m| m.0 == index).map(|m| m.1)
    }
    fn msr_write(&mut self, _: At, index: u32, value: u64) -> Option<Attention> {
        let m = self.msr.as_mut().filter(|m| m.0 == index)?;
        m.1 = value;
        Some(Attention::empty())
    }
    fn acknowledge(&mut self, _: At) -> u8 {
        self.acknowledged += 1;
        self.lines.intr = false;
        self.vector
    }
    fn lines(&mut self, _: At) -> Lines {
        let lines = self.lines;
        self.lines = Lines { nmi: false, init: false, sipi: None, ..lines };
        lines
    }
    fn ferr(&mut self, _: At, level: bool) -> Attention {
        self.ferr.push(level);
        self.attention
    }
    fn ignne(&mut self, _: At) -> bool {
        self.ignne
    }
    fn task_priority(&mut self, _: At) -> Option<u8> {
        self.priority
    }
    fn set_task_priority(&mut self, _: At, priority: u8) -> Option<Attention> {
        *self.priority.as_mut()? = priority;
        Some(Attention::LINES)
    }
    fn tsc(&mut self, at: At) -> u64 {
        self.tsc + at.count
    }
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }
}

/// The CPU under test and its board. `state` goes into the CPU before each run and comes out after it.
pub struct Pc {
    pub cpu: Cpu,
    pub board: Board,
    pub state: CpuState,
    /// What the last step returned.
    pub stop: Option<Stop>,
}

impl Pc {
    fn new() -> Pc {
        let board = Board {
            memory: GuestMemory::flat(RAM),
            lines: Lines { a20: true, ..Lines::default() },
            vector: 0x20,
            acknowledged: 0,
            ports: Vec::new(),
            input: 0,
            input_bytes: Vec::new(),
            written: Vec::new(),
            calls: 0,
            attention: Attention::empty(),
            tsc: 0,
            msr: None,
            priority: None,
            ferr: Vec::new(),
            ignne: true,
        };
        let mut pc = Pc { cpu: Cpu::new(Config::default()), board, state: CpuState::reset(), stop: None };
        pc.lay_out_tables();
        pc
    }

    fn lay_out_tables(&mut self) {
        let tss = |base| Descriptor::new(base, 0xfff, attr(0x89));
        for (selector, d) in [
            (sel::CODE0, flat(0xc09b)),
            (sel::DATA0, flat(0xc093)),
            (sel::CODE3, flat(0xc0fb)),
            (sel::DATA3, flat(0xc0f3)),
            (sel::TSS, Descriptor(tss(TSS as u32).0 | Descriptor::BUSY)),
            (sel::LDT, Descriptor::new(LDT as u32, 0xff, attr(0x82))),
            (sel::CODE16, Descriptor::new(0, 0xffff, attr(0x9b))),
            (sel::DATA16, Descriptor::new(0, 0xffff, attr(0x93))),
            (sel::CONFORMING, flat(0xc09f)),
            (sel::DATA_ABSENT, flat(0xc013)),
            (sel::CODE_ABSENT, flat(0xc01b)),
            (sel::READ_ONLY, flat(0xc091)),
            (sel::EXECUTE_ONLY, flat(0xc099)),
            (sel::LONG0, flat(0xa09b)),
            (sel::LONG3, flat(0xa0fb)),
            (sel::TSS2, tss(TSS2 as u32)),
        ] {
            self.describe(selector, d);
        }
        // The inner stack of 32-bit TSSs.
        self.poke32(TSS + 4, STACK0 as u32);
        self.poke32(TSS + 8, u32::from(sel::DATA0));
    }

    fn base() -> Pc {
        let mut pc = Pc::new();
        pc.state.gdtr = DescTable { base: GDT, limit: sel::BEYOND - 1 };
        pc.state.idtr = DescTable { base: IDT, limit: 0xfff };
        pc.state.rip = CODE;
        pc.state.gpr[Gpr::Rsp as usize] = STACK;
        pc.state.tr = Segment { selector: sel::TSS, attr: attr(0x8b), limit: 0xfff, base: TSS };
        pc
    }

    /// Real mode at 0000:8000.
    pub fn real() -> Pc {
        let mut pc = Pc::base();
        pc.state.idtr = DescTable { base: 0, limit: 0x3ff };
        pc.set_seg(SegReg::Cs, Segment { attr: attr(0x9b), ..Segment::real(0) });
        pc
    }

    /// 32-bit protected mode, flat, at a level.
    pub fn protected(cpl: u8) -> Pc {
        let mut pc = Pc::base();
        pc.state.cr0 |= Cr0::PE.bits();
        let (cs, ss) = if cpl == 0 { (sel::CODE0, sel::DATA0) } else { (sel::CODE3, sel::DATA3) };
        pc.load_all(cs, ss);
        if cpl != 0 {
            pc.state.gpr[Gpr::Rsp as usize] = STACK3;
        }
        pc
    }

    /// 64-bit mode, identity-mapped, at a level.
    pub fn long(cpl: u8) -> Pc {
        let mut pc = Pc::base();
        pc.state.cr0 |= (Cr0::PE | Cr0::PG).bits();
        pc.state.cr4 |= Cr4::PAE.bits();
        pc.state.efer = (Efer::LME | Efer::LMA | Efer::SCE).bits();
        pc.state.cr3 = TABLES;
        pc.poke64(TABLES, (TABLES + 0x1000) | 7);
        pc.poke64(TABLES + 0x1000, (TABLES + 0x2000) | 7);
        pc.poke64(TABLES + 0x2000, 0x87);
        let (cs, ss) = if cpl == 0 { (sel::LONG0, sel::DATA0) } else { (sel::LONG3, sel::DATA3) };
        pc.load_all(cs, ss);
        if cpl != 0 {
            pc.state.gpr[Gpr::Rsp as usize] = STACK3;
        }
        pc.poke64(TSS + 4, STACK0);
        pc
    }

    /// Compatibility mode: 32-bit code in long mode.
    pub fn compat(cpl: u8) -> Pc {
        let mut pc = Pc::long(cpl);
        let cs = if cpl == 0 { sel::CODE0 } else { sel::CODE3 };
        pc.set_seg(SegReg::Cs, pc.descriptor(cs).segment(cs));
        pc
    }

    /// Virtual-8086 mode at 0000:8000, with an I/O privilege level.
    pub fn v86(iopl: u64) -> Pc {
        let mut pc = Pc::protected(3);
        pc.state.rflags = RFlags::from_bits_retain(2 | RFlags::VM.bits() | iopl << 12);
        let seg = Segment { attr: attr(0xf3), ..Segment::real(0) };
        pc.state.seg = [seg; 6];
        pc
    }

    fn load_all(&mut self, cs: u16, data: u16) {
        for reg in SegReg::ALL {
            let s = if reg == SegReg::Cs { cs } else { data };
            self.set_seg(reg, self.descriptor(s).segment(s));
        }
    }

    // ---- memory and tables ----

    pub fn peek16(&self, at: u64) -> u16 {
        self.board.memory.load(Gpa(at)).unwrap()
    }
    pub fn peek32(&self, at: u64) -> u32 {
        self.board.memory.load(Gpa(at)).unwrap()
    }
    pub fn peek64(&self, at: u64) -> u64 {
        self.board.memory.load(Gpa(at)).unwrap()
    }
    pub fn poke(&self, at: u64, bytes: &[u8]) {
        self.board.memory.write(Gpa(at), bytes).unwrap();
    }
    pub fn poke16(&self, at: u64, v: u16) {
        self.board.memory.store(Gpa(at), v).unwrap();
    }
    pub fn poke32(&self, at: u64, v: u32) {
        self.board.memory.store(Gpa(at), v).unwrap();
    }
    pub fn poke64(&self, at: u64, v: u64) {
        self.board.memory.store(Gpa(at), v).unwrap();
    }

    /// Writes a descriptor into the GDT.
    pub fn describe(&mut self, selector: u16, d: Descriptor) {
        self.poke64(GDT + u64::from(selector & !7), d.0);
    }

    pub fn descriptor(&self, selector: u16) -> Descriptor {
        Descriptor(self.peek64(GDT + u64::from(selector & !7)))
    }

    /// Writes an IDT gate of legacy modes.
    pub fn gate(&mut self, vector: u8, ty: SystemType, dpl: u8, cs: u16, offset: u64) {
        let g = hako_x86::Gate { selector: Selector(cs), offset, params: 0 };
        self.poke64(IDT + u64::from(vector) * 8, g.encode(ty, dpl, true).0);
    }

    /// Writes an IDT gate of long mode.
    pub fn gate64(&mut self, vector: u8, ty: SystemType, dpl: u8, cs: u16, offset: u64, ist: u8) {
        let g = hako_x86::Gate { selector: Selector(cs), offset, params: ist };
        self.poke64(IDT + u64::from(vector) * 16, g.encode(ty, dpl, true).0);
        self.poke64(IDT + u64::from(vector) * 16 + 8, offset >> 32);
    }

    // ---- registers ----

    pub fn reg(&self, r: Gpr) -> u64 {
        self.state.reg(r)
    }
    pub fn set_reg(&mut self, r: Gpr, v: u64) {
        self.state.gpr[r as usize] = v;
    }
    pub fn seg(&self, r: SegReg) -> &Segment {
        self.state.segment(r)
    }
    pub fn set_seg(&mut self, r: SegReg, s: Segment) {
        self.state.seg[r as usize] = s;
    }
    pub fn flag(&self, f: RFlags) -> bool {
        self.state.rflags.contains(f)
    }
    pub fn set_flags(&mut self, f: RFlags) {
        self.state.rflags |= f;
    }

    // ---- execution ----

    /// Puts code at CS:RIP.
    pub fn code(&mut self, bytes: &[u8]) -> &mut Pc {
        let base = if self.state.segment(SegReg::Cs).attr.contains(SegAttr::L) {
            0
        } else {
            self.state.segment(SegReg::Cs).base
        };
        self.poke(base + self.state.rip, bytes);
        self
    }

    /// Loads the state, executes `n` instructions, takes the state back.
    pub fn run(&mut self, n: u64) -> Stop {
        self.cpu.set_state(&self.state).unwrap();
        self.go_on(n)
    }

    /// Goes on for `n` instructions without touching the state.
    pub fn go_on(&mut self, n: u64) -> Stop {
        let until = self.cpu.count() + n;
        let stop = self.cpu.run(&mut self.board, until);
        self.state = self.cpu.state();
        self.stop = Some(stop);
        stop
    }

    /// Loads the state, executes one instruction or delivers the exception it raises, takes the state back.
    pub fn step(&mut self) -> Stop {
        self.cpu.set_state(&self.state).unwrap();
        let stop = self.cpu.step(&mut self.board);
        self.state = self.cpu.state();
        stop
    }

    /// Executes one instruction that must not fault.
    pub fn ok(&mut self) -> &mut Pc {
        let before = self.cpu.faults().total();
        self.run(1);
        let last = self.cpu.faults().last().copied();
        assert_eq!(self.cpu.faults().total(), before, "{last:x?} {}", describe_why(last.as_ref()));
        self
    }

    /// Executes the code, which must fault, with an empty IDT, so that the fault shows in the log and everything else
    /// must be as before.
    #[track_caller]
    pub fn faults(&mut self, vector: Vector, error: Option<u32>, why: Why) {
        self.state.idtr.limit = 0;
        let before = self.state.clone();
        self.cpu.reset();
        self.run(1);
        let first = self.cpu.faults().iter().next().copied();
        let Some(first) = first else { panic!("no fault at all; state {:x?}", self.state) };
        let got = (first.vector, first.error, first.why);
        assert_eq!(got, (vector, error, Some(why)), "{}", describe_why(Some(&first)));
        assert_eq!(first.rip, before.rip, "rip of the fault");
        assert_eq!(self.stop.map(|s| s.kind), Some(StopKind::TripleFault));
        let mut after = self.state.clone();
        after.activity = Activity::Running;
        after.cr2 = before.cr2;
        // A state that was loaded lists its MSRs.
        after.msrs.clone_from(&before.msrs);
        assert_eq!(after, before, "state after the fault");
        self.state = before;
        self.state.idtr.limit = 0xfff;
    }

    #[track_caller]
    pub fn gp(&mut self, error: u32, why: Why) {
        self.faults(Vector::GP, Some(error), why);
    }
}

fn describe_why(f: Option<&FaultRecord>) -> String {
    f.and_then(|f| f.why).map(|w| w.to_string()).unwrap_or_default()
}
