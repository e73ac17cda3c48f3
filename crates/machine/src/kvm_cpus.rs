//! The CPUs of a machine on KVM. A single one runs in the machine's own thread. Of several each runs in a thread of its
//! own while the machine runs; they share what is not CPU behind one lock that is held for one access.
//!
//! What happens beside them (events of chips, input, a CPU that halts) stops none: the first CPU, which has the machine's
//! own thread, leaves KVM_RUN for it and goes on; the others kick it where an access of theirs has moved the next event.
//! A wish, a refused instruction, a triple fault, input that asks to end, and all CPUs halted with no timer of their own
//! stop all: the machine then deals with it as it would with a single CPU, and everything can be looked at.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hako_cpu::Cpu;
use hako_engine::{At, Attention, Bus, Deadline, EngineError, Exit, ExitKind, Kick, Lines, Vcpu};
use hako_engine_kvm::KvmVcpu;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{Activity, CpuState, Width};

use crate::beat::Beat;
use crate::core::Core;
use crate::cpus::at_power_on;
use crate::rescue::Rescuer;

/// All CPUs, and the one that the last exit was about.
pub(crate) struct KvmCpus {
    vcpus: Vec<KvmVcpu>,
    current: usize,
    /// Exits of further CPUs, to be dealt with before any runs again.
    waiting: Vec<(usize, Exit)>,
    /// Our CPU, for what KVM does not do.
    rescuer: Rescuer,
}

/// What is not CPU, as one of several CPUs reaches it.
struct Shared<'a, 'b> {
    core: &'a Mutex<&'b mut Core>,
    memory: GuestMemory,
}

/// Nothing that is done under the lock leaves it half done: a thread that panicked there ends the machine anyway.
fn lock<'a, 'b>(core: &'a Mutex<&'b mut Core>) -> MutexGuard<'a, &'b mut Core> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared<'_, '_> {
    /// One access.
    fn access(&mut self, f: impl FnOnce(&mut Core) -> Attention) -> Attention {
        let mut core = lock(self.core);
        let attention = f(&mut core);
        if attention.contains(Attention::MAP) {
            self.memory = core.memory().clone();
        }
        attention
    }
}

impl Bus for Shared<'_, '_> {
    fn port_in(&mut self, at: At, port: u16, width: Width, data: &mut [u8]) -> Attention {
        self.access(|core| core.port_in(at, port, width, data))
    }
    fn port_out(&mut self, at: At, port: u16, width: Width, data: &[u8]) -> Attention {
        self.access(|core| core.port_out(at, port, width, data))
    }
    fn mmio_read(&mut self, at: At, gpa: Gpa, data: &mut [u8]) -> Attention {
        self.access(|core| core.mmio_read(at, gpa, data))
    }
    fn mmio_write(&mut self, at: At, gpa: Gpa, data: &[u8]) -> Attention {
        self.access(|core| core.mmio_write(at, gpa, data))
    }
    fn msr_read(&mut self, at: At, index: u32) -> Option<u64> {
        lock(self.core).msr_read(at, index)
    }
    fn msr_write(&mut self, at: At, index: u32, value: u64) -> Option<Attention> {
        lock(self.core).msr_write(at, index, value)
    }
    fn acknowledge(&mut self, at: At) -> u8 {
        lock(self.core).acknowledge(at)
    }
    fn lines(&mut self, at: At) -> Lines {
        lock(self.core).lines(at)
    }
    fn tsc(&mut self, at: At) -> u64 {
        lock(self.core).tsc(at)
    }
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }
}

/// Makes all CPUs come back.
struct Stop {
    asked: AtomicBool,
    kickers: Vec<Arc<dyn Kick>>,
    /// CPUs that were found at rest, with nothing of their own that would wake them: bit n for CPU n.
    resting: AtomicU8,
}

impl Stop {
    /// From CPU number `by`: first the reason, then the kicks.
    fn ask(&self, by: usize) {
        if !self.asked.swap(true, Ordering::SeqCst) {
            for (i, k) in self.kickers.iter().enumerate() {
                if i != by {
                    k.kick();
                }
            }
        }
    }

    /// CPU number `n` was found halted or waiting for another: whether now all are, and only events of the board could
    /// wake one.
    fn all_rest(&self, n: usize, vcpu: &mut KvmVcpu) -> Result<bool, EngineError> {
        if vcpu.interrupts_enabled() && vcpu.lapic_state()?.timer_runs() {
            return Ok(false);
        }
        let all = self.kickers.iter().fold(0u8, |all, _| all << 1 | 1);
        let bit = 1u8.checked_shl(n as u32).unwrap_or(0);
        if self.resting.fetch_or(bit, Ordering::SeqCst) | bit != all {
            return Ok(false);
        }
        // One that has gone on since it was found is found again, or not.
        self.resting.store(0, Ordering::SeqCst);
        Ok(true)
    }

    /// Runs CPU number `n` until it has something for the machine, or another has. `event` is what it does where an
    /// event may have come, or moved, or a kick has: `None` is for the machine.
    fn run(
        &self,
        n: usize,
        vcpu: &mut KvmVcpu,
        mut rescuer: Option<&mut Rescuer>,
        bus: &mut Shared<'_, '_>,
        mut until: Deadline,
        mut event: impl FnMut(&mut Shared<'_, '_>, &ExitKind) -> Option<Deadline>,
    ) -> Result<Option<Exit>, EngineError> {
        let mut run_on = || loop {
            if self.asked.load(Ordering::SeqCst) {
                return Ok(None);
            }
            let exit = run(vcpu, rescuer.as_deref_mut(), bus, until)?;
            let ordinary = match exit.kind {
                ExitKind::Deadline | ExitKind::Kicked => true,
                ExitKind::Halt => !self.all_rest(n, vcpu)?,
                _ => false,
            };
            match ordinary.then(|| event(bus, &exit.kind)).flatten() {
                Some(next) => until = next,
                None => return Ok(Some(exit)),
            }
        };
        let left = run_on();
        self.ask(n);
        left
    }
}

/// Runs one CPU, of which our own takes the place where KVM starves it of interrupts: only the first is ever starved.
fn run(
    vcpu: &mut KvmVcpu,
    rescuer: Option<&mut Rescuer>,
    bus: &mut dyn Bus,
    until: Deadline,
) -> Result<Exit, EngineError> {
    let exit = vcpu.run(bus, until)?;
    match rescuer {
        Some(rescuer) if vcpu.take_starved() => rescuer.relieve(vcpu, bus),
        _ => Ok(exit),
    }
}

impl KvmCpus {
    /// These, of which the first is the bootstrap processor.
    pub fn new(vcpus: Vec<KvmVcpu>) -> KvmCpus {
        KvmCpus { vcpus, current: 0, waiting: Vec::new(), rescuer: Rescuer::default() }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.vcpus.len()
    }

    /// The number of the CPU that the last exit was about.
    pub fn current(&self) -> u8 {
        self.current as u8
    }

    /// That CPU.
    #[inline]
    pub fn vcpu(&mut self) -> &mut KvmVcpu {
        // `current` is always the index of a CPU, of which there is at least one.
        &mut self.vcpus[self.current]
    }

    /// The same, to look at.
    #[inline]
    pub fn vcpu_ref(&self) -> &KvmVcpu {
        &self.vcpus[self.current]
    }

    /// Our CPU, for what KVM does not do.
    pub fn rescuer(&mut self) -> &mut Cpu {
        self.rescuer.cpu()
    }

    /// All of them.
    pub fn all(&mut self) -> &mut [KvmVcpu] {
        &mut self.vcpus
    }

    /// All of them, to look at.
    pub fn all_ref(&self) -> &[KvmVcpu] {
        &self.vcpus
    }

    /// Runs all CPUs until one of them has something for the machine.
    pub fn run(
        &mut self,
        core: &mut Core,
        until: Deadline,
        beat: &mut Beat<'_>,
    ) -> Result<Exit, EngineError> {
        if let [only] = self.vcpus.as_mut_slice() {
            return run(only, Some(&mut self.rescuer), core, until);
        }
        if let Some((cpu, exit)) = self.waiting.pop() {
            self.current = cpu;
            return Ok(exit);
        }
        let kickers: Vec<_> = self.vcpus.iter().map(|v| v.kicker()).collect();
        let stop = Stop { asked: AtomicBool::new(false), kickers, resting: AtomicU8::new(0) };
        let memory = core.memory().clone();
        let core = Mutex::new(core);
        let bus = || Shared { core: &core, memory: memory.clone() };
        let mut left = Vec::new();
        std::thread::scope(|scope| {
            let Some((first, others)) = self.vcpus.split_first_mut() else { return };
            let (stop, rescuer) = (&stop, &mut self.rescuer);
            let mut threads = Vec::new();
            for (i, vcpu) in others.iter_mut().enumerate() {
                let mut bus = bus();
                let event = move |_: &mut Shared<'_, '_>, kind: &ExitKind| {
                    if *kind == ExitKind::Deadline {
                        stop.kickers.iter().take(1).for_each(|first| first.kick());
                    }
                    Some(Deadline::Never)
                };
                threads
                    .push(scope.spawn(move || stop.run(i + 1, vcpu, None, &mut bus, Deadline::Never, event)));
            }
            let event = |bus: &mut Shared<'_, '_>, _: &ExitKind| beat.go_on(&mut lock(bus.core));
            left.push(stop.run(0, first, Some(rescuer), &mut bus(), until, event));
            for thread in threads {
                match thread.join() {
                    Ok(exit) => left.push(exit),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        for (cpu, exit) in left.into_iter().enumerate() {
            if let Some(exit) = exit? {
                self.waiting.push((cpu, exit));
            }
        }
        let (cpu, exit) = self.waiting.pop().unwrap_or((0, Exit { kind: ExitKind::Kicked, rip: None }));
        self.current = cpu;
        Ok(exit)
    }

    /// Whether none executes instructions.
    pub fn rest(&mut self) -> Result<bool, EngineError> {
        for v in &mut self.vcpus {
            if v.partial_state(hako_engine_kvm::Parts::CORE)?.activity == Activity::Running {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The state of every CPU at power-on; `first` is that of the bootstrap processor.
    pub fn power_on(&mut self, first: &CpuState) -> Result<(), EngineError> {
        self.waiting.clear();
        self.current = 0;
        for (i, v) in self.vcpus.iter_mut().enumerate() {
            v.set_state(&at_power_on(i, first))?;
        }
        Ok(())
    }

    /// Interrupts the run.
    pub fn kicker(&self) -> Arc<dyn Kick> {
        // The first CPU stops the others.
        self.vcpus[0].kicker()
    }
}
