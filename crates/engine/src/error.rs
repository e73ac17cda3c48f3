//! What can go wrong in an engine, apart from anything a guest does.

use alloc::string::String;

use hako_x86::StateError;

/// The host or the engine failed; never the guest's doing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A request to the host failed.
    #[error("{what}: {why}{}{remedy}", if remedy.is_empty() { "" } else { "; " })]
    Host {
        /// What was tried ("KVM_CREATE_VM").
        what: &'static str,
        /// What the host answered.
        why: String,
        /// What the user can do, or empty.
        remedy: String,
    },
    /// A CPU state was refused.
    #[error(transparent)]
    State(#[from] StateError),
}
