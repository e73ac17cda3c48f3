//! The registers of both flavours (4.1) and the device's life (3), each test a rule of the specification.

mod common;

use common::disk::{DATA, Disk, HEADER, IN, Rig, STATUS};
use common::{
    ACKNOWLEDGE, BOTH, Board, DEVICE, DRIVER, DRIVER_OK, FEATURES_OK, INDIRECT_DESC, NEEDS_RESET, NOTIFY,
    VERSION_1,
};
use hako_mem::Gpa;
use hako_virtio::{BlkConfig, Flavour, blk};

fn fresh(flavour: Flavour) -> Board {
    Board::new(blk(BlkConfig::default(), Box::new(Disk::new(64)), flavour), flavour)
}

fn modern() -> Board {
    fresh(Flavour::Modern)
}

fn legacy() -> Board {
    fresh(Flavour::Legacy)
}

/// The capabilities of vendor type: (at, cfg_type, bar, offset, length).
fn capabilities(board: &Board) -> Vec<(u8, u8, u8, u32, u32)> {
    let (mut at, mut list) = (board.config.byte(0x34), Vec::new());
    while at != 0 {
        let c = &board.config;
        if c.byte(at) == 9 {
            list.push((at, c.byte(at + 3), c.byte(at + 4), c.dword(at + 8), c.dword(at + 12)));
        }
        at = c.byte(at + 1);
    }
    list
}

// 4.1.2, identity

#[test]
fn modern_devices_have_id_0x1040_plus_type_and_revision_1() {
    let board = modern();
    assert_eq!((board.config.dword(0), board.config.byte(8)), (0x1042_1af4, 1));
    assert!(board.config.word(0x2e) >= 0x40);
}

#[test]
fn transitional_devices_have_revision_0_and_their_type_as_subsystem() {
    let board = legacy();
    assert_eq!((board.config.dword(0), board.config.byte(8)), (0x1001_1af4, 0));
    assert_eq!(board.config.dword(0x2c), 0x0002_1af4);
}

// 4.1.4, capabilities

#[test]
fn every_structure_has_a_capability() {
    let board = modern();
    let found: Vec<_> = capabilities(&board).iter().map(|c| (c.1, c.2, c.3)).collect();
    assert_eq!(found, [(1, 0, 0), (2, 0, 0x3000), (3, 0, 0x1000), (4, 0, 0x2000), (5, 0, 0)]);
}

#[test]
fn structures_lie_within_their_bar_and_are_long_enough() {
    let board = modern();
    for (_, kind, bar, offset, len) in capabilities(&board) {
        let size = board.config.bars().find(|b| b.index == bar).unwrap().size;
        assert!(u64::from(offset) + u64::from(len) <= size);
        let least = [0, 0x38, 4, 1, 60, 0][usize::from(kind)];
        assert!(len >= least, "structure {kind} has {len} bytes");
    }
}

#[test]
fn the_notify_capability_has_a_multiplier() {
    let board = modern();
    let (at, ..) = capabilities(&board)[1];
    assert_eq!((board.config.byte(at + 2), board.config.dword(at + 16)), (20, 4));
}

#[test]
fn legacy_functions_have_no_such_capability() {
    assert_eq!(capabilities(&legacy()), []);
}

// 4.1.4.3, common configuration

#[test]
fn the_device_offers_version_1_and_neither_packed_rings_nor_resets_of_queues() {
    let offered = modern().offered();
    assert_ne!(offered & VERSION_1, 0);
    assert_eq!(offered & (1 << 34 | 1 << 35 | 1 << 40), 0);
}

#[test]
fn feature_bits_beyond_63_are_0() {
    let mut board = modern();
    for select in [2, 3, u32::MAX] {
        board.write(0, 0, 4, select.into());
        assert_eq!(board.read(0, 4, 4), 0);
    }
}

#[test]
fn features_that_were_not_offered_are_refused() {
    let mut board = modern();
    board.set_status(ACKNOWLEDGE | DRIVER);
    board.take(VERSION_1 | 1 << 63);
    board.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    assert_eq!(board.status(), ACKNOWLEDGE | DRIVER);
}

#[test]
fn a_modern_device_works_only_with_version_1() {
    let mut board = modern();
    board.take(0);
    board.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    assert_eq!(board.status() & FEATURES_OK, 0);
}

#[test]
fn features_are_fixed_after_features_ok() {
    let mut board = modern();
    board.negotiate(0);
    board.take(VERSION_1 | INDIRECT_DESC);
    board.write(0, 8, 4, 0);
    assert_eq!(board.read(0, 0xc, 4), 0);
}

#[test]
fn writing_0_to_the_status_resets_the_device() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, 0);
        rig.request(IN, 0, &[(DATA, 512, true)]);
        assert!(rig.board.pin());
        rig.board.set_status(0);
        assert_eq!((rig.board.status(), rig.board.pin(), rig.board.isr()), (0, false, 0));
        // The queue is not in use any more.
        rig.board.set_status(ACKNOWLEDGE | DRIVER | DRIVER_OK);
        assert_eq!(rig.request(IN, 0, &[(DATA, 512, true)]), 0xff);
    }
}

#[test]
fn a_reset_gives_the_queue_registers_their_first_values() {
    let mut rig = Rig::new(Flavour::Modern, 0);
    let board = &mut rig.board;
    board.set_status(0);
    assert_eq!(board.queue_size(0), 256);
    assert_eq!((board.read(0, 0x1c, 2), board.read(0, 0x20, 8), board.read(0, 0x1a, 2)), (0, 0, 0xffff));
}

#[test]
fn a_queue_that_does_not_exist_has_size_0() {
    for flavour in BOTH {
        let mut board = fresh(flavour);
        for queue in [1, 2, 0x7fff, 0xffff] {
            assert_eq!(board.queue_size(queue), 0);
        }
    }
}

#[test]
fn only_powers_of_two_up_to_the_maximum_are_sizes() {
    let mut board = modern();
    for size in [0, 3, 512, 0xffff] {
        board.write(0, 0x18, 2, size);
        assert_eq!(board.read(0, 0x18, 2), 256, "{size}");
    }
    board.write(0, 0x18, 2, 1);
    assert_eq!(board.read(0, 0x18, 2), 1);
}

#[test]
fn queue_enable_reads_what_it_is_and_cannot_be_cleared() {
    let mut rig = Rig::new(Flavour::Modern, 0);
    let board = &mut rig.board;
    assert_eq!(board.read(0, 0x1c, 2), 1);
    board.write(0, 0x1c, 2, 0);
    assert_eq!(board.read(0, 0x1c, 2), 1);
}

#[test]
fn the_addresses_of_a_queue_in_use_do_not_change() {
    let mut rig = Rig::new(Flavour::Modern, 0);
    rig.board.write(0, 0x20, 4, 0x1234_5670);
    assert_eq!(rig.board.read(0, 0x20, 4), common::disk::QUEUE);
    assert_eq!(rig.request(IN, 0, &[(DATA, 512, true)]), 0);
}

#[test]
fn registers_of_64_bits_can_be_written_in_halves_or_at_once() {
    let mut board = modern();
    board.write(0, 0x28, 8, 0x1234_5678_9abc_def0);
    assert_eq!((board.read(0, 0x28, 4), board.read(0, 0x2c, 4)), (0x9abc_def0, 0x1234_5678));
    assert_eq!(board.read(0, 0x28, 8), 0x1234_5678_9abc_def0);
}

#[test]
fn each_queue_is_notified_at_an_address_of_its_own() {
    let mut board = modern();
    for queue in 0..3 {
        board.select(queue);
        assert_eq!(board.read(0, 0x1e, 2), u64::from(queue));
    }
}

#[test]
fn what_is_nowhere_reads_as_ones() {
    let mut board = modern();
    for offset in [0x38, 0xff8, 0x1001, DEVICE + 60, NOTIFY, 0x3ff8] {
        assert_eq!(board.read(0, offset, 4), 0xffff_ffff, "{offset:#x}");
    }
    assert_eq!(board.read(5, 0, 4), 0xffff_ffff);
}

// 3.1, initialization

#[test]
fn no_buffer_is_used_before_driver_ok() {
    let mut board = modern();
    board.negotiate(0);
    let mut ring = board.set_queue(0, 0x4_0000, 16);
    board.memory.store(Gpa(HEADER), 0u128).unwrap();
    ring.chain(0, &[(HEADER, 16, false), (DATA, 512, true), (STATUS, 1, true)]);
    ring.offer(0);
    board.kick(0);
    assert_eq!(ring.returned(), []);
    board.driver_ok();
    assert_eq!(ring.returned(), [(0, 513)]);
}

#[test]
fn legacy_drivers_may_use_queues_before_driver_ok() {
    let mut board = legacy();
    board.negotiate(0);
    let mut ring = board.set_queue(0, 0x4_0000, 256);
    board.memory.store(Gpa(HEADER), 0u128).unwrap();
    ring.chain(0, &[(HEADER, 16, false), (DATA, 512, true), (STATUS, 1, true)]);
    ring.offer(0);
    board.kick(0);
    assert_eq!(ring.returned(), [(0, 513)]);
}

#[test]
fn buffers_wait_for_bus_mastering() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, 0);
        rig.board.config_write(4, 3, 2);
        assert_eq!(rig.request(IN, 0, &[(DATA, 512, true)]), 0xff);
        rig.board.config_write(4, 7, 2);
        assert_eq!(rig.ring.returned(), [(0, 513)]);
    }
}

// 4.1.4.5 and 4.1.5, interrupts

#[test]
fn reading_the_isr_status_clears_it_and_the_pin() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, 0);
        assert!(!rig.board.pin());
        rig.request(IN, 0, &[(DATA, 512, true)]);
        assert!(rig.board.pin());
        assert_eq!((rig.board.isr(), rig.board.pin(), rig.board.isr()), (1, false, 0));
    }
}

#[test]
fn with_msix_each_queue_has_its_vector_and_the_pin_is_silent() {
    for flavour in BOTH {
        let mut board = fresh(flavour);
        board.enable_msix();
        board.negotiate(0);
        let ring = board.set_queue(0, 0x4_0000, 256);
        board.select(0);
        let at = if flavour == Flavour::Modern { 0x1a } else { 22 };
        board.write(0, at, 2, 1);
        assert_eq!(board.read(0, at, 2), 1);
        board.driver_ok();
        board.memory.store(Gpa(HEADER), 0u128).unwrap();
        ring.chain(0, &[(HEADER, 16, false), (DATA, 512, true), (STATUS, 1, true)]);
        ring.offer(0);
        board.kick(0);
        assert_eq!((board.vectors(), board.pin()), (vec![1], false));
    }
}

#[test]
fn a_queue_without_a_vector_sends_nothing() {
    let mut rig = Rig::new(Flavour::Modern, 0);
    rig.board.enable_msix();
    rig.request(IN, 0, &[(DATA, 512, true)]);
    assert_eq!((rig.board.vectors(), rig.board.pin()), (vec![], false));
}

#[test]
fn vectors_that_do_not_exist_read_back_as_none() {
    let mut board = modern();
    for (at, vector) in [(0x10, 2), (0x1a, 2), (0x1a, 0x7ff), (0x10, 0xfffe)] {
        board.write(0, at, 2, vector);
        assert_eq!(board.read(0, at, 2), 0xffff);
    }
    board.write(0, 0x10, 2, 1);
    assert_eq!(board.read(0, 0x10, 2), 1);
}

#[test]
fn legacy_msix_moves_the_configuration_by_four_bytes() {
    let mut board = legacy();
    assert_eq!(board.read(0, 20, 8), 64);
    board.enable_msix();
    assert_eq!((board.read(0, 20, 2), board.read(0, 22, 2)), (0xffff, 0xffff));
    assert_eq!(board.read(0, 24, 8), 64);
}

// 2.1.2, DEVICE_NEEDS_RESET

#[test]
fn a_broken_driver_hears_of_it_by_a_configuration_change() {
    let mut rig = Rig::new(Flavour::Modern, 0);
    rig.raw(IN, 0, &[(HEADER, 3, false)]);
    assert_eq!((rig.board.status() & NEEDS_RESET, rig.board.isr()), (NEEDS_RESET, 2));
}

#[test]
fn a_device_that_needs_a_reset_serves_nothing_until_it_gets_one() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, 0);
        rig.raw(IN, 0, &[(HEADER, 3, false)]);
        assert_eq!(rig.request(IN, 0, &[(DATA, 512, true)]), 0xff);
        rig.board.set_status(ACKNOWLEDGE | DRIVER | DRIVER_OK);
        assert!(rig.broken(), "a driver cannot clear it by itself");
        rig.board.negotiate(0);
        rig.ring = rig.board.set_queue(0, common::disk::QUEUE, 16);
        rig.board.driver_ok();
        assert_eq!(rig.request(IN, 0, &[(DATA, 512, true)]), 0);
    }
}

// 4.1.4.8, legacy registers

#[test]
fn a_legacy_queue_address_of_0_ends_its_use() {
    let mut rig = Rig::new(Flavour::Legacy, 0);
    assert_eq!(rig.board.read(0, 8, 4), common::disk::QUEUE >> 12);
    rig.board.write(0, 8, 4, 0);
    assert_eq!(rig.request(IN, 0, &[(DATA, 512, true)]), 0xff);
    assert_eq!(rig.board.read(0, 8, 4), 0);
}

#[test]
fn legacy_features_are_32_bits_of_the_offered_ones() {
    let mut board = legacy();
    let offered = board.read(0, 0, 4);
    board.write(0, 4, 4, 0xffff_ffff);
    assert_eq!(board.read(0, 4, 4), offered);
}

#[test]
fn one_read_of_four_ports_shows_status_and_isr() {
    let mut rig = Rig::new(Flavour::Legacy, 0);
    rig.request(IN, 0, &[(DATA, 512, true)]);
    let value = rig.board.read(0, 16, 4);
    assert_eq!(value >> 24, 1);
    assert_eq!(value >> 16 & 0xff, u64::from(ACKNOWLEDGE | DRIVER | DRIVER_OK));
    assert!(!rig.board.pin());
}

// 4.1.4.9, access through configuration space

#[test]
fn the_window_reads_and_writes_any_bar() {
    let mut board = modern();
    let (at, ..) = capabilities(&board)[4];
    board.config_write(at + 4, 0, 1);
    board.config_write(at + 8, 0x14, 4);
    board.config_write(at + 12, 1, 4);
    board.config_write(at + 16, ACKNOWLEDGE.into(), 1);
    assert_eq!(board.status(), ACKNOWLEDGE);
    board.set_status(ACKNOWLEDGE | DRIVER);
    assert_eq!(board.config_read(at + 16) & 0xff, u32::from(ACKNOWLEDGE | DRIVER));
    board.config_write(at + 8, DEVICE as u32, 4);
    board.config_write(at + 12, 4, 4);
    assert_eq!(board.config_read(at + 16), 64);
}

#[test]
fn the_window_shows_nothing_outside_of_bars_or_of_odd_lengths() {
    let mut board = modern();
    let (at, ..) = capabilities(&board)[4];
    for (bar, offset, len) in
        [(0, 0x4000, 4), (0, 0x3ffe, 4), (2, 0, 4), (0, 0x14, 3), (0, 0x15, 2), (0, u32::MAX, 4)]
    {
        board.config_write(at + 4, bar, 1);
        board.config_write(at + 8, offset, 4);
        board.config_write(at + 12, len, 4);
        board.config_write(at + 16, 0x0101_0101, 4);
        assert_eq!((board.config_read(at + 16), board.status()), (0x0101_0101, 0));
    }
}

// Saved states

#[test]
fn a_saved_device_goes_on_where_it_was() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, 0);
        rig.request(IN, 1, &[(DATA, 512, true)]);
        let saved = rig.board.device.save();
        rig.board.device = blk(BlkConfig::default(), Box::new(Disk::new(64)), flavour).1;
        rig.board.device.restore(&saved).unwrap();
        assert_eq!(rig.board.device.save(), saved);
        assert_eq!(rig.request(IN, 2, &[(DATA, 512, true)]), 0);
        assert_eq!(rig.ring.returned(), [(0, 513), (0, 513)]);
        assert_eq!(rig.board.isr(), 1);
    }
}

#[test]
fn features_that_were_not_accepted_yet_are_saved_too() {
    let mut board = modern();
    board.take(1 << 63);
    let saved = board.device.save();
    let mut other = modern();
    other.device.restore(&saved).unwrap();
    assert_eq!(other.device.save(), saved);
}

#[test]
fn a_power_on_reset_clears_everything_and_the_message_table() {
    let mut rig = Rig::new(Flavour::Modern, 0);
    rig.board.enable_msix();
    rig.board.device.reset();
    rig.board.config.reset();
    assert_eq!((rig.board.status(), rig.board.read(1, 0x0c, 4), rig.board.pin()), (0, 1, false));
}
