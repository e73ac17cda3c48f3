//! `hako test`.

use std::fs;

use hako_guests::Guest;
use hako_testing::{Case, Error, Host, Images, Options, Results, Verdict, collect, report, run as run_all};

use crate::args::test::{Format, TestArgs};
use crate::out;
use crate::progress::Progress;

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
    let progress = Progress::new();
    let results = run_all(cases, options, |done| {
        let failed = matches!(done.result.verdict, Verdict::Failed(_));
        let said = failed.then(|| report::line(done.result));
        progress.tell(done.done, done.total, said.as_deref());
    });
    progress.finish();
    results
}
