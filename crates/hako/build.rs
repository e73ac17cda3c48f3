//! Link options of the command.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A position-independent program of this size begins with 13,000 relocations of 24 bytes each; packed they take one bit,
/// and fewer pages are read at start-up.
const PACKED: &str = "-Wl,-z,pack-relative-relocs";

/// Functions with the same code become one. Rust does not promise that functions have addresses of their own, and nothing
/// here asks whether two are the same.
const FOLDED: &str = "-Wl,--icf=all";

/// Which functions lie together.
const ORDER: &str = "startup.ld";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={ORDER}");
    if !env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        return;
    }
    println!("cargo::rustc-link-arg-bins={PACKED}");
    // Debuggers and people find their way better without these.
    if !env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        return;
    }
    // rustc's own linker for x86-64 Linux, LLD, takes both; others may not.
    let order = env::var("CARGO_MANIFEST_DIR").map(|here| format!("-Wl,-T,{here}/{ORDER}"));
    for option in [FOLDED.to_owned()].into_iter().chain(order) {
        if accepts(&option).is_some() {
            println!("cargo::rustc-link-arg-bins={option}");
        }
    }
}

/// Something if the linker, called as for the program, takes an option.
fn accepts(option: &str) -> Option<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR")?);
    let source = out.join("empty.rs");
    fs::write(&source, "fn main() {}\n").ok()?;
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    rustc.arg("--target").arg(env::var_os("TARGET")?).arg(format!("-Clink-arg={option}"));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut flag = OsString::from("-Clinker=");
        flag.push(linker);
        rustc.arg(flag);
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    let done = rustc.arg(&source).arg("-o").arg(out.join("empty")).output().ok()?;
    done.status.success().then_some(())
}
