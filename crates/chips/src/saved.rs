//! The envelope of every chip's saved state.

use serde::{Deserialize, Serialize};

/// A chip's state together with the version of its layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved<S> {
    /// Which layout `state` has; each chip counts its own.
    pub version: u32,
    /// What the chip holds.
    pub state: S,
}

impl<S> Saved<S> {
    /// The state, if it has the layout that the chip understands.
    pub fn open(&self, version: u32) -> Result<&S, RestoreError> {
        if self.version == version {
            Ok(&self.state)
        } else {
            Err(RestoreError::Version { found: self.version, known: version })
        }
    }
}

/// Why a saved state is refused. The chip is unchanged then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It was saved by another version of the chip.
    #[error("the saved state has layout {found}, this chip understands layout {known}")]
    Version {
        /// The version in the saved state.
        found: u32,
        /// The version of this chip.
        known: u32,
    },
    /// The chip cannot be in that state.
    #[error("the saved state is impossible: {0}")]
    Impossible(&'static str),
}

/// `Ok` if `possible`, else the refusal that names `what` is wrong.
pub(crate) fn check(possible: bool, what: &'static str) -> Result<(), RestoreError> {
    if possible { Ok(()) } else { Err(RestoreError::Impossible(what)) }
}
