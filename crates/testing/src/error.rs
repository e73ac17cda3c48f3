//! Errors in tests themselves, as opposed to tests that fail: where, what is wrong, what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why a test cannot be read or set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot {what} {}: {why}{}", .path.display(), hint(.why))]
    File {
        /// The verb ("read", "search").
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the host said.
        why: io::Error,
    },
    /// A test file says something that it may not say.
    #[error("{place}: {message}")]
    Spec {
        /// `file:line`, or the test's name where there is no file.
        place: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// No test was found where one was looked for.
    #[error("no test found in {0}: a test is a file NAME.hako.toml beside its image")]
    NoTest(String),
    /// The machine could not be built.
    #[error("{0}")]
    Machine(String),
}

fn hint(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::NotFound => "; check the path",
        io::ErrorKind::PermissionDenied => "; check its permissions",
        _ => "",
    }
}

impl Error {
    /// The process exit status: 2 for a faulty test file, 4 for what is missing or unreadable.
    pub fn status(&self) -> u8 {
        match self {
            Error::Spec { .. } => 2,
            Error::File { .. } | Error::NoTest(_) | Error::Machine(_) => 4,
        }
    }

    pub(crate) fn read(path: &Path, why: io::Error) -> Error {
        Error::File { what: "read", path: path.into(), why }
    }
}
