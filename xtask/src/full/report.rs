//! The results of the long run in docs/conformance.md.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use super::rows::Row;
use super::session::Run;
use crate::{Outcome, tools};

const BEGIN: &str = "<!-- cargo xtask full: begin -->\n";
const END: &str = "<!-- cargo xtask full: end -->\n";

/// Replaces what stands between the two marks.
pub fn write(results: &[(&Row, Run)], tested: Option<Duration>) -> Outcome {
    let path = tools::root().join("docs/conformance.md");
    let at = |why: std::io::Error| format!("{}: {why}", path.display());
    let old = fs::read_to_string(&path).map_err(at)?;
    let marks = old.find(BEGIN).zip(old.find(END)).filter(|(begin, end)| begin < end);
    let (begin, end) = marks.ok_or_else(|| format!("{} has lost its marks {BEGIN}", path.display()))?;
    let new = format!("{}{BEGIN}{}{}", &old[..begin], section(results, tested), &old[end..]);
    fs::write(&path, new).map_err(at)
}

fn section(results: &[(&Row, Run)], tested: Option<Duration>) -> String {
    let mut text =
        format!("At commit {}, {}.", said("git", &["rev-parse", "--short", "HEAD"]), said("date", &["-I"]));
    if let Some(took) = tested {
        let _ = write!(
            text,
            " The tests with their long versions passed, in {} minutes.",
            took.as_secs().div_ceil(60)
        );
    }
    text += "\n\n| guest | engine | result | CPU time | peak resident set |\n|---|---|---|---|---|\n";
    for (row, run) in results {
        let result = run.failure.as_deref().map_or("ok".into(), |why| format!("**failed**: {why}"));
        let (cpu, mib) = (run.cost.cpu.as_secs_f64(), run.cost.peak_kib / 1024);
        let _ = writeln!(text, "| {} | {} | {result} | {cpu:.1} s | {mib} MiB |", row.name, row.engine);
    }
    text
}

/// What a program says, or a question mark.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(tools::root()).output();
    output.map_or("?".into(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}
