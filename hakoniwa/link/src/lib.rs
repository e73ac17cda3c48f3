//! Link arguments of bare-metal programs, for build scripts: the kernel's and the tasks' differ only in their script.

use std::path::Path;

/// The arguments of the kernel's binary.
pub fn kernel() {
    arguments("kernel.ld");
}

/// The arguments of a task's binary.
pub fn task() {
    arguments("task.ld");
}

fn arguments(script: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    println!("cargo::rerun-if-changed={}", path.display());
    for argument in [
        "-nostdlib",
        "-nostartfiles",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=4096",
        "-Wl,-z,noexecstack",
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rustc-link-arg-bins=-T{}", path.display());
}
