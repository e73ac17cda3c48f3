//! The command line, as `hako --help` shows it.

pub mod run;
pub mod test;
pub mod values;

use clap::{Parser, Subcommand};

/// Boots, tests and debugs anything from a 41-byte ROM to an operating system, on KVM or on a CPU of its own.
#[derive(Parser)]
#[command(name = "hako", version, about, max_term_width = 100, after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  hako demo hello                      the smallest guest there is, built in
  hako run boot.img                    boot a disk image; COM1 is the terminal
  hako run --screen mbr.bin            and print what is on the VGA screen at the end
  hako run --firmware seabios --debugcon stdio mbr.bin
                                       the same under SeaBIOS, with its log
  hako test tests/                     run every *.hako.toml below tests/
  hako doctor                          what this machine offers";

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Boot an image and let it run
    Run(Box<run::RunArgs>),
    /// Run the tests in *.hako.toml files
    Test(test::TestArgs),
    /// Run one of the guests that are built into hako
    Demo(Box<run::DemoArgs>),
    /// Say what this machine offers to hako, and how to fix what is missing
    Doctor,
}
