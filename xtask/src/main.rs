//! Chores that cargo alone cannot do: the demonstration, the tests as CI runs them, paired benchmarks, the long
//! conformance run. Run as `cargo xtask <command>`.

mod bench;
mod demo;
mod full;
mod guests;
mod hakoniwa;
mod measure;
mod test;
mod tools;

use clap::{Parser, Subcommand};

/// What every command returns: a message for people when something failed.
type Outcome = Result<(), String>;

/// Bytes of disk below which a failure may be the disk's.
const SPARE: u64 = 512 << 20;

/// Chores for hako's source tree.
#[derive(Parser)]
#[command(name = "cargo xtask", version, about)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build hako and show it at work: Hello KVM!, SeaBIOS's log, and the boot-sector tests on both engines
    Demo,
    /// Format, lints, documentation, every test: what CI runs. Installs missing Debian packages when it may
    Test(test::Options),
    /// Measure hako beside QEMU (TCG) and Bochs and print ratios
    Bench(bench::Options),
    /// Everything that takes too long for CI, most of an hour; writes what came of it into docs/conformance.md
    Full(full::Options),
    /// Prepare the stock guests that hako is tried with: kernels, RAM disks, a root disk, from Debian packages, without root
    Guests(guests::Options),
    /// The microkernel: build, run and test it
    #[command(subcommand)]
    Hakoniwa(hakoniwa::Action),
}

fn main() {
    let done = match Args::parse().command {
        Command::Demo => demo::run(),
        Command::Test(options) => test::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Full(options) => full::run(&options),
        Command::Guests(options) => guests::run(&options),
        Command::Hakoniwa(action) => hakoniwa::run(&action),
    };
    if let Err(why) = done {
        eprintln!("xtask: {why}");
        if let Some(disk) = tools::short_of_disk(SPARE) {
            eprintln!("xtask: the disk may be why: {disk}");
        }
        std::process::exit(1);
    }
}
