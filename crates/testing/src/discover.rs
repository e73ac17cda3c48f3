//! Finds test files.
//!
//! A test is a file `NAME.hako.toml`, usually beside the image that it boots. Folders are searched with all their
//! subfolders, except those whose name begins with a dot and `target`; a file that is named may be called as it likes.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// What test files end in.
pub const SUFFIX: &str = ".hako.toml";

/// The test files in `paths`, sorted, none twice. Without paths: those in the current folder.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let here = [PathBuf::from(".")];
    let paths = if paths.is_empty() { &here[..] } else { paths };
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        let meta = std::fs::metadata(path).map_err(|why| Error::read(path, why))?;
        if meta.is_dir() {
            search(path, &mut found)?;
            if found.len() == before {
                return Err(Error::NoTest(path.display().to_string()));
            }
        } else {
            found.push(named(path)?);
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// A file given by name: a test, or an image with a test beside it.
fn named(path: &Path) -> Result<PathBuf, Error> {
    if path.extension().is_some_and(|e| e == "toml") {
        return Ok(path.into());
    }
    let beside = path.with_extension(&SUFFIX[1..]);
    if beside.is_file() { Ok(beside) } else { Err(Error::NoTest(path.display().to_string())) }
}

fn search(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let fail = |why| Error::File { what: "search", path: folder.into(), why };
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Not through links: they may lead round in circles.
        let kind = entry.file_type().map_err(fail)?;
        if kind.is_dir() {
            if !name.starts_with('.') && name != "target" {
                search(&entry.path(), found)?;
            }
        } else if name.ends_with(SUFFIX) {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// What reports call the test in this file.
pub fn name(path: &Path) -> String {
    let text = path.display().to_string();
    let text = text.strip_prefix("./").unwrap_or(&text);
    text.strip_suffix(SUFFIX).or(text.strip_suffix(".toml")).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_searched_and_some_are_not() {
        let root = tempfile::tempdir().unwrap();
        for file in
            ["b.hako.toml", "x/a.hako.toml", "x/b.toml", "target/c.hako.toml", ".git/d.hako.toml", "b.img"]
        {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let at = |file: &str| root.path().join(file);
        assert_eq!(files(&[root.path().into()]).unwrap(), [at("b.hako.toml"), at("x/a.hako.toml")]);
        assert_eq!(files(&[at("x/b.toml"), at("x/b.toml")]).unwrap(), [at("x/b.toml")]);
        assert_eq!(files(&[at("b.img")]).unwrap(), [at("b.hako.toml")]);
        assert_eq!(files(&[at("target/c.hako.toml")]).unwrap().len(), 1);
    }

    #[test]
    fn where_no_test_is_that_is_said() {
        let root = tempfile::tempdir().unwrap();
        let e = files(&[root.path().into()]).unwrap_err();
        assert!(e.status() == 4 && e.to_string().contains("NAME.hako.toml"), "{e}");
        let e = files(&[root.path().join("none")]).unwrap_err();
        assert!(e.status() == 4 && e.to_string().contains("none"), "{e}");
    }

    #[test]
    fn a_test_is_called_as_its_file() {
        assert_eq!(name(Path::new("./boot/mbr.hako.toml")), "boot/mbr");
        assert_eq!(name(Path::new("/t/mbr.toml")), "/t/mbr");
    }
}
