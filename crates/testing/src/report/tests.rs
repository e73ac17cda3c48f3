use std::time::Duration;

use super::*;
use crate::failure::Failure;
use crate::results::{Results, TestResult, Verdict};

fn results() -> Results {
    let test = |name: &str, verdict| TestResult {
        name: name.into(),
        variant: "soft, builtin".into(),
        verdict,
        time: Duration::from_millis(2),
    };
    let mut failure = Failure::setup("a <bad> & \"sad\" end\x1b".into());
    failure.screen = Some(crate::Screen::from_text("hello"));
    let tests = vec![
        test("a", Verdict::Passed),
        test("b", Verdict::Failed(Box::new(failure))),
        test("c", Verdict::Skipped("no /dev/kvm".into())),
    ];
    Results { tests, time: Duration::from_secs(1) }
}

#[test]
fn the_last_line_counts_passed_and_failed() {
    let text = human(&results());
    assert_eq!(text.lines().last(), Some("1 passed, 1 failed"));
    assert!(text.contains("FAIL b [soft, builtin]\n") && text.contains("│hello│"), "{text}");
    assert!(text.contains("skip c [soft, builtin]: no /dev/kvm\n"), "{text}");
    assert_eq!(human(&Results::default()), "0 passed, 0 failed\n");
}

#[test]
fn the_status_says_whether_all_passed() {
    let mut results = results();
    assert_eq!(results.status(), 1);
    results.tests.remove(1);
    assert_eq!(results.status(), 0);
    results.tests.remove(0);
    assert_eq!(results.status(), 4, "nothing but skipped tests is no success");
}

#[test]
fn json_can_be_read_back() {
    let value: serde_json::Value = serde_json::from_str(&json(&results())).unwrap();
    assert_eq!((value["passed"].as_u64(), value["failed"].as_u64()), (Some(1), Some(1)));
    assert_eq!(value["tests"][1]["failure"]["screen"][0], "hello");
    assert_eq!(value["tests"][2]["reason"], "no /dev/kvm");
}

#[test]
fn junit_escapes_what_xml_cannot_hold() {
    let xml = junit(&results());
    assert!(xml.contains("tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\""), "{xml}");
    assert!(xml.contains("a &lt;bad&gt; &amp; &quot;sad&quot; end?"), "{xml}");
    assert!(xml.contains("<skipped message=\"no /dev/kvm\"/>"), "{xml}");
}
