//! The soft engine: the software CPU behind the [`Vcpu`] trait.
//!
//! Thin on purpose: [`hako_cpu::Cpu`] does the work. What is added is the kick from other threads, which the CPU knows
//! nothing of: it runs in slices, and the flag is looked at between them.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use hako_cpu::{Config, Cpu, StopKind};
use hako_engine::{Bus, Deadline, Debug, EngineError, Exit, ExitKind, Kick, Vcpu};
use hako_x86::CpuState;

/// Instructions between two looks at the kick flag: well below a millisecond.
const SLICE: u64 = 50_000;

/// The flag that asks a CPU to come back.
#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Kick for Flag {
    fn kick(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// One virtual CPU in software.
pub struct SoftVcpu {
    cpu: Cpu,
    kick: Arc<Flag>,
}

impl Default for SoftVcpu {
    fn default() -> SoftVcpu {
        SoftVcpu::new(Config::default())
    }
}

impl SoftVcpu {
    /// A CPU in its reset state.
    pub fn new(config: Config) -> SoftVcpu {
        SoftVcpu { cpu: Cpu::new(config), kick: Arc::default() }
    }

    /// The reset state again, exactly as from [`SoftVcpu::new`], without giving buffers back.
    pub fn reset(&mut self) {
        self.cpu.reset();
        self.kick.0.store(false, Ordering::Release);
    }

    /// The CPU itself: its fault log and counters, single steps.
    pub fn cpu(&mut self) -> &mut Cpu {
        &mut self.cpu
    }
}

impl Vcpu for SoftVcpu {
    /// Comes back early for a kick. `Deadline::After` is no deadline for a CPU without a clock: it counts as `Never`.
    fn run(&mut self, bus: &mut dyn Bus, until: Deadline) -> Result<Exit, EngineError> {
        let until = match until {
            Deadline::Count(n) => n,
            Deadline::Never | Deadline::After(_) => u64::MAX,
        };
        loop {
            if self.kick.0.swap(false, Ordering::AcqRel) {
                return Ok(Exit { kind: ExitKind::Kicked, rip: None });
            }
            let slice = self.cpu.count().saturating_add(SLICE).min(until);
            let stop = self.cpu.run(bus, slice);
            if stop.kind != StopKind::Deadline || self.cpu.count() >= until || self.cpu.count() < slice {
                return Ok(stop.into());
            }
        }
    }

    fn state(&mut self, bus: &mut dyn Bus) -> Result<CpuState, EngineError> {
        Ok(self.cpu.state_on(bus))
    }

    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError> {
        Ok(self.cpu.set_state(state)?)
    }

    fn nmi(&mut self) -> Result<(), EngineError> {
        self.cpu.nmi();
        Ok(())
    }

    fn set_debug(&mut self, debug: &Debug) -> Result<(), EngineError> {
        self.cpu.set_debug(debug);
        Ok(())
    }

    fn kicker(&self) -> Arc<dyn Kick> {
        self.kick.clone()
    }

    fn count(&self) -> Option<u64> {
        Some(self.cpu.count())
    }
}
