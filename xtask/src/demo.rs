//! `cargo xtask demo`: the first thing to run.

use std::process::Command;

use crate::{Outcome, tools};

/// Builds hako and shows what it does.
pub fn run() -> Outcome {
    tools::ensure(&[tools::BINUTILS, tools::SEABIOS])?;
    let hako = tools::hako()?;
    let show = |args: &[&str]| {
        println!("\n$ hako {}", args.join(" "));
        tools::run(Command::new(&hako).args(args))
    };
    show(&["doctor"])?;
    show(&["demo", "hello"])?;
    show(&["demo", "print-a", "--firmware", "seabios", "--debugcon", "stdio", "--screen"])?;
    // The boot-sector tests: the first ones on both engines and firmwares, then all of them where that is quick.
    show(&[
        "test",
        "guests/asm/print-a.hako.toml",
        "guests/asm/two-stage.hako.toml",
        "guests/asm/keyboard.hako.toml",
    ])?;
    show(&["test", "guests", "--engine", "soft"])
}
