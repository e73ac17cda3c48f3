//! `cargo xtask full`: the long run.

use crate::{Outcome, test, tools};

/// Tests with everything on, then the benchmarks.
pub fn run() -> Outcome {
    test::run(&test::Options::full())?;
    tools::cargo(&["xtask", "bench"])
}
