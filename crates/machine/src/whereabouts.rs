//! Where a guest is, asked from outside.

use crate::machine::Machine;
use crate::report::Report;

impl Machine {
    /// The registers and the instructions at rip, as reports show them.
    pub fn whereabouts(&mut self) -> Report {
        match self.state() {
            Ok(state) => {
                let mut report = Report::new("");
                report.add_state(&state, self.memory());
                report
            }
            Err(why) => Report::new(format!("the CPU's state cannot be had: {why}")),
        }
    }
}
