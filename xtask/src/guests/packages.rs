//! Debian packages, downloaded and unpacked without being installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::cache::{Cache, Scratch};
use crate::Outcome;

/// Runs a command; an error names it.
pub fn run(command: &mut Command) -> Outcome {
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(why) => Err(format!("{command:?} did not start: {why}")),
    }
}

/// What a command prints.
pub fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|why| format!("{command:?} did not start: {why}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{command:?} ended with {}", output.status))
    }
}

/// The package that a metapackage depends on whose name begins with `prefix`.
pub fn dependency(of: &str, prefix: &str) -> Result<String, String> {
    let text = output(Command::new("apt-cache").args(["depends", "--important", of]))?;
    let text = String::from_utf8_lossy(&text);
    let mut names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let found = names.find(|name| name.starts_with(prefix)).map(str::to_owned);
    found.ok_or_else(|| format!("the package {of} is not known: sudo apt-get update"))
}

/// Downloads a package and unpacks it into a folder that goes with the value.
pub fn unpack(cache: &Cache, package: &str) -> Result<Scratch, String> {
    eprintln!("xtask: downloading {package}");
    let folder = cache.scratch(package)?;
    run(Command::new("apt-get").args(["download", package]).current_dir(folder.path()))
        .map_err(|why| format!("{why}; if apt does not know {package}: sudo apt-get update"))?;
    let deb = deb_in(folder.path())?;
    run(Command::new("dpkg-deb").arg("--extract").arg(&deb).arg(folder.path()))?;
    Ok(folder)
}

fn deb_in(folder: &Path) -> Result<PathBuf, String> {
    let entries = folder.read_dir().map_err(|why| format!("{}: {why}", folder.display()))?;
    let mut files = entries.flatten().map(|entry| entry.path());
    files
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .ok_or_else(|| "apt-get download left no file".into())
}
