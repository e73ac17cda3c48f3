//! Sources to flat images and kernels, with the assembler and linker that every Rust installation for Linux needs anyway.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// What a program is linked to.
#[derive(Clone, Copy)]
pub enum Layout {
    /// A flat image, loaded at `base`, of a size that is a multiple of `unit`.
    Flat { base: u32, unit: u32 },
    /// An ELF file, loaded at 1 MiB.
    Elf,
}

/// Assembles `NAME.s` and returns the image.
pub fn assemble(sources: &Path, out: &Path, name: &str, layout: Layout) -> Result<Vec<u8>, String> {
    let object = out.join(format!("{name}.o"));
    let flat = out.join(format!("{name}.flat"));
    run(tool("as")
        .arg("--64")
        .arg("-I")
        .arg(sources.join("include"))
        .arg("-o")
        .arg(&object)
        .arg(sources.join(format!("{name}.s"))))?;
    let mut ld = tool("ld");
    ld.args(["-m", "elf_x86_64", "--entry", "start", "-T"]);
    match layout {
        Layout::Flat { base, unit } => ld
            .arg(sources.join("include/flat.ld"))
            .args(["--oformat", "binary"])
            .arg("--defsym")
            .arg(format!("image_base={base:#x}"))
            .arg("--defsym")
            .arg(format!("image_unit={unit}")),
        Layout::Elf => ld.arg(sources.join("include/kernel.ld")).args(["-n", "-s", "--build-id=none"]),
    };
    run(ld.arg("-o").arg(&flat).arg(&object))?;
    std::fs::read(&flat).map_err(|e| format!("cannot read {}: {e}", flat.display()))
}

/// The x86 assembler or linker: the plain one on x86 hosts, a cross tool elsewhere.
fn tool(name: &str) -> Command {
    if cfg!(target_arch = "x86_64") {
        Command::new(name)
    } else {
        Command::new(format!("x86_64-linux-gnu-{name}"))
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| match e.kind() {
        ErrorKind::NotFound => {
            let package = if cfg!(target_arch = "x86_64") { "binutils" } else { "binutils-x86-64-linux-gnu" };
            format!("`{program}` is not installed, which assembles the guests: install the package {package}")
        }
        _ => format!("cannot run `{program}`: {e}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{program}` failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
