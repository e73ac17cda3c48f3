//! The PCI bus: the functions of the chip set, both configuration mechanisms, and what changes of registers mean to the
//! board.

use hako_chips::pci::config::Changes;
use hako_chips::pci::host::{Bdf, PciHost};
use hako_chips::pci::{i440fx, piix};
use hako_engine::Time;

use super::Pc;
use super::events::Touched;
use super::layout::{ECAM, ECAM_SIZE};
use super::routing::Io;

/// The 440FX.
const HOST_BRIDGE: Bdf = Bdf::new(0, 0, 0);
/// PIIX3's ISA bridge.
pub(super) const ISA_BRIDGE: Bdf = Bdf::new(0, 1, 0);
/// PIIX3's IDE.
const IDE: Bdf = Bdf::new(0, 1, 1);
/// PIIX4's power management. Its ports are where every BIOS puts them, whatever its base register says. SeaBIOS switches
/// machines off by them only if it finds the function.
pub(super) const PM: Bdf = Bdf::new(0, 1, 3);

/// The functions that every PC has.
pub(super) fn functions() -> PciHost {
    let mut host = PciHost::new();
    host.add(HOST_BRIDGE, i440fx::host_bridge());
    host.add(ISA_BRIDGE, piix::isa_bridge());
    host.add(IDE, piix::ide());
    host.add(PM, piix::power_management());
    host
}

/// The PAM registers.
pub(super) fn pam(host: &PciHost) -> [u8; 7] {
    host.function(HOST_BRIDGE).map_or([0; 7], i440fx::pam)
}

/// CONFIG_ADDRESS; CONFIG_DATA follows it.
const ADDRESS: u16 = 0xcf8;

/// The distance from CONFIG_ADDRESS.
fn distance(io: Io) -> u8 {
    io.port.wrapping_sub(ADDRESS) as u8
}

pub(super) fn read(pc: &mut Pc, io: Io, data: &mut [u8]) {
    for item in data.chunks_mut(io.width.bytes()) {
        if let Some((at, register, len)) = pc.pci.target(distance(io), item.len()) {
            pc.config_reading(io.now, at, register, len);
        }
        pc.pci.read(distance(io), item);
    }
}

pub(super) fn write(pc: &mut Pc, io: Io, data: &[u8]) {
    for item in data.chunks(io.width.bytes()) {
        let target = pc.pci.target(distance(io), item.len());
        let changes = pc.pci.write(distance(io), item).map_or(Changes::empty(), |(_, changes)| changes);
        if let Some((at, register, len)) = target {
            pc.config_settle(io.now, at, register, len, changes);
        }
    }
}

/// The function and register that an address in the ECAM window names (PCI Firmware Specification 3.2, 4.1): 4 KiB for
/// each function. Only the first 256 bytes of a conventional function are registers.
fn ecam_target(address: u64) -> Option<(Bdf, Option<u8>)> {
    let offset = address.checked_sub(ECAM).filter(|offset| *offset < ECAM_SIZE)?;
    Some((Bdf::from_number((offset >> 12) as u16), u8::try_from(offset & 0xfff).ok()))
}

impl Pc {
    /// A read of memory that may be the ECAM window's or a device's; whether it was.
    pub(super) fn pci_read(&mut self, now: Time, address: u64, data: &mut [u8]) -> bool {
        let Some((at, register)) = ecam_target(address) else { return self.device_read(now, address, data) };
        data.fill(0xff);
        if let Some(register) = register {
            self.config_reading(now, at, register, data.len());
            if let Some(function) = self.pci.function(at) {
                function.read(register, data);
            }
        }
        true
    }

    /// A write of memory that may be the ECAM window's or a device's.
    pub(super) fn pci_write(&mut self, now: Time, address: u64, data: &[u8]) {
        let Some((at, register)) = ecam_target(address) else { return self.device_write(now, address, data) };
        if let Some(register) = register
            && let Some(function) = self.pci.function_mut(at)
        {
            let changes = function.write(register, data);
            self.config_settle(now, at, register, data.len(), changes);
        }
    }

    /// What follows a write of `len` bytes to registers of a function.
    fn config_settle(&mut self, now: Time, at: Bdf, register: u8, len: usize, changes: Changes) {
        match at {
            HOST_BRIDGE if changes.contains(Changes::DEVICE) => self.repam(),
            ISA_BRIDGE if changes.contains(Changes::DEVICE) => self.settle_pirq_routes(),
            HOST_BRIDGE | ISA_BRIDGE | IDE | PM => {}
            _ => self.config_written(now, at, register, len, changes),
        }
    }

    /// The PIRQ route control registers may have changed.
    pub(super) fn settle_pirq_routes(&mut self) {
        let mut route = [0x80; 4];
        if let Some(f) = self.pci.function(ISA_BRIDGE) {
            f.read(piix::PIRQ_ROUTE, &mut route);
        }
        self.wires.set_route(route);
        self.touched |= Touched::LINES;
    }
}
