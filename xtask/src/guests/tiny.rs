//! Small kernels of our own configuration, built from Debian's kernel source. Each is built again when its configuration
//! changes, and only then.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;

use super::cache::{Cache, at, copy};
use super::packages::{self, output, run};
use crate::{Outcome, tools};

/// The source package.
const SOURCE: &str = "linux-source-6.1";
/// The variants: guests/linux/NAME.config above guests/linux/base.config.
pub const VARIANTS: [&str; 3] = ["up-mptable", "soft-kvm", "smp-acpi"];

/// Builds what is missing or out of date of these variants.
pub fn prepare(cache: &Cache, variants: &[&str]) -> Outcome {
    let folder = tools::root().join("guests/linux");
    let read = |name: &str| {
        let path = folder.join(format!("{name}.config"));
        at(&path, fs::read_to_string(&path))
    };
    for variant in variants {
        let config = format!("{}{}", read("base")?, read(variant)?);
        let done = cache.path("tiny").join(variant);
        let stamp = stamp(&config);
        if fs::read_to_string(done.join("stamp")).is_ok_and(|text| text == stamp) {
            continue;
        }
        tools::ensure(&tools::KERNEL_BUILD)?;
        let source = source(cache)?;
        eprintln!("xtask: building the kernel {variant}");
        let work = cache.scratch(&format!("build-{variant}"))?;
        build(&source, work.path(), &config)?;
        at(&done, fs::create_dir_all(&done))?;
        copy(&work.path().join("vmlinux"), &done.join("vmlinux"))?;
        copy(&work.path().join("arch/x86/boot/bzImage"), &done.join("bzImage"))?;
        copy(&work.path().join(".config"), &done.join("config"))?;
        at(&done, fs::write(done.join("stamp"), stamp))?;
    }
    Ok(())
}

/// What a build depends on. (A newer patch level of the source is no reason to build again.)
fn stamp(config: &str) -> String {
    let mut hasher = DefaultHasher::new();
    let options = config.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    options.for_each(|line| line.hash(&mut hasher));
    format!("{SOURCE} {:016x}\n", hasher.finish())
}

/// The unpacked source.
fn source(cache: &Cache) -> Result<std::path::PathBuf, String> {
    cache.make("source", &[], |folder| {
        let package = packages::unpack(cache, SOURCE)?;
        let archive = package.path().join("usr/src").join(format!("{SOURCE}.tar.xz"));
        run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(folder))
    })?;
    Ok(cache.path("source").join(SOURCE))
}

/// tinyconfig, then ours, then make.
fn build(source: &Path, to: &Path, config: &str) -> Outcome {
    let make = |targets: &[&str]| {
        let mut out = std::ffi::OsString::from("O=");
        out.push(to);
        let mut make = Command::new("make");
        make.arg("-s").arg("-C").arg(source).arg(out).args(targets);
        make
    };
    run(&mut make(&["tinyconfig"]))?;
    let path = to.join(".config");
    let tiny = at(&path, fs::read_to_string(&path))?;
    at(&path, fs::write(&path, format!("{tiny}{config}")))?;
    // It repeats what the fragments override, which is no news to anybody.
    output(make(&["olddefconfig"]).stderr(std::process::Stdio::null()))?;
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
    run(&mut make(&[&format!("-j{jobs}"), "vmlinux", "bzImage"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blanks_are_no_reason_to_build_again() {
        assert_eq!(stamp("CONFIG_A=y\n"), stamp("# why\nCONFIG_A=y \n\n"));
        assert_ne!(stamp("CONFIG_A=y\n"), stamp("CONFIG_A=n\n"));
    }
}
