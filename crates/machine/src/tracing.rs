//! What the trace shows of the CPU: each instruction before it is executed, and exceptions after they were taken.

use hako_x86::Activity;

use crate::engine::Engine;
use crate::machine::Machine;
use crate::outcome::Ended;
use crate::report;

impl Machine {
    /// Shows the next instruction, if instructions are traced (the engine then comes back after each one).
    pub(crate) fn trace_instruction(&mut self) -> Result<(), Ended> {
        if !self.core.trace.as_ref().is_some_and(|t| t.what.instr) {
            return Ok(());
        }
        // The engine may come back without having executed it.
        let count = self.engine.vcpu_ref().count().map(|n| (self.engine.current(), n));
        if count.is_some() && std::mem::replace(&mut self.shown_count, count) == count {
            return Ok(());
        }
        let state = self.state().map_err(|e| Ended::Failed(e.to_string()))?;
        if state.activity != Activity::Running {
            return Ok(());
        }
        let now = self.time();
        let text = report::instruction(&state, self.core.board.memory());
        let cs = state.segment(hako_x86::SegReg::Cs).selector;
        if let Some(t) = &mut self.core.trace {
            t.line(now, format_args!("instr {cs:04x}:{:08x} {text}", state.rip));
        }
        Ok(())
    }

    /// Shows the exceptions since the last look, if interrupts are traced. Only our own CPU keeps them.
    pub(crate) fn trace_exceptions(&mut self) {
        let Some(t) = self.core.trace.as_mut().filter(|t| t.what.int) else { return };
        let current = usize::from(self.engine.current());
        let Engine::Soft(v) = &mut self.engine else { return };
        let log = v.cpu().faults();
        let total = log.total();
        if self.faults_seen.len() <= current {
            self.faults_seen.resize(current + 1, 0);
        }
        let Some(seen) = self.faults_seen.get_mut(current) else { return };
        let new = total.wrapping_sub(std::mem::replace(seen, total));
        let kept: Vec<_> = log.iter().collect();
        let skip = kept.len().saturating_sub(usize::try_from(new).unwrap_or(usize::MAX));
        for f in kept.into_iter().skip(skip) {
            let time = self.core.clock.now(f.count);
            t.line(time, format_args!("int  {}", report::exception(f)));
        }
    }
}
