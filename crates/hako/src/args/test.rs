//! Options of `hako test`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::run::Engine;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Human,
    /// One JSON document
    Json,
}

const EXAMPLES: &str = "\
A test is a file NAME.hako.toml beside its image:
  image = \"mbr.bin\"
  [[step]]
  expect.screen = \"Hello\"

Exit status: 0 all passed, 1 some failed, 2 wrong usage, 4 no test found or a file unreadable.

Examples:
  hako test
  hako test tests/ --engine soft --filter boot
  hako test tests/ --junit results.xml";

/// Run the tests in *.hako.toml files.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    /// Test files, or folders to search for *.hako.toml [default: the current folder]
    pub paths: Vec<PathBuf>,

    /// Run on this engine alone [default: those each test names, else soft]
    #[arg(long, value_enum)]
    pub engine: Option<Engine>,

    /// Only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,

    /// Tests at once [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,

    /// Run each test so often
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,

    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}
