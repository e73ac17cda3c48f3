//! The verdicts of a run.

use std::time::Duration;

use crate::failure::Failure;

/// What came of a test.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Everything was as expected.
    Passed,
    /// Something was not.
    Failed(Box<Failure>),
    /// It was not run here: why.
    Skipped(String),
}

/// A test on one engine and firmware, and what came of it.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// The test.
    pub name: String,
    /// Engine and firmware.
    pub variant: String,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took the host.
    pub time: Duration,
}

/// All tests of a run.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// One for each case, in their order.
    pub tests: Vec<TestResult>,
    /// How long they took the host together.
    pub time: Duration,
}

impl Results {
    /// How many passed.
    pub fn passed(&self) -> usize {
        self.tests.iter().filter(|test| matches!(test.verdict, Verdict::Passed)).count()
    }

    /// How many failed.
    pub fn failed(&self) -> usize {
        self.failures().count()
    }

    /// How many were not run here.
    pub fn skipped(&self) -> usize {
        self.tests.len() - self.passed() - self.failed()
    }

    /// Those that failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&TestResult, &Failure)> {
        self.tests.iter().filter_map(|test| match &test.verdict {
            Verdict::Failed(failure) => Some((test, &**failure)),
            _ => None,
        })
    }

    /// The process exit status: 0 all passed, 1 some failed, 4 none was run.
    pub fn status(&self) -> u8 {
        match (self.passed(), self.failed()) {
            (0, 0) => 4,
            (_, 0) => 0,
            _ => 1,
        }
    }
}
