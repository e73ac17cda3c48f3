//! `hako test`.

use std::fs;

use hako_guests::Guest;
use hako_testing::{Case, Error, Host, Images, Options, Results, collect, report, run as run_all};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::test::{Format, TestArgs};
use crate::out;

/// Finds the tests, runs them, and reports.
pub fn run(args: &TestArgs) -> u8 {
    let images = Images::with_built_in(|name| Guest::named(name).map(|guest| guest.image));
    let engine = args.engine.map(Into::into);
    let cases = match collect(&args.paths, engine, args.filter.as_deref(), &images, &Host::this()) {
        Ok(cases) => cases,
        Err(faults) => {
            for why in &faults {
                eprintln!("hako: {why}");
            }
            return faults.first().map_or(4, Error::status);
        }
    };
    let results = execute(&cases, args);
    let text = match args.format {
        Format::Human => report::human(&results),
        Format::Json => report::json(&results) + "\n",
    };
    if let Some(path) = &args.junit
        && let Err(why) = fs::write(path, report::junit(&results))
    {
        eprintln!("hako: cannot write the report {}: {why}", path.display());
        return out::finish(&text, 4);
    }
    out::finish(&text, results.status())
}

/// Runs them with a progress bar on standard error, which shows only on a terminal.
fn execute(cases: &[Case], args: &TestArgs) -> Results {
    let mut options = Options { repeat: args.repeat as usize, ..Options::default() };
    if let Some(jobs) = args.jobs {
        options.jobs = usize::from(jobs);
    }
    let bar = ProgressBar::new(0);
    // The template is a constant; were it wrong, the plain bar would do.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    let results = run_all(cases, options, |done| {
        bar.set_length(done.total as u64);
        bar.set_position(done.done as u64);
        if matches!(done.result.verdict, hako_testing::Verdict::Failed(_)) {
            bar.suspend(|| eprintln!("{}", report::line(done.result)));
        }
    });
    bar.finish_and_clear();
    results
}
