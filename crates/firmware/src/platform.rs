//! What the services need of the machine: the board implements it.

use hako_chips::Block;
use hako_mem::{Gpa, MemoryRange};
use hako_x86::Width;

/// A drive as INT 13h numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drive {
    /// A floppy drive: 0 and 1 are drives 00h and 01h.
    Floppy(u8),
    /// A hard disk: 0 is drive 80h.
    HardDisk(u8),
    /// A CD-ROM drive: 0 is drive E0h.
    Cdrom(u8),
}

/// The machine under the services.
///
/// The services drive the RTC, the 8042, the UARTs, VGA, PCI configuration (0xCF8) and port 0x92 through ports, as any
/// BIOS does. They never touch the interrupt controllers or the PIT: the stubs do that with guest instructions, so that
/// chips inside the host's kernel need no other way in.
pub trait Platform {
    /// IN of 1, 2 or 4 bytes; reads of nothing return all ones.
    fn port_in(&mut self, port: u16, width: Width) -> u32;

    /// OUT of 1, 2 or 4 bytes.
    fn port_out(&mut self, port: u16, width: Width, value: u32);

    /// OUTSB of all of `data` to one port (colour tables).
    fn port_out_bytes(&mut self, port: u16, data: &[u8]) {
        for &byte in data {
            self.port_out(port, Width::B1, byte.into());
        }
    }

    /// Whether address bit 20 gets through. The services read and write memory as the CPU would. A board whose 8042 also
    /// opens the gate has more to say than port 0x92.
    fn a20(&mut self) -> bool {
        self.port_in(0x92, Width::B1) & 2 != 0
    }

    /// Reads addresses that are neither RAM nor ROM (video memory in modes that a chip answers for).
    fn mmio_read(&mut self, gpa: Gpa, data: &mut [u8]);

    /// Writes addresses that are not RAM.
    fn mmio_write(&mut self, gpa: Gpa, data: &[u8]);

    /// The medium in a drive; `None` if there is no drive or no medium. A CD's sectors count 512 bytes here too.
    fn disk(&mut self, drive: Drive) -> Option<&mut dyn Block>;

    /// The drive to try as number `n` at boot; `None` ends the list.
    fn boot_drive(&self, n: usize) -> Option<Drive>;

    /// RAM and whatever the board reserves, by rising address, not overlapping. The firmware itself takes the EBDA out
    /// of low memory and adds the ROM.
    fn memory_map(&self) -> &[MemoryRange];

    /// Called for each character that INT 10h writes, control characters of the teletype included.
    fn printed(&mut self, byte: u8);
}
