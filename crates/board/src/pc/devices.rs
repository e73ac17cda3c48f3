//! PCI devices with registers of their own: where they answer, and what follows each call.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hako_chips::RestoreError;
use hako_chips::pci::host::PciHost;
use hako_chips::pci::piix::pirq;
use hako_chips::pci::{BarKind, Bdf, Changes, ConfigSpace, Env, Msi, PciDevice};
use hako_engine::{Attention, Time};
use hako_mem::GuestMemory;

use super::Pc;
use super::events::Touched;
use super::testdev::{Block, MEMORY, PORTS};

/// The first slot that the chip set leaves free; one device follows the other from here on.
pub const FIRST_SLOT: u8 = 3;
/// The most devices that fit on the bus.
pub const MAX_DEVICES: usize = 32 - FIRST_SLOT as usize;

/// A device in its slot.
struct Slot {
    at: Bdf,
    device: Box<dyn PciDevice>,
    /// The level of its interrupt pin as the wires know it.
    level: bool,
}

/// Addresses at which a BAR answers.
#[derive(Clone, Copy, Debug)]
struct Route {
    first: u64,
    last: u64,
    target: Target,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A BAR of a device.
    Bar {
        /// Which device.
        device: usize,
        /// Which BAR.
        bar: u8,
    },
    /// The test device.
    Test(Block),
}

/// All devices.
#[derive(Default)]
pub(super) struct Devices {
    slots: Vec<Slot>,
    /// I/O BARs by first address.
    ports: Vec<Route>,
    /// Memory BARs by first address.
    memory: Vec<Route>,
    msis: Vec<Msi>,
    /// The test device's registers are there.
    testdev: bool,
}

impl Devices {
    /// Puts the devices on the bus. What does not fit is left out.
    pub fn new(
        host: &mut PciHost,
        devices: Vec<(ConfigSpace, Box<dyn PciDevice>)>,
        testdev: bool,
    ) -> Devices {
        let mut slots = Vec::with_capacity(devices.len());
        for (n, (config, device)) in (FIRST_SLOT..32).zip(devices) {
            let at = Bdf::new(0, n, 0);
            host.add(at, config);
            slots.push(Slot { at, device, level: false });
        }
        let mut devices = Devices { slots, testdev, ..Devices::default() };
        devices.route(host);
        devices
    }

    fn index(&self, at: Bdf) -> Option<usize> {
        self.slots.iter().position(|s| s.at == at)
    }

    /// All devices as at power-on, as their configuration spaces are.
    pub fn reset(&mut self, host: &PciHost) {
        for slot in &mut self.slots {
            slot.device.reset();
            slot.level = false;
        }
        self.route(host);
    }

    /// Looks where the BARs are now.
    pub fn route(&mut self, host: &PciHost) {
        self.ports.clear();
        self.memory.clear();
        for (device, slot) in self.slots.iter().enumerate() {
            let Some(config) = host.function(slot.at) else { continue };
            for bar in config.bars().filter(|bar| bar.enabled) {
                let routes = if bar.kind == BarKind::Io { &mut self.ports } else { &mut self.memory };
                routes.push(Route {
                    first: bar.address,
                    last: bar.address.saturating_add(bar.size - 1),
                    target: Target::Bar { device, bar: bar.index },
                });
            }
        }
        if self.testdev {
            let route =
                |block, first, len| Route { first, last: first + len - 1, target: Target::Test(block) };
            self.ports.extend(PORTS.map(|(block, first, len)| route(block, first.into(), len.into())));
            self.memory.push(route(Block::Memory, MEMORY.0, MEMORY.1));
        }
        self.ports.sort_by_key(|r| r.first);
        self.memory.sort_by_key(|r| r.first);
    }

    /// The BAR that answers at a port, and the distance from its first.
    #[inline]
    pub fn port(&self, port: u16) -> Option<(Target, u64, u64)> {
        find(&self.ports, port.into())
    }

    /// When a device wants a tick.
    pub fn next_event(&self) -> Time {
        self.slots.iter().fold(Time::NEVER, |first, s| first.min(s.device.next_event()))
    }

    /// Guest memory has another map.
    pub fn memory_changed(&mut self, memory: &GuestMemory) {
        for slot in &mut self.slots {
            slot.device.memory_changed(memory);
        }
    }

    /// What each device holds.
    pub fn save(&self) -> Vec<Vec<u8>> {
        self.slots.iter().map(|s| s.device.save()).collect()
    }

    /// Takes saved states over, all of them or none.
    pub fn restore(&mut self, states: &[Vec<u8>]) -> Result<(), RestoreError> {
        if states.len() != self.slots.len() {
            return Err(RestoreError::Impossible("the PCI devices are not those of this machine"));
        }
        let before = self.save();
        for (n, state) in states.iter().enumerate() {
            if let Err(e) = self.slots[n].device.restore(state) {
                for (slot, state) in self.slots.iter_mut().zip(&before).take(n) {
                    // It is the device's own and of a moment ago.
                    let _ = slot.device.restore(state);
                }
                return Err(e);
            }
        }
        Ok(())
    }

    /// Routes and pins as the restored configuration spaces say.
    pub fn settle(&mut self, host: &PciHost) {
        self.route(host);
        for slot in &mut self.slots {
            slot.level = host.function(slot.at).is_some_and(ConfigSpace::interrupt);
        }
    }
}

/// The route at an address: its target, the distance from its first address, and the bytes from there to its end. Of
/// two that overlap the one that begins later answers.
fn find(routes: &[Route], address: u64) -> Option<(Target, u64, u64)> {
    let i = routes.partition_point(|r| r.first <= address).checked_sub(1)?;
    let route = routes.get(i).filter(|r| address <= r.last)?;
    Some((route.target, address - route.first, (route.last - address).saturating_add(1)))
}

/// The part of an item of `len` bytes that lies within `left` bytes.
fn within(len: usize, left: u64) -> usize {
    usize::try_from(left).map_or(len, |left| len.min(left))
}

/// Widest access that a device is given.
const WIDEST: usize = 8;

impl Pc {
    /// Calls a device, and does what it leaves behind.
    fn call<R>(
        &mut self,
        now: Time,
        device: usize,
        f: impl FnOnce(&mut dyn PciDevice, &mut Env<'_>) -> R,
    ) -> Option<R> {
        let Devices { slots, msis, .. } = &mut self.devices;
        let slot = slots.get_mut(device)?;
        let config = self.pci.function_mut(slot.at)?;
        let mut env = Env { config, memory: &self.memory, now, msis };
        let result = f(&mut *slot.device, &mut env);
        slot.device.output(&mut self.output.console);
        let master = env.bus_master();
        self.touched |= Touched::DEVICES | Touched::LINES;
        for msi in self.devices.msis.drain(..) {
            // A message is a write to memory like any other of the bus master's.
            if master {
                self.wires.msi(msi.address, msi.data);
            }
        }
        self.settle_pin(device);
        Some(result)
    }

    /// A device's interrupt pin may have moved: the pins of all devices on its line are joined.
    fn settle_pin(&mut self, device: usize) {
        let Some(slot) = self.devices.slots.get_mut(device) else { return };
        let Some(config) = self.pci.function(slot.at) else { return };
        let (level, pin, at) = (config.interrupt(), config.interrupt_pin(), slot.at);
        if level == slot.level || pin == 0 {
            return;
        }
        slot.level = level;
        let line = pirq(at.device(), pin);
        let on_line = |s: &Slot| {
            let pin = self.pci.function(s.at).map_or(0, ConfigSpace::interrupt_pin);
            pin != 0 && pirq(s.at.device(), pin) == line
        };
        let level = self.devices.slots.iter().any(|s| s.level && on_line(s));
        self.wires.set_pirq(line, level);
        self.touched |= Touched::DEVICES | Touched::LINES;
    }

    /// A read from a BAR, of one item. Bytes beyond its end are ones.
    pub(super) fn bar_read(&mut self, now: Time, (to, offset, left): (Target, u64, u64), data: &mut [u8]) {
        self.volatile_reads += 1;
        let (inside, outside) = data.split_at_mut(within(data.len(), left));
        outside.fill(0xff);
        for (n, part) in (0..).step_by(WIDEST).zip(inside.chunks_mut(WIDEST)) {
            match to {
                Target::Bar { device, bar } => {
                    part.fill(0xff);
                    self.call(now, device, |d, env| d.bar_read(env, bar, offset + n, part));
                }
                Target::Test(block) => self.testdev_read(block, offset + n, part),
            }
        }
    }

    /// A write to a BAR, of one item. Bytes beyond its end are dropped.
    pub(super) fn bar_write(&mut self, now: Time, (to, offset, left): (Target, u64, u64), data: &[u8]) {
        for (n, part) in (0..).step_by(WIDEST).zip(data[..within(data.len(), left)].chunks(WIDEST)) {
            match to {
                Target::Bar { device, bar } => {
                    self.call(now, device, |d, env| d.bar_write(env, bar, offset + n, part));
                }
                Target::Test(block) => self.testdev_write(block, offset + n, part),
            }
        }
    }

    /// A read of memory that may be a BAR's; whether it was.
    pub(super) fn device_read(&mut self, now: Time, address: u64, data: &mut [u8]) -> bool {
        let found = find(&self.devices.memory, address);
        if let Some(found) = found {
            self.bar_read(now, found, data);
        }
        found.is_some()
    }

    /// A write of memory that may be a BAR's.
    pub(super) fn device_write(&mut self, now: Time, address: u64, data: &[u8]) {
        if let Some(found) = find(&self.devices.memory, address) {
            self.bar_write(now, found, data);
        }
    }

    /// Registers of a function are about to be read.
    pub(super) fn config_reading(&mut self, now: Time, at: Bdf, register: u8, len: usize) {
        // The header is the same to everybody.
        if usize::from(register) + len > 0x40
            && let Some(device) = self.devices.index(at)
        {
            self.call(now, device, |d, env| d.config_read(env, register, len));
        }
    }

    /// Registers of a device's function were written.
    pub(super) fn config_written(&mut self, now: Time, at: Bdf, register: u8, len: usize, changes: Changes) {
        let Some(device) = self.devices.index(at) else { return };
        if changes.contains(Changes::BARS) {
            self.devices.route(&self.pci);
        }
        let first = usize::from(register);
        let command = first < 6 && first + len > 4;
        if changes.contains(Changes::BARS) || command || first + len > 0x40 {
            self.call(now, device, |d, env| d.config_written(env, register, len));
        }
    }

    /// Lets the devices whose time has come act.
    pub(super) fn tick_devices(&mut self, now: Time) {
        for n in 0..self.devices.slots.len() {
            if self.devices.slots[n].device.next_event() <= now {
                self.call(now, n, |d, env| d.tick(env));
            }
        }
    }

    /// Bytes for a device from outside; how many it took.
    pub fn device_input(&mut self, now: Time, at: Bdf, bytes: &[u8]) -> (usize, Attention) {
        let device = self.devices.index(at);
        let taken = device.and_then(|n| self.call(now, n, |d, env| d.input(env, bytes)));
        (taken.unwrap_or(0), self.attention(None))
    }

    /// How many bytes a device would take now.
    pub fn device_room(&self, at: Bdf) -> usize {
        self.devices.index(at).map_or(0, |n| self.devices.slots[n].device.input_room())
    }

    /// Whatever works for devices between accesses stops and comes back: before a save, and where the machine is to
    /// stand still. The next access to a device may start it again.
    pub fn recall(&mut self, now: Time) -> Attention {
        for n in 0..self.devices.slots.len() {
            self.call(now, n, |d, env| d.recall(env));
        }
        self.attention(None)
    }

    /// Something has come for a device from outside of the machine: lets it look.
    pub fn poke(&mut self, now: Time, at: Bdf) -> Attention {
        if let Some(device) = self.devices.index(at) {
            self.call(now, device, |d, env| d.tick(env));
        }
        self.attention(None)
    }
}
