//! A PCI function with registers of its own behind base address registers.
//!
//! The host bridge owns each function's configuration space; the device gets it, guest memory and the time with every
//! call, and what it wants of the world it leaves in [`Env`]. Interrupt pins are levels in the configuration space
//! ([`ConfigSpace::set_interrupt`]); the board looks at them after each call.

use alloc::vec::Vec;

use hako_engine::Time;
use hako_mem::GuestMemory;

use super::ConfigSpace;
use crate::saved::{RestoreError, check};

/// A message-signalled interrupt (PCI 3.0, 6.8.1): a write that the interrupt controllers understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msi {
    /// Where the message goes.
    pub address: u64,
    /// What is written there.
    pub data: u32,
}

/// What surrounds a device during one call.
pub struct Env<'a> {
    /// The function's configuration space.
    pub config: &'a mut ConfigSpace,
    /// Guest memory, for DMA; only while [`Env::bus_master`].
    pub memory: &'a GuestMemory,
    /// Guest time.
    pub now: Time,
    /// Messages the device sends; the board takes them after the call. Kept between calls, so that it does not allocate.
    pub msis: &'a mut Vec<Msi>,
}

impl Env<'_> {
    /// Whether the function may reach memory (command register bit 2); messages need it too.
    pub fn bus_master(&self) -> bool {
        self.config.command() & 1 << 2 != 0
    }
}

/// A device behind a PCI function's base address registers.
pub trait PciDevice: Send {
    /// Reads `data.len()` (1 to 8) bytes at `offset` of BAR `bar`, within its size.
    fn bar_read(&mut self, env: &mut Env<'_>, bar: u8, offset: u64, data: &mut [u8]);
    /// Writes `data.len()` (1 to 8) bytes at `offset` of BAR `bar`, within its size.
    fn bar_write(&mut self, env: &mut Env<'_>, bar: u8, offset: u64, data: &[u8]);
    /// Configuration registers from 0x40 on, the command register or base address registers were written, at `at` for
    /// `len` bytes.
    fn config_written(&mut self, _env: &mut Env<'_>, _at: u8, _len: usize) {}
    /// Configuration registers are about to be read at `at`: for windows whose contents the device makes up.
    fn config_read(&mut self, _env: &mut Env<'_>, _at: u8, _len: usize) {}
    /// When [`PciDevice::tick`] is wanted next.
    fn next_event(&self) -> Time {
        Time::NEVER
    }
    /// Time has come, or input for the device has: does what waits.
    fn tick(&mut self, _env: &mut Env<'_>) {}
    /// As at power-on. The configuration space is reset by its owner.
    fn reset(&mut self);
    /// Bytes for the guest, where the device is one that takes some (a console); how many it took. The rest is to be
    /// offered again later.
    fn input(&mut self, _env: &mut Env<'_>, _bytes: &[u8]) -> usize {
        0
    }
    /// How many bytes [`PciDevice::input`] would take now.
    fn input_room(&self) -> usize {
        0
    }
    /// Moves what the guest said through the device to the end of `to`. Asked after each call that may have made the
    /// device act.
    fn output(&mut self, _to: &mut Vec<u8>) {}
    /// Guest memory has another map. For devices that reach memory between calls.
    fn memory_changed(&mut self, _memory: &GuestMemory) {}
    /// Whatever works for the device between calls stops and comes back: the device is to be saved, or the machine is to
    /// stand still. The next call may start it again.
    fn recall(&mut self, _env: &mut Env<'_>) {}
    /// What the device holds, as bytes of its own; the configuration space is saved by its owner.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }
    /// Takes a saved state over, all of it or nothing. The configuration space and guest memory hold already what they
    /// held then, or will before the next call.
    fn restore(&mut self, state: &[u8]) -> Result<(), RestoreError> {
        check(state.is_empty(), "the device has no state")
    }
}
