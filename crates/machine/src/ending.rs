//! The reports that end a run.

use hako_engine::Refusal;

use crate::machine::Machine;
use crate::report::Report;

impl Machine {
    /// A triple fault.
    pub(crate) fn triple_fault_report(&mut self) -> Report {
        Report::new("triple fault")
    }

    /// An exit that nobody understands.
    pub(crate) fn unknown_report(&mut self, code: u64, detail: &str) -> Report {
        Report::new(format!("the engine came back with something unknown: {detail} ({code:#x})"))
    }

    /// An instruction that nobody executes.
    pub(crate) fn refused_report(&mut self, refusal: &Refusal, why: &str) -> Report {
        let bytes = refusal.bytes.get(..usize::from(refusal.len)).unwrap_or(&refusal.bytes);
        Report::new(format!(
            "an instruction was refused by the engine and by hako's CPU: {bytes:02x?}: {why}"
        ))
    }
}
