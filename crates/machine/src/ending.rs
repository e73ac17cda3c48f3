//! The reports that end a run.

use std::time::Duration;

use hako_engine::Refusal;

use crate::builder::Builder;
use crate::config::{ClockKind, Config, EngineChoice, SinkSpec};
use crate::engine::Engine;
use crate::machine::Machine;
use crate::outcome::Ended;
use crate::report::Report;

/// How long a repetition on soft may take, in guest time.
const REPEAT: Duration = Duration::from_secs(30);

impl Machine {
    /// A triple fault.
    pub(crate) fn triple_fault_report(&mut self) -> Report {
        let mut report = Report::new("triple fault");
        let state = self.state();
        let memory = self.core.board.memory().clone();
        if let (Engine::Soft(v), Ok(state)) = (&mut self.engine, &state) {
            report.add_chain(v.cpu().faults(), state, &memory);
        }
        match &state {
            Ok(state) => report.add_state(state, &memory),
            Err(e) => report.section("registers", vec![format!("the engine does not give them: {e}")]),
        }
        self.add_others(&mut report);
        if matches!(self.engine, Engine::Kvm(_)) {
            self.repeat_on_soft(&mut report);
        }
        report
    }

    /// An exit that nobody understands.
    pub(crate) fn unknown_report(&mut self, code: u64, detail: &str) -> Report {
        let mut report =
            Report::new(format!("the engine came back with something unknown: {detail} ({code:#x})"));
        self.add_state_to(&mut report);
        report
    }

    /// An instruction that nobody executes.
    pub(crate) fn refused_report(&mut self, refusal: &Refusal, why: &str) -> Report {
        let bytes = refusal.bytes.get(..usize::from(refusal.len)).unwrap_or(&refusal.bytes);
        let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let mut report = Report::new(format!(
            "an instruction is executed neither by the engine nor by hako's own CPU ({}): {why}",
            hex.join(" ")
        ));
        self.add_state_to(&mut report);
        report
    }

    fn add_state_to(&mut self, report: &mut Report) {
        let memory = self.core.board.memory().clone();
        match self.state() {
            Ok(state) => report.add_state(&state, &memory),
            Err(e) => report.section("registers", vec![format!("the engine does not give them: {e}")]),
        }
        self.add_others(report);
    }

    /// The registers of the CPUs that did not cause the end.
    fn add_others(&mut self, report: &mut Report) {
        if self.engine.cpus() == 1 {
            return;
        }
        let current = usize::from(self.engine.current());
        report.headline.push_str(&format!(" on CPU {current}"));
        let Ok(states) = self.states() else { return };
        for (cpu, state) in states.iter().enumerate().filter(|(cpu, _)| *cpu != current) {
            report.add_registers(cpu, state);
        }
    }

    /// KVM tells neither the exceptions nor the checks: the same run on soft does, if nothing came from outside.
    fn repeat_on_soft(&mut self, report: &mut Report) {
        let mut lines = vec![
            "the registers are KVM's, after the fault; KVM does not tell which exceptions led to it"
                .to_string(),
        ];
        if self.core.took_input {
            lines.push("the run took input from outside, so it cannot be repeated on soft".into());
            report.section("on kvm", lines);
            return;
        }
        let found = match Builder::from_config(repetition(&self.config)).build() {
            Ok(mut machine) => match machine.run().ended {
                Ended::TripleFault(found) => Ok(found),
                other => Err(format!("the same run on soft ended differently: {other}")),
            },
            Err(e) => Err(format!("the run could not be repeated on soft: {e}")),
        };
        match found {
            Ok(found) => {
                lines.push("what follows is from a repetition of the run on soft".into());
                report.section("on kvm", lines);
                report.sections.extend(found.sections);
            }
            Err(why) => {
                lines.push(why);
                report.section("on kvm", lines);
            }
        }
    }
}

/// The same machine on soft, silent, harmless and bounded.
fn repetition(config: &Config) -> Config {
    let keep = |d: &crate::config::DiskSpec| crate::config::DiskSpec { snapshot: true, ..d.clone() };
    Config {
        engine: EngineChoice::Soft,
        clock: Some(ClockKind::Virtual),
        serial: SinkSpec::None,
        coms: config.coms.iter().map(|_| SinkSpec::None).collect(),
        console: config.console.as_ref().map(|_| SinkSpec::None),
        debugcon: SinkSpec::None,
        trace: None,
        stdin: false,
        signals: false,
        timeout: Some(config.timeout.map_or(REPEAT, |t| t.min(REPEAT))),
        disks: config.disks.iter().map(keep).collect(),
        floppy: config.floppy.as_ref().map(keep),
        image_snapshot: true,
        ..config.clone()
    }
}
