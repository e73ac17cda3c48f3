//! The PCI functions of the board, and what changes of their registers mean to it.

use hako_chips::pci::config::Changes;
use hako_chips::pci::host::{Bdf, PciHost};
use hako_chips::pci::{i440fx, piix};

use super::Pc;
use super::routing::Io;

/// The 440FX.
const HOST_BRIDGE: Bdf = Bdf::new(0, 0, 0);
/// PIIX3's ISA bridge.
const ISA_BRIDGE: Bdf = Bdf::new(0, 1, 0);
/// PIIX3's IDE.
const IDE: Bdf = Bdf::new(0, 1, 1);

/// The functions that every PC has.
pub(super) fn functions() -> PciHost {
    let mut host = PciHost::new();
    host.add(HOST_BRIDGE, i440fx::host_bridge());
    host.add(ISA_BRIDGE, piix::isa_bridge());
    host.add(IDE, piix::ide());
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
        pc.pci.read(distance(io), item);
    }
}

pub(super) fn write(pc: &mut Pc, io: Io, data: &[u8]) {
    for item in data.chunks(io.width.bytes()) {
        let Some((bdf, changes)) = pc.pci.write(distance(io), item) else { continue };
        if !changes.contains(Changes::DEVICE) {
            continue;
        }
        match bdf {
            HOST_BRIDGE => pc.repam(),
            ISA_BRIDGE => {
                let mut route = [0x80; 4];
                if let Some(f) = pc.pci.function(ISA_BRIDGE) {
                    f.read(piix::PIRQ_ROUTE, &mut route);
                }
                pc.wires.set_route(route);
            }
            _ => {}
        }
    }
}
