//! The block device (5.2), through both flavours of registers.

mod common;

use common::disk::{Act, DATA, DISCARD, Disk, FLUSH, GET_ID, HEADER, IN, OUT, Rig, STATUS, WRITE_ZEROES};
use common::{BOTH, Board, NEEDS_RESET};
use hako_mem::Gpa;
use hako_virtio::{BlkConfig, Flavour, blk};

const F_FLUSH: u64 = 1 << 9;
const F_CONFIG_WCE: u64 = 1 << 11;
const F_MQ: u64 = 1 << 12;
const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;

fn range(rig: &Rig, sector: u64, sectors: u32, flags: u32) {
    let raw = u128::from(sector) | u128::from(sectors) << 64 | u128::from(flags) << 96;
    rig.memory().store(Gpa(DATA), raw).unwrap();
}

#[test]
fn a_read_fills_the_data_and_says_how_much() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, 0);
        assert_eq!(rig.request(IN, 3, &[(DATA, 1024, true)]), OK);
        assert_eq!(rig.ring.returned(), [(0, 1025)]);
        assert_eq!(rig.memory().load::<u8>(Gpa(DATA + 511)), Ok(3));
        assert_eq!(rig.memory().load::<u8>(Gpa(DATA + 512)), Ok(4));
    }
}

#[test]
fn a_write_reaches_the_disk() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, F_FLUSH);
        rig.memory().fill(Gpa(DATA), 512, 0xa5).unwrap();
        assert_eq!(rig.request(OUT, 9, &[(DATA, 512, false)]), OK);
        assert_eq!((rig.disk.byte(9), rig.disk.byte(10)), (0xa5, 10));
        assert_eq!(rig.ring.returned(), [(0, 1)]);
    }
}

#[test]
fn sectors_may_lie_across_descriptors() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, 0);
        let data = [(DATA, 1, true), (DATA + 0x1000, 1000, true), (DATA + 0x2000, 23, true)];
        assert_eq!(rig.request(IN, 1, &data), OK);
        let byte = |at| rig.memory().load::<u8>(Gpa(at)).unwrap();
        assert_eq!((byte(DATA), byte(DATA + 0x1000 + 510), byte(DATA + 0x1000 + 511)), (1, 1, 2));
        assert_eq!(byte(DATA + 0x2000 + 22), 2);
    }
}

#[test]
fn large_requests_move_in_pieces() {
    let mut rig = Rig::on(Disk::new(2048), Flavour::Modern, 0);
    let half = 0x2_0000;
    assert_eq!(
        rig.request(IN, 0, &[(0x8_0000, half, true), (0x8_0000, half, true), (0xa_0000, half, true)]),
        OK
    );
    assert_eq!(rig.disk.acts(), [Act::Read(0, 512), Act::Read(512, 256)]);
}

#[test]
fn header_and_status_may_share_descriptors_with_data() {
    let mut rig = Rig::new(Flavour::Modern, 0);
    rig.memory().store(Gpa(HEADER + 16), 0x77u8).unwrap();
    assert_eq!(rig.raw(OUT, 5, &[(HEADER, 16 + 512, false), (STATUS, 1, true)]), OK);
    let mut rig = Rig::new(Flavour::Modern, 0);
    rig.raw(IN, 5, &[(HEADER, 16, false), (DATA, 513, true)]);
    assert_eq!(rig.memory().load::<u8>(Gpa(DATA + 512)), Ok(OK));
}

#[test]
fn sectors_beyond_the_capacity_are_ioerr() {
    for flavour in BOTH {
        for sector in [63, 64, 1 << 40, u64::MAX] {
            let mut rig = Rig::new(flavour, 0);
            assert_eq!(rig.request(IN, sector, &[(DATA, 1024, true)]), IOERR, "{sector}");
            assert_eq!(rig.request(OUT, sector, &[(DATA, 1024, false)]), IOERR, "{sector}");
            assert_eq!(rig.disk.acts(), []);
        }
    }
}

#[test]
fn data_that_are_no_whole_sectors_are_ioerr() {
    let mut rig = Rig::new(Flavour::Modern, 0);
    assert_eq!(rig.request(IN, 0, &[(DATA, 511, true)]), IOERR);
    assert_eq!(rig.request(OUT, 0, &[(DATA, 513, false)]), IOERR);
    assert_eq!(rig.disk.acts(), []);
}

#[test]
fn data_outside_of_memory_are_ioerr() {
    let mut rig = Rig::new(Flavour::Modern, 0);
    assert_eq!(rig.request(IN, 0, &[(1 << 40, 512, true)]), IOERR);
    assert_eq!(rig.request(OUT, 0, &[(u64::MAX, 512, false)]), IOERR);
    assert!(!rig.broken());
}

#[test]
fn failures_of_the_host_are_ioerr() {
    let mut rig = Rig::new(Flavour::Modern, F_FLUSH);
    rig.disk.0.lock().unwrap().broken = true;
    assert_eq!(rig.request(IN, 0, &[(DATA, 512, true)]), IOERR);
    assert_eq!(rig.request(OUT, 0, &[(DATA, 512, false)]), IOERR);
    assert_eq!(rig.request(FLUSH, 0, &[]), IOERR);
    assert_eq!(rig.ring.returned(), [(0, 0), (0, 1), (0, 1)]);
}

#[test]
fn unknown_requests_are_unsupp() {
    let mut rig = Rig::new(Flavour::Modern, 0);
    for kind in [2, 3, 5, 10, 14, 0x8000_0000, u32::MAX] {
        assert_eq!(rig.request(kind, 0, &[(DATA, 512, true)]), UNSUPP, "{kind}");
    }
}

#[test]
fn flush_is_answered_after_the_disk_has_flushed() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, F_FLUSH);
        assert_eq!(rig.request(FLUSH, 0, &[]), OK);
        assert_eq!(rig.disk.acts(), [Act::Flush]);
    }
}

#[test]
fn without_flush_each_write_lasts_before_it_is_answered() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, 0);
        rig.request(OUT, 1, &[(DATA, 512, false)]);
        assert_eq!(rig.disk.acts(), [Act::Write(1, 1), Act::Flush]);
    }
}

#[test]
fn with_flush_writes_may_be_cached() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, F_FLUSH);
        rig.request(OUT, 1, &[(DATA, 512, false)]);
        assert_eq!(rig.disk.acts(), [Act::Write(1, 1)]);
    }
}

#[test]
fn the_writeback_field_chooses_the_mode() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, F_FLUSH | F_CONFIG_WCE);
        assert_eq!(rig.board.field(32, 1), 1);
        rig.board.set_field(32, 1, 0);
        rig.request(OUT, 1, &[(DATA, 512, false)]);
        assert_eq!(rig.disk.acts(), [Act::Write(1, 1), Act::Flush]);
        rig.board.set_field(32, 1, 1);
        rig.request(OUT, 1, &[(DATA, 512, false)]);
        assert_eq!(rig.disk.acts(), [Act::Write(1, 1)]);
    }
}

#[test]
fn writeback_is_0_if_config_wce_is_taken_without_flush() {
    let mut rig = Rig::new(Flavour::Modern, F_CONFIG_WCE);
    assert_eq!(rig.board.field(32, 1), 0);
}

#[test]
fn only_the_writeback_field_can_be_written() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, 0);
        rig.board.set_field(0, 8, 1);
        rig.board.set_field(34, 2, 9);
        assert_eq!((rig.board.field(0, 8), rig.board.field(34, 2)), (64, 1));
    }
}

#[test]
fn the_fields_describe_the_disk() {
    let mut rig = Rig::new(Flavour::Modern, 0);
    let mut field = |at, width| rig.board.field(at, width);
    assert_eq!((field(0, 8), field(8, 4), field(12, 4)), (64, 1 << 20, 254));
    // Blocks of 512 in physical ones of 4096.
    assert_eq!((field(20, 4), field(24, 1), field(26, 2)), (512, 3, 8));
    assert_eq!((field(36, 4), field(40, 4), field(44, 4)), (1 << 22, 16, 8));
    assert_eq!((field(48, 4), field(52, 4), field(56, 1)), (1 << 17, 16, 1));
    assert_eq!(field(60, 4), 0xffff_ffff);
}

#[test]
fn get_id_is_the_serial_number_padded_with_zeros() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, 0);
        rig.memory().fill(Gpa(DATA), 32, 0xee).unwrap();
        assert_eq!(rig.request(GET_ID, 0, &[(DATA, 20, true)]), OK);
        let mut id = [0; 21];
        rig.memory().read(Gpa(DATA), &mut id).unwrap();
        assert_eq!(&id, b"hako0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xee");
    }
}

#[test]
fn a_read_only_disk_offers_ro_and_answers_changes_with_ioerr() {
    for flavour in BOTH {
        let disk = Disk::new(64);
        disk.0.lock().unwrap().read_only = true;
        let mut rig = Rig::on(disk, flavour, 0);
        assert_eq!(rig.board.offered() & (1 << 5 | 1 << 13 | 1 << 14), 1 << 5);
        range(&rig, 0, 1, 0);
        assert_eq!(rig.request(OUT, 0, &[(DATA, 512, false)]), IOERR);
        assert_eq!(rig.request(DISCARD, 0, &[(DATA, 16, false)]), IOERR);
        assert_eq!(rig.request(WRITE_ZEROES, 0, &[(DATA, 16, false)]), IOERR);
        assert_eq!(rig.disk.acts(), []);
    }
}

#[test]
fn discard_gives_ranges_back() {
    let mut rig = Rig::new(Flavour::Modern, F_FLUSH);
    range(&rig, 8, 16, 0);
    rig.memory().store(Gpa(DATA + 16), 40u128 | 8 << 64).unwrap();
    assert_eq!(rig.request(DISCARD, 0, &[(DATA, 32, false)]), OK);
    assert_eq!(rig.disk.acts(), [Act::Discard(8, 16), Act::Discard(40, 8)]);
}

#[test]
fn write_zeroes_may_unmap() {
    let mut rig = Rig::new(Flavour::Modern, F_FLUSH);
    range(&rig, 8, 16, 1);
    assert_eq!(rig.request(WRITE_ZEROES, 0, &[(DATA, 16, false)]), OK);
    range(&rig, 8, 16, 0);
    assert_eq!(rig.request(WRITE_ZEROES, 0, &[(DATA, 16, false)]), OK);
    assert_eq!(rig.disk.acts(), [Act::Zeroes(8, 16, true), Act::Zeroes(8, 16, false)]);
}

#[test]
fn unknown_flags_of_ranges_and_unmap_of_discard_are_unsupp() {
    let mut rig = Rig::new(Flavour::Modern, F_FLUSH);
    range(&rig, 8, 16, 2);
    assert_eq!(rig.request(WRITE_ZEROES, 0, &[(DATA, 16, false)]), UNSUPP);
    assert_eq!(rig.request(DISCARD, 0, &[(DATA, 16, false)]), UNSUPP);
    range(&rig, 8, 16, 1);
    assert_eq!(rig.request(DISCARD, 0, &[(DATA, 16, false)]), UNSUPP);
    assert_eq!(rig.disk.acts(), []);
}

#[test]
fn ranges_that_are_too_many_too_long_or_beyond_the_disk_are_ioerr() {
    let mut rig = Rig::new(Flavour::Modern, F_FLUSH);
    for (sector, sectors) in [(64, 1), (u64::MAX, 1), (0, (1 << 22) + 1), (60, 5)] {
        range(&rig, sector, sectors, 0);
        assert_eq!(rig.request(DISCARD, 0, &[(DATA, 16, false)]), IOERR);
        assert_eq!(rig.request(WRITE_ZEROES, 0, &[(DATA, 16, false)]), IOERR);
    }
    range(&rig, 0, 1, 0);
    for len in [0, 8, 17, 17 * 16] {
        assert_eq!(rig.request(DISCARD, 0, &[(DATA, len, false)]), IOERR);
    }
    assert_eq!(rig.disk.acts(), []);
}

#[test]
fn a_request_without_header_or_status_breaks_the_device() {
    for flavour in BOTH {
        for parts in [
            &[(HEADER, 15, false), (STATUS, 1, true)][..],
            &[(HEADER, 16, false)],
            &[(STATUS, 1, true)],
            &[(1 << 40, 16, false), (STATUS, 1, true)],
            &[(HEADER, 16, false), (1 << 40, 1, true)],
        ] {
            let mut rig = Rig::new(flavour, 0);
            rig.raw(IN, 0, parts);
            assert!(rig.broken(), "{parts:?}");
            assert_eq!(rig.ring.returned(), []);
        }
    }
}

#[test]
fn several_queues_serve_one_disk() {
    let disk = Disk::new(64);
    let config = BlkConfig { queues: 4, ..BlkConfig::default() };
    let flavour = Flavour::Modern;
    let mut board = Board::new(blk(config, Box::new(disk), flavour), flavour);
    assert_eq!((board.offered() & F_MQ, board.field(34, 2), board.read(0, 0x12, 2)), (F_MQ, 4, 4));
    board.negotiate(F_MQ);
    let mut rings: Vec<_> =
        (0..4).map(|n| board.set_queue(n, 0x4_0000 + 0x4000 * u64::from(n), 16)).collect();
    board.driver_ok();
    for (n, ring) in (0..).zip(&mut rings) {
        board.memory.store(Gpa(HEADER), u128::from(n) << 64).unwrap();
        ring.chain(0, &[(HEADER, 16, false), (DATA, 512, true), (STATUS, 1, true)]);
        ring.offer(0);
        board.kick(n);
        assert_eq!(ring.returned(), [(0, 513)]);
        assert_eq!(board.memory.load::<u8>(Gpa(DATA)), Ok(n as u8));
    }
    assert_eq!(board.status() & NEEDS_RESET, 0);
}
