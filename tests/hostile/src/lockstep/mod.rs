//! Two engines on the same program, compared after every instruction.

mod bus;
mod known;
pub mod program;

use std::sync::Arc;
use std::time::Duration;

use hako_engine::{Bus, Deadline, Debug, DebugHit, EngineError, Exit, ExitKind, Vcpu};
use hako_engine_kvm::{CpuidModel, KvmVcpu, Vm, VmConfig};
use hako_engine_soft::SoftVcpu;
use hako_fuzz::compare::differences;
use hako_fuzz::modes::{self, CODE, DATA, HANDLERS, Mode, RAM};
use hako_fuzz::stream::Random;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, RFlags, SegAttr};

use crate::HALT;
use bus::Plain;
use program::{DATA_LEN, Generator, Instruction, POINTERS};

/// Instructions in a program.
const LENGTH: usize = 40;
/// Every handler: NOPs, so that a step into it changes nothing but RIP.
const NOPS: [u8; 8] = [0x90; 8];
/// CMP EAX, EAX: all six flags are defined after it.
const COMPARE: [u8; 2] = [0x39, 0xc0];
/// INT3.
const BREAKPOINT: [u8; 1] = [0xcc];

/// What came of one program.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Instructions compared.
    pub compared: u64,
    /// Instructions that KVM refused and soft executed for it.
    pub refused: u64,
    /// Instructions that KVM is known to get wrong; it went on with what soft made of them.
    pub known: u64,
}

/// Both engines, ready for programs of one mode.
pub struct Pair {
    mode: Mode,
    soft: SoftVcpu,
    soft_bus: Plain,
    kvm: KvmVcpu,
    kvm_bus: Plain,
    // Outlives its CPU.
    _vm: Vm,
}

/// A step of a CPU.
enum Step {
    /// One instruction, or one exception.
    Done,
    /// Not for this engine.
    Refused,
    /// Something else: the program is over.
    Over(ExitKind),
}

fn memory() -> GuestMemory {
    let slab = match hako_mem::host::slab(RAM) {
        Ok(slab) => slab,
        Err(why) => panic!("no memory for a guest: {why}"),
    };
    let flat = GuestMemory::flat(RAM);
    GuestMemory::new(Arc::new(slab), flat.map().clone())
}

fn step(vcpu: &mut dyn Vcpu, bus: &mut dyn Bus) -> Step {
    match vcpu.run(bus, Deadline::Never) {
        Ok(exit) => match exit.kind {
            ExitKind::Debug(DebugHit::Step) => Step::Done,
            ExitKind::Refused(_) => Step::Refused,
            other => Step::Over(other),
        },
        Err(why) => panic!("an engine failed: {why}"),
    }
}

impl Pair {
    /// Makes both.
    pub fn new(mode: Mode) -> Result<Pair, EngineError> {
        let (soft_memory, kvm_memory) = (memory(), memory());
        let vm =
            Vm::new(VmConfig { cpuid: Some(CpuidModel::default()), ..VmConfig::default() }, &kvm_memory)?;
        let kvm = vm.vcpu(0)?;
        let (soft_bus, kvm_bus) = (Plain::new(soft_memory), Plain::new(kvm_memory));
        let mut pair = Pair { mode, soft: SoftVcpu::default(), soft_bus, kvm, kvm_bus, _vm: vm };
        pair.debug(true);
        Ok(pair)
    }

    /// One program, compared after each instruction; `Err` says where they differ.
    pub fn play(&mut self, seed: u64) -> Result<Tally, String> {
        let mut random = Random::new(seed ^ (self.mode as u64) << 32);
        let mut generator = Generator::new(self.mode, &mut random);
        let program: Vec<Instruction> = (0..LENGTH).map(|_| generator.next_instruction()).collect();
        let state = self.set_up(&mut random, &program);
        let mut tally = Tally::default();
        let mut before = state;
        loop {
            let at = before.linear_rip();
            let Some(undefined) = undefined_at(&program, at) else { break };
            // A program that has changed its own code: nobody knows what is undefined there.
            if !self.is_unchanged(&program) {
                break;
            }
            let (soft, kvm) =
                (step(&mut self.soft, &mut self.soft_bus), step(&mut self.kvm, &mut self.kvm_bus));
            let after = self.state_of_soft();
            match (soft, kvm) {
                (Step::Done, Step::Done) => {}
                (Step::Done, Step::Refused) => {
                    tally.refused += 1;
                    self.carry_over(&after);
                }
                // What an exception that ended in a triple fault left on the stack is no state of the guest's.
                (Step::Over(a), Step::Over(b)) if a == b => return Ok(tally),
                (a, b) => {
                    let code = self.code_at(at);
                    if known::fault_of_kvm(&code) || known::missed_exception(self.mode, &code, &after) {
                        return Ok(tally);
                    }
                    let ends = format!("soft {}, kvm {}", a.name(), b.name());
                    return Err(self.report(&before, seed, &ends));
                }
            }
            let mut kvm = match self.kvm.state(&mut self.kvm_bus) {
                Ok(state) => state,
                Err(why) => return Err(self.report(&before, seed, &why.to_string())),
            };
            // KVM may stop with the exception on its way.
            if let Some(exception) = kvm.events.exception
                && known::exception(&after) == Some(exception.vector)
            {
                return Ok(tally);
            }
            if (after.rflags ^ kvm.rflags).intersects(undefined) {
                kvm.rflags = (kvm.rflags - undefined) | (after.rflags & undefined);
                if let Err(why) = self.kvm.set_state(&kvm) {
                    return Err(self.report(&before, seed, &why.to_string()));
                }
            }
            let difference = differences(&comparable(&after), &comparable(&kvm));
            if !difference.is_empty() {
                let code = self.code_at(at);
                if known::missed_exception(self.mode, &code, &after) {
                    return Ok(tally);
                }
                if !known::fault_of_kvm(&code) {
                    return Err(self.report(&before, seed, &format!("soft / kvm\n{difference}")));
                }
                tally.known += 1;
                self.carry_over(&after);
            }
            tally.compared += 1;
            before = after;
        }
        let (a, mut b) = (ram(&self.soft_bus.memory), ram(&self.kvm_bus.memory));
        known::excuse_frame(self.mode, &before, &a, &mut b);
        if let Some(at) = (0..a.len()).find(|at| a[*at] != b[*at]) {
            let end = (at + 8).min(a.len());
            let what = format!("memory at {at:#x}: {:x?} / {:x?}", &a[at..end], &b[at..end]);
            return Err(self.report(&before, seed, &what));
        }
        if self.soft_bus.written != self.kvm_bus.written {
            return Err(self.report(&before, seed, "ports were written differently"));
        }
        Ok(tally)
    }

    /// One program without stops, compared at its end, which is the first exception. For where KVM cannot step; flags
    /// that are undefined are made defined before anything can see them.
    pub fn play_through(&mut self, seed: u64) -> Result<Tally, String> {
        let mut random = Random::new(seed ^ (self.mode as u64) << 32);
        let mut generator = Generator::new(self.mode, &mut random);
        let mut program = Vec::new();
        for _ in 0..LENGTH {
            let next = generator.next_instruction();
            let undefined = next.undefined;
            program.push(next);
            if !undefined.is_empty() {
                program.push(Instruction::of(&COMPARE));
            }
        }
        program.push(Instruction::of(&BREAKPOINT));
        let before = self.set_up(&mut random, &program);
        for vector in 0..32 {
            for bus in [&self.soft_bus, &self.kvm_bus] {
                assert!(bus.memory.write(Gpa(HANDLERS + 8 * vector), &HALT).is_ok());
            }
        }
        self.debug(false);
        let ends = [
            self.soft.run(&mut self.soft_bus, Deadline::Count(self.soft.count().unwrap_or(0) + 1000)),
            self.kvm.run(&mut self.kvm_bus, Deadline::After(Duration::from_secs(1))),
        ];
        self.debug(true);
        if !ends.iter().all(|end| matches!(end, Ok(Exit { kind: ExitKind::Halt, .. }))) {
            return Err(self.report(&before, seed, &format!("the program does not halt: {ends:?}")));
        }
        let soft = comparable(&self.state_of_soft());
        let mut kvm = self.kvm.state(&mut self.kvm_bus).map_err(|why| why.to_string())?;
        known::excuse_ring_3_segments(&soft, &mut kvm);
        let difference = differences(&soft, &comparable(&kvm));
        if !difference.is_empty() {
            return Err(self.report(&before, seed, &format!("at the end: soft / kvm\n{difference}")));
        }
        let (a, mut b) = (ram(&self.soft_bus.memory), ram(&self.kvm_bus.memory));
        known::excuse_page_tables(&a, &mut b);
        match (0..a.len()).find(|at| a[*at] != b[*at]) {
            None => Ok(Tally { compared: LENGTH as u64, ..Tally::default() }),
            Some(at) => {
                Err(self.report(&before, seed, &format!("memory at {at:#x}: {:x} / {:x}", a[at], b[at])))
            }
        }
    }

    fn debug(&mut self, step: bool) {
        let debug = Debug { step, ..Debug::default() };
        for done in [self.soft.set_debug(&debug), self.kvm.set_debug(&debug)] {
            assert!(done.is_ok(), "{done:?}");
        }
    }

    /// The same world, state and program for both.
    fn set_up(&mut self, random: &mut Random, program: &[Instruction]) -> CpuState {
        let mut state = modes::state(self.mode);
        for r in [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] {
            state.gpr[r] = random.next_u64() >> random.below(64);
            // Outside 64-bit mode the upper halves are undefined (SDM Vol. 1 3.4.1.1).
            if !matches!(self.mode, Mode::Long | Mode::UserLong) {
                state.gpr[r] &= if r < 8 { 0xffff_ffff } else { 0 };
            }
        }
        state.rflags |= RFlags::from_bits_truncate(random.next_u64() & 0x8d5);
        let data: Vec<u8> = (0..DATA_LEN).map(|_| random.next_u64() as u8).collect();
        let code: Vec<u8> = program.iter().flat_map(|i| i.bytes.clone()).collect();
        for bus in [&mut self.soft_bus, &mut self.kvm_bus] {
            bus.written.clear();
            let memory = &bus.memory;
            assert!(memory.fill(Gpa(0), RAM, 0).is_ok());
            modes::tables(self.mode, memory, &NOPS);
            for (at, bytes) in [(DATA, &data), (CODE, &code), (POINTERS, &program::pointers(self.mode))] {
                assert!(memory.write(Gpa(at), bytes).is_ok());
            }
        }
        for done in [self.soft.set_state(&state), self.kvm.set_state(&state)] {
            assert!(done.is_ok(), "{:?} is refused: {done:?}", self.mode);
        }
        self.state_of_soft()
    }

    fn state_of_soft(&mut self) -> CpuState {
        match self.soft.state(&mut self.soft_bus) {
            Ok(state) => state,
            Err(why) => panic!("soft has no state: {why}"),
        }
    }

    /// What soft has made of an instruction becomes KVM's.
    fn carry_over(&mut self, after: &CpuState) {
        let bytes = ram(&self.soft_bus.memory);
        assert!(self.kvm_bus.memory.write(Gpa(0), &bytes).is_ok());
        self.kvm_bus.written.clone_from(&self.soft_bus.written);
        let Ok(mut state) = self.kvm.state(&mut self.kvm_bus) else { panic!("kvm has no state") };
        let kept = state.clone();
        state.clone_from(after);
        (state.xsave, state.msrs, state.tsc, state.xcr0) = (kept.xsave, kept.msrs, kept.tsc, kept.xcr0);
        state.dr6 = kept.dr6;
        assert!(self.kvm.set_state(&state).is_ok(), "kvm refuses what soft made: {state:x?}");
    }

    fn is_unchanged(&self, program: &[Instruction]) -> bool {
        let code: Vec<u8> = program.iter().flat_map(|i| i.bytes.clone()).collect();
        let mut now = vec![0; code.len()];
        self.soft_bus.memory.read(Gpa(CODE), &mut now).is_ok() && now == code
    }

    fn code_at(&self, at: u64) -> [u8; 15] {
        let mut bytes = [0; 15];
        let _ = self.soft_bus.memory.read(Gpa(at), &mut bytes);
        bytes
    }

    fn report(&mut self, before: &CpuState, seed: u64, what: &str) -> String {
        let at = before.linear_rip();
        let bytes = self.code_at(at);
        format!(
            "{:?}, seed {seed}: at {at:#x}: {bytes:02x?}\nbefore: flags {:?}, registers {:x?}\n{what}",
            self.mode, before.rflags, before.gpr
        )
    }
}

impl Step {
    fn name(&self) -> String {
        match self {
            Step::Done => "goes on".into(),
            Step::Refused => "refuses".into(),
            Step::Over(kind) => format!("ends with {kind:?}"),
        }
    }
}

fn ram(memory: &GuestMemory) -> Vec<u8> {
    let mut bytes = vec![0; RAM as usize];
    assert!(memory.read(Gpa(0), &mut bytes).is_ok());
    bytes
}

/// The undefined flags of the instruction at an address (the union of those of its template); `None` outside the
/// program.
fn undefined_at(program: &[Instruction], at: u64) -> Option<RFlags> {
    let mut start = CODE;
    for i in program {
        let end = start + i.bytes.len() as u64;
        if (start..end).contains(&at) {
            return Some(i.undefined);
        }
        start = end;
    }
    debug_assert!(at >= HANDLERS);
    None
}

/// A state without what no program here can see, or what single-stepping itself uses.
fn comparable(state: &CpuState) -> CpuState {
    let mut s = state.clone();
    s.msrs.retain(|(index, _)| matches!(index, 0x174..=0x176));
    (s.xsave, s.tsc, s.xcr0, s.dr6, s.dr7, s.cr8) = (Vec::new(), 0, 1, 0, 0, 0);
    s.rflags -= RFlags::RF;
    // Whether a shadow is left when the host stops the CPU is not told alike.
    s.events.shadow = Default::default();
    for seg in s.seg.iter_mut().chain([&mut s.ldtr, &mut s.tr]) {
        // Granularity is only kept for display; an unusable segment has nothing but its selector (and, for FS and GS
        // in long mode, its base).
        seg.attr -= SegAttr::G | SegAttr::AVL;
        if seg.attr.contains(SegAttr::UNUSABLE) || !seg.attr.contains(SegAttr::P) {
            (seg.attr, seg.limit, seg.base) = (SegAttr::UNUSABLE, 0, 0);
        }
    }
    s
}
