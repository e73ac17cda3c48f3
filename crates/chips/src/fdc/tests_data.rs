//! The commands with data, by DMA and by the CPU, and the formats.

use alloc::vec::Vec;

use hako_mem::Gpa;

use super::geometry::Geometry;
use super::tests::Bench;

const BUFFER: u64 = 0x1_0000;
const TO_MEMORY: u8 = 0x46;
const FROM_MEMORY: u8 = 0x4a;

impl Bench {
    /// Channel 2 for so many bytes at the buffer.
    fn program(&mut self, mode: u8, bytes: u16) {
        let count = (bytes - 1).to_le_bytes();
        self.dma.write(0, 0x0c, 0);
        self.dma.write(0, 0x0b, mode);
        for (register, value) in [(4, 0), (4, 0), (5, count[0]), (5, count[1])] {
            self.dma.write(0, register, value);
        }
        self.dma.write_page(1, 1);
        self.dma.write(0, 0x0a, 2);
        self.with(|_, _| ());
    }

    fn sector(&self, n: u64) -> u64 {
        self.mem.load(Gpa(BUFFER + n * 512)).unwrap()
    }

    fn cpu_moves_data(&mut self) {
        self.command(&[3, 0xdf, 0x03]);
    }
}

#[test]
fn read_data_moves_a_sector_by_dma() {
    let mut b = Bench::new(2880);
    b.program(TO_MEMORY, 512);
    assert_eq!(b.command(&[0x46, 0, 0, 0, 5, 2, 18, 0x1b, 0xff]), [0, 0, 0, 0, 0, 6, 2]);
    assert_eq!(b.sector(0), 4);
}

#[test]
fn the_end_of_a_command_interrupts_until_the_result_is_read() {
    let mut b = Bench::new(2880);
    b.program(TO_MEMORY, 512);
    for byte in [0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff] {
        b.write(5, byte);
    }
    assert!(b.chip.irq());
    assert_eq!(b.read(4), 0xd0);
    b.read(5);
    assert!(!b.chip.irq());
}

#[test]
fn multi_track_goes_on_to_side_1() {
    let mut b = Bench::new(2880);
    b.program(TO_MEMORY, 3 * 512);
    assert_eq!(b.command(&[0xc6, 0, 0, 0, 17, 2, 18, 0x1b, 0xff]), [4, 0, 0, 0, 1, 2, 2]);
    assert_eq!([0, 1, 2].map(|n| b.sector(n)), [16, 17, 18]);
}

#[test]
fn the_result_after_the_last_sector_names_the_next_cylinder() {
    for (mt, unit, head, result) in [
        (0x46, 0, 0, [0, 0, 0, 1, 0, 1, 2]),
        (0xc6, 0, 0, [0, 0, 0, 0, 1, 1, 2]),
        (0xc6, 4, 1, [4, 0, 0, 1, 0, 1, 2]),
    ] {
        let mut b = Bench::new(2880);
        b.program(TO_MEMORY, 512);
        assert_eq!(b.command(&[mt, unit, 0, head, 18, 2, 18, 0x1b, 0xff]), result);
    }
}

#[test]
fn without_terminal_count_the_cylinder_ends() {
    let mut b = Bench::new(2880);
    b.program(TO_MEMORY, 0xfe00);
    assert_eq!(b.command(&[0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff]), [0x40, 0x80, 0, 1, 0, 1, 2]);
}

#[test]
fn a_transfer_waits_for_its_channel() {
    let mut b = Bench::new(2880);
    assert_eq!(b.command(&[0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]), []);
    assert_eq!((b.read(4), b.chip.dma_request(), b.chip.irq()), (0x10, true, false));
    b.program(TO_MEMORY, 512);
    assert_eq!(b.read(4), 0xd0);
}

#[test]
fn verify_mode_reads_without_memory() {
    let mut b = Bench::new(2880);
    b.program(0x42, 1024);
    assert_eq!(b.command(&[0x46, 0, 0, 0, 2, 2, 18, 0x1b, 0xff])[..3], [0, 0, 0]);
    assert_eq!(b.sector(0), 0);
}

#[test]
fn write_data_comes_from_memory() {
    let mut b = Bench::new(2880);
    b.mem.fill(Gpa(BUFFER), 1024, 0xab).unwrap();
    b.program(FROM_MEMORY, 1024);
    assert_eq!(b.command(&[0x45, 0, 0, 0, 2, 2, 18, 0x1b, 0xff]), [0, 0, 0, 0, 0, 4, 2]);
    let disk = b.disks[0].as_ref().unwrap();
    assert_eq!(disk.bytes[512..1536], [0xab; 1024]);
    assert_eq!(disk.bytes[1536], 3);
}

#[test]
fn a_sector_that_ends_early_is_filled_with_zeros() {
    let mut b = Bench::new(2880);
    b.mem.fill(Gpa(BUFFER), 512, 0xab).unwrap();
    b.program(FROM_MEMORY, 100);
    b.command(&[0x45, 0, 0, 0, 2, 2, 18, 0x1b, 0xff]);
    let disk = b.disks[0].as_ref().unwrap();
    assert_eq!((disk.bytes[512 + 99], disk.bytes[512 + 100]), (0xab, 0));
}

#[test]
fn a_protected_disk_is_not_writable() {
    let mut b = Bench::new(2880);
    b.disks[0].as_mut().unwrap().read_only = true;
    assert_eq!(b.command(&[0x45, 0, 0, 0, 2, 2, 18, 0x1b, 0xff])[..3], [0x40, 0x02, 0]);
    assert_eq!(b.command(&[0x4d, 0, 2, 18, 0x54, 0xf6])[..3], [0x40, 0x02, 0]);
}

#[test]
fn wrong_addresses_find_no_data() {
    for (c, h, r, n, st) in [
        (0, 0, 19, 2, [0x40, 0x04, 0]),
        (0, 0, 0, 2, [0x40, 0x04, 0]),
        (0, 1, 1, 2, [0x40, 0x04, 0]),
        (0, 0, 1, 3, [0x40, 0x04, 0]),
        (1, 0, 1, 2, [0x40, 0x04, 0x10]),
    ] {
        assert_eq!(Bench::new(2880).command(&[0x46, 0, c, h, r, n, 18, 0x1b, 0xff])[..3], st);
    }
}

#[test]
fn no_disk_wrong_rate_and_missing_side_have_no_address_mark() {
    let mut b = Bench::new(2880);
    assert_eq!(b.command(&[0x46, 1, 0, 0, 1, 2, 18, 0x1b, 0xff])[..3], [0x41, 0x01, 0]);
    b.write(7, 2);
    assert_eq!(b.command(&[0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff])[..3], [0x40, 0x01, 0]);
    let mut b = Bench::new(320);
    b.write(7, 2);
    assert_eq!(b.command(&[0x46, 4, 0, 1, 1, 2, 8, 0x1b, 0xff])[..3], [0x44, 0x01, 0]);
}

#[test]
fn a_host_error_is_a_data_error() {
    let mut b = Bench::new(2880);
    b.disks[0].as_mut().unwrap().bad = Some(1);
    b.program(TO_MEMORY, 1024);
    assert_eq!(b.command(&[0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]), [0x40, 0x20, 0x20, 0, 0, 2, 2]);
}

#[test]
fn implied_seek_moves_the_head() {
    let mut b = Bench::new(2880);
    b.command(&[0x13, 0, 0x60, 0]);
    b.program(TO_MEMORY, 512);
    assert_eq!(b.command(&[0x46, 0, 2, 0, 1, 2, 18, 0x1b, 0xff])[..3], [0, 0, 0]);
    assert_eq!(b.sector(0), 72);
}

#[test]
fn the_cpu_can_move_the_data() {
    let mut b = Bench::new(2880);
    b.cpu_moves_data();
    b.command(&[0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff]);
    assert!(b.chip.irq());
    assert_eq!(b.read(4), 0xf0);
    let data: Vec<u8> = (0..512).map(|_| b.read(5)).collect();
    assert_eq!(data[..8], 17u64.to_le_bytes());
    assert_eq!(b.result(), [0x40, 0x80, 0, 1, 0, 1, 2]);
}

#[test]
fn the_cpu_can_write() {
    let mut b = Bench::new(2880);
    b.cpu_moves_data();
    b.command(&[0x45, 0, 0, 0, 18, 2, 18, 0x1b, 0xff]);
    assert_eq!(b.read(4), 0xb0);
    (0..512).for_each(|_| b.write(5, 0x5a));
    assert_eq!(b.result()[..2], [0x40, 0x80]);
    assert_eq!(b.disks[0].as_ref().unwrap().bytes[17 * 512..18 * 512], [0x5a; 512]);
}

#[test]
fn format_fills_the_sectors_named() {
    let mut b = Bench::new(2880);
    b.seek(1);
    b.mem.write(Gpa(BUFFER), &[1, 0, 1, 2, 1, 0, 3, 2]).unwrap();
    b.program(FROM_MEMORY, 8);
    assert_eq!(b.command(&[0x4d, 0, 2, 2, 0x54, 0xf6])[..3], [0, 0, 0]);
    let disk = b.disks[0].as_ref().unwrap();
    assert_eq!([36, 37, 38].map(|n| disk.bytes[n * 512]), [0xf6, 37, 0xf6]);
}

#[test]
fn formats_are_known_by_their_size() {
    for (kib, c, h, s, rate) in [
        (160, 40, 1, 8, 2),
        (180, 40, 1, 9, 2),
        (320, 40, 2, 8, 1),
        (360, 40, 2, 9, 2),
        (720, 80, 2, 9, 2),
        (1200, 80, 2, 15, 0),
        (1440, 80, 2, 18, 0),
        (1680, 80, 2, 21, 0),
        (2880, 80, 2, 36, 3),
    ] {
        let g = Geometry::of_size(kib * 2);
        assert_eq!((g.cylinders, g.heads, g.sectors, g.fits_rate(rate)), (c, h, s, true));
    }
}

#[test]
fn other_sizes_are_1440_kib_or_larger() {
    assert_eq!(Geometry::of_size(1).total(), 2880);
    assert_eq!(Geometry::of_size(2881).total(), 3360);
    assert_eq!(Geometry::of_size(1 << 40).total(), 5760);
}

#[test]
fn what_a_short_image_lacks_reads_as_zeros() {
    let mut b = Bench::new(1);
    b.mem.fill(Gpa(BUFFER), 1024, 0xee).unwrap();
    b.program(TO_MEMORY, 1024);
    assert_eq!(b.command(&[0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff])[..3], [0, 0, 0]);
    assert_eq!((b.sector(0), b.sector(1)), (0, 0));
}
