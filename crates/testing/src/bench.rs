//! Where tests are set up: one bench per worker, which may keep buffers, but no state, from one test to the next.

use std::sync::Arc;

use hako_machine::Config;

use crate::subject::Subject;

/// Makes subjects.
pub trait Bench {
    /// A machine as `config` describes it, at power-on, whatever ran on this bench before.
    fn prepare(&mut self, config: &Arc<Config>) -> Result<&mut dyn Subject, String>;
}
