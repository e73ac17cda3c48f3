//! An instruction that the engine refuses is executed by our own CPU on the exchanged state, and the engine goes on.

use hako_cpu::{Cpu, StopKind};
use hako_engine::{ExitKind, Refusal};

use crate::engine::exit;
use crate::machine::Machine;
use crate::outcome::Ended;

impl Machine {
    /// Executes the refused instruction at rip. What our CPU cannot execute either ends the run.
    pub(crate) fn rescue(&mut self, refusal: Refusal) -> Result<(), Ended> {
        let failed = |e: hako_engine::EngineError| Ended::Failed(e.to_string());
        let before = self.state().map_err(failed)?;
        let cpu = self.rescuer.get_or_insert_with(|| Box::new(Cpu::new(hako_cpu::Config::default())));
        if let Err(why) = cpu.set_state(&before) {
            return Err(Ended::Refused(Box::new(self.refused_report(&refusal, &why.to_string()))));
        }
        let stop = cpu.step(&mut self.core);
        let mut after = cpu.state();
        // What our CPU does not own stays as the engine had it.
        for &(index, value) in &before.msrs {
            if after.msr(index).is_none() {
                after.msrs.push((index, value));
            }
        }
        if after.xsave.is_empty() {
            after.xsave.clone_from(&before.xsave);
        }
        (after.xcr0, after.cr8, after.tsc) = (before.xcr0, before.cr8, before.tsc);
        self.rescued += 1;
        if let Some(t) = self.core.trace.as_mut().filter(|t| t.what.exits) {
            let now = self.core.clock.now(0);
            t.line(now, format_args!("exit rescued rip {:#x} -> {:#x}", before.rip, after.rip));
        }
        self.engine.vcpu().set_state(&after).map_err(failed)?;
        match stop.kind {
            StopKind::Halt => self.handle(exit(ExitKind::Halt, stop.rip), hako_engine::Time::NEVER),
            StopKind::TripleFault => {
                self.handle(exit(ExitKind::TripleFault, stop.rip), hako_engine::Time::NEVER)
            }
            StopKind::Deadline | StopKind::Wish | StopKind::Debug(_) => Ok(()),
        }
    }
}
