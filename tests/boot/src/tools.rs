//! Programs and files from Debian packages.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `program`, which the Debian package `package` has, in `dir`. Fails the test with one line otherwise.
pub fn run(package: &str, dir: &Path, program: &str, args: &[&str]) {
    let done = Command::new(program).args(args).current_dir(dir).stdin(Stdio::null()).output();
    let output = done.unwrap_or_else(|why| panic!("{program}: {why}; apt-get install {package}"));
    assert!(
        output.status.success(),
        "{program} {args:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A file of the Debian package `package`.
pub fn file(package: &str, path: &str) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|why| panic!("{path}: {why}; apt-get install {package}"))
}

/// A file that a test has just made.
pub fn made(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Writes a file into the folder of a test.
pub fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
}

/// A folder for making a medium in; it goes with the value.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap_or_else(|why| panic!("no temporary folder: {why}"))
}
