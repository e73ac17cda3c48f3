//! The hako command line: boots, tests and debugs guests. Everything but arguments and printing is in libraries.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod out;
mod png;
mod progress;

use std::panic;
use std::process::ExitCode;

use clap::Parser;

/// The exit status for an engine error or a bug of hako's own.
const BUG: u8 = 8;

fn main() -> ExitCode {
    let args = args::Args::parse();
    // Whatever happens, a user sees one line about it and the documented status.
    panic::set_hook(Box::new(|info| eprintln!("hako: a bug of hako's own: {info}; please report it")));
    let status = panic::catch_unwind(|| match args.command {
        args::Command::Run(run) => commands::run::run(&run),
        args::Command::Demo(demo) => commands::demo::run(&demo),
        args::Command::Test(test) => commands::test::run(&test),
        args::Command::Doctor => commands::doctor::run(),
    });
    ExitCode::from(status.unwrap_or(BUG))
}
