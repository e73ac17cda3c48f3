//! The engines behind one value, and the choice between them.

use hako_engine::{Exit, ExitKind, IrqSink, Vcpu};
use hako_engine_kvm::{CpuidModel, KvmVcpu, Vm, VmConfig};
use hako_engine_soft::SoftVcpu;
use hako_mem::{GuestMemory, SlabOffset};

use crate::config::{ClockKind, Config, EngineChoice, MachineKind};
use crate::error::Error;

/// Which engine it is going to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Our own CPU.
    Soft,
    /// /dev/kvm.
    Kvm,
}

impl Choice {
    /// As asked for; `auto` finds out by measuring, and notes why.
    pub fn make(config: &Config, notes: &mut Vec<String>) -> Result<Choice, Error> {
        Ok(match config.engine {
            EngineChoice::Soft => Choice::Soft,
            EngineChoice::Kvm => Choice::Kvm,
            EngineChoice::Auto if config.clock == Some(ClockKind::Virtual) => {
                notes.push("engine soft: the virtual clock counts instructions".into());
                Choice::Soft
            }
            EngineChoice::Auto => {
                let (choice, why) = measure();
                notes.push(why);
                choice
            }
        })
    }
}

/// Asks KVM whether it is there, permitted and fast.
fn measure() -> (Choice, String) {
    match hako_engine_kvm::probe().usable {
        Ok(speed) if speed.is_emulated() => (
            Choice::Soft,
            format!(
                "engine soft: this KVM emulates ring 0 at {:.0} ns an instruction",
                speed.ring0_ns_per_instruction
            ),
        ),
        Ok(speed) => (
            Choice::Kvm,
            format!("engine kvm: hardware, {:.1} ns an instruction", speed.ring0_ns_per_instruction),
        ),
        Err(why) => (Choice::Soft, format!("engine soft: {why}")),
    }
}

/// The engine of a machine.
pub(crate) enum Engine {
    /// Our own CPU.
    Soft(Box<SoftVcpu>),
    /// KVM. The virtual CPU goes before its VM.
    Kvm(Box<KvmVcpu>, Box<Vm>),
}

impl Engine {
    /// Makes it; with KVM's interrupt controllers on a PC, whose wires are returned then.
    pub fn new(
        choice: Choice,
        machine: MachineKind,
        memory: &GuestMemory,
    ) -> Result<(Engine, Option<Box<dyn IrqSink>>), Error> {
        if choice == Choice::Soft {
            return Ok((Engine::Soft(Box::default()), None));
        }
        let pc = machine == MachineKind::Pc;
        let config = VmConfig {
            irqchip: pc,
            pit_reinject: false,
            cpus: 1,
            cpuid: pc.then(CpuidModel::default),
            msr_exits: pc,
        };
        let vm = Vm::new(config, memory)?;
        let vcpu = vm.vcpu(0)?;
        let irqs = pc.then(|| vm.irq_sink());
        Ok((Engine::Kvm(Box::new(vcpu), Box::new(vm)), irqs))
    }

    /// The CPU as every engine shows it.
    #[inline]
    pub fn vcpu(&mut self) -> &mut dyn Vcpu {
        match self {
            Engine::Soft(v) => &mut **v,
            Engine::Kvm(v, _) => &mut **v,
        }
    }

    /// The same, to look at.
    #[inline]
    pub fn vcpu_ref(&self) -> &dyn Vcpu {
        match self {
            Engine::Soft(v) => &**v,
            Engine::Kvm(v, _) => &**v,
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
            Engine::Kvm(..) => "kvm",
        }
    }

    /// Zeroes what the guest may have changed in the first `ram` bytes of the slab.
    pub fn forget(&self, memory: &GuestMemory, ram: u64) {
        if let Engine::Kvm(..) = self {
            // A guest on KVM leaves no marks: everything may have changed.
            memory.slab().fill(SlabOffset(0), ram, 0);
        }
        memory.slab().reset();
    }
}

/// An exit of this kind at an instruction.
pub(crate) fn exit(kind: ExitKind, rip: u64) -> Exit {
    Exit { kind, rip: Some(rip) }
}
