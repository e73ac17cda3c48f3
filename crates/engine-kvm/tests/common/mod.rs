//! A bus that remembers, and guests made of a few bytes.
#![allow(dead_code)] // each test file uses its part

use hako_engine::{At, Attention, Bus, Deadline, Exit, ExitKind, Lines, Vcpu};
use hako_engine_kvm::{CpuidModel, KvmVcpu, Vm, VmConfig};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, RFlags, SegAttr, SegReg, Segment, Width};

/// Whether KVM tests run. Without /dev/kvm they fail, unless HAKO_NO_KVM=1 says that this host has none.
pub fn kvm() -> bool {
    if std::env::var("HAKO_NO_KVM").is_ok_and(|v| v == "1") {
        eprintln!("SKIPPED: HAKO_NO_KVM=1");
        assert!(
            hako_engine_kvm::probe().usable.is_err(),
            "HAKO_NO_KVM=1 is set, but /dev/kvm works: this test could have run"
        );
        return false;
    }
    if let Err(why) = hako_engine_kvm::probe().usable {
        panic!("this test needs KVM: {why}. Set HAKO_NO_KVM=1 on hosts that have none.");
    }
    true
}

/// What the guest did on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    Out(u16, Width, Vec<u8>),
    In(u16, Width, usize),
    Write(u64, Vec<u8>),
    Read(u64, usize),
}

pub struct TestBus {
    pub memory: GuestMemory,
    pub log: Vec<Access>,
    /// What ports and MMIO reads give, byte after byte.
    pub input: Vec<u8>,
    /// What the n-th access reports.
    pub attention: Vec<(usize, Attention)>,
    /// What every access reports.
    pub always: Attention,
    /// The map that is there from the access that reports MAP on.
    pub next_memory: Option<GuestMemory>,
    pub lines: Lines,
    pub vector: u8,
    pub acknowledged: u32,
}

impl TestBus {
    pub fn new(memory: &GuestMemory) -> TestBus {
        TestBus {
            memory: memory.clone(),
            log: Vec::new(),
            input: Vec::new(),
            attention: Vec::new(),
            always: Attention::empty(),
            next_memory: None,
            lines: Lines { a20: true, ..Lines::default() },
            vector: 0x20,
            acknowledged: 0,
        }
    }

    fn note(&mut self, access: Access) -> Attention {
        let n = self.log.len();
        self.log.push(access);
        let attention = self.attention.iter().filter(|a| a.0 == n).fold(self.always, |a, b| a | b.1);
        if attention.contains(Attention::MAP)
            && let Some(memory) = self.next_memory.take()
        {
            self.memory = memory;
        }
        attention
    }

    fn give(&mut self, data: &mut [u8]) {
        for b in data {
            *b = if self.input.is_empty() { 0xff } else { self.input.remove(0) };
        }
    }

    /// All bytes written to a port.
    pub fn written(&self, port: u16) -> Vec<u8> {
        let bytes = self.log.iter().filter_map(|a| match a {
            Access::Out(p, _, data) if *p == port => Some(data.clone()),
            _ => None,
        });
        bytes.flatten().collect()
    }
}

impl Bus for TestBus {
    fn port_in(&mut self, _: At, port: u16, width: Width, data: &mut [u8]) -> Attention {
        self.give(data);
        self.note(Access::In(port, width, data.len()))
    }
    fn port_out(&mut self, _: At, port: u16, width: Width, data: &[u8]) -> Attention {
        self.note(Access::Out(port, width, data.to_vec()))
    }
    fn mmio_read(&mut self, _: At, gpa: Gpa, data: &mut [u8]) -> Attention {
        self.give(data);
        self.note(Access::Read(gpa.0, data.len()))
    }
    fn mmio_write(&mut self, _: At, gpa: Gpa, data: &[u8]) -> Attention {
        self.note(Access::Write(gpa.0, data.to_vec()))
    }
    fn msr_read(&mut self, _: At, index: u32) -> Option<u64> {
        (index == 0x1234).then_some(0x1122_3344_5566_7788)
    }
    fn msr_write(&mut self, _: At, index: u32, _: u64) -> Option<Attention> {
        (index == 0x1234).then_some(Attention::empty())
    }
    fn acknowledge(&mut self, _: At) -> u8 {
        self.acknowledged += 1;
        self.lines.intr = false;
        self.vector
    }
    fn lines(&mut self, _: At) -> Lines {
        let now = self.lines;
        self.lines.nmi = false;
        now
    }
    fn tsc(&mut self, _: At) -> u64 {
        0
    }
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }
}

/// A guest with its bus.
pub struct Guest {
    pub vcpu: KvmVcpu,
    pub vm: Vm,
    pub bus: TestBus,
}

impl Guest {
    /// RAM of 64 KiB with `code` at 0, not started.
    pub fn with(config: VmConfig, code: &[u8]) -> Guest {
        let memory = GuestMemory::flat(0x1_0000);
        memory.write(Gpa(0), code).unwrap();
        Guest::on(config, &memory)
    }

    /// The same on given memory.
    pub fn on(config: VmConfig, memory: &GuestMemory) -> Guest {
        let vm = Vm::new(config, memory).unwrap();
        let vcpu = vm.vcpu(0).unwrap();
        Guest { vcpu, vm, bus: TestBus::new(memory) }
    }

    /// Real mode at 0:0.
    pub fn real(code: &[u8]) -> Guest {
        let mut guest = Guest::with(VmConfig::default(), code);
        guest.vcpu.set_state(&real_mode()).unwrap();
        guest
    }

    /// Flat 32-bit protected mode at 0.
    pub fn protected(code: &[u8]) -> Guest {
        let mut guest = Guest::with(VmConfig::default(), code);
        guest.vcpu.set_state(&protected_mode()).unwrap();
        guest
    }

    /// Long mode in ring 3 with IOPL 3: what even a KVM that emulates ring 0 executes on the processor.
    pub fn user(code: &[u8]) -> Guest {
        let config = VmConfig { cpuid: Some(CpuidModel::default()), ..VmConfig::default() };
        let mut guest = Guest::with(config, code);
        // PML4 at 0x1000, PDPT at 0x2000, page directory at 0x3000 with one 2 MiB page for everybody.
        for (at, entry) in [(0x1000, 0x2007u64), (0x2000, 0x3007), (0x3000, 0x87)] {
            guest.bus.memory.store(Gpa(at), entry).unwrap();
        }
        let mut state = protected_mode();
        (state.cr0, state.cr3, state.cr4, state.efer) = (0x8000_0033, 0x1000, 0x620, 0x500);
        for s in &mut state.seg {
            *s = Segment { selector: 0x2b, attr: SegAttr::from_bits_retain(0xc0f3), limit: !0, base: 0 };
        }
        let cs = Segment { selector: 0x33, attr: SegAttr::from_bits_retain(0xa0fb), limit: !0, base: 0 };
        state.seg[SegReg::Cs as usize] = cs;
        state.tr =
            Segment { selector: 0x40, attr: SegAttr::from_bits_retain(0x8b), limit: 0x67, base: 0xb000 };
        state.rflags |= RFlags::IOPL;
        guest.vcpu.set_state(&state).unwrap();
        guest
    }

    pub fn run(&mut self) -> Exit {
        self.vcpu.run(&mut self.bus, Deadline::Never).unwrap()
    }

    /// Runs to HLT.
    pub fn halt(&mut self) {
        assert_eq!(self.run().kind, ExitKind::Halt);
    }

    pub fn state(&mut self) -> CpuState {
        self.vcpu.state(&mut self.bus).unwrap()
    }
}

/// CS base and selector 0, rip 0.
pub fn real_mode() -> CpuState {
    let mut state = CpuState::reset();
    state.seg[SegReg::Cs as usize] = Segment { attr: SegAttr::from_bits_retain(0x9b), ..Segment::real(0) };
    state.rip = 0;
    state.gpr[4] = 0x8000;
    state
}

/// Flat segments of 4 GiB, 32 bits, stack at 0x8000, IDT at 0x9000 (empty), GDT at 0xa000 (empty).
pub fn protected_mode() -> CpuState {
    let mut state = real_mode();
    state.cr0 |= 1;
    for s in &mut state.seg {
        *s = Segment { selector: 0x10, attr: SegAttr::from_bits_retain(0xc093), limit: !0, base: 0 };
    }
    let cs = Segment { selector: 8, attr: SegAttr::from_bits_retain(0xc09b), limit: !0, base: 0 };
    state.seg[SegReg::Cs as usize] = cs;
    state.idtr = hako_x86::DescTable { base: 0x9000, limit: 0x7ff };
    state.gdtr = hako_x86::DescTable { base: 0xa000, limit: 0xff };
    state
}
