//! Split virtqueues (2.7): what drivers may do, and what hostile ones do.

mod common;

use common::disk::{DATA, Disk, HEADER, IN, QUEUE, Rig, STATUS};
use common::ring::{INDIRECT, NEXT, WRITE};
use common::{BOTH, Board, EVENT_IDX, INDIRECT_DESC, Ring};
use hako_engine::Time;
use hako_mem::{Gpa, GuestMemory, MemoryMap, Region, RegionKind, SlabOffset};
use hako_virtio::{BlkConfig, Flavour, blk};

/// Where indirect tables are.
const TABLE: u64 = 0x6000;

fn rig(features: u64) -> Rig {
    Rig::new(Flavour::Modern, features)
}

/// Offers the chain at `head` and notifies.
fn offer(rig: &mut Rig, head: u16) {
    rig.header(IN, 1);
    rig.ring.offer(head);
    rig.board.kick(0);
}

/// A request in three descriptors of an indirect table.
fn table(rig: &Rig) {
    rig.ring.desc_in(TABLE, 0, HEADER, 16, NEXT, 1);
    rig.ring.desc_in(TABLE, 1, DATA, 512, NEXT | WRITE, 2);
    rig.ring.desc_in(TABLE, 2, STATUS, 1, WRITE, 0);
}

const PARTS: [(u64, u32, bool); 3] = [(HEADER, 16, false), (DATA, 512, true), (STATUS, 1, true)];

// Notifications (2.7.7, 2.7.10)

#[test]
fn the_no_interrupt_flag_holds_notifications_back() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, 0);
        rig.ring.set_avail_flags(1);
        rig.request(IN, 0, &[(DATA, 512, true)]);
        assert!(!rig.board.pin());
        rig.ring.set_avail_flags(0);
        rig.request(IN, 0, &[(DATA, 512, true)]);
        assert!(rig.board.pin());
    }
}

#[test]
fn a_driver_is_notified_when_its_used_event_is_passed() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, EVENT_IDX);
        rig.ring.set_used_event(2);
        for expected in [false, false, true, false] {
            rig.request(IN, 0, &[(DATA, 512, true)]);
            assert_eq!(rig.board.isr() == 1, expected);
        }
    }
}

#[test]
fn with_event_indices_the_flag_is_ignored() {
    let mut rig = rig(EVENT_IDX);
    rig.ring.set_avail_flags(1);
    rig.request(IN, 0, &[(DATA, 512, true)]);
    assert!(rig.board.pin());
}

#[test]
fn the_device_asks_for_a_notification_of_the_next_buffer() {
    let mut rig = rig(EVENT_IDX);
    for n in 1..4 {
        rig.request(IN, 0, &[(DATA, 512, true)]);
        assert_eq!(rig.ring.avail_event(), n);
    }
}

#[test]
fn one_notification_serves_all_that_waits() {
    let mut rig = rig(0);
    rig.header(IN, 1);
    for head in [0, 3, 6] {
        rig.ring.chain(head, &PARTS);
        rig.ring.offer(head);
    }
    rig.board.kick(0);
    assert_eq!(rig.ring.returned(), [(0, 513), (3, 513), (6, 513)]);
}

#[test]
fn indices_wrap_at_65536() {
    for features in [0, EVENT_IDX] {
        let mut rig = rig(features);
        for n in 0..70_000u32 {
            rig.ring.set_used_event(n as u16);
            assert_eq!(rig.request(IN, 0, &[(DATA, 512, true)]), 0);
            assert_eq!((rig.ring.returned().len(), rig.board.isr()), (1, 1), "request {n}");
        }
    }
}

#[test]
fn a_notification_of_a_queue_that_does_not_exist_does_nothing() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, 0);
        for queue in [1, 2, 0x3ff] {
            rig.board.kick(queue);
        }
        assert!(!rig.broken());
    }
}

// Indirect descriptors (2.7.5.3)

#[test]
fn a_request_may_lie_in_an_indirect_table() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour, INDIRECT_DESC);
        table(&rig);
        rig.ring.desc(5, TABLE, 48, INDIRECT, 0);
        offer(&mut rig, 5);
        assert_eq!(rig.ring.returned(), [(5, 513)]);
    }
}

#[test]
fn the_write_flag_of_an_indirect_descriptor_is_ignored() {
    let mut rig = rig(INDIRECT_DESC);
    table(&rig);
    rig.ring.desc(5, TABLE, 48, INDIRECT | WRITE, 0);
    offer(&mut rig, 5);
    assert_eq!(rig.ring.returned(), [(5, 513)]);
}

#[test]
fn ordinary_descriptors_may_come_before_an_indirect_one() {
    let mut rig = rig(INDIRECT_DESC);
    rig.ring.desc(0, HEADER, 16, NEXT, 7);
    rig.ring.desc(7, TABLE, 32, INDIRECT, 0);
    rig.ring.desc_in(TABLE, 0, DATA, 512, NEXT | WRITE, 1);
    rig.ring.desc_in(TABLE, 1, STATUS, 1, WRITE, 0);
    offer(&mut rig, 0);
    assert_eq!(rig.ring.returned(), [(0, 513)]);
}

#[test]
fn an_indirect_table_need_not_be_aligned() {
    let mut rig = rig(INDIRECT_DESC);
    let at = TABLE + 0xff9;
    rig.ring.desc_in(at, 0, HEADER, 16, NEXT, 1);
    rig.ring.desc_in(at, 1, DATA, 512, NEXT | WRITE, 2);
    rig.ring.desc_in(at, 2, STATUS, 1, WRITE, 0);
    rig.ring.desc(5, at, 48, INDIRECT, 0);
    offer(&mut rig, 5);
    assert_eq!(rig.ring.returned(), [(5, 513)]);
}

#[test]
fn indirect_descriptors_that_are_not_allowed_break_the_queue() {
    for (len, flags) in [(0, INDIRECT), (47, INDIRECT), (48, INDIRECT | NEXT), (15, INDIRECT)] {
        let mut rig = rig(INDIRECT_DESC);
        table(&rig);
        rig.ring.desc(5, TABLE, len, flags, 6);
        offer(&mut rig, 5);
        assert!(rig.broken(), "length {len}, flags {flags}");
    }
}

#[test]
fn indirect_descriptors_have_to_be_negotiated() {
    let mut rig = rig(0);
    table(&rig);
    rig.ring.desc(5, TABLE, 48, INDIRECT, 0);
    offer(&mut rig, 5);
    assert!(rig.broken());
}

#[test]
fn tables_in_tables_break_the_queue() {
    for inner in [0, 1] {
        let mut rig = rig(INDIRECT_DESC);
        table(&rig);
        rig.ring.desc_in(TABLE, inner, TABLE, 48, INDIRECT, 0);
        rig.ring.desc(5, TABLE, 48, INDIRECT, 0);
        offer(&mut rig, 5);
        assert!(rig.broken());
    }
}

#[test]
fn the_queue_itself_as_its_indirect_table_is_no_way_around() {
    let mut rig = rig(INDIRECT_DESC);
    rig.ring.desc(0, QUEUE, 16 * 16, INDIRECT, 0);
    offer(&mut rig, 0);
    assert!(rig.broken());
}

#[test]
fn indirect_tables_outside_of_memory_break_the_queue() {
    for at in [1 << 40, u64::MAX - 7, common::RAM - 16] {
        let mut rig = rig(INDIRECT_DESC);
        rig.ring.desc(5, at, 48, INDIRECT, 0);
        if at < common::RAM {
            rig.ring.desc_in(at, 0, HEADER, 16, NEXT, 1);
        }
        offer(&mut rig, 5);
        assert!(rig.broken(), "{at:#x}");
    }
}

// Chains (2.7.5)

#[test]
fn loops_break_the_queue() {
    for (head, links) in [(3, &[(3, 3)][..]), (0, &[(0, 1), (1, 0)]), (2, &[(2, 9), (9, 4), (4, 9)])] {
        let mut rig = rig(0);
        for (from, to) in links {
            rig.ring.desc(*from, HEADER, 16, NEXT, *to);
        }
        offer(&mut rig, head);
        assert!(rig.broken());
        assert_eq!(rig.ring.returned(), []);
    }
}

#[test]
fn loops_in_indirect_tables_break_the_queue() {
    let mut rig = rig(INDIRECT_DESC);
    rig.ring.desc_in(TABLE, 0, HEADER, 16, NEXT, 0);
    rig.ring.desc(5, TABLE, 16, INDIRECT, 0);
    offer(&mut rig, 5);
    assert!(rig.broken());
}

#[test]
fn a_chain_as_long_as_the_queue_is_allowed_and_one_more_is_not() {
    for (extra, broken) in [(0, false), (1, true)] {
        let mut rig = rig(INDIRECT_DESC);
        let last = 15 + extra;
        rig.ring.desc_in(TABLE, 0, HEADER, 16, NEXT, 1);
        for n in 1..last {
            rig.ring.desc_in(TABLE, n, DATA, 512, NEXT | WRITE, n + 1);
        }
        rig.ring.desc_in(TABLE, last, STATUS, 1, WRITE, 0);
        rig.ring.desc(5, TABLE, 16 * (u32::from(last) + 1), INDIRECT, 0);
        offer(&mut rig, 5);
        assert_eq!(rig.broken(), broken);
    }
}

#[test]
fn heads_and_links_outside_of_the_table_break_the_queue() {
    for head in [16, 17, 0x8000, 0xffff] {
        let mut rig = rig(0);
        offer(&mut rig, head);
        assert!(rig.broken());
        let mut rig = self::rig(0);
        rig.ring.desc(0, HEADER, 16, NEXT, head);
        offer(&mut rig, 0);
        assert!(rig.broken());
    }
}

#[test]
fn a_readable_descriptor_behind_a_writable_one_breaks_the_queue() {
    let mut rig = rig(0);
    rig.raw(IN, 0, &[(HEADER, 16, false), (DATA, 512, true), (HEADER, 16, false), (STATUS, 1, true)]);
    assert!(rig.broken());
}

#[test]
fn a_chain_of_more_than_4_gib_breaks_the_queue() {
    let mut rig = rig(0);
    rig.raw(IN, 0, &[(HEADER, 16, false), (0, u32::MAX, true), (0, u32::MAX, true)]);
    assert!(rig.broken());
}

#[test]
fn descriptors_without_bytes_change_nothing() {
    let mut rig = rig(0);
    let status =
        rig.raw(IN, 1, &[(HEADER, 0, false), (HEADER, 16, false), (1 << 50, 0, true), PARTS[1], PARTS[2]]);
    assert_eq!((status, rig.ring.returned()), (0, vec![(0, 513)]));
}

#[test]
fn descriptors_are_read_once() {
    // The data overwrite the table that the request is in; the device goes on with what it read.
    let mut rig = rig(0);
    let before = rig.request(IN, 1, &[(QUEUE, 512, true), (DATA, 512, true)]);
    assert_eq!((before, rig.memory().load::<u8>(Gpa(DATA))), (0, Ok(2)));
    assert_eq!(rig.ring.returned(), [(0, 1025)]);
}

// Rings

#[test]
fn more_available_buffers_than_entries_break_the_queue() {
    for index in [17, 0x8000, 0xffff] {
        for flavour in BOTH {
            let mut rig = Rig::new(flavour, 0);
            rig.ring.set_avail_index(if flavour == Flavour::Legacy { index.max(257) } else { index });
            rig.board.kick(0);
            assert!(rig.broken());
        }
    }
}

/// A device whose first queue is `ring`.
fn at(change: impl FnOnce(&mut Ring), memory: GuestMemory) -> Board {
    let device = blk(BlkConfig::default(), Box::new(Disk::new(64)), Flavour::Modern);
    let mut board = Board::new(device, Flavour::Modern);
    board.memory = memory;
    board.negotiate(0);
    let mut ring = Ring::new(&board.memory, QUEUE, 16);
    ring.chain(0, &PARTS);
    ring.offer(0);
    change(&mut ring);
    board.set_rings(0, &ring);
    board.driver_ok();
    board
}

#[test]
fn rings_outside_of_memory_break_the_queue() {
    for wild in [1 << 40, common::RAM, u64::MAX - 15, 1 << 63] {
        for part in 0..3 {
            let mut board = at(
                |r| *[&mut r.desc, &mut r.avail, &mut r.used][part] = wild,
                GuestMemory::flat(common::RAM),
            );
            assert_ne!(board.status() & common::NEEDS_RESET, 0, "part {part} at {wild:#x}");
        }
    }
}

#[test]
fn rings_that_are_not_aligned_break_the_queue() {
    for part in 0..3 {
        let mut board =
            at(|r| *[&mut r.desc, &mut r.avail, &mut r.used][part] += 1, GuestMemory::flat(common::RAM));
        assert_ne!(board.status() & common::NEEDS_RESET, 0, "part {part}");
    }
}

#[test]
fn a_used_ring_in_rom_breaks_the_queue() {
    let memory = GuestMemory::flat(common::RAM);
    let mut map = MemoryMap::new();
    map.map(Region { gpa: Gpa(0), len: common::RAM, kind: RegionKind::Ram, offset: SlabOffset(0) }).unwrap();
    let rom = GuestMemory::new(memory.slab().clone(), {
        map.map(Region {
            gpa: Gpa(0xf_f000),
            len: 0x1000,
            kind: RegionKind::Rom,
            offset: SlabOffset(0xf_f000),
        })
        .unwrap();
        map
    });
    let mut board = at(|r| r.used = 0xf_f000, rom);
    assert_ne!(board.status() & common::NEEDS_RESET, 0);
    assert_eq!(memory.load::<u64>(Gpa(0xf_f000)), Ok(0));
}

// Bounded work

#[test]
fn a_notification_moves_a_bounded_number_of_bytes_and_the_rest_follows() {
    let mut rig = Rig::on(Disk::new(8 * 2048), Flavour::Modern, INDIRECT_DESC);
    // Sixteen requests of 6.5 MiB each, all into the same half megabyte.
    rig.header(IN, 0);
    rig.ring.desc_in(TABLE, 0, HEADER, 16, NEXT, 1);
    for n in 1..14 {
        rig.ring.desc_in(TABLE, n, 0x8_0000, 1 << 19, NEXT | WRITE, n + 1);
    }
    rig.ring.desc_in(TABLE, 14, STATUS, 1, WRITE, 0);
    let ring = &mut rig.ring;
    for head in 0..16 {
        ring.desc(head, TABLE, 15 * 16, INDIRECT, 0);
        ring.offer(head);
    }
    rig.board.kick(0);
    let first = rig.ring.returned().len();
    assert!((1..16).contains(&first), "{first} at once");
    assert_ne!(rig.board.device.next_event(), Time::NEVER);
    assert!(rig.board.settle() > 0);
    assert_eq!(first + rig.ring.returned().len(), 16);
}

#[test]
fn requests_beyond_the_announced_limits_are_refused() {
    let mut rig = Rig::on(Disk::new(64), Flavour::Legacy, 0);
    let most = 254u32 << 20;
    assert_eq!(rig.request(IN, 0, &[(0, most, true), (0, 512, true)]), 1);
    assert!(!rig.broken());
}
