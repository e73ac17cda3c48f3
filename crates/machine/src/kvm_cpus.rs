//! The CPUs of a machine on KVM. A single one runs in the machine's own thread. Of several each runs in a thread of its
//! own while the machine runs; they share what is not CPU behind one lock that is held for one access. Whatever is more
//! than an access stops them all: the machine then deals with it as it would with a single CPU, and everything can be
//! looked at.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hako_engine::{At, Attention, Bus, Deadline, EngineError, Exit, ExitKind, Kick, Lines, Vcpu};
use hako_engine_kvm::KvmVcpu;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{Activity, CpuState, Width};

use crate::core::Core;
use crate::cpus::at_power_on;

/// All CPUs, and the one that the last exit was about.
pub(crate) struct KvmCpus {
    vcpus: Vec<KvmVcpu>,
    current: usize,
    /// Exits of further CPUs, to be dealt with before any runs again.
    waiting: Vec<(usize, Exit)>,
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

    /// Runs CPU number `n` until it has something for the machine, or another has. Only the first CPU's deadline and
    /// kicks are the machine's.
    fn run(
        &self,
        n: usize,
        vcpu: &mut KvmVcpu,
        bus: &mut Shared<'_, '_>,
        until: Deadline,
    ) -> Result<Option<Exit>, EngineError> {
        let until = if n == 0 { until } else { Deadline::Never };
        let left = loop {
            if self.asked.load(Ordering::SeqCst) {
                break Ok(None);
            }
            match vcpu.run(bus, until) {
                Ok(exit) if n != 0 && matches!(exit.kind, ExitKind::Kicked | ExitKind::Halt) => {}
                Ok(exit) => break Ok(Some(exit)),
                Err(why) => break Err(why),
            }
        };
        self.ask(n);
        left
    }
}

impl KvmCpus {
    /// These, of which the first is the bootstrap processor.
    pub fn new(vcpus: Vec<KvmVcpu>) -> KvmCpus {
        KvmCpus { vcpus, current: 0, waiting: Vec::new() }
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

    /// All of them.
    pub fn all(&mut self) -> &mut [KvmVcpu] {
        &mut self.vcpus
    }

    /// All of them, to look at.
    pub fn all_ref(&self) -> &[KvmVcpu] {
        &self.vcpus
    }

    /// Runs all CPUs until one of them has something for the machine.
    pub fn run(&mut self, core: &mut Core, until: Deadline) -> Result<Exit, EngineError> {
        if let [only] = self.vcpus.as_mut_slice() {
            return only.run(core, until);
        }
        if let Some((cpu, exit)) = self.waiting.pop() {
            self.current = cpu;
            return Ok(exit);
        }
        let kickers = self.vcpus.iter().map(|v| v.kicker()).collect();
        let stop = Stop { asked: AtomicBool::new(false), kickers };
        let memory = core.memory().clone();
        let core = Mutex::new(core);
        let bus = || Shared { core: &core, memory: memory.clone() };
        let mut left = Vec::new();
        std::thread::scope(|scope| {
            let Some((first, others)) = self.vcpus.split_first_mut() else { return };
            let stop = &stop;
            let mut threads = Vec::new();
            for (i, vcpu) in others.iter_mut().enumerate() {
                let mut bus = bus();
                threads.push(scope.spawn(move || stop.run(i + 1, vcpu, &mut bus, until)));
            }
            left.push(stop.run(0, first, &mut bus(), until));
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
