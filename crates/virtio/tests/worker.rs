//! A worker at its station: when it goes there, what the station is told, and what brings it back.

mod common;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use common::disk::{DATA, Disk, HEADER, QUEUE, STATUS};
use common::{BOTH, Board, DRIVER_OK, NEEDS_RESET, Ring};
use hako_chips::pci::Msi;
use hako_engine::Time;
use hako_mem::{Gpa, GuestMemory};
use hako_virtio::{BlkConfig, Flavour, Function, Notify, Served, Station, Terms, Worker};

/// A station that serves when the test says so.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    worker: Option<Worker>,
    memory: Option<GuestMemory>,
    terms: Terms,
    changes: u32,
    notified: u32,
    news: VecDeque<(u16, Served)>,
}

impl Desk {
    fn with<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }

    fn has_worker(&self) -> bool {
        self.with(|desk| desk.worker.is_some())
    }

    fn terms(&self) -> Terms {
        self.with(|desk| desk.terms.clone())
    }

    /// Serves queue 0 on another thread; what came of it is news unless a message says it.
    fn serve(&self) -> Served {
        let desk = self.clone();
        let thread = std::thread::spawn(move || {
            desk.with(|desk| {
                let served = desk.worker.as_mut().unwrap().run(0, desk.memory.as_ref().unwrap());
                let message = desk.terms.messages.first().copied().flatten();
                let interrupt = served.interrupt && message.is_none();
                if interrupt || served.fault.is_some() {
                    desk.news.push_back((0, Served { interrupt, ..served }));
                }
                served
            })
        });
        thread.join().unwrap()
    }
}

impl Station for Desk {
    fn take(&mut self, worker: Worker, terms: &Terms, memory: &GuestMemory) {
        self.with(|desk| {
            assert!(desk.worker.is_none());
            (desk.worker, desk.terms, desk.memory) = (Some(worker), terms.clone(), Some(memory.clone()));
        });
    }
    fn change(&mut self, terms: &Terms) {
        self.with(|desk| (desk.terms, desk.changes) = (terms.clone(), desk.changes + 1));
    }
    fn show(&mut self, memory: &GuestMemory) {
        self.with(|desk| desk.memory = Some(memory.clone()));
    }
    fn notify(&mut self) {
        self.with(|desk| desk.notified += 1);
    }
    fn recall(&mut self) -> Option<Worker> {
        self.with(|desk| desk.worker.take())
    }
    fn news(&mut self) -> Option<(u16, Served)> {
        self.with(|desk| desk.news.pop_front())
    }
}

/// A disk with a station, and a request in its queue that nobody has been told of.
struct Rig {
    board: Board,
    desk: Desk,
    ring: Ring,
}

impl Rig {
    /// Before the queue is set up.
    fn fresh(flavour: Flavour) -> (Board, Desk) {
        let model = hako_virtio::blk::model(&BlkConfig::default(), Box::new(Disk::new(64)));
        let (space, mut function) = Function::new(model, flavour);
        let desk = Desk::default();
        function.set_station(Box::new(desk.clone()));
        let mut board = Board::new((space, Box::new(function)), flavour);
        if flavour == Flavour::Modern {
            board.config_write(0x10, 0xfe00_0000, 4);
        } else {
            board.config_write(0x10, 0xc000, 4);
        }
        (board, desk)
    }

    fn started(mut board: Board, desk: Desk) -> Rig {
        board.negotiate(0);
        let ring = board.set_queue(0, QUEUE, 16);
        board.driver_ok();
        board.memory.store(Gpa(HEADER), 1u128 << 64).unwrap();
        ring.chain(0, &[(HEADER, 16, false), (DATA, 512, true), (STATUS, 1, true)]);
        ring.offer(0);
        Rig { board, desk, ring }
    }

    fn new(flavour: Flavour) -> Rig {
        let (board, desk) = Rig::fresh(flavour);
        Rig::started(board, desk)
    }

    /// With MSI-X on, and vector 1 for the queue.
    fn with_messages() -> Rig {
        let mut rig = Rig::new(Flavour::Modern);
        rig.board.enable_msix();
        rig.board.select(0);
        rig.board.write(0, 0x1a, 2, 1);
        rig
    }

    fn tick(&mut self) {
        self.board.call(|d, env| d.tick(env));
    }
}

/// Vector 1 of [`Board::enable_msix`].
const MESSAGE: Msi = Msi { address: 0xfee0_0000, data: 0x41 };

#[test]
fn the_worker_goes_when_the_driver_is_ready() {
    for flavour in BOTH {
        let (mut board, desk) = Rig::fresh(flavour);
        board.negotiate(0);
        board.set_queue(0, QUEUE, 16);
        assert!(!desk.has_worker(), "{flavour:?}");
        board.driver_ok();
        assert!(desk.has_worker(), "{flavour:?}");
    }
}

#[test]
fn a_request_is_served_on_another_thread_and_the_pin_says_so_when_the_function_hears_of_it() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour);
        assert_eq!(rig.desk.serve(), Served { interrupt: true, more: false, fault: None });
        assert_eq!((rig.board.pin(), rig.ring.returned()), (false, vec![(0, 513)]));
        rig.tick();
        assert!(rig.board.pin());
        assert_eq!((rig.board.isr(), rig.board.pin()), (1, false));
    }
}

#[test]
fn a_notification_that_reaches_the_function_is_passed_on() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour);
        rig.board.kick(0);
        assert_eq!((rig.desk.with(|d| d.notified), rig.ring.returned()), (1, vec![]));
    }
}

#[test]
fn the_station_is_told_where_notifications_go() {
    let memory = |first| Notify::Memory { first, step: 4 };
    let mut rig = Rig::new(Flavour::Modern);
    assert_eq!(rig.desk.terms().notify, memory(0xfe00_3000));
    rig.board.config_write(0x10, 0xfd00_0000, 4);
    assert_eq!(rig.desk.terms().notify, memory(0xfd00_3000));
    rig.board.config_write(4, 4, 2);
    assert_eq!(rig.desk.terms().notify, Notify::Nowhere, "memory decoding is off");
    assert_eq!(Rig::new(Flavour::Legacy).desk.terms().notify, Notify::Port(0xc010));
}

#[test]
fn the_station_is_told_the_message_of_a_queue_while_nothing_holds_it_back() {
    let mut rig = Rig::with_messages();
    let message = |rig: &Rig| rig.desk.terms().messages;
    assert_eq!(message(&rig), [Some(MESSAGE)]);
    let control = rig.board.msix_capability() + 2;
    rig.board.write(1, 16 + 12, 4, 1);
    assert_eq!(message(&rig), [None], "the vector is masked");
    rig.board.write(1, 16 + 12, 4, 0);
    rig.board.config_write(control, 0xc000, 2);
    assert_eq!(message(&rig), [None], "the function is masked");
    rig.board.config_write(control, 0x8000, 2);
    rig.board.write(1, 16 + 8, 4, 0x77);
    assert_eq!(message(&rig), [Some(Msi { data: 0x77, ..MESSAGE })], "the message is another");
    rig.board.write(0, 0x1a, 2, 0xffff);
    assert_eq!(message(&rig), [None], "the queue has no vector");
    assert!(rig.desk.has_worker());
}

#[test]
fn a_message_that_is_held_back_is_sent_by_the_function_later() {
    let mut rig = Rig::with_messages();
    rig.board.write(1, 16 + 12, 4, 1);
    rig.desk.serve();
    rig.tick();
    assert_eq!(rig.board.vectors(), []);
    rig.board.write(1, 16 + 12, 4, 0);
    assert_eq!((rig.board.vectors(), rig.board.pin()), (vec![1], false));
}

#[test]
fn terms_that_stay_are_not_told_again() {
    let mut rig = Rig::new(Flavour::Modern);
    let before = rig.desk.with(|d| d.changes);
    rig.board.select(0);
    rig.board.kick(0);
    rig.tick();
    assert_eq!(rig.desk.with(|d| d.changes), before);
}

#[test]
fn a_reset_brings_the_worker_back_with_nothing_in_it() {
    for flavour in BOTH {
        let mut rig = Rig::new(flavour);
        rig.board.set_status(0);
        assert!(!rig.desk.has_worker());
        rig.board.negotiate(0);
        rig.board.driver_ok();
        assert!(rig.desk.has_worker());
        assert_eq!((rig.desk.serve(), rig.ring.returned()), (Served::default(), vec![]), "no queue");
    }
}

#[test]
fn what_was_not_told_before_a_reset_is_never_told() {
    let mut rig = Rig::new(Flavour::Modern);
    rig.desk.serve();
    rig.board.set_status(0);
    rig.tick();
    assert_eq!((rig.board.pin(), rig.board.isr()), (false, 0));
}

#[test]
fn a_reset_of_the_machine_brings_the_worker_back() {
    let mut rig = Rig::new(Flavour::Modern);
    rig.board.call(|d, _| d.reset());
    assert!(!rig.desk.has_worker());
}

#[test]
fn a_legacy_queue_that_is_given_up_is_not_served_any_more() {
    let mut rig = Rig::new(Flavour::Legacy);
    rig.board.select(0);
    rig.board.write(0, 8, 4, 0);
    assert_eq!((rig.desk.serve(), rig.ring.returned()), (Served::default(), vec![]));
    rig.board.write(0, 8, 4, QUEUE >> 12);
    rig.desk.serve();
    assert_eq!(rig.ring.returned(), [(0, 513)], "and from its beginning when it is set up again");
}

#[test]
fn a_legacy_driver_may_choose_features_while_the_worker_is_away() {
    let mut rig = Rig::new(Flavour::Legacy);
    rig.board.take(common::EVENT_IDX);
    assert!(rig.desk.has_worker());
    rig.ring.set_used_event(5);
    assert!(!rig.desk.serve().interrupt, "the driver asked for an index that is not reached");
}

#[test]
fn without_bus_mastering_the_worker_is_here_and_does_nothing() {
    let mut rig = Rig::new(Flavour::Modern);
    rig.board.config_write(4, 3, 2);
    assert!(!rig.desk.has_worker());
    rig.board.kick(0);
    rig.board.settle();
    assert_eq!(rig.ring.returned(), []);
    rig.board.config_write(4, 7, 2);
    assert!(rig.desk.has_worker());
    assert_eq!(rig.ring.returned(), [(0, 513)]);
}

#[test]
fn a_broken_rule_brings_the_worker_back_and_needs_a_reset() {
    let mut rig = Rig::new(Flavour::Modern);
    rig.ring.offer(999);
    assert!(rig.desk.serve().fault.is_some());
    rig.tick();
    assert_eq!(rig.board.status() & (NEEDS_RESET | DRIVER_OK), NEEDS_RESET | DRIVER_OK);
    assert!(!rig.desk.has_worker());
    assert_eq!(rig.board.isr(), 3, "the request that was good, and the configuration");
}

#[test]
fn a_worker_that_was_called_back_serves_here_and_leaves_nothing() {
    let mut rig = Rig::new(Flavour::Modern);
    rig.board.call(|d, env| d.recall(env));
    assert!(!rig.desk.has_worker());
    assert_eq!(rig.board.device.next_event(), Time::ZERO, "nobody may have looked at the queue");
    let saved = rig.board.device.save();
    let (mut other, desk) = Rig::fresh(Flavour::Modern);
    other.memory = rig.board.memory.clone();
    other.config = rig.board.config.clone();
    other.device.restore(&saved).unwrap();
    assert_eq!(other.device.save(), saved);
    other.call(|d, env| d.tick(env));
    assert!(desk.has_worker());
    desk.serve();
    assert_eq!(rig.ring.returned(), [(0, 513)]);
}

#[test]
fn what_came_of_the_work_is_told_before_a_save() {
    let mut rig = Rig::new(Flavour::Modern);
    rig.desk.serve();
    rig.board.call(|d, env| d.recall(env));
    assert_eq!((rig.board.pin(), rig.board.isr()), (true, 1));
}

#[test]
fn the_station_follows_the_memory_map() {
    let mut rig = Rig::new(Flavour::Modern);
    let other = GuestMemory::flat(0x1000);
    rig.board.call(|d, _| d.memory_changed(&other));
    assert!(rig.desk.serve().fault.is_some(), "the queue is not in that memory");
}
