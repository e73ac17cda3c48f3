//! What makes a virtio device the device that it is.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::queue::{Chain, Fault};
use crate::registers::Registers;

/// Feature bits that concern every device (6).
pub mod feature {
    /// Descriptors may lead to tables of descriptors.
    pub const INDIRECT_DESC: u64 = 1 << 28;
    /// Notifications in both directions by index instead of by flag.
    pub const EVENT_IDX: u64 = 1 << 29;
    /// The device is one of virtio 1.0 or later.
    pub const VERSION_1: u64 = 1 << 32;
    /// Legacy: requests may be laid out in descriptors at will.
    pub const ANY_LAYOUT: u64 = 1 << 27;
}

/// A device's constant properties, its configuration and what serves it.
pub struct Model {
    /// The device's number (5): 2 is a disk.
    pub id: u16,
    /// Its PCI class: 0xccsspp.
    pub class: u32,
    /// Feature bits of its own.
    pub features: u64,
    /// The most entries that each queue may have: a power of two, or 0 for a queue that does not exist.
    pub queues: Vec<u16>,
    /// Its configuration fields.
    pub registers: Arc<Registers>,
    /// Its backend.
    pub serve: Box<dyn Serve>,
}

/// The backend side of a device: takes requests and answers them.
pub trait Serve: Send {
    /// Serves one request of `queue`. An error means that the driver broke the rules; failures of the host are told to
    /// the driver in the way of the device.
    fn serve(&mut self, queue: u16, chain: &mut Chain<'_>) -> Result<(), Fault>;
    /// Whether a buffer of `queue` can be used now; queues for input wait for it.
    fn ready(&self, _queue: u16) -> bool {
        true
    }
    /// The features that the driver took.
    fn negotiated(&mut self, _features: u64) {}
    /// The driver resets the device.
    fn reset(&mut self) {}
    /// Takes bytes for the guest; how many.
    fn input(&mut self, _bytes: &[u8]) -> usize {
        0
    }
    /// How many bytes `input` would take now.
    fn input_room(&self) -> usize {
        0
    }
    /// Moves what the guest said to the end of `to`.
    fn output(&mut self, _to: &mut Vec<u8>) {}
    /// What would be lost with this value: bytes on their way, a generator's position.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }
    /// Takes back what `save` gave; whether it can be that.
    fn restore(&mut self, saved: &[u8]) -> bool {
        saved.is_empty()
    }
}
