//! PCI configuration, as far as it tells what machine this is.

use super::cpu::{port_read, port_write};

/// Vendor and device of the host bridge; all ones without PCI.
pub fn host_bridge() -> u32 {
    const ADDRESS: u16 = 0xcf8;
    const DATA: u16 = 0xcfc;
    port_write(ADDRESS, 4, 1 << 31);
    port_read(DATA, 4)
}
