//! Link options of the command.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A position-independent program of this size begins with 13,000 relocations of 24 bytes each; packed they take
    // one bit, and fewer pages are read at start-up.
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
