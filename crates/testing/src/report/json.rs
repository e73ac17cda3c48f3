//! Results as one JSON document.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::results::{Results, TestResult, Verdict};

/// `{"passed", "failed", "skipped", "seconds", "tests": [...]}`.
pub fn json(results: &Results) -> String {
    let document = json!({
        "passed": results.passed(),
        "failed": results.failed(),
        "skipped": results.skipped(),
        "seconds": results.time.as_secs_f64(),
        "tests": results.tests.iter().map(test).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn test(test: &TestResult) -> Value {
    let mut value = json!({
        "name": test.name,
        "variant": test.variant,
        "seconds": test.time.as_secs_f64(),
    });
    match &test.verdict {
        Verdict::Passed => value["verdict"] = "passed".into(),
        Verdict::Skipped(why) => {
            value["verdict"] = "skipped".into();
            value["reason"] = why.as_str().into();
        }
        Verdict::Failed(failure) => {
            value["verdict"] = "failed".into();
            value["failure"] = details(failure);
        }
    }
    value
}

fn details(failure: &Failure) -> Value {
    let mut details = json!({
        "step": failure.step.map(|step| step + 1),
        "wanted": failure.wanted,
        "end": failure.end,
        "serial": "",
        "debugcon": "",
        "screen": failure.screen.as_ref().map(|screen| &screen.rows),
        "cpu": failure.cpu,
        "guest_seconds": failure.time.as_secs_f64(),
    });
    for (channel, said) in &failure.said {
        details[channel.key()] = said.as_str().into();
    }
    details
}
