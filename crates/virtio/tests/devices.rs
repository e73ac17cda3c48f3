//! Console (5.3), entropy (5.4) and balloon (5.5) devices.

mod common;

use std::sync::{Arc, Mutex};

use common::{BOTH, Board, EVENT_IDX, NEEDS_RESET, Ring};
use hako_mem::{Gpa, Slab, SlabOffset};
use hako_virtio::{Balloon, Flavour, Reclaim, Seeded, balloon, console, rng};

const QUEUE: u64 = 0x4_0000;
const NEXT_QUEUE: u64 = 0x4_8000;
const BUFFER: u64 = 0x1000;

fn started(mut board: Board, features: u64) -> (Board, Ring, Ring) {
    board.negotiate(features);
    let first = board.set_queue(0, QUEUE, 8);
    let second = board.set_queue(1, NEXT_QUEUE, 8);
    board.driver_ok();
    (board, first, second)
}

fn input(board: &mut Board, bytes: &[u8]) -> usize {
    board.call(|d, env| d.input(env, bytes))
}

fn output(board: &mut Board) -> Vec<u8> {
    let mut all = Vec::new();
    board.device.output(&mut all);
    all
}

fn terminal(flavour: Flavour) -> (Board, Ring, Ring) {
    let (space, device, _) = console((80, 25), flavour);
    let mut started = started(Board::new((space, device), flavour), 1);
    assert_eq!(started.0.isr(), 2, "a driver that is ready is told to look at the size");
    started
}

#[test]
fn what_the_guest_transmits_comes_out() {
    for flavour in BOTH {
        let (mut board, _, mut tx) = terminal(flavour);
        board.memory.write(Gpa(BUFFER), b"hello").unwrap();
        tx.chain(0, &[(BUFFER, 2, false), (BUFFER + 2, 3, false)]);
        tx.offer(0);
        board.kick(1);
        assert_eq!((output(&mut board), tx.returned()), (b"hello".to_vec(), vec![(0, 0)]));
        assert_eq!(output(&mut board), b"");
    }
}

#[test]
fn input_goes_into_receive_buffers_and_interrupts() {
    for flavour in BOTH {
        let (mut board, mut rx, _) = terminal(flavour);
        rx.chain(0, &[(BUFFER, 16, true)]);
        rx.offer(0);
        board.kick(0);
        assert_eq!((rx.returned(), board.pin()), (vec![], false));
        assert_eq!(input(&mut board, b"ls\n"), 3);
        assert_eq!((rx.returned(), board.pin(), board.isr()), (vec![(0, 3)], true, 1));
        assert_eq!(board.memory.load::<u16>(Gpa(BUFFER)), Ok(u16::from_le_bytes(*b"ls")));
    }
}

#[test]
fn input_waits_for_receive_buffers() {
    let (mut board, mut rx, _) = terminal(Flavour::Modern);
    assert_eq!(input(&mut board, b"abcdef"), 6);
    rx.chain(0, &[(BUFFER, 4, true)]);
    rx.chain(1, &[(BUFFER + 8, 4, true)]);
    rx.offer(0);
    rx.offer(1);
    board.kick(0);
    assert_eq!(rx.returned(), [(0, 4), (1, 2)]);
}

#[test]
fn input_is_refused_rather_than_lost() {
    let (mut board, ..) = terminal(Flavour::Modern);
    assert_eq!(input(&mut board, &[b'x'; 100_000]), 65_536);
    assert_eq!(input(&mut board, b"y"), 0);
}

#[test]
fn input_given_before_the_driver_comes_waits_for_it() {
    let (space, device, _) = console((80, 25), Flavour::Modern);
    let mut board = Board::new((space, device), Flavour::Modern);
    assert_eq!(input(&mut board, b"q"), 1);
    let (mut board, mut rx, _) = started(board, 0);
    rx.chain(0, &[(BUFFER, 4, true)]);
    rx.offer(0);
    board.kick(0);
    assert_eq!(rx.returned(), [(0, 1)]);
}

#[test]
fn a_new_size_of_the_terminal_is_a_configuration_change() {
    let (space, device, size) = console((80, 25), Flavour::Modern);
    let (mut board, ..) = started(Board::new((space, device), Flavour::Modern), 1);
    assert_eq!((board.field(0, 2), board.field(2, 2)), (80, 25));
    let generation = board.read(0, 0x15, 1);
    size.set(132, 50);
    assert_eq!(board.settle(), 1);
    assert_eq!((board.field(0, 2), board.field(2, 2)), (132, 50));
    assert_ne!(board.read(0, 0x15, 1), generation);
    assert_eq!(board.isr(), 2);
}

#[test]
fn an_endless_transmission_breaks_the_device() {
    let (mut board, _, tx) = terminal(Flavour::Modern);
    tx.chain(0, &[(0, 1 << 19, false); 7]);
    tx.desc(6, 0, 1 << 25, 0, 0);
    tx.offer(0);
    board.kick(1);
    assert_ne!(board.status() & NEEDS_RESET, 0);
    assert!(output(&mut board).is_empty());
}

fn random(seed: u64, len: u32) -> Vec<u8> {
    let device = rng(Box::new(Seeded::new(seed)), Flavour::Modern);
    let mut board = Board::new(device, Flavour::Modern);
    board.negotiate(0);
    let mut ring = board.set_queue(0, QUEUE, 8);
    board.driver_ok();
    ring.chain(0, &[(BUFFER, len, true)]);
    ring.offer(0);
    board.kick(0);
    let given = ring.returned()[0].1;
    assert!(given >= 1);
    let mut bytes = vec![0; given as usize];
    board.memory.read(Gpa(BUFFER), &mut bytes).unwrap();
    bytes
}

#[test]
fn random_bytes_fill_the_buffer() {
    let bytes = random(7, 64);
    assert_eq!(bytes.len(), 64);
    assert!(bytes.iter().any(|b| *b != 0));
    assert_eq!(random(7, 1).len(), 1);
}

#[test]
fn a_seed_gives_the_same_bytes_again_and_another_others() {
    assert_eq!(random(7, 64), random(7, 64));
    assert_ne!(random(7, 64), random(8, 64));
}

#[test]
fn one_request_gets_at_most_a_page() {
    assert_eq!(random(7, 0x1_0000).len(), 4096);
}

#[test]
fn the_entropy_device_has_no_configuration() {
    let (space, _) = rng(Box::new(Seeded::new(0)), Flavour::Modern);
    let mut at = space.byte(0x34);
    while at != 0 {
        assert!(space.byte(at) != 9 || space.byte(at + 3) != 4, "a device-specific structure is offered");
        at = space.byte(at + 1);
    }
}

#[derive(Clone, Default)]
struct Given(Arc<Mutex<Vec<(u64, u64)>>>);

impl Reclaim for Given {
    fn give_back(&mut self, _: &Slab, at: SlabOffset, len: u64) {
        self.0.lock().unwrap().push((at.0, len));
    }
}

impl Given {
    fn take(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn inflated(flavour: Flavour, features: u64) -> (Board, Ring, Ring, Given, Balloon) {
    let given = Given::default();
    let (space, device, handle) = balloon(Box::new(given.clone()), flavour);
    let (board, inflate, deflate) = started(Board::new((space, device), flavour), features);
    (board, inflate, deflate, given, handle)
}

fn pages(board: &Board, numbers: &[u32]) -> u32 {
    for (at, n) in (BUFFER..).step_by(4).zip(numbers) {
        board.memory.store(Gpa(at), *n).unwrap();
    }
    4 * numbers.len() as u32
}

#[test]
fn inflated_pages_are_given_back_neighbours_together() {
    for flavour in BOTH {
        let (mut board, mut ring, _, given, _) = inflated(flavour, 0);
        let len = pages(&board, &[0x20, 0x21, 0x22, 0x30, 0]);
        ring.chain(0, &[(BUFFER, len, false)]);
        ring.offer(0);
        board.kick(0);
        assert_eq!(given.take(), [(0x2_0000, 0x3000), (0x3_0000, 0x1000), (0, 0x1000)]);
        assert_eq!(ring.returned(), [(0, 0)]);
    }
}

#[test]
fn pages_that_are_no_ram_are_left_alone() {
    let (mut board, ring, _, given, _) = inflated(Flavour::Modern, 0);
    let len = pages(&board, &[0xff, 0x100, u32::MAX, 0x10_0000]);
    ring.chain(0, &[(BUFFER, len, false)]);
    ring.offer(0);
    board.kick(0);
    assert_eq!(given.take(), [(0xf_f000, 0x1000)]);
    assert_eq!(board.status() & NEEDS_RESET, 0);
}

#[test]
fn deflating_gives_nothing_back_and_is_acknowledged() {
    let (mut board, _, mut ring, given, _) = inflated(Flavour::Modern, 0);
    let len = pages(&board, &[0x20]);
    ring.chain(0, &[(BUFFER, len, false)]);
    ring.offer(0);
    board.kick(1);
    assert_eq!((ring.returned(), given.take()), (vec![(0, 0)], vec![]));
}

#[test]
fn the_target_is_a_configuration_change_and_the_driver_answers() {
    let (mut board, _, _, _, handle) = inflated(Flavour::Modern, 0);
    handle.set_target(256);
    board.call(|d, env| d.tick(env));
    assert_eq!((board.isr(), board.field(0, 4)), (2, 256));
    board.set_field(4, 4, 200);
    board.set_field(0, 4, 1);
    assert_eq!((handle.actual(), board.field(0, 4)), (200, 256));
}

/// Reports 0x20800 to 0x23800 and 0x30000 to 0x31000 on the given queue.
fn report(features: u64, queue: u16, poison: u32) -> Vec<(u64, u64)> {
    let given = Given::default();
    let (space, device, _) = balloon(Box::new(given.clone()), Flavour::Modern);
    let mut board = Board::new((space, device), Flavour::Modern);
    board.negotiate(features);
    board.set_field(12, 4, poison.into());
    let mut ring = board.set_queue(queue, QUEUE, 8);
    board.driver_ok();
    ring.chain(0, &[(0x2_0800, 0x3000, true), (0x3_0000, 0x1000, true)]);
    ring.offer(0);
    board.kick(queue);
    assert_eq!(ring.returned(), [(0, 0)]);
    given.take()
}

#[test]
fn reported_free_pages_are_given_back_whole() {
    for queue in [2, 4] {
        assert_eq!(report(1 << 5, queue, 0), [(0x2_1000, 0x2000), (0x3_0000, 0x1000)]);
    }
}

#[test]
fn reported_pages_that_have_to_keep_their_poison_stay() {
    assert_eq!(report(1 << 5 | 1 << 4, 4, 0xaa), []);
    assert_eq!(report(1 << 5 | 1 << 4, 4, 0).len(), 2);
}

#[test]
fn code_caches_hear_of_pages_that_are_given_back() {
    let (mut board, ring, _, _, _) = inflated(Flavour::Modern, 0);
    let slab = Arc::clone(board.memory.slab());
    slab.set_flags(SlabOffset(0x2_0000), hako_mem::PageFlags::CODE);
    let before = slab.code_epoch();
    let len = pages(&board, &[0x20]);
    ring.chain(0, &[(BUFFER, len, false)]);
    ring.offer(0);
    board.kick(0);
    assert_ne!(slab.code_epoch(), before);
}

#[test]
fn a_saved_console_goes_on_where_it_was() {
    let (mut board, mut rx, _) = terminal(Flavour::Modern);
    rx.chain(0, &[(BUFFER, 2, true)]);
    rx.offer(0);
    assert_eq!(input(&mut board, b"abcd"), 4);
    let saved = board.device.save();
    board.device = console((80, 25), Flavour::Modern).1;
    board.device.restore(&saved).unwrap();
    assert_eq!(board.device.save(), saved);
    rx.offer(0);
    board.kick(0);
    assert_eq!(rx.returned(), [(0, 2), (0, 2)]);
    assert_eq!(board.memory.load::<u16>(Gpa(BUFFER)), Ok(u16::from_le_bytes(*b"cd")));
}

#[test]
fn a_state_of_another_device_is_refused_and_changes_nothing() {
    let (board, ..) = terminal(Flavour::Modern);
    let (_, mut other, _) = balloon(Box::new(Given::default()), Flavour::Modern);
    let before = other.save();
    assert!(other.restore(&board.device.save()).is_err());
    assert!(other.restore(&[]).is_err());
    assert!(other.restore(&before[..before.len() - 1]).is_err());
    assert_eq!(other.save(), before);
}

#[test]
fn event_indices_work_for_input_too() {
    let (space, device, _) = console((80, 25), Flavour::Modern);
    let (mut board, mut rx, _) = started(Board::new((space, device), Flavour::Modern), EVENT_IDX);
    rx.chain(0, &[(BUFFER, 1, true)]);
    rx.set_used_event(1);
    rx.offer(0);
    rx.offer(0);
    assert_eq!(input(&mut board, b"a"), 1);
    assert!(!board.pin());
    assert_eq!(input(&mut board, b"b"), 1);
    assert!(board.pin());
    assert_eq!(rx.returned().len(), 2);
}
