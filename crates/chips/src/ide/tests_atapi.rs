//! The CD-ROM drive against the standards.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::DriveKind;
use super::tests::{Bench, Disk};

fn drive(blocks: Option<u64>) -> Bench {
    Bench::new([DriveKind::CdRom, DriveKind::Absent], [blocks.map(Disk::new), None])
}

impl Bench {
    fn send(&mut self, limit: u16, packet: &[u8]) {
        let [low, high] = limit.to_le_bytes();
        self.command([0, 0, 0, low, high, 0xa0, 0xa0]);
        assert_eq!((self.read(7), self.read(2)), (0x58, 1));
        assert!(!self.chip.irq());
        let mut bytes = [0; 12];
        bytes[..packet.len()].copy_from_slice(packet);
        self.with(|c, m| c.write_data(2, &bytes, m));
        assert!(self.chip.irq());
    }

    /// All blocks of an answer.
    fn answer(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while self.read(7) & 8 != 0 {
            assert_eq!(self.read(2), 2);
            let n = usize::from(u16::from_le_bytes([self.read(4), self.read(5)]));
            let data = self.data(n.next_multiple_of(2));
            all.extend_from_slice(&data[..n]);
            assert!(self.chip.irq());
        }
        all
    }

    fn ask(&mut self, packet: &[u8]) -> Vec<u8> {
        self.send(0xfffe, packet);
        let answer = self.answer();
        assert_eq!((self.read(7), self.read(2)), (0x50, 3));
        answer
    }

    /// Key, code, qualifier of a failing command.
    fn refusal(&mut self, packet: &[u8]) -> [u8; 3] {
        self.send(0xfffe, packet);
        assert_eq!((self.read(7), self.read(2)), (0x41, 3));
        let error = self.read(1);
        let s = self.ask(&[3, 0, 0, 0, 18]);
        assert_eq!((s[0], s[7], error >> 4), (0x70, 10, s[2]));
        [s[2], s[12], s[13]]
    }
}

#[test]
fn after_reset_the_signature_is_14_eb() {
    let mut b = drive(None);
    assert_eq!((b.read(7), b.registers()), (0, [1, 1, 0x14, 0xeb]));
}

#[test]
fn identify_device_aborts_with_the_signature() {
    let mut b = drive(None);
    b.command([0, 0, 0, 0, 0, 0xa0, 0xec]);
    assert_eq!((b.read(7), b.read(1), b.registers()), (0x51, 4, [1, 1, 0x14, 0xeb]));
}

#[test]
fn identify_packet_device_is_a_cd_rom_without_dma() {
    let mut b = drive(None);
    b.command([0, 0, 0, 0, 0, 0xa0, 0xa1]);
    let id = b.data(512);
    assert_eq!(id[..2], [0xc0, 0x85]);
    assert_eq!((id[99] & 1, &id[126..128]), (0, &[0, 0][..]));
    assert_eq!(&id[54..64], b"AHOKC -DOR");
}

#[test]
fn device_reset_ends_a_transfer_and_signs() {
    let mut b = drive(None);
    b.command([0, 0, 0, 0, 0, 0xa0, 0xa0]);
    b.write(7, 0x08);
    assert_eq!((b.read(7), b.read(1), b.registers()), (0, 1, [1, 1, 0x14, 0xeb]));
}

#[test]
fn a_packet_with_dma_aborts() {
    let mut b = drive(None);
    b.command([1, 0, 0, 0, 0, 0xa0, 0xa0]);
    assert_eq!((b.read(7), b.read(1)), (0x51, 4));
}

#[test]
fn no_disc_is_not_ready_3a() {
    assert_eq!(drive(None).refusal(&[0]), [2, 0x3a, 0]);
    assert_eq!(drive(None).refusal(&[0x25]), [2, 0x3a, 0]);
    assert_eq!(drive(None).refusal(&[0x28, 0, 0, 0, 0, 0, 0, 0, 1]), [2, 0x3a, 0]);
}

#[test]
fn a_disc_is_ready() {
    assert_eq!(drive(Some(40)).ask(&[0]), []);
}

#[test]
fn a_changed_disc_is_reported_once() {
    let mut b = drive(Some(40));
    b.chip.media_changed(0);
    assert_eq!(b.ask(&[0x12, 0, 0, 0, 36]).len(), 36);
    assert_eq!(b.refusal(&[0]), [6, 0x28, 0]);
    assert_eq!(b.ask(&[0]), []);
}

#[test]
fn request_sense_clears_the_sense() {
    let mut b = drive(None);
    b.refusal(&[0]);
    assert_eq!(b.ask(&[3, 0, 0, 0, 18])[2], 0);
}

#[test]
fn inquiry_says_removable_cd_rom() {
    let d = drive(None).ask(&[0x12, 0, 0, 0, 36]);
    assert_eq!(d[..5], [5, 0x80, 0, 0x21, 31]);
    assert_eq!(&d[8..32], b"HAKO    CD-ROM          ");
}

#[test]
fn the_allocation_length_cuts_the_answer() {
    assert_eq!(drive(None).ask(&[0x12, 0, 0, 0, 5]), [5, 0x80, 0, 0x21, 31]);
    assert_eq!(drive(None).ask(&[0x12, 0, 0, 0, 0]), []);
}

#[test]
fn capacity_is_the_last_sector_and_2048() {
    assert_eq!(drive(Some(40)).ask(&[0x25]), [0, 0, 0, 9, 0, 0, 8, 0]);
}

#[test]
fn a_part_of_a_sector_counts_and_is_padded() {
    let mut b = drive(Some(41));
    assert_eq!(b.ask(&[0x25])[3], 10);
    let d = b.ask(&[0x28, 0, 0, 0, 0, 10, 0, 0, 1]);
    assert_eq!((d.len(), d[0], d[512]), (2048, 40, 0));
}

#[test]
fn read_10_and_12_read_sectors_of_2048_bytes() {
    let mut b = drive(Some(40));
    let d = b.ask(&[0x28, 0, 0, 0, 0, 2, 0, 0, 2]);
    assert_eq!((d.len(), d[0], d[2048]), (4096, 8, 12));
    let d = b.ask(&[0xa8, 0, 0, 0, 0, 9, 0, 0, 0, 1]);
    assert_eq!((d.len(), d[0]), (2048, 36));
}

#[test]
fn reading_no_sector_succeeds() {
    assert_eq!(drive(Some(40)).ask(&[0x28]), []);
}

#[test]
fn reading_past_the_end_is_out_of_range() {
    let mut b = drive(Some(40));
    assert_eq!(b.refusal(&[0x28, 0, 0, 0, 0, 9, 0, 0, 2]), [5, 0x21, 0]);
    assert_eq!(b.refusal(&[0xa8, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), [5, 0x21, 0]);
    assert_eq!(b.refusal(&[0x2b, 0, 0, 0, 0, 10]), [5, 0x21, 0]);
}

#[test]
fn blocks_are_as_long_as_the_byte_count_limit() {
    let mut b = drive(Some(40));
    b.send(3000, &[0x28, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!([b.read(4), b.read(5)], 3000u16.to_le_bytes());
    let first = b.data(3000);
    assert_eq!(first[2048], 4);
    assert_eq!([b.read(4), b.read(5)], 1096u16.to_le_bytes());
    b.data(1096);
    assert_eq!((b.read(7), b.read(2)), (0x50, 3));
}

#[test]
fn an_odd_limit_counts_for_the_last_block_only() {
    let mut b = drive(Some(40));
    b.send(2047, &[0x28, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!([b.read(4), b.read(5)], 2046u16.to_le_bytes());
}

#[test]
fn the_last_word_of_an_odd_answer_is_padded() {
    let mut b = drive(None);
    b.send(0xfffe, &[0x12, 0, 0, 0, 5]);
    assert_eq!(b.data(6), [5, 0x80, 0, 0x21, 31, 0]);
    assert_eq!(b.read(7), 0x50);
}

#[test]
fn a_host_error_is_an_unrecovered_read_error() {
    let mut b = drive(Some(40));
    b.disks[0].as_mut().unwrap().bad = Some(9);
    assert_eq!(b.refusal(&[0x28, 0, 0, 0, 0, 2, 0, 0, 1]), [3, 0x11, 0]);
}

#[test]
fn the_toc_has_one_data_track_and_the_lead_out() {
    let toc = drive(Some(40)).ask(&[0x43, 0, 0, 0, 0, 0, 0, 0, 99]);
    assert_eq!(toc, [0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0, 10]);
}

#[test]
fn the_toc_in_minutes_begins_at_two_seconds() {
    let toc = drive(Some(40)).ask(&[0x43, 2, 0, 0, 0, 0, 0xaa, 0, 99]);
    assert_eq!(toc, [0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 0, 2, 10]);
}

#[test]
fn a_track_that_is_not_there_is_an_invalid_field() {
    assert_eq!(drive(Some(40)).refusal(&[0x43, 0, 0, 0, 0, 0, 2, 0, 99]), [5, 0x24, 0]);
}

#[test]
fn session_and_raw_toc_have_their_lengths() {
    let mut b = drive(Some(40));
    assert_eq!(b.ask(&[0x43, 0, 1, 0, 0, 0, 0, 0, 99])[..4], [0, 10, 1, 1]);
    assert_eq!(b.ask(&[0x43, 0, 0, 0, 0, 0, 0, 0, 99, 0x40])[..4], [0, 10, 1, 1]);
    let raw = b.ask(&[0x43, 0, 2, 0, 0, 0, 0, 0, 99]);
    assert_eq!((raw.len(), raw[1]), (48, 46));
    assert_eq!(raw[26..37], [1, 0x14, 0, 0xa2, 0, 0, 0, 0, 0, 2, 10]);
}

#[test]
fn mode_sense_has_pages_1_and_2a() {
    let mut b = drive(Some(40));
    assert_eq!(b.ask(&[0x5a, 0, 1, 0, 0, 0, 0, 0, 99]).len(), 16);
    let page = b.ask(&[0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 99]);
    assert_eq!((page.len(), page[1], page[8], page[9]), (28, 26, 0x2a, 18));
    assert_eq!(b.ask(&[0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 99]).len(), 36);
    assert_eq!(b.refusal(&[0x5a, 0, 0x05, 0, 0, 0, 0, 0, 99]), [5, 0x24, 0]);
    assert_eq!(b.refusal(&[0x5a, 0, 0xea, 0, 0, 0, 0, 0, 99]), [5, 0x39, 0]);
}

#[test]
fn a_locked_tray_does_not_open() {
    let mut b = drive(Some(40));
    b.ask(&[0x1e, 0, 0, 0, 1]);
    assert_eq!(b.refusal(&[0x1b, 0, 0, 0, 2]), [5, 0x53, 2]);
    b.ask(&[0x1e]);
    b.ask(&[0x1b, 0, 0, 0, 2]);
    assert_eq!(b.refusal(&[0]), [2, 0x3a, 2]);
}

#[test]
fn closing_the_tray_is_a_change_of_medium() {
    let mut b = drive(Some(40));
    b.ask(&[0x1b, 0, 0, 0, 2]);
    b.ask(&[0x1b, 0, 0, 0, 3]);
    assert_eq!(b.refusal(&[0]), [6, 0x28, 0]);
}

#[test]
fn the_configuration_names_the_profile() {
    let mut b = drive(Some(40));
    let all = b.ask(&[0x46, 0, 0, 0, 0, 0, 0, 0, 200]);
    assert_eq!(all.len(), usize::from(all[3]) + 4);
    assert_eq!(all[6..8], [0, 8]);
    assert_eq!(b.ask(&[0x46, 2, 0, 0x1e, 0, 0, 0, 0, 200])[8..], [0, 0x1e, 1, 4, 0, 0, 0, 0]);
    assert_eq!(b.refusal(&[0x46, 3, 0, 0, 0, 0, 0, 0, 200]), [5, 0x24, 0]);
    assert_eq!(drive(None).ask(&[0x46, 1, 0, 0, 0, 0, 0, 0, 8])[6..8], [0, 0]);
}

#[test]
fn events_are_polled() {
    let mut b = drive(Some(40));
    assert_eq!(b.refusal(&[0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8]), [5, 0x24, 0]);
    assert_eq!(b.ask(&[0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]), [0, 6, 4, 0x10, 0, 2, 0, 0]);
    assert_eq!(b.ask(&[0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8]), [0, 2, 0x80, 0x10]);
    b.chip.media_changed(0);
    assert_eq!(b.ask(&[0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8])[4], 2);
}

#[test]
fn an_unknown_packet_is_an_invalid_opcode() {
    let mut b = drive(Some(40));
    assert_eq!(b.refusal(&[0xee]), [5, 0x20, 0]);
    b.send(0xfffe, &[0xee]);
    assert_eq!(b.read(1), 0x54);
}

proptest! {
    #[test]
    fn any_packet_ends_and_its_state_returns(packets in proptest::collection::vec(any::<[u8; 12]>(), 1..20), limit: u16) {
        let mut b = drive(Some(40));
        for mut packet in packets {
            const OPCODES: [u8; 16] =
                [0, 3, 0x12, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x43, 0x46, 0x4a, 0x5a, 0xa8, 0xbe, 0x28, 0xa8];
            packet[0] = OPCODES[usize::from(packet[0] & 15)];
            let mask = packet[11];
            packet[2..5].iter_mut().for_each(|b| *b &= mask);
            b.send(limit, &packet);
            let mut copy = super::Channel::new([DriveKind::CdRom, DriveKind::Absent]);
            copy.restore(&b.chip.save()).unwrap();
            prop_assert_eq!(copy.save(), b.chip.save());
            b.data(200_000);
            prop_assert_eq!(b.read(7) & 0x88, 0);
        }
    }
}
