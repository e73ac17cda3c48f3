//! An instruction that the engine refuses is executed by our own CPU on the exchanged state, and the engine goes on.

use hako_cpu::{Cpu, Stop, StopKind, Why};
use hako_engine::{EngineError, ExitKind, Refusal, Time};
use hako_engine_kvm::Parts;
use hako_x86::{CpuState, RFlags};
use iced_x86::{Decoder, DecoderOptions, Mnemonic};

use crate::core::Core;
use crate::engine::{Engine, exit};
use crate::machine::Machine;
use crate::outcome::Ended;
use crate::report;

/// What our CPU made of the instruction.
struct Executed {
    stop: Stop,
    after: CpuState,
    /// It is one of those that our CPU has not got.
    unknown: bool,
}

/// Executes one instruction. The CPU is as new each time: the engine's guest writes memory without leaving marks, so
/// nothing that was decoded before can be trusted.
fn execute(cpu: &mut Cpu, core: &mut Core, before: &CpuState) -> Result<Executed, EngineError> {
    cpu.reset();
    cpu.set_state(before)?;
    let raised = cpu.faults().total();
    let stop = cpu.step(core);
    let unknown = cpu.faults().total() != raised
        && cpu.faults().last().is_some_and(|f| f.why == Some(Why::NotYetImplemented));
    let mut after = cpu.state();
    // What our CPU does not own stays as the engine had it.
    for &(index, value) in &before.msrs {
        if after.msr(index).is_none() {
            after.msrs.push((index, value));
        }
    }
    (after.cr8, after.tsc) = (before.cr8, before.tsc);
    Ok(Executed { stop, after, unknown })
}

/// The parts of the state that an instruction needs besides the core: most need none.
fn parts(refusal: &Refusal, before: &CpuState) -> Parts {
    let bytes = refusal.bytes.get(..usize::from(refusal.len)).unwrap_or(&refusal.bytes);
    let instruction = Decoder::new(report::bits(before), bytes, DecoderOptions::NONE).decode();
    let debug_registers = instruction
        .op_kinds()
        .zip(0..)
        .any(|(kind, i)| kind == iced_x86::OpKind::Register && instruction.op_register(i).is_dr());
    let mut parts = Parts::CORE;
    if before.rflags.contains(RFlags::TF) || debug_registers || instruction.is_invalid() {
        parts = parts.and(Parts::DEBUG);
    }
    let msrs = matches!(
        instruction.mnemonic(),
        Mnemonic::Rdmsr
            | Mnemonic::Wrmsr
            | Mnemonic::Rdtsc
            | Mnemonic::Rdtscp
            | Mnemonic::Swapgs
            | Mnemonic::Syscall
            | Mnemonic::Sysret
            | Mnemonic::Sysretq
            | Mnemonic::Sysenter
            | Mnemonic::Sysexit
            | Mnemonic::Sysexitq
            | Mnemonic::INVALID
    );
    if msrs { parts.and(Parts::MSRS) } else { parts }
}

impl Machine {
    /// Executes the refused instruction at rip. What our CPU cannot execute either ends the run.
    pub(crate) fn rescue(&mut self, refusal: Refusal) -> Result<(), Ended> {
        let failed = |e: EngineError| Ended::Failed(e.to_string());
        let Engine::Kvm(kvm) = &mut self.engine else {
            return Err(self.refused(&refusal, "the engine is our CPU"));
        };
        let core = kvm.vcpu.partial_state(Parts::CORE).map_err(failed)?;
        let parts = parts(&refusal, &core);
        let before =
            if parts == Parts::CORE { core } else { kvm.vcpu.partial_state(parts).map_err(failed)? };
        let cpu = self.rescuer.get_or_insert_with(|| Box::new(Cpu::new(hako_cpu::Config::default())));
        let done = match execute(cpu, &mut self.core, &before) {
            Ok(done) if !done.unknown => done,
            Ok(_) => return Err(self.refused(&refusal, "our CPU has no x87, MMX or SSE yet")),
            Err(why) => return Err(self.refused(&refusal, &why.to_string())),
        };
        self.rescued += 1;
        if let Some(t) = self.core.trace.as_mut().filter(|t| t.what.exits) {
            let now = self.core.clock.now(0);
            t.line(now, format_args!("exit rescued rip {:#x} -> {:#x}", before.rip, done.after.rip));
        }
        kvm.vcpu.set_partial_state(&done.after, parts).map_err(failed)?;
        let rip = done.stop.rip;
        match done.stop.kind {
            StopKind::Halt => self.handle(exit(ExitKind::Halt, rip), Time::NEVER),
            StopKind::TripleFault => self.handle(exit(ExitKind::TripleFault, rip), Time::NEVER),
            StopKind::Wish => self.grant_all(),
            StopKind::Deadline | StopKind::Debug(_) => Ok(()),
        }
    }

    fn refused(&mut self, refusal: &Refusal, why: &str) -> Ended {
        Ended::Refused(Box::new(self.refused_report(refusal, why)))
    }
}
