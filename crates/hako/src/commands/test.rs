//! `hako test`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hako_guests::Guest;
use hako_testing::{
    Case, Error, Host, Images, Options, Results, Spec, cases, discover, report, run as run_all,
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::test::{Format, TestArgs};

/// Finds the tests, runs them, and reports.
pub fn run(args: &TestArgs) -> u8 {
    let cases = match find(args) {
        Ok(cases) => cases,
        Err(why) => {
            eprintln!("hako: {why}");
            return why.status();
        }
    };
    if cases.is_empty() {
        eprintln!("hako: no test fits --filter and --engine");
        return 4;
    }
    let results = execute(&cases, args);
    match args.format {
        Format::Human => print!("{}", report::human(&results)),
        Format::Json => println!("{}", report::json(&results)),
    }
    if let Some(path) = &args.junit
        && let Err(why) = fs::write(path, report::junit(&results))
    {
        eprintln!("hako: cannot write the report {}: {why}", path.display());
        return 4;
    }
    results.status()
}

/// Every test named, on every engine and firmware that it wants.
fn find(args: &TestArgs) -> Result<Vec<Case>, Error> {
    let images = Images::with_built_in(|name| Guest::named(name).map(|guest| guest.image));
    let host = Host::this();
    let mut all = Vec::new();
    for file in discover::files(&args.paths)? {
        let name = discover::name(&file);
        if args.filter.as_ref().is_some_and(|text| !name.contains(text)) {
            continue;
        }
        let spec = Arc::new(Spec::load(&file)?);
        let folder = file.parent().unwrap_or(Path::new("."));
        all.extend(cases(&name, &spec, folder, args.engine.map(Into::into), &images, &host)?);
    }
    Ok(all)
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
