//! `cargo xtask test`: what CI runs.

use std::path::Path;
use std::process::Command;

use clap::Args;

use crate::{Outcome, guests, hakoniwa, tools};

/// Options of `test`.
#[derive(Args)]
pub struct Options {
    /// Only the tests, without format, lints and documentation
    #[arg(long)]
    quick: bool,
    /// The long versions of the random tests too
    #[arg(long)]
    long: bool,
}

impl Options {
    /// Everything.
    pub fn full() -> Options {
        Options { quick: false, long: true }
    }
}

/// Bytes of disk that a build of everything from nothing takes.
const ROOM: u64 = 4 << 30;

/// Runs `test`.
pub fn run(options: &Options) -> Outcome {
    if let Some(short) = tools::short_of_disk(ROOM) {
        eprintln!("xtask: {short}");
    }
    tools::ensure(&[
        tools::BINUTILS,
        tools::SEABIOS,
        tools::GRUB,
        tools::GRUB_TOOLS,
        tools::SYSLINUX,
        tools::SYSLINUX_INSTALLER,
        tools::ISOLINUX,
        tools::XORRISO,
        tools::MTOOLS,
        tools::QEMU_IMG,
        tools::IASL,
        tools::MKE2FS,
    ])?;
    if let Err(why) = guests::for_tests() {
        eprintln!("xtask: no Linux to test with, its tests pass over it: {why}");
    }
    if !options.quick {
        tools::cargo(&["fmt", "--all", "--check"])?;
        tools::cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
        let doc = ["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"];
        eprintln!("xtask: cargo {}", doc.join(" "));
        // The documentation is for whoever works on the source: links to private items are welcome in it.
        let flags = "-D warnings -A rustdoc::private_intra_doc_links";
        tools::run(Command::new("cargo").args(doc).env("RUSTDOCFLAGS", flags))?;
        file_sizes(&tools::root())?;
    }
    let mut tests = Command::new("cargo");
    // Benchmarks are compiled by clippy above; run as tests they would only cost time.
    let what = ["test", "--workspace", "--lib", "--bins", "--tests", "--examples", "--no-fail-fast"];
    tests.args(what);
    if options.long {
        tests.env("HAKO_LONG", "1");
    }
    eprintln!("xtask: cargo {}", what.join(" "));
    tools::run(&mut tests)?;
    tools::cargo(&["test", "--workspace", "--doc", "--quiet"])?;
    // The core without the standard library, and the microkernel, in workspaces of their own.
    let apart = tools::target().join("no-std");
    let apart = apart.to_str().ok_or("the target directory's name is not UTF-8")?;
    tools::cargo(&["run", "--quiet", "--manifest-path", "tests/no-std/Cargo.toml", "--target-dir", apart])?;
    hakoniwa::run(&hakoniwa::Action::Test { part: None })
}

/// One concept a file: none longer than 600 lines.
fn file_sizes(dir: &Path) -> Outcome {
    let entries = dir.read_dir().map_err(|why| format!("{}: {why}", dir.display()))?;
    for path in entries.flatten().map(|e| e.path()) {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                file_sizes(&path)?;
            }
        } else if name.ends_with(".rs") {
            let lines = std::fs::read_to_string(&path)
                .map_err(|why| format!("{}: {why}", path.display()))?
                .lines()
                .count();
            if lines > 600 {
                return Err(format!(
                    "{} has {lines} lines; 600 are the most: split it by concept",
                    path.display()
                ));
            }
        }
    }
    Ok(())
}
