//! Results for people.

use std::fmt::Write;

use crate::results::{Results, TestResult, Verdict};

/// One line about a test that is done.
pub fn line(test: &TestResult) -> String {
    let word = match test.verdict {
        Verdict::Passed => "ok  ",
        Verdict::Failed(_) => "FAIL",
        Verdict::Skipped(_) => "skip",
    };
    let mut line = format!("{word} {} [{}]", test.name, test.variant);
    if let Verdict::Skipped(why) = &test.verdict {
        let _ = write!(line, ": {why}");
    }
    line
}

/// What was skipped, every failure in full, and how many passed and failed: the last line.
pub fn human(results: &Results) -> String {
    let mut text = String::new();
    for test in &results.tests {
        match &test.verdict {
            Verdict::Passed => {}
            Verdict::Skipped(_) => {
                let _ = writeln!(text, "{}", line(test));
            }
            Verdict::Failed(failure) => {
                let _ = writeln!(text, "\n{}", line(test));
                for line in failure.to_string().lines() {
                    let _ = writeln!(text, "     {line}");
                }
            }
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    if results.skipped() > 0 {
        let _ = writeln!(text, "{} skipped", results.skipped());
    }
    let _ = writeln!(text, "{} passed, {} failed", results.passed(), results.failed());
    text
}
