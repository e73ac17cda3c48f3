//! Where prepared guests are kept: `hako/guests` in the user's cache folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Outcome, tools};

/// The folder.
pub struct Cache(PathBuf);

/// An error with the file it is about.
pub fn at<T>(path: &Path, result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|why| format!("{}: {why}", path.display()))
}

/// Copies a file.
pub fn copy(from: &Path, to: &Path) -> Outcome {
    at(from, fs::copy(from, to).map(drop))
}

/// A folder that goes when it is no longer needed.
pub struct Scratch(PathBuf);

impl Scratch {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in the cache folder, where the next run removes it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Cache {
    /// $XDG_CACHE_HOME/hako/guests, or ~/.cache/hako/guests.
    pub fn open() -> Result<Cache, String> {
        let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
        let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let base =
            base.or_else(home).ok_or("neither XDG_CACHE_HOME nor HOME is set: where is the cache to be?")?;
        let path = base.join("hako/guests");
        at(&path, fs::create_dir_all(&path))?;
        Ok(Cache(path))
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// An empty folder for work in progress.
    pub fn scratch(&self, name: &str) -> Result<Scratch, String> {
        let path = self.0.join(format!("{name}.part"));
        if path.exists() {
            at(&path, fs::remove_dir_all(&path))?;
        }
        at(&path, fs::create_dir_all(&path))?;
        Ok(Scratch(path))
    }

    /// Makes the folder `name` if it is not there or older than one of `sources`, files of the repository; half-made ones
    /// never are.
    pub fn make(&self, name: &str, sources: &[&str], fill: impl FnOnce(&Path) -> Outcome) -> Outcome {
        let done = self.path(name);
        let changed = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
        let made = changed(&done);
        if made.is_some() {
            let newer = |source: &&str| changed(&tools::root().join(source)) > made;
            if !sources.iter().any(newer) {
                return Ok(());
            }
            at(&done, fs::remove_dir_all(&done))?;
        }
        eprintln!("xtask: preparing {name}");
        let work = self.scratch(name)?;
        fill(work.path())?;
        at(&done, fs::rename(work.path(), &done))
    }
}
