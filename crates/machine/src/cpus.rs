//! The CPUs of the soft engine. One thread runs them in turns of a fixed number of instructions, so that a run with
//! several CPUs is as repeatable as one with a single CPU. A turn ends early where the CPU has nothing to do and where
//! it has signalled another.

use std::sync::Arc;

use hako_cpu::{Config, Cpu};
use hako_engine::{Deadline, Debug, EngineError, Kick, Vcpu};
use hako_engine_soft::SoftVcpu;
use hako_x86::{CpuState, Model};

/// Instructions of a turn, at least.
const TURN: u64 = 5_000;
/// Turns differ by fewer instructions than two to the power of this, so that a loop whose length divides that of a turn,
/// and which holds a lock but for a moment, is not always left while it holds it.
const JITTER_BITS: u32 = 10;

/// The time-stamp counter, which counts nanoseconds of guest time.
const TSC_HZ: u64 = 1_000_000_000;

/// All CPUs, and whose turn it is.
pub(crate) struct SoftCpus {
    cpus: Vec<SoftVcpu>,
    /// Whose turn it is, or was last.
    current: usize,
    /// Its count at which the turn began.
    began: u64,
    /// The turn is over.
    over: bool,
    /// So many turns in a row ended without an instruction.
    idle: usize,
}

/// Interrupts whichever CPU runs.
struct KickAll(Vec<Arc<dyn Kick>>);

impl Kick for KickAll {
    fn kick(&self) {
        for k in &self.0 {
            k.kick();
        }
    }
}

impl SoftCpus {
    /// `n` CPUs of a model, of which the first is the bootstrap processor.
    pub fn new(n: u8, model: Model) -> SoftCpus {
        let n = n.max(1);
        let cpus =
            (0..n).map(|i| SoftVcpu::new(Config { model, tsc_hz: TSC_HZ, ..Config::of(i, n) })).collect();
        SoftCpus { cpus, current: 0, began: 0, over: false, idle: 0 }
    }

    /// The count at which the turn that has begun ends: as far as anybody can tell by chance, and always the same.
    fn turn_end(&self) -> u64 {
        let hash = self.began.wrapping_add(self.current as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.began.saturating_add(TURN + (hash >> (u64::BITS - JITTER_BITS)))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.cpus.len()
    }

    /// The number of the CPU whose turn it is.
    pub fn current(&self) -> u8 {
        self.current as u8
    }

    /// The CPU whose turn it is.
    #[inline]
    pub fn vcpu(&mut self) -> &mut SoftVcpu {
        // `current` is always the index of a CPU, of which there is at least one.
        &mut self.cpus[self.current]
    }

    /// The same, to look at.
    #[inline]
    pub fn vcpu_ref(&self) -> &SoftVcpu {
        &self.cpus[self.current]
    }

    /// The interpreter of the CPU whose turn it is.
    pub fn cpu(&mut self) -> &mut Cpu {
        self.vcpu().cpu()
    }

    fn count(&self) -> u64 {
        self.vcpu_ref().count().unwrap_or(0)
    }

    /// Instructions of all CPUs together.
    pub fn count_of_all(&self) -> u64 {
        self.cpus.iter().filter_map(|c| c.count()).fold(0, u64::wrapping_add)
    }

    /// A deadline not behind the end of the turn.
    pub fn limit(&self, until: Deadline) -> Deadline {
        if self.cpus.len() == 1 {
            return until;
        }
        let end = self.turn_end();
        match until {
            Deadline::Count(n) => Deadline::Count(n.min(end)),
            Deadline::Never | Deadline::After(_) => Deadline::Count(end),
        }
    }

    /// The CPU has run. `halted`: it has nothing to do; `signalled`: it or a chip wants the attention of another.
    /// Returns whether no CPU has anything to do.
    pub fn ran(&mut self, halted: bool, signalled: bool) -> bool {
        if self.cpus.len() == 1 {
            return halted;
        }
        let count = self.count();
        self.idle = if halted && count == self.began { self.idle + 1 } else { 0 };
        self.over = halted || signalled || count >= self.turn_end();
        let all = self.idle >= self.cpus.len();
        if all {
            self.idle = 0;
        }
        all
    }

    /// Whoever has the turn has had it.
    pub fn end_turn(&mut self) {
        self.over = true;
    }

    /// Gives the turn to the next CPU if the last one is over. Returns the counts of both CPUs.
    pub fn turn(&mut self) -> Option<(u64, u64)> {
        if !std::mem::take(&mut self.over) || self.cpus.len() == 1 {
            return None;
        }
        let from = self.count();
        self.current = (self.current + 1) % self.cpus.len();
        self.began = self.count();
        Some((from, self.began))
    }

    /// The first CPU's turn, as at power-on.
    pub fn first(&mut self) -> (u64, u64) {
        let from = self.count();
        self.current = 0;
        (self.began, self.over, self.idle) = (self.count(), false, 0);
        (from, self.began)
    }

    /// Every CPU as new.
    pub fn reset(&mut self) {
        for c in &mut self.cpus {
            c.reset();
        }
    }

    /// The state of every CPU at power-on; `first` is that of the bootstrap processor.
    pub fn power_on(&mut self, first: &CpuState) -> Result<(), EngineError> {
        for (i, c) in self.cpus.iter_mut().enumerate() {
            c.set_state(&at_power_on(i, first))?;
        }
        Ok(())
    }

    /// The states of all.
    pub fn states(&mut self) -> Vec<CpuState> {
        self.cpus.iter_mut().map(|c| c.cpu().state()).collect()
    }

    /// Whether an interrupt would wake one that is halted.
    pub fn await_interrupt(&mut self) -> bool {
        self.cpus.iter_mut().any(|c| c.cpu().awaits_interrupt())
    }

    /// Host debugging of all.
    pub fn set_debug(&mut self, debug: &Debug) -> Result<(), EngineError> {
        self.cpus.iter_mut().try_for_each(|c| c.set_debug(debug))
    }

    /// Interrupts whichever runs.
    pub fn kicker(&self) -> Arc<dyn Kick> {
        match self.cpus.as_slice() {
            [only] => only.kicker(),
            all => Arc::new(KickAll(all.iter().map(|c| c.kicker()).collect())),
        }
    }
}

/// The state of CPU number `i` at power-on where the first has `first`: all others wait for a SIPI.
pub(crate) fn at_power_on(i: usize, first: &CpuState) -> CpuState {
    if i == 0 {
        return first.clone();
    }
    CpuState { activity: hako_x86::Activity::WaitForSipi, ..CpuState::reset() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hako_engine::{At, Attention, Bus, ExitKind, Lines};
    use hako_mem::{Gpa, GuestMemory};
    use hako_x86::{SegReg, Segment, Width};

    /// RAM, and a port that starts the other CPU at the page written to it.
    struct Wires {
        memory: GuestMemory,
        sipi: Option<u8>,
        said: Vec<(u8, u8)>,
    }

    impl Bus for Wires {
        fn port_out(&mut self, at: At, port: u16, _: Width, data: &[u8]) -> Attention {
            let byte = data.first().copied().unwrap_or(0);
            if port == 1 {
                self.sipi = Some(byte);
                return Attention::EVENTS;
            }
            self.said.push((at.cpu, byte));
            Attention::empty()
        }
        fn lines(&mut self, at: At) -> Lines {
            let sipi = if at.cpu == 1 { self.sipi.take() } else { None };
            Lines { a20: true, sipi, ..Lines::default() }
        }
        fn memory(&self) -> &GuestMemory {
            &self.memory
        }
    }

    /// Two CPUs, the first at `first`, and `second` at 2000h; runs until neither has anything to do.
    fn run(first: &[u8], second: &[u8]) -> (SoftCpus, Wires) {
        let memory = GuestMemory::flat(0x10000);
        memory.write(Gpa(0x1000), first).unwrap();
        memory.write(Gpa(0x2000), second).unwrap();
        let mut wires = Wires { memory, sipi: None, said: Vec::new() };
        let mut cpus = SoftCpus::new(2, hako_x86::cpuid::X86_64_V2);
        let mut state = CpuState { rip: 0x1000, ..CpuState::reset() };
        state.seg = [Segment::real(0); 6];
        state.seg[SegReg::Cs as usize].attr = CpuState::reset().segment(SegReg::Cs).attr;
        cpus.power_on(&state).unwrap();
        for _ in 0..10_000 {
            let _ = cpus.turn();
            let until = cpus.limit(Deadline::Never);
            let exit = cpus.vcpu().run(&mut wires, until).unwrap();
            if cpus.ran(exit.kind == ExitKind::Halt, wires.sipi.is_some()) {
                return (cpus, wires);
            }
        }
        panic!("neither CPU stops");
    }

    #[test]
    fn the_others_wait_for_a_sipi_and_start_where_it_says() {
        // mov al, 2; out 1, al; hlt
        // mov al, 'B'; out 2, al; hlt
        let (mut cpus, wires) = run(&[0xb0, 2, 0xe6, 1, 0xf4], &[0xb0, 0x42, 0xe6, 2, 0xf4]);
        assert_eq!(wires.said, [(1, 0x42)]);
        assert_eq!(cpus.count_of_all(), 6);
        assert!(cpus.states().iter().all(|s| s.activity == hako_x86::Activity::Halted));
    }

    #[test]
    fn a_cpu_that_waits_for_another_loses_its_turn_in_the_end() {
        // mov al, 2; out 1, al; l: cmp byte [3000h], 0; je l; hlt
        let first = [0xb0, 2, 0xe6, 1, 0x80, 0x3e, 0x00, 0x30, 0x00, 0x74, 0xf9, 0xf4];
        // mov cx, 20000; l: loop l; inc byte [3000h]; hlt
        let second = [0xb9, 0x20, 0x4e, 0xe2, 0xfe, 0xfe, 0x06, 0x00, 0x30, 0xf4];
        let (cpus, wires) = run(&first, &second);
        assert_eq!(wires.memory.load::<u8>(Gpa(0x3000)), Ok(1));
        let again = run(&first, &second).0;
        assert_eq!(cpus.count_of_all(), again.count_of_all(), "two equal runs");
    }

    #[test]
    fn code_that_another_cpu_has_cached_may_be_rewritten() {
        // The first CPU writes a byte of data into the second's page, so that it knows the page for writing, starts the
        // second, waits until that has run, rewrites its instruction (mov al, 'B' becomes 'C') and waits again.
        #[rustfmt::skip]
        let first = [
            0xc6, 0x06, 0x40, 0x20, 0x01, // mov byte [2040h], 1
            0xb0, 2, 0xe6, 1, // mov al, 2; out 1, al
            0x80, 0x3e, 0x00, 0x30, 0x01, 0x75, 0xf9, // l: cmp byte [3000h], 1; jne l
            0xc6, 0x06, 0x01, 0x20, 0x43, // mov byte [2001h], 'C'
            0xc6, 0x06, 0x00, 0x30, 0x02, // mov byte [3000h], 2
            0xf4,
        ];
        #[rustfmt::skip]
        let second = [
            0xb0, 0x42, 0xe6, 2, // mov al, 'B'; out 2, al
            0xfe, 0x06, 0x00, 0x30, // inc byte [3000h]
            0x80, 0x3e, 0x00, 0x30, 0x02, 0x72, 0xf9, // l: cmp byte [3000h], 2; jb l
            0x74, 0xef, // je 2000h
            0xf4,
        ];
        let (_, wires) = run(&first, &second);
        assert_eq!(wires.said, [(1, 0x42), (1, 0x43)]);
    }
}
