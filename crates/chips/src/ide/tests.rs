//! The channel and the hard disk against the standard.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::BlockError;
use crate::block::SECTOR;

/// A disk in memory whose sector n begins with n, and which fails at one sector.
pub(crate) struct Disk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) read_only: bool,
    pub(crate) bad: Option<u64>,
}

impl Disk {
    pub(crate) fn new(sectors: u64) -> Disk {
        let mut bytes = alloc::vec![0; sectors as usize * SECTOR];
        for (n, sector) in bytes.chunks_mut(SECTOR).enumerate() {
            sector[..8].copy_from_slice(&(n as u64).to_le_bytes());
        }
        Disk { bytes, read_only: false, bad: None }
    }

    fn range(&self, lba: u64, len: usize) -> Result<core::ops::Range<usize>, BlockError> {
        let count = (len / SECTOR) as u64;
        if lba.checked_add(count).is_none_or(|end| end > self.sectors()) {
            return Err(BlockError::Range { lba, count });
        }
        if self.bad.is_some_and(|bad| (lba..lba + count).contains(&bad)) {
            return Err(BlockError::Host("bad".to_string()));
        }
        Ok(lba as usize * SECTOR..lba as usize * SECTOR + len)
    }
}

impl Block for Disk {
    fn sectors(&self) -> u64 {
        (self.bytes.len() / SECTOR) as u64
    }
    fn read_only(&self) -> bool {
        self.read_only
    }
    fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        let range = self.range(lba, buf.len())?;
        buf.copy_from_slice(&self.bytes[range]);
        Ok(())
    }
    fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), BlockError> {
        if self.read_only {
            return Err(BlockError::ReadOnly);
        }
        let range = self.range(lba, data.len())?;
        self.bytes[range].copy_from_slice(data);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), BlockError> {
        Ok(())
    }
}

/// A channel with its disks, as a board would have it.
pub(super) struct Bench {
    pub(super) chip: Channel,
    pub(super) disks: [Option<Box<Disk>>; 2],
}

impl Bench {
    pub(super) fn new(kinds: [DriveKind; 2], disks: [Option<Disk>; 2]) -> Bench {
        Bench { chip: Channel::new(kinds), disks: disks.map(|d| d.map(Box::new)) }
    }

    fn disk(sectors: u64) -> Bench {
        let kinds = [DriveKind::Disk { sectors }, DriveKind::Absent];
        Bench::new(kinds, [Some(Disk::new(sectors)), None])
    }

    pub(super) fn with<T>(&mut self, f: impl FnOnce(&mut Channel, &mut Media<'_>) -> T) -> T {
        let [a, b] = &mut self.disks;
        let mut media =
            [a.as_deref_mut().map(|d| d as &mut dyn Block), b.as_deref_mut().map(|d| d as &mut dyn Block)];
        f(&mut self.chip, &mut media)
    }

    pub(super) fn write(&mut self, register: u8, value: u8) {
        self.with(|c, m| c.write(register, value, m));
    }

    pub(super) fn read(&mut self, register: u8) -> u8 {
        self.with(|c, m| c.read(register, m))
    }

    /// Writes features, count, LBA low, mid, high, device, command.
    pub(super) fn command(&mut self, registers: [u8; 7]) {
        for (i, value) in (1..).zip(registers) {
            self.write(i, value);
        }
    }

    /// Writes an address of 48 bits and a command.
    fn command_ext(&mut self, count: u16, lba: u64, command: u8) {
        let (c, l) = (count.to_le_bytes(), lba.to_le_bytes());
        self.command([0, c[1], l[3], l[4], l[5], 0x40, 0]);
        self.command([0, c[0], l[0], l[1], l[2], 0x40, command]);
    }

    pub(super) fn data(&mut self, len: usize) -> Vec<u8> {
        let mut data = alloc::vec![0xee; len];
        self.with(|c, m| c.read_data(2, &mut data, m));
        data
    }

    fn put(&mut self, data: &[u8]) {
        self.with(|c, m| c.write_data(2, data, m));
    }

    pub(super) fn registers(&mut self) -> [u8; 4] {
        [2, 3, 4, 5].map(|r| self.read(r))
    }

    fn word(data: &[u8], n: usize) -> u16 {
        u16::from_le_bytes([data[2 * n], data[2 * n + 1]])
    }

    fn identify(&mut self) -> Vec<u8> {
        self.command([0, 0, 0, 0, 0, 0xa0, 0xec]);
        self.data(512)
    }
}

#[test]
fn after_reset_a_disk_is_ready_and_signed() {
    let mut b = Bench::disk(100);
    assert_eq!((b.read(7), b.read(1), b.registers()), (0x50, 1, [1, 1, 0, 0]));
    assert!(!b.chip.irq());
}

#[test]
fn software_reset_is_busy_until_released() {
    let mut b = Bench::disk(100);
    b.command([0, 1, 0, 0, 0, 0x40, 0xec]);
    b.chip.write_control(0x04);
    assert_eq!(b.chip.alternate_status(), 0x80);
    b.chip.write_control(0x00);
    assert_eq!((b.read(7), b.read(6), b.registers()), (0x50, 0xa0, [1, 1, 0, 0]));
}

#[test]
fn an_empty_channel_floats() {
    let mut b = Bench::new([DriveKind::Absent; 2], [None, None]);
    assert_eq!([b.read(7), b.read(2), b.chip.alternate_status()], [0xff; 3]);
}

#[test]
fn device_0_answers_for_an_absent_device_1_with_zeros() {
    let mut b = Bench::disk(100);
    b.write(6, 0xb0);
    b.write(2, 0x55);
    assert_eq!([b.read(7), b.read(2)], [0, 0]);
    b.write(7, 0xec);
    assert_eq!(b.read(7), 0);
}

#[test]
fn identify_names_model_serial_and_size() {
    let mut b = Bench::disk(1008 * 10);
    let id = b.identify();
    let text: Vec<u8> = id[54..94].chunks(2).flat_map(|c| [c[1], c[0]]).collect();
    assert_eq!(&text[..14], b"HAKO HARDDISK ");
    assert_eq!([1, 3, 6].map(|n| Bench::word(&id, n)), [10, 16, 63]);
    assert_eq!([60, 61].map(|n| Bench::word(&id, n)), [10080, 0]);
    assert_eq!([100, 101, 102, 103].map(|n| Bench::word(&id, n)), [10080, 0, 0, 0]);
    assert_eq!(Bench::word(&id, 83) & 0xc400, 0x4400);
}

#[test]
fn identify_offers_no_dma() {
    let id = Bench::disk(100).identify();
    assert_eq!([Bench::word(&id, 49) & 0x100, Bench::word(&id, 63), Bench::word(&id, 88)], [0; 3]);
}

#[test]
fn identify_adds_up_to_zero() {
    let id = Bench::disk(100).identify();
    assert_eq!(id[510], 0xa5);
    assert_eq!(id.iter().fold(0u8, |s, b| s.wrapping_add(*b)), 0);
}

#[test]
fn a_read_interrupts_once_per_sector() {
    let mut b = Bench::disk(100);
    b.command([0, 2, 5, 0, 0, 0x40, 0x20]);
    for n in [5, 6] {
        assert!(b.chip.irq());
        assert_eq!(b.read(7), 0x58);
        assert!(!b.chip.irq());
        assert_eq!(b.data(512)[0], n);
    }
    assert!(!b.chip.irq());
    assert_eq!(b.read(7), 0x50);
}

#[test]
fn alternate_status_does_not_acknowledge() {
    let mut b = Bench::disk(100);
    b.command([0, 1, 0, 0, 0, 0x40, 0x20]);
    assert_eq!(b.chip.alternate_status(), 0x58);
    assert!(b.chip.irq());
}

#[test]
fn nien_holds_the_interrupt_back() {
    let mut b = Bench::disk(100);
    b.chip.write_control(0x02);
    b.command([0, 1, 0, 0, 0, 0x40, 0x20]);
    assert!(!b.chip.irq());
    b.chip.write_control(0x00);
    assert!(b.chip.irq());
}

#[test]
fn a_count_of_zero_is_256_sectors() {
    let mut b = Bench::disk(300);
    b.command([0, 0, 0, 0, 0, 0x40, 0x20]);
    let data = b.data(256 * 512);
    assert_eq!(data[255 * 512], 255);
    assert_eq!(b.read(7), 0x50);
}

#[test]
fn chs_goes_through_the_translation() {
    let mut b = Bench::disk(5000);
    b.command([0, 1, 3, 1, 0, 0xa2, 0x20]);
    assert_eq!(b.data(8), (1008u64 + 2 * 63 + 2).to_le_bytes());
}

#[test]
fn wrong_chs_is_not_found() {
    for [sector, cylinder, head] in [[0, 0, 0], [64, 0, 0], [1, 9, 0]] {
        let mut b = Bench::disk(5000);
        b.command([0, 1, sector, cylinder, 0, 0xa0 | head, 0x20]);
        assert_eq!((b.read(7), b.read(1)), (0x51, 0x10));
    }
}

#[test]
fn initialize_parameters_changes_the_translation() {
    let mut b = Bench::disk(5000);
    b.command([0, 17, 0, 0, 0, 0xa3, 0x91]);
    assert_eq!(b.read(7), 0x50);
    b.command([0, 1, 1, 1, 0, 0xa0, 0x20]);
    assert_eq!(b.data(512)[0], 68);
    let id = b.identify();
    assert_eq!([54, 55, 56].map(|n| Bench::word(&id, n)), [74, 4, 17]);
}

#[test]
fn initialize_parameters_without_sectors_aborts() {
    let mut b = Bench::disk(5000);
    b.command([0, 0, 0, 0, 0, 0xaf, 0x91]);
    assert_eq!((b.read(7), b.read(1)), (0x51, 0x04));
}

#[test]
fn reading_past_the_end_delivers_what_exists() {
    let mut b = Bench::disk(10);
    b.command([0, 3, 9, 0, 0, 0x40, 0x20]);
    assert_eq!(b.data(512)[0], 9);
    assert_eq!((b.read(7), b.read(1), b.registers()), (0x51, 0x10, [2, 10, 0, 0]));
}

#[test]
fn a_48_bit_read_takes_both_halves_of_the_registers() {
    let mut b = Bench::disk(300);
    b.command_ext(2, 270, 0x24);
    assert_eq!(b.data(1024)[512..520], 271u64.to_le_bytes());
    b.command_ext(1, 1 << 40, 0x24);
    assert_eq!((b.read(7), b.read(1)), (0x51, 0x10));
}

#[test]
fn hob_shows_the_upper_half() {
    let mut b = Bench::disk(300);
    b.write(3, 0x12);
    b.write(3, 0x34);
    assert_eq!(b.read(3), 0x34);
    b.chip.write_control(0x80);
    assert_eq!(b.read(3), 0x12);
    b.write(3, 0);
    assert_eq!(b.read(3), 0);
}

#[test]
fn read_native_max_gives_the_last_sector() {
    let mut b = Bench::disk(300);
    b.command([0, 0, 0, 0, 0, 0x40, 0xf8]);
    assert_eq!(b.registers(), [0, 43, 1, 0]);
    b.command([0, 0, 0, 0, 0, 0x40, 0x27]);
    assert_eq!(b.registers(), [0, 43, 1, 0]);
}

#[test]
fn a_write_interrupts_after_each_sector() {
    let mut b = Bench::disk(100);
    b.command([0, 2, 7, 0, 0, 0x40, 0x30]);
    assert!(!b.chip.irq());
    assert_eq!(b.read(7), 0x58);
    b.put(&[0xab; 512]);
    assert!(b.chip.irq());
    assert_eq!(b.read(7), 0x58);
    b.put(&[0xcd; 512]);
    assert!(b.chip.irq());
    assert_eq!(b.read(7), 0x50);
    let disk = b.disks[0].as_ref().unwrap();
    assert_eq!([disk.bytes[7 * 512], disk.bytes[8 * 512 + 511]], [0xab, 0xcd]);
}

#[test]
fn a_read_only_disk_is_write_protected() {
    let mut b = Bench::disk(100);
    b.disks[0].as_mut().unwrap().read_only = true;
    b.command([0, 1, 7, 0, 0, 0x40, 0x30]);
    assert_eq!((b.read(7), b.read(1)), (0x51, 0x44));
}

#[test]
fn a_host_error_is_uncorrectable_at_its_sector() {
    let mut b = Bench::disk(100);
    b.disks[0].as_mut().unwrap().bad = Some(8);
    b.command([0, 4, 7, 0, 0, 0x40, 0x20]);
    b.data(512);
    assert_eq!((b.read(7), b.read(1), b.registers()), (0x51, 0x40, [3, 8, 0, 0]));
}

#[test]
fn a_host_error_when_writing_is_a_device_fault() {
    let mut b = Bench::disk(100);
    b.disks[0].as_mut().unwrap().bad = Some(7);
    b.command([0, 1, 7, 0, 0, 0x40, 0x30]);
    b.put(&[0; 512]);
    assert_eq!((b.read(7), b.read(1)), (0x71, 0x04));
}

#[test]
fn multiple_needs_to_be_set() {
    let mut b = Bench::disk(100);
    b.command([0, 4, 0, 0, 0, 0x40, 0xc4]);
    assert_eq!((b.read(7), b.read(1)), (0x51, 0x04));
}

#[test]
fn multiple_interrupts_once_per_block() {
    let mut b = Bench::disk(100);
    b.command([0, 4, 0, 0, 0, 0x40, 0xc6]);
    b.command([0, 6, 0, 0, 0, 0x40, 0xc4]);
    b.read(7);
    assert_eq!(b.data(4 * 512)[3 * 512], 3);
    assert!(b.chip.irq());
    b.read(7);
    assert_eq!(b.data(2 * 512)[512], 5);
    assert!(!b.chip.irq());
    assert_eq!(b.read(7), 0x50);
}

#[test]
fn multiple_takes_powers_of_two_up_to_16() {
    for (count, ok) in [(0, true), (1, true), (16, true), (3, false), (32, false)] {
        let mut b = Bench::disk(100);
        b.command([0, count, 0, 0, 0, 0x40, 0xc6]);
        assert_eq!(b.read(7) == 0x50, ok, "{count}");
    }
}

#[test]
fn writing_multiple_writes_blocks() {
    let mut b = Bench::disk(100);
    b.command([0, 2, 0, 0, 0, 0x40, 0xc6]);
    b.command([0, 3, 10, 0, 0, 0x40, 0xc5]);
    b.put(&[1; 3 * 512]);
    assert_eq!(b.read(7), 0x50);
    let disk = b.disks[0].as_ref().unwrap();
    assert_eq!(disk.bytes[10 * 512..13 * 512], [1; 3 * 512]);
    assert_eq!(disk.bytes[13 * 512], 13);
}

#[test]
fn verify_reads_without_data() {
    let mut b = Bench::disk(10);
    b.command([0, 10, 0, 0, 0, 0x40, 0x40]);
    assert_eq!(b.read(7), 0x50);
    b.command([0, 11, 0, 0, 0, 0x40, 0x40]);
    assert_eq!((b.read(7), b.read(1)), (0x51, 0x10));
}

#[test]
fn set_features_knows_pio_but_no_dma() {
    for (feature, count, status) in [(3, 0x0c, 0x50), (3, 0x22, 0x51), (2, 0, 0x50), (0x99, 0, 0x51)] {
        let mut b = Bench::disk(10);
        b.command([feature, count, 0, 0, 0, 0xa0, 0xef]);
        assert_eq!(b.read(7), status);
    }
}

#[test]
fn check_power_mode_tells_standby_idle_active() {
    let mut b = Bench::disk(10);
    for (command, mode) in [(0xe0, 0x00), (0xe1, 0x80), (0x40, 0xff)] {
        b.command([0, 1, 0, 0, 0, 0x40, command]);
        b.command([0, 0, 0, 0, 0, 0x40, 0xe5]);
        assert_eq!(b.read(2), mode);
    }
}

#[test]
fn unknown_commands_and_nop_abort() {
    for command in [0x00, 0x08, 0xa0, 0xa1, 0xc8, 0xca, 0xff] {
        let mut b = Bench::disk(10);
        b.command([0, 0, 0, 0, 0, 0xa0, command]);
        assert_eq!((b.read(7), b.read(1)), (0x51, 0x04));
    }
}

#[test]
fn diagnostic_is_for_both_drives_and_selects_device_0() {
    let kinds = [DriveKind::Disk { sectors: 9 }, DriveKind::CdRom];
    let mut b = Bench::new(kinds, [Some(Disk::new(9)), None]);
    b.command([0, 9, 9, 9, 9, 0xb0, 0x90]);
    assert!(b.chip.irq());
    assert_eq!((b.read(1), b.read(6), b.registers()), (1, 0xa0, [1, 1, 0, 0]));
    b.write(6, 0xb0);
    assert_eq!((b.read(1), b.registers()), (1, [1, 1, 0x14, 0xeb]));
}

#[test]
fn data_moves_in_bytes_words_and_dwords() {
    for width in [1, 2, 4] {
        let mut b = Bench::disk(10);
        b.command([0, 1, 3, 0, 0, 0x40, 0x20]);
        let mut data = [0; 512];
        b.with(|c, m| data.chunks_mut(width).for_each(|item| c.read_data(width, item, m)));
        assert_eq!(data[..8], 3u64.to_le_bytes());
        assert_eq!(b.read(7), 0x50);
    }
}

#[test]
fn without_drq_data_reads_ones() {
    assert_eq!(Bench::disk(10).data(4), [0xff; 4]);
}

#[test]
fn registers_are_deaf_during_a_transfer() {
    let mut b = Bench::disk(10);
    b.command([0, 1, 3, 0, 0, 0x40, 0x20]);
    b.command([9, 9, 9, 9, 9, 0xb0, 0xec]);
    assert_eq!(b.data(8), 3u64.to_le_bytes());
}

proptest! {
    #[test]
    fn storms_and_save_restore(
        accesses in proptest::collection::vec((0u8..12, any::<u8>(), 0usize..3000), 0..150),
        commands in proptest::collection::vec(any::<u8>(), 8),
    ) {
        let kinds = [DriveKind::Disk { sectors: 50 }, DriveKind::CdRom];
        let mut b = Bench::new(kinds, [Some(Disk::new(50)), Some(Disk::new(41))]);
        for (action, value, n) in accesses {
            match action {
                0..=6 => b.write(action, value),
                7 => b.write(7, commands[usize::from(value & 7)]),
                8 => b.write(7, [0x20, 0xa0, 0x30, 0xc4, 0xc5, 0x24, 0xec, 0xa1][usize::from(value & 7)]),
                9 => drop(b.data(n)),
                10 => b.put(&alloc::vec![value; n]),
                _ if value < 10 => b.chip.write_control(value),
                _ => drop(b.read(value & 7)),
            }
            b.chip.irq();
            let mut copy = Channel::new(kinds);
            copy.restore(&b.chip.save()).unwrap();
            prop_assert_eq!(copy.save(), b.chip.save());
        }
    }
}
