//! `cargo xtask full`: the long run. The tests with everything on, the stock guests on each engine, the benchmarks. What
//! came of the guests is written into docs/conformance.md.

mod report;
mod rows;
mod session;

use std::fs;
use std::time::Instant;

use clap::Args;

use crate::{Outcome, guests, test, tools};
use rows::{ROWS, Row};
use session::Run;

/// Options of `full`.
#[derive(Args)]
pub struct Options {
    /// Only the guests, without the tests before them and the benchmarks after them
    #[arg(long)]
    guests_only: bool,
    /// Only guests whose name contains this; leaves docs/conformance.md as it is
    #[arg(long, default_value = "")]
    filter: String,
}

/// Runs `full`.
pub fn run(options: &Options) -> Outcome {
    let start = Instant::now();
    if !options.guests_only {
        test::run(&test::Options::full())?;
    }
    let tested = (!options.guests_only).then(|| start.elapsed());
    guests::run(&guests::Options::everything())?;
    let cache = guests::cache::Cache::open()?;
    let hako = tools::hako()?;
    let logs = tools::target().join("full");
    fs::create_dir_all(&logs).map_err(|why| format!("{}: {why}", logs.display()))?;
    let mut results: Vec<(&Row, Run)> = Vec::new();
    for row in ROWS.iter().filter(|row| row.name.contains(&options.filter)) {
        let run = session::run(row, &hako, &cache, &logs)?;
        println!("{:52} {:5} {}", row.name, row.engine, run.verdict());
        results.push((row, run));
    }
    if options.filter.is_empty() {
        report::write(&results, tested)?;
    }
    let failed: Vec<_> = results.iter().filter(|(_, run)| run.failure.is_some()).collect();
    if !failed.is_empty() {
        return Err(format!(
            "{} of {} guests failed; what they and hako said is in {}",
            failed.len(),
            results.len(),
            logs.display()
        ));
    }
    if options.guests_only {
        return Ok(());
    }
    tools::cargo(&["xtask", "bench"])
}
