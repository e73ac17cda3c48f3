//! Errors of the host, in words.

use hako_engine::EngineError;
use kvm_ioctls::Error;

/// An ioctl or system call failed; nothing the user can do about it is known.
pub(crate) fn host(what: &'static str) -> impl Fn(Error) -> EngineError {
    move |errno| EngineError::Host { what, why: errno.to_string(), remedy: String::new() }
}

/// Like [`host`], with what the user can do.
pub(crate) fn host_with(what: &'static str, errno: Error, remedy: &str) -> EngineError {
    EngineError::Host { what, why: errno.to_string(), remedy: remedy.to_owned() }
}
