//! Runs cases on all cores.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::bench::Bench;
use crate::case::Case;
use crate::failure::Failure;
use crate::machine::MachineBench;
use crate::results::{Results, TestResult, Verdict};
use crate::steps;

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Tests at once; at least 1.
    pub jobs: usize,
    /// Each test so often.
    pub repeat: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { jobs: std::thread::available_parallelism().map_or(1, |n| n.get()), repeat: 1 }
    }
}

/// What the callback gets after each test.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
    /// Tests done.
    pub done: usize,
    /// Tests in all.
    pub total: usize,
    /// The one that is done now.
    pub result: &'a TestResult,
}

/// Runs the cases on machines; see [`run_on`].
pub fn run(cases: &[Case], options: Options, tell: impl Fn(Done<'_>) + Sync) -> Results {
    run_on(cases, options, MachineBench::default, tell)
}

/// Runs the cases, each on a bench of its worker. `tell` is called after each, from the worker's thread. The results are
/// in the order of the cases, whatever the order in which they ran.
pub fn run_on<B: Bench>(
    cases: &[Case],
    options: Options,
    bench: impl Fn() -> B + Sync,
    tell: impl Fn(Done<'_>) + Sync,
) -> Results {
    let started = Instant::now();
    let total = cases.len() * options.repeat.max(1);
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, TestResult)>> = Mutex::new(Vec::with_capacity(total));
    let worker = || {
        let mut bench = bench();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= total {
                return;
            }
            let result = one(&cases[number % cases.len()], &mut bench);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            tell(Done { done: done.len() + 1, total, result: &result });
            done.push((number, result));
        }
    };
    let jobs = options.jobs.clamp(1, total.max(1));
    if jobs == 1 {
        worker();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(worker);
            }
        });
    }
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    Results { tests: done.into_iter().map(|(_, result)| result).collect(), time: started.elapsed() }
}

/// Runs one case.
fn one(case: &Case, bench: &mut impl Bench) -> TestResult {
    let started = Instant::now();
    let verdict = match &case.skip {
        Some(why) => Verdict::Skipped(why.clone()),
        // A bug of hako's own in one test must not take the others' verdicts away.
        None => catch_unwind(AssertUnwindSafe(|| attempt(case, bench))).unwrap_or_else(|_| {
            Verdict::Failed(Box::new(Failure::setup("a bug of hako's own; see standard error".into())))
        }),
    };
    TestResult { name: case.test.clone(), variant: case.variant.clone(), verdict, time: started.elapsed() }
}

fn attempt(case: &Case, bench: &mut impl Bench) -> Verdict {
    let subject = match bench.prepare(&case.config) {
        Ok(subject) => subject,
        Err(why) => return Verdict::Failed(Box::new(Failure::setup(why))),
    };
    match steps::run(&case.spec, subject) {
        Ok(()) => Verdict::Passed,
        Err(failure) => Verdict::Failed(failure),
    }
}
