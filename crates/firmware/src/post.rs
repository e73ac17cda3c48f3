//! Power-on: vectors, data areas, clocks, screen. Done in few bulk copies, because every test of a boot sector pays for it.

use hako_mem::{Gpa, GuestMemory};

use crate::bda::{self, ebda};
use crate::call::Call;
use crate::disk::{self, Geometry};
use crate::{Drive, clock, keyboard, rom, system, video};

/// The most hard disks that INT 13h numbers.
pub(crate) const MAX_DISKS: u8 = 8;

/// Serial ports in the order of their names.
const COM_PORTS: [u16; 4] = [0x3f8, 0x2f8, 0x3e8, 0x2e8];

/// A block of guest memory under construction.
struct Block<const N: usize>([u8; N]);

impl<const N: usize> Block<N> {
    fn put(&mut self, at: u16, bytes: &[u8]) {
        if let Some(room) = self.0.get_mut(usize::from(at)..usize::from(at) + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }

    fn write(&self, mem: &GuestMemory, at: Gpa) {
        // Without RAM there the machine has no low memory at all, and nothing that follows can work or do harm.
        let _ = mem.write(at, &self.0);
    }
}

/// Lays out everything; booting comes next.
pub(crate) fn post(call: &mut Call<'_>) {
    let mut ivt = Block(rom::IVT);
    for (vector, table) in [(0x41, ebda::DISK_TABLE), (0x46, ebda::DISK_TABLE + ebda::DISK_TABLE_LEN)] {
        ivt.put(vector * 4, &table.to_le_bytes());
        ivt.put(vector * 4 + 2, &bda::EBDA.to_le_bytes());
    }
    ivt.write(call.mem, Gpa(0));
    system::set_a20(call, true);

    let disks =
        (0..MAX_DISKS).take_while(|&n| call.platform.disk(Drive::HardDisk(n)).is_some()).count() as u8;
    data_area(call, disks);
    extended_data_area(call, disks);
    let floppies = disk::floppy_count(call);
    start_floppy(call, floppies > 0);
    keyboard::start(call);
    clock::start(call);
    video::start(call);
}

/// What a driver of the guest's own expects of the floppy's chips: the second 8237 passes the first one's requests on
/// (channel 4 in cascade mode, open), and the controller is out of reset at 500 kbit/s with nothing left to report.
fn start_floppy(call: &mut Call<'_>, present: bool) {
    call.outb(0xd6, 0xc0);
    call.outb(0xd4, 0x00);
    if !present {
        return;
    }
    call.outb(0x3f2, 0x04);
    call.outb(0x3f7, 0x00);
    // A reset leaves an interrupt for each of four drives. The gate of IRQ 6 opens only after they are taken.
    for _ in 0..4 {
        call.outb(0x3f5, 0x08); // SENSE INTERRUPT STATUS
        call.inb(0x3f5);
        call.inb(0x3f5);
    }
    call.outb(0x3f2, 0x0c);
}

/// The BIOS data area (0040:0000), without what the first mode set fills in.
fn data_area(call: &mut Call<'_>, disks: u8) {
    let mut area = Block([0u8; 0x100]);
    let mut serial = 0u16;
    for port in COM_PORTS {
        // Bits 4 and 5 of an interrupt identification register are 0: all ones means that nothing answers.
        if call.inb(port + 2) != 0xff {
            area.put(bda::COM_PORTS.0 + serial * 2, &port.to_le_bytes());
            serial += 1;
        }
    }
    let floppies = disk::floppy_count(call);
    // FPU, 80x25 colour, serial ports, floppy drives.
    let equipment = 0x0022 | serial << 9 | if floppies > 0 { 1 | u16::from(floppies - 1) << 6 } else { 0 };
    area.put(bda::EQUIPMENT.0, &equipment.to_le_bytes());
    area.put(bda::EBDA_SEGMENT.0, &bda::EBDA.to_le_bytes());
    area.put(bda::MEMORY_KB.0, &(bda::EBDA / 64).to_le_bytes());
    let (first, end) = (0x1eu16, 0x3eu16);
    for (field, value) in [
        (&bda::KEY_HEAD, first),
        (&bda::KEY_TAIL, first),
        (&bda::KEY_BUFFER, first),
        (&bda::KEY_BUFFER_END, end),
    ] {
        area.put(field.0, &value.to_le_bytes());
    }
    area.put(bda::DISK_COUNT.0, &[disks]);
    // Time limits of the printer and serial ports.
    area.put(0x78, &[0x14, 0x14, 0x14, 0x14, 0x0a, 0x0a, 0x0a, 0x0a]);
    // VGA, 400 lines, colour; keyboard with 101 keys.
    area.put(bda::VIDEO_OPTIONS.0, &[0x60, 0xf9, 0x11, 0x0b]);
    area.put(bda::KEY_STATE.0, &[0x10]);
    area.write(call.mem, Gpa(0x400));
}

/// The extended data area: its size, and the disk parameters that vectors 41h and 46h point to.
fn extended_data_area(call: &mut Call<'_>, disks: u8) {
    let mut area = Block([0u8; 0x80]);
    area.put(0, &[1]); // KiB
    for n in 0..disks.min(2) {
        let Some(geometry) =
            call.platform.disk(Drive::HardDisk(n)).map(|d| Geometry::of_hard_disk(d.sectors()))
        else {
            continue;
        };
        area.put(ebda::DISK_TABLE + u16::from(n) * ebda::DISK_TABLE_LEN, &geometry.parameter_table());
    }
    area.write(call.mem, ebda::gpa(0));
}
