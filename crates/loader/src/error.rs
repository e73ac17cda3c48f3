//! Why a kernel can't be loaded: what, where, and what to do.

use alloc::string::String;

/// Why an image can't be loaded. The message says what is wrong with which part of the file, and the remedy; the file's
/// name is the caller's to put before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A part that headers promise is not in the file.
    #[error(
        "{what} should be {len} bytes at file offset {offset:#x}, but the file has {size} bytes: it is cut short or \
         damaged, get a complete copy"
    )]
    Truncated {
        /// The part.
        what: String,
        /// Where it should be.
        offset: u64,
        /// How long it should be.
        len: u64,
        /// How long the file is.
        size: u64,
    },
    /// A field holds something that makes no sense.
    #[error("{what} is {value:#x}: {why}")]
    Malformed {
        /// The field.
        what: String,
        /// What it holds.
        value: u64,
        /// What it should hold, or what to do.
        why: &'static str,
    },
    /// The image wants what can't be given.
    #[error("{what}; {remedy}")]
    Unsupported {
        /// What it is or wants.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A part has a fixed place that is not RAM.
    #[error("{what} belongs at {start:#x}-{last:#x}, but {at:#x} is not RAM of this machine; {remedy}")]
    NotRam {
        /// The part.
        what: String,
        /// Its first byte.
        start: u64,
        /// Its last byte.
        last: u64,
        /// The first address of it that is not RAM.
        at: u64,
        /// What to do.
        remedy: &'static str,
    },
    /// Two parts want the same place.
    #[error(
        "{what} at {start:#x}-{last:#x} overlaps {other} at {other_start:#x}-{other_last:#x}; link the kernel elsewhere"
    )]
    Overlap {
        /// The part that came second.
        what: String,
        /// Its first byte.
        start: u64,
        /// Its last byte.
        last: u64,
        /// Who has the place.
        other: String,
        /// Its first byte.
        other_start: u64,
        /// Its last byte.
        other_last: u64,
    },
    /// A part may go anywhere within limits, but there is no room for it.
    #[error(
        "{what} ({len} bytes) finds no free RAM between {from:#x} and {below:#x}; give more with --memory"
    )]
    NoRoom {
        /// The part.
        what: String,
        /// How long it is.
        len: u64,
        /// Where it may begin.
        from: u64,
        /// What it must end below.
        below: u64,
    },
}
