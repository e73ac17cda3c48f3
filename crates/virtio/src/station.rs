//! A place outside of the board where a device's queues are served: a thread of the machine.
//!
//! Whoever makes a device may give it a station ([`crate::Function::set_station`]). The worker goes there once the
//! driver is ready and while the function may reach memory; it comes back before anything happens to the device that
//! the worker must not miss: a reset, queues that are set up or given up, other features, a rule that the driver broke,
//! a save. So the function alone decides where its worker is, and a station only has to keep to what it is told.

use alloc::vec::Vec;

use hako_chips::pci::Msi;
use hako_mem::GuestMemory;

use crate::worker::{Served, Worker};

/// Where the driver notifies the queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    /// Nowhere that an access could reach.
    #[default]
    Nowhere,
    /// In memory, each queue `step` bytes behind the one before it; what is written does not matter.
    Memory {
        /// The place of queue 0.
        first: u64,
        /// The distance.
        step: u64,
    },
    /// At one port, by the number of the queue.
    Port(u16),
}

/// What a station has to know of the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Where notifications go. Those that the station cannot see reach it by [`Station::notify`].
    pub notify: Notify,
    /// For each queue the message by which its driver is notified. Where there is none, the function has to notify, or
    /// to remember it: [`Station::news`].
    pub messages: Vec<Option<Msi>>,
}

/// Serves a device's queues on another thread.
pub trait Station: Send {
    /// Serves all queues of the worker now, as far as something waits in them, and from now on as they are notified.
    fn take(&mut self, worker: Worker, terms: &Terms, memory: &GuestMemory);
    /// Goes on under other terms. When this returns, nothing is done under the old ones any more.
    fn change(&mut self, terms: &Terms);
    /// Goes on with another memory map.
    fn show(&mut self, memory: &GuestMemory);
    /// A queue was notified.
    fn notify(&mut self);
    /// Gives the worker back, if it is here. When this returns, nothing is done any more, and no request is half done;
    /// requests may be left in the queues.
    fn recall(&mut self) -> Option<Worker>;
    /// What came of serving a queue that the function has to tell its driver, each once; also after [`Station::recall`].
    fn news(&mut self) -> Option<(u16, Served)>;
}
