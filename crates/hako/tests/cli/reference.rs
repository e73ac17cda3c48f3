//! `docs/command-line.md` is what `--help` says.

use std::path::Path;
use std::{env, fs};

use crate::hako::hako;

const HEAD: &str = "\
# The command line

This page is made from `hako --help` and its kin by a test, which fails when it is out of date.
`HAKO_BLESS=1 cargo test -p hako --test cli reference` writes it anew.
";

fn page() -> String {
    let mut page = HEAD.to_string();
    let commands: [(&str, &[&str]); 5] = [
        ("hako", &["--help"]),
        ("hako run", &["run", "--help"]),
        ("hako test", &["test", "--help"]),
        ("hako demo", &["demo", "--help"]),
        ("hako doctor", &["doctor", "--help"]),
    ];
    for (title, args) in commands {
        let help = hako(args).expect(0).text();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        page += &format!("\n## {title}\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    }
    page
}

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/command-line.md");
    let page = page();
    if env::var_os("HAKO_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/command-line.md is stale: HAKO_BLESS=1 cargo test -p hako --test cli");
}
