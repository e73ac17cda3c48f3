//! Results as JUnit XML, as CI systems read it.

use std::fmt::Write;

use crate::results::{Results, TestResult, Verdict};

/// One test suite `hako` with a test case for each result; the variant is the class name.
pub fn junit(results: &Results) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3}\"",
        results.tests.len(),
        results.failed(),
        results.skipped(),
        results.time.as_secs_f64()
    );
    let _ = writeln!(xml, "<testsuites {counts}>\n  <testsuite name=\"hako\" {counts}>");
    for test in &results.tests {
        case(&mut xml, test);
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn case(xml: &mut String, test: &TestResult) {
    let _ = write!(
        xml,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.6}\"",
        escaped(&test.variant),
        escaped(&test.name),
        test.time.as_secs_f64()
    );
    let _ = match &test.verdict {
        Verdict::Passed => writeln!(xml, "/>"),
        Verdict::Skipped(why) => writeln!(xml, "><skipped message=\"{}\"/></testcase>", escaped(why)),
        Verdict::Failed(failure) => writeln!(
            xml,
            "><failure message=\"{}\">{}</failure></testcase>",
            escaped(&failure.wanted),
            escaped(&failure.to_string())
        ),
    };
}

/// For attributes and text; characters that XML 1.0 cannot hold become question marks.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}
