//! The images that tests boot, each read once, however many tests use it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hako_machine::{DiskSpec, Source};

use crate::error::Error;
use crate::spec::Medium;

/// Larger files are not read into memory but opened, with a snapshot above them.
const WHOLE: u64 = 64 << 20;
/// The largest padding: what a test may ask the tester to hold in memory.
const MOST: u64 = 1 << 30;

/// Gives the image of that name that is built into the program.
pub type BuiltIn = dyn Fn(&str) -> Option<&'static [u8]> + Send + Sync;

/// Padded contents by path and size.
type Read = HashMap<(PathBuf, u64), Arc<[u8]>>;

/// Finds images. A test never changes the files that it names.
#[derive(Default)]
pub struct Images {
    built_in: Option<Box<BuiltIn>>,
    read: Mutex<Read>,
}

impl Images {
    /// Images from files, and by `builtin:NAME` from `built_in`.
    pub fn with_built_in(built_in: impl Fn(&str) -> Option<&'static [u8]> + Send + Sync + 'static) -> Images {
        Images { built_in: Some(Box::new(built_in)), read: Mutex::default() }
    }

    /// The disk that `medium` names; paths count from `folder`.
    pub fn disk(&self, medium: &Medium, folder: &Path) -> Result<DiskSpec, Error> {
        let source = self.source(medium, folder)?;
        Ok(DiskSpec {
            readonly: medium.readonly,
            snapshot: !medium.readonly,
            interface: medium.interface,
            ..DiskSpec::from(source)
        })
    }

    /// The bytes or the file that `medium` names.
    pub fn source(&self, medium: &Medium, folder: &Path) -> Result<Source, Error> {
        let size = medium.size.map_or(0, |size| size.0);
        if size > MOST {
            return Err(Error::Machine(format!("{}: an image is padded to at most 1G", medium.path)));
        }
        let (path, name) = match medium.path.strip_prefix("builtin:") {
            Some(name) => (PathBuf::from(&medium.path), Some(name)),
            None => (folder.join(&medium.path), None),
        };
        let key = (path, size);
        if let Some(bytes) = self.lock().get(&key) {
            return Ok(Source::Bytes(Arc::clone(bytes)));
        }
        let bytes = match name {
            Some(name) => self.named(name)?.to_vec(),
            None => match read(&key.0)? {
                Some(bytes) => bytes,
                None => return Ok(Source::File(key.0)),
            },
        };
        let bytes: Arc<[u8]> = padded(bytes, size).into();
        self.lock().insert(key, Arc::clone(&bytes));
        Ok(Source::Bytes(bytes))
    }

    fn named(&self, name: &str) -> Result<&'static [u8], Error> {
        let built_in = self.built_in.as_ref().and_then(|find| find(name));
        built_in.ok_or_else(|| Error::Machine(format!("there is no built-in image `{name}`")))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole file, or nothing if it is too large or no plain file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let meta = std::fs::metadata(path).map_err(|why| Error::read(path, why))?;
    if !meta.is_file() || meta.len() > WHOLE {
        return Ok(None);
    }
    std::fs::read(path).map(Some).map_err(|why| Error::read(path, why))
}

fn padded(mut bytes: Vec<u8>, size: u64) -> Vec<u8> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if bytes.len() < size {
        bytes.resize(size, 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medium(path: &str, size: Option<u64>) -> Medium {
        let mut medium: Medium = Medium { path: path.into(), size: None, readonly: false, interface: None };
        medium.size = size.map(crate::spec::Size);
        medium
    }

    #[test]
    fn an_image_is_read_once_and_padded() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), [7; 10]).unwrap();
        let images = Images::default();
        let (one, two) = (medium("a", Some(512)), medium("a", Some(512)));
        let (one, two) = (images.source(&one, folder.path()), images.source(&two, folder.path()));
        let (Ok(Source::Bytes(one)), Ok(Source::Bytes(two))) = (one, two) else { panic!() };
        assert!(Arc::ptr_eq(&one, &two));
        assert_eq!((one.len(), one[9], one[10]), (512, 7, 0));
    }

    #[test]
    fn built_in_images_have_names() {
        let images = Images::with_built_in(|name| (name == "x").then_some(&b"abc"[..]));
        let Ok(Source::Bytes(bytes)) = images.source(&medium("builtin:x", None), Path::new("/")) else {
            panic!()
        };
        assert_eq!(&bytes[..], b"abc");
        let e = images.source(&medium("builtin:y", None), Path::new("/")).unwrap_err();
        assert!(e.to_string().contains("`y`"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let e = Images::default().source(&medium("none.img", None), Path::new("/nowhere")).unwrap_err();
        assert!(e.to_string().contains("/nowhere/none.img"), "{e}");
        assert_eq!(e.status(), 4);
    }
}
