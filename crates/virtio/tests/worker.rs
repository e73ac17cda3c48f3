//! A worker away from its function: on another thread, and back.

mod common;

use common::disk::{DATA, Disk, HEADER, QUEUE, STATUS};
use common::{Board, Ring};
use hako_chips::pci::{Env, PciDevice};
use hako_engine::Time;
use hako_mem::{Gpa, GuestMemory};
use hako_virtio::{BlkConfig, Flavour, Function, Served};

/// A disk with a request waiting in its queue; the function is held beside the board.
struct Rig {
    board: Board,
    function: Function,
    ring: Ring,
}

/// Stands in the board for a function that is held elsewhere.
struct Nothing;

impl PciDevice for Nothing {
    fn bar_read(&mut self, _: &mut Env<'_>, _: u8, _: u64, _: &mut [u8]) {}
    fn bar_write(&mut self, _: &mut Env<'_>, _: u8, _: u64, _: &[u8]) {}
    fn reset(&mut self) {}
}

impl Rig {
    fn new() -> Rig {
        let model = hako_virtio::blk::model(&BlkConfig::default(), Box::new(Disk::new(64)));
        let (space, mut function) = Function::new(model, Flavour::Legacy);
        let mut board = Board::new((space, Box::new(Nothing)), Flavour::Legacy);
        let ring = Ring::new(&board.memory, QUEUE, 256);
        board.memory.store(Gpa(HEADER), 1u128 << 64).unwrap();
        ring.chain(0, &[(HEADER, 16, false), (DATA, 512, true), (STATUS, 1, true)]);
        let page = (QUEUE >> 12) as u32;
        with(&mut board, |env| function.bar_write(env, 0, 8, &page.to_le_bytes()));
        with(&mut board, |env| function.bar_write(env, 0, 18, &[7]));
        ring.offer(0);
        Rig { board, function, ring }
    }

    fn served(&mut self, served: Served) {
        with(&mut self.board, |env| self.function.served(env, 0, served));
    }

    fn set_status(&mut self, status: u8) {
        with(&mut self.board, |env| self.function.bar_write(env, 0, 18, &[status]));
    }
}

fn with<R>(board: &mut Board, f: impl FnOnce(&mut Env<'_>) -> R) -> R {
    let memory: GuestMemory = board.memory.clone();
    let (config, msis) = (&mut board.config, &mut board.msis);
    f(&mut Env { config, memory: &memory, now: Time::ZERO, msis })
}

#[test]
fn a_worker_serves_on_another_thread_and_its_function_tells_the_driver() {
    let mut rig = Rig::new();
    assert!(rig.function.running());
    let mut worker = rig.function.take_worker().unwrap();
    let memory = rig.board.memory.clone();
    let thread = std::thread::spawn(move || (worker.run(0, &memory), worker));
    let (served, worker) = thread.join().unwrap();
    assert_eq!(served, Served { interrupt: true, more: false, fault: None });
    assert!(!rig.board.pin());
    rig.served(served);
    assert_eq!((rig.board.pin(), rig.ring.returned()), (true, vec![(0, 513)]));
    rig.function.put_worker(worker);
    assert!(rig.function.take_worker().is_some());
}

#[test]
fn notifications_are_not_served_here_while_the_worker_is_away() {
    let mut rig = Rig::new();
    let worker = rig.function.take_worker().unwrap();
    with(&mut rig.board, |env| rig.function.bar_write(env, 0, 16, &[0, 0]));
    assert_eq!(rig.ring.returned(), []);
    rig.function.put_worker(worker);
    with(&mut rig.board, |env| rig.function.bar_write(env, 0, 16, &[0, 0]));
    assert_eq!(rig.ring.returned(), [(0, 513)]);
}

#[test]
fn a_reset_that_the_worker_missed_reaches_it_when_it_comes_back() {
    let mut rig = Rig::new();
    let worker = rig.function.take_worker().unwrap();
    rig.set_status(0);
    assert!(!rig.function.running());
    rig.function.put_worker(worker);
    rig.set_status(7);
    with(&mut rig.board, |env| rig.function.bar_write(env, 0, 16, &[0, 0]));
    assert_eq!(rig.ring.returned(), []);
}

#[test]
fn queues_that_were_set_up_while_the_worker_was_away_are_served_when_it_comes_back() {
    let mut rig = Rig::new();
    let worker = rig.function.take_worker().unwrap();
    rig.set_status(0);
    let page = (QUEUE >> 12) as u32;
    with(&mut rig.board, |env| rig.function.bar_write(env, 0, 8, &page.to_le_bytes()));
    rig.set_status(7);
    rig.function.put_worker(worker);
    with(&mut rig.board, |env| rig.function.bar_write(env, 0, 16, &[0, 0]));
    assert_eq!(rig.ring.returned(), [(0, 513)]);
}
