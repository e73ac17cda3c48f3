//! The engines behind one value, and the choice between them.

use std::sync::Arc;

use hako_engine::{Deadline, Debug, EngineError, Exit, ExitKind, IrqSink, Kick, Vcpu};
use hako_engine_kvm::{CpuidModel, IrqchipState, KvmVcpu, LapicState, Outside, Vm, VmConfig};
use hako_mem::GuestMemory;
use hako_x86::{Activity, CpuState, RFlags};

use crate::beat::Beat;
use crate::config::{ClockKind, Config, EngineChoice, MachineKind};
use crate::core::Core;
use crate::cpus::SoftCpus;
use crate::error::Error;
use crate::kvm_cpus::KvmCpus;
use crate::zero::zero;

/// KVM: the virtual CPUs go before their VM.
pub(crate) struct Kvm {
    /// The virtual CPUs.
    pub cpus: KvmCpus,
    /// Its VM.
    pub vm: Vm,
    /// What the interrupt controllers hold at power-on, if they are in the kernel.
    irqchip: Option<(IrqchipState, Vec<LapicState>)>,
}

/// The engine of a machine.
pub(crate) enum Engine {
    /// Our own CPUs.
    Soft(Box<SoftCpus>),
    /// KVM.
    Kvm(Box<Kvm>),
}

/// An engine, with the wires into its interrupt controllers if it has them.
type Made = (Engine, Option<Box<dyn IrqSink>>);

/// Makes the engine asked for. `auto` makes the VM that would be used and measures in it; why it chose what it chose
/// becomes a note.
pub(crate) fn make(config: &Config, memory: &GuestMemory, notes: &mut Vec<String>) -> Result<Made, Error> {
    let soft = || (Engine::Soft(Box::new(SoftCpus::new(config.cpus, config.cpu))), None);
    match config.engine {
        EngineChoice::Soft => Ok(soft()),
        EngineChoice::Kvm => Ok(kvm(config, memory)?),
        EngineChoice::Auto if config.trace.as_ref().is_some_and(|trace| trace.what.int) => {
            notes.push("engine soft: it shows the interrupts that are to be traced".into());
            Ok(soft())
        }
        EngineChoice::Auto if config.clock == Some(ClockKind::Virtual) => {
            notes.push("engine soft: the virtual clock counts instructions".into());
            Ok(soft())
        }
        EngineChoice::Auto => {
            let (made, why) = match kvm(config, memory).and_then(|made| measure(made, memory)) {
                Ok((made, why)) => (made, why),
                Err(why) => (None, why.to_string()),
            };
            let made = made.unwrap_or_else(soft);
            notes.push(format!("engine {}: {why}", made.0.name()));
            Ok(made)
        }
    }
}

/// KVM with its interrupt controllers on a PC.
fn kvm(config: &Config, memory: &GuestMemory) -> Result<Made, EngineError> {
    let pc = config.machine == MachineKind::Pc;
    let cpus = if pc { config.cpus.max(1) } else { 1 };
    let config = VmConfig {
        irqchip: pc,
        pit_reinject: false,
        cpus,
        cpuid: pc.then(|| CpuidModel::of(&config.cpu)),
        msr_exits: pc,
    };
    let vm = Vm::new(config, memory)?;
    let vcpus = (0..cpus).map(|i| vm.vcpu(i)).collect::<Result<Vec<_>, _>>()?;
    let irqchip = if pc {
        let lapics = vcpus.iter().map(KvmVcpu::lapic_state).collect::<Result<Vec<_>, _>>()?;
        Some((vm.irqchip_state()?, lapics))
    } else {
        None
    };
    let cpus = KvmCpus::new(vcpus);
    let irqs = pc.then(|| vm.irq_sink());
    Ok((Engine::Kvm(Box::new(Kvm { cpus, vm, irqchip })), irqs))
}

/// Keeps KVM if it is fast; the reason in either case.
fn measure(mut made: Made, memory: &GuestMemory) -> Result<(Option<Made>, String), EngineError> {
    let Engine::Kvm(kvm) = &mut made.0 else { return Ok((Some(made), String::new())) };
    let speed = kvm.cpus.vcpu().measure(memory)?;
    let ns = speed.ring0_ns_per_instruction;
    Ok(if speed.is_emulated() {
        (None, format!("this KVM emulates the kernel's instructions, {ns:.0} ns each"))
    } else {
        (Some(made), format!("/dev/kvm is fast, {ns:.1} ns an instruction"))
    })
}

impl Engine {
    /// The CPU as every engine shows it: the one that ran last, where there are several.
    #[inline]
    pub fn vcpu(&mut self) -> &mut dyn Vcpu {
        match self {
            Engine::Soft(v) => v.vcpu(),
            Engine::Kvm(k) => k.cpus.vcpu(),
        }
    }

    /// The same, to look at.
    #[inline]
    pub fn vcpu_ref(&self) -> &dyn Vcpu {
        match self {
            Engine::Soft(v) => v.vcpu_ref(),
            Engine::Kvm(k) => k.cpus.vcpu_ref(),
        }
    }

    /// Whether it counts instructions.
    pub fn counts(&self) -> bool {
        matches!(self, Engine::Soft(_))
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Engine::Soft(_) => "soft",
            Engine::Kvm(_) => "kvm",
        }
    }

    /// As new, for the next guest.
    pub fn reset(&mut self) -> Result<(), EngineError> {
        if let Engine::Soft(v) = self {
            v.reset();
        }
        Ok(())
    }

    /// The CPU's state at power-on, and that of interrupt controllers in the engine.
    pub fn power_on(&mut self, state: &CpuState) -> Result<(), EngineError> {
        if let Engine::Kvm(k) = self
            && let Some((irqchip, lapic)) = &k.irqchip
        {
            k.vm.set_irqchip_state(irqchip)?;
            for (vcpu, lapic) in k.cpus.all().iter_mut().zip(lapic) {
                vcpu.set_lapic_state(lapic)?;
            }
        }
        self.set_first_state(state)
    }

    /// The CPUs' states at power-on; `state` is that of the bootstrap processor.
    pub fn set_first_state(&mut self, state: &CpuState) -> Result<(), EngineError> {
        match self {
            Engine::Soft(v) => v.power_on(state),
            Engine::Kvm(k) => k.cpus.power_on(state),
        }
    }

    /// Runs until something needs attention; [`Engine::current`] tells which CPU the exit is about. `beat` is for engines
    /// whose CPUs need not stop for every event.
    #[inline]
    pub fn run(
        &mut self,
        core: &mut Core,
        until: Deadline,
        beat: &mut Beat<'_>,
    ) -> Result<Exit, EngineError> {
        match self {
            Engine::Soft(v) => v.vcpu().run(core, until),
            Engine::Kvm(k) => k.cpus.run(core, until, beat),
        }
    }

    /// Events in place of exits, for devices that are served by threads.
    pub fn outside(&self) -> Option<Outside> {
        match self {
            Engine::Soft(_) => None,
            Engine::Kvm(k) => k.vm.outside(),
        }
    }

    /// How many CPUs there are.
    pub fn cpus(&self) -> usize {
        match self {
            Engine::Soft(v) => v.len(),
            Engine::Kvm(k) => k.cpus.len(),
        }
    }

    /// The number of the CPU that ran last.
    pub fn current(&self) -> u8 {
        match self {
            Engine::Soft(v) => v.current(),
            Engine::Kvm(k) => k.cpus.current(),
        }
    }

    /// Instructions of all CPUs together, where the engine counts them.
    pub fn count_of_all(&self) -> Option<u64> {
        match self {
            Engine::Soft(v) => Some(v.count_of_all()),
            Engine::Kvm(_) => None,
        }
    }

    /// The states of all CPUs, by number.
    pub fn states(&mut self, core: &mut Core) -> Result<Vec<CpuState>, EngineError> {
        match self {
            Engine::Soft(v) => Ok(v.states()),
            Engine::Kvm(k) => k.cpus.all().iter_mut().map(|v| v.state(core)).collect(),
        }
    }

    /// Whether an interrupt would wake a CPU that is halted.
    pub fn await_interrupt(&mut self, core: &mut Core) -> Result<bool, EngineError> {
        if let Engine::Soft(v) = self {
            return Ok(v.await_interrupt());
        }
        let waits = |s: &CpuState| s.activity == Activity::Halted && s.rflags.contains(RFlags::IF);
        Ok(self.states(core)?.iter().any(waits))
    }

    /// Host debugging of all CPUs.
    pub fn set_debug(&mut self, debug: &Debug) -> Result<(), EngineError> {
        match self {
            Engine::Soft(v) => v.set_debug(debug),
            Engine::Kvm(k) => k.cpus.all().iter_mut().try_for_each(|v| v.set_debug(debug)),
        }
    }

    /// Interrupts whichever CPUs run.
    pub fn kicker(&self) -> Arc<dyn Kick> {
        match self {
            Engine::Soft(v) => v.kicker(),
            Engine::Kvm(k) => k.cpus.kicker(),
        }
    }

    /// Zeroes what the guest may have changed in the first `ram` bytes of the slab.
    pub fn forget(&self, memory: &GuestMemory, ram: u64) {
        if let Engine::Kvm(_) = self {
            // A guest on KVM leaves no marks: everything may have changed.
            zero(memory.slab(), ram);
        }
        memory.slab().reset();
    }

    /// Whether time alone can still wake a halted CPU through the engine's own timers.
    pub fn timer_can_wake(&self) -> Result<bool, EngineError> {
        match self {
            Engine::Kvm(k) if k.irqchip.is_some() => {
                if k.vm.irqchip_state()?.timer_is_heard() {
                    return Ok(true);
                }
                for vcpu in k.cpus.all_ref() {
                    if vcpu.lapic_state()?.timer_runs() {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }
}

/// An exit of this kind at an instruction.
pub(crate) fn exit(kind: ExitKind, rip: u64) -> Exit {
    Exit { kind, rip: Some(rip) }
}
