//! Registers, resets and the commands without data, against the data sheet.

use alloc::boxed::Box;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::dma8237::Dma8237;
use crate::ide::tests::Disk;
use hako_mem::GuestMemory;

/// A controller with two drives, DMA and memory, as a board would have it.
pub(super) struct Bench {
    pub(super) chip: Fdc,
    pub(super) dma: Dma8237,
    pub(super) mem: GuestMemory,
    pub(super) disks: [Option<Box<Disk>>; 2],
}

impl Bench {
    /// A disk of `sectors` in drive 0, drive 1 empty, out of reset and sensed, at 500 kbit/s.
    pub(super) fn new(sectors: u64) -> Bench {
        let mut b = Bench::cold();
        b.disks[0] = Some(Box::new(Disk::new(sectors)));
        b.write(2, 0x1c);
        (0..4).for_each(|_| drop(b.command(&[8])));
        b.write(7, 0);
        b
    }

    fn cold() -> Bench {
        let mut dma = Dma8237::new();
        dma.write(1, 0x0b, 0xc0);
        dma.write(1, 0x0a, 0x00);
        Bench { chip: Fdc::new([true; 2]), dma, mem: GuestMemory::flat(0x2_0000), disks: [None, None] }
    }

    pub(super) fn with<T>(&mut self, f: impl FnOnce(&mut Fdc, &mut Media<'_>) -> T) -> T {
        let [a, b] = &mut self.disks;
        let mut media =
            [a.as_deref_mut().map(|d| d as &mut dyn Block), b.as_deref_mut().map(|d| d as &mut dyn Block)];
        let result = f(&mut self.chip, &mut media);
        if self.chip.dma_request() {
            self.chip.dma(&mut self.dma.line(2, &self.mem), &mut media);
        }
        result
    }

    pub(super) fn write(&mut self, register: u8, value: u8) {
        self.with(|c, m| c.write(register, value, m));
    }

    pub(super) fn read(&mut self, register: u8) -> u8 {
        self.with(|c, m| c.read(register, m))
    }

    /// Sends a command and returns its result, if it has come to one.
    pub(super) fn command(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().for_each(|b| self.write(5, *b));
        self.result()
    }

    pub(super) fn result(&mut self) -> Vec<u8> {
        let mut result = Vec::new();
        while self.read(4) == 0xd0 {
            result.push(self.read(5));
        }
        result
    }

    pub(super) fn seek(&mut self, cylinder: u8) {
        self.command(&[0x0f, 0, cylinder]);
        assert_eq!(self.command(&[8]), [0x20, cylinder]);
    }
}

#[test]
fn in_reset_the_main_status_is_zero() {
    let mut b = Bench::cold();
    assert_eq!(b.read(4), 0);
    b.write(5, 0x10);
    assert_eq!(b.read(4), 0);
}

#[test]
fn leaving_reset_interrupts_and_four_drives_report_polling() {
    let mut b = Bench::cold();
    b.write(2, 0x0c);
    assert!(b.chip.irq());
    assert_eq!(b.read(4), 0x80);
    for drive in 0..4 {
        assert_eq!(b.command(&[8]), [0xc0 | drive, 0]);
        assert!(!b.chip.irq());
    }
    assert_eq!(b.command(&[8]), [0x80]);
}

#[test]
fn without_the_dma_gate_there_is_no_interrupt() {
    let mut b = Bench::cold();
    b.write(2, 0x04);
    assert!(!b.chip.irq());
    b.write(2, 0x0c);
    assert!(b.chip.irq());
}

#[test]
fn without_polling_a_reset_is_silent() {
    let mut b = Bench::new(2880);
    b.command(&[0x13, 0, 0x57, 0]);
    b.write(4, 0x80);
    assert!(!b.chip.irq());
    assert_eq!(b.command(&[8]), [0x80]);
}

#[test]
fn data_rate_select_resets_by_itself() {
    let mut b = Bench::new(2880);
    b.write(5, 0x0f);
    assert_eq!(b.read(4), 0x90);
    b.write(4, 0x80);
    assert_eq!((b.read(4), b.chip.irq()), (0x80, true));
}

#[test]
fn digital_output_and_tape_read_back() {
    let mut b = Bench::new(2880);
    b.write(3, 0x02);
    assert_eq!((b.read(2), b.read(3)), (0x1c, 0xfe));
    assert_eq!([0, 1, 6].map(|r| b.read(r)), [0xff; 3]);
}

#[test]
fn version_is_an_enhanced_controller() {
    assert_eq!(Bench::new(2880).command(&[0x10]), [0x90]);
}

#[test]
fn part_id_belongs_to_the_82078_and_is_invalid_here() {
    assert_eq!(Bench::new(2880).command(&[0x18]), [0x80]);
}

#[test]
fn unknown_commands_are_invalid() {
    for opcode in [0x00, 0x01, 0x1f, 0x47, 0x88] {
        assert_eq!(Bench::new(2880).command(&[opcode]), [0x80], "{opcode:#x}");
    }
}

#[test]
fn a_command_under_way_is_busy() {
    let mut b = Bench::new(2880);
    b.write(5, 0x03);
    assert_eq!(b.read(4), 0x90);
    b.write(5, 0xdf);
    b.write(5, 0x02);
    assert_eq!(b.read(4), 0x80);
}

#[test]
fn a_seek_ends_with_an_interrupt_that_is_sensed() {
    let mut b = Bench::new(2880);
    b.command(&[0x0f, 0x05, 40]);
    assert!(b.chip.irq());
    assert_eq!(b.command(&[8]), [0x25, 40]);
    assert!(!b.chip.irq());
}

#[test]
fn recalibrate_goes_to_track_0() {
    let mut b = Bench::new(2880);
    b.seek(40);
    assert_eq!(b.command(&[4, 0]), [0x28]);
    b.command(&[7, 0]);
    assert_eq!((b.command(&[8]), b.command(&[4, 0])), ([0x20, 0].to_vec(), [0x38].to_vec()));
}

#[test]
fn recalibrate_gives_up_after_79_steps() {
    let mut b = Bench::new(2880);
    b.seek(80);
    b.command(&[7, 0]);
    assert_eq!(b.command(&[8]), [0x70, 1]);
    b.command(&[7, 0]);
    assert_eq!(b.command(&[8]), [0x20, 0]);
}

#[test]
fn recalibrating_no_drive_is_an_equipment_check() {
    let mut b = Bench::new(2880);
    b.command(&[7, 2]);
    assert_eq!(b.command(&[8]), [0x72, 0]);
}

#[test]
fn st3_shows_write_protection_side_and_drive() {
    let mut b = Bench::new(2880);
    b.disks[0].as_mut().unwrap().read_only = true;
    assert_eq!(b.command(&[4, 4]), [0x7c]);
    assert_eq!(b.command(&[4, 1]), [0x39]);
}

#[test]
fn the_change_line_falls_with_a_step() {
    let mut b = Bench::new(2880);
    assert_eq!(b.read(7), 0x80);
    b.command(&[7, 0]);
    assert_eq!(b.read(7), 0x80);
    b.seek(1);
    assert_eq!(b.read(7), 0x00);
    b.chip.media_changed(0);
    assert_eq!(b.read(7), 0x80);
}

#[test]
fn the_change_line_stays_without_a_disk() {
    let mut b = Bench::new(2880);
    b.disks[0] = None;
    b.seek(1);
    assert_eq!(b.read(7), 0x80);
}

#[test]
fn dumpreg_shows_what_was_set() {
    let mut b = Bench::new(2880);
    b.seek(7);
    b.command(&[3, 0xdf, 0x02]);
    b.command(&[0x13, 0, 0x57, 0x10]);
    b.command(&[0x12, 0x84]);
    assert_eq!(b.command(&[0x94]), [0x10]);
    assert_eq!(b.command(&[0x0e]), [7, 0, 0, 0, 0xdf, 0x02, 0, 0x84, 0x57, 0x10]);
}

#[test]
fn lock_keeps_the_configuration_over_a_software_reset() {
    for (lock, kept) in [(0x94, 0x57), (0x14, 0x70)] {
        let mut b = Bench::new(2880);
        b.command(&[0x13, 0, 0x57, 0x10]);
        b.command(&[lock]);
        b.write(4, 0x80);
        assert_eq!(b.command(&[0x0e])[8], kept);
    }
}

#[test]
fn read_id_finds_the_sectors_in_turn() {
    let mut b = Bench::new(2880);
    b.seek(3);
    assert_eq!(b.command(&[0x4a, 4]), [4, 0, 0, 3, 1, 2, 2]);
    assert_eq!(b.command(&[0x4a, 4]), [4, 0, 0, 3, 1, 3, 2]);
}

#[test]
fn read_id_without_a_disk_finds_no_mark() {
    assert_eq!(Bench::new(2880).command(&[0x4a, 1])[..3], [0x41, 1, 0]);
}

#[test]
fn a_state_that_cannot_be_is_refused() {
    let good = Bench::new(2880).chip.save();
    let bad: [fn(&mut State); 4] = [
        |s| s.rate = 4,
        |s| s.reset_sense = 5,
        |s| s.phase = Phase::Result(Vec::new()),
        |s| s.phase = Phase::Command([8].to_vec()),
    ];
    for spoil in bad {
        let mut saved = good.clone();
        spoil(&mut saved.state);
        assert!(Fdc::new([true; 2]).restore(&saved).is_err());
    }
}

proptest! {
    #[test]
    fn storms_and_save_restore(
        accesses in proptest::collection::vec((0u8..10, any::<u8>(), any::<u8>()), 0..300),
    ) {
        let mut b = Bench::new(720);
        for (action, register, value) in accesses {
            const OPCODES: [u8; 16] =
                [0x46, 0xe6, 0x45, 0xc5, 0x4d, 0x4a, 0x07, 0x08, 0x0f, 0x03, 0x13, 0x04, 0x0e, 0x12, 0x46, 0xc5];
            match action {
                0..=3 => { b.write(5, OPCODES[usize::from(value & 15)]); }
                4..=6 => { b.write(5, value & 0x07); }
                7 => { b.read(5); }
                8 => { b.dma.write(0, register, value); }
                _ => { b.write(register & 7, value | 0x0c); b.read(register); }
            }
            b.chip.irq();
            let mut copy = Fdc::new([true; 2]);
            copy.restore(&b.chip.save()).unwrap();
            prop_assert_eq!(copy.save(), b.chip.save());
        }
    }
}
