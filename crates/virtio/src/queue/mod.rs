//! Split virtqueues (2.7), from the device's side.

mod chain;
mod ring;
mod split;

pub use chain::{Buffers, Chain, Segment};
pub use ring::Rings;
pub use split::Queue;

use hako_mem::Gpa;

/// The most entries a split queue may have (2.7).
pub const MAX_SIZE: u16 = 1 << 15;

/// What a driver did that it must not; the device needs a reset then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Part of a ring or descriptor table is not in RAM.
    #[error("the queue's structures at {0} are not in RAM")]
    Ring(Gpa),
    /// A ring or the descriptor table is not aligned (2.7).
    #[error("the queue's structures at {0} are not aligned")]
    Unaligned(Gpa),
    /// More buffers were made available than the queue has entries (2.7.6).
    #[error("{0} buffers are available in a queue of {1} entries")]
    Available(u16, u16),
    /// A descriptor's number lies outside its table.
    #[error("descriptor {0} is not in its table of {1}")]
    Index(u16, u16),
    /// A chain has more descriptors than its queue has entries, as loops do (2.7.5.1).
    #[error("a chain is longer than its queue of {0} entries")]
    Loop(u16),
    /// A chain has more than 2^32 bytes (2.7.5.1).
    #[error("a chain has more than 4 GiB")]
    Length,
    /// A device-readable descriptor follows a device-writable one (2.7.4.2).
    #[error("a device-readable descriptor follows a device-writable one")]
    Order,
    /// An indirect table that was not negotiated, lies in another one, goes on, is empty or has a broken entry
    /// (2.7.5.3.1).
    #[error("an indirect descriptor is not allowed there")]
    Indirect,
    /// A buffer lacks what the device needs of every request, or its parts are not in RAM.
    #[error("a request has no usable {0}")]
    Request(&'static str),
}
