//! Errors that end a run before it begins: what was tried, on what, why it failed, what to do.

use std::io;

/// Why a machine cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be opened, read, written or created.
    #[error("cannot {what} {path}: {why}{}", hint_of(hint))]
    File {
        /// The verb ("open", "read").
        what: &'static str,
        /// The file.
        path: String,
        /// What the host said.
        why: io::Error,
        /// What to do, or empty.
        hint: &'static str,
    },
    /// The image is nothing that can be booted.
    #[error("{0}")]
    Image(String),
    /// Options that do not go together, or values out of range.
    #[error("{0}")]
    Usage(String),
    /// The host lacks something.
    #[error("{0}")]
    Host(String),
    /// The engine could not be made.
    #[error(transparent)]
    Engine(#[from] hako_engine::EngineError),
}

fn hint_of(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("; {hint}") }
}

impl Error {
    /// The process exit status: 2 for usage, 4 for the host and images, 8 for the engine.
    pub fn status(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::File { .. } | Error::Image(_) | Error::Host(_) => 4,
            Error::Engine(_) => 8,
        }
    }

    pub(crate) fn file(what: &'static str, path: &std::path::Path, why: io::Error) -> Error {
        let hint = match why.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "check its permissions",
            _ => "",
        };
        Error::File { what, path: path.display().to_string(), why, hint }
    }
}
