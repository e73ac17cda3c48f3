//! A desk with a disk that takes its time.

use std::sync::mpsc::{Receiver, Sender as Channel, channel};
use std::time::Duration;

use hako_chips::pci::{Env, PciDevice};
use hako_chips::{Block, BlockError};
use hako_engine::Time;
use hako_mem::Gpa;
use hako_virtio::{BlkConfig, Flavour, Function};

use super::*;

/// A disk of one sector that says when it is read and then waits until it may go on.
struct Slow {
    read: Channel<()>,
    go_on: Receiver<()>,
}

impl Block for Slow {
    fn sectors(&self) -> u64 {
        1
    }
    fn read_only(&self) -> bool {
        false
    }
    fn read(&mut self, _: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        buf.fill(0x5a);
        let _ = self.read.send(());
        self.go_on.recv().map_err(|e| BlockError::Host(e.to_string()))
    }
    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), BlockError> {
        Ok(())
    }
    fn flush(&mut self) -> Result<(), BlockError> {
        Ok(())
    }
}

/// Catches the worker.
#[derive(Clone, Default)]
struct Catch(Arc<Mutex<Option<Worker>>>);

impl Station for Catch {
    fn take(&mut self, worker: Worker, _: &Terms, _: &GuestMemory) {
        *lock(&self.0) = Some(worker);
    }
    fn change(&mut self, _: &Terms) {}
    fn show(&mut self, _: &GuestMemory) {}
    fn notify(&mut self) {}
    fn recall(&mut self) -> Option<Worker> {
        None
    }
    fn news(&mut self) -> Option<(u16, Served)> {
        None
    }
}

const QUEUE: u64 = 0x4000;
const AVAIL: u64 = QUEUE + 16 * 256;
const USED: u64 = QUEUE + 0x2000;
const HEADER: u64 = 0x1000;
const STATUS: u64 = 0x1010;
const DATA: u64 = 0x2000;

/// A worker of such a disk, whose queue of 256 entries is at [`QUEUE`].
fn worker(memory: &GuestMemory, disk: Slow) -> Worker {
    let model = hako_virtio::blk::model(&BlkConfig::default(), Box::new(disk));
    let (mut config, mut function) = Function::new(model, Flavour::Legacy);
    let catch = Catch::default();
    function.set_station(Box::new(catch.clone()));
    config.write(4, &[7]);
    let mut write = |offset: u64, data: &[u8]| {
        let mut env = Env { config: &mut config, memory, now: Time::ZERO, msis: &mut Vec::new() };
        function.bar_write(&mut env, 0, offset, data);
    };
    write(8, &((QUEUE >> 12) as u32).to_le_bytes());
    write(18, &[7]);
    lock(&catch.0).take().unwrap()
}

/// Puts a request for the disk's sector into the queue.
fn offer(memory: &GuestMemory) {
    let descriptors = [(HEADER, 16u32, 1u16, 1u16), (DATA, 512, 3, 2), (STATUS, 1, 2, 0)];
    for (n, (gpa, len, flags, next)) in (0..).zip(descriptors) {
        let raw = u128::from(gpa) | u128::from(len) << 64 | u128::from(flags) << 96 | u128::from(next) << 112;
        memory.store(Gpa(QUEUE + 16 * n), raw).unwrap();
    }
    memory.store(Gpa(AVAIL + 2), 1u16).unwrap();
}

#[derive(Default)]
struct Kicks(AtomicU32);

impl Kick for Kicks {
    fn kick(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A desk with its thread, and a request that is being served.
struct Rig {
    desk: Arc<Desk>,
    kicks: Arc<Kicks>,
    memory: GuestMemory,
    go_on: Channel<()>,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    fn new() -> Rig {
        let kicks = Arc::new(Kicks::default());
        let kicker: Arc<dyn Kick> = kicks.clone();
        let post = Post { devices: AtomicU32::new(0), calls: AtomicU64::new(0), kicker };
        let desk = Arc::new(Desk::new(FIRST_SLOT, Arc::new(post)).unwrap());
        let attended = desk.clone();
        let thread = Some(std::thread::spawn(move || attended.attend()));
        let memory = GuestMemory::flat(0x1_0000);
        let ((read, is_read), (go_on, goes_on)) = (channel(), channel());
        let worker = worker(&memory, Slow { read, go_on: goes_on });
        offer(&memory);
        let shown = Some(memory.clone());
        desk.with_seat(|seat| *seat = Seat { worker: Some(worker), memory: shown });
        desk.bell.ring();
        is_read.recv().unwrap();
        Rig { desk, kicks, memory, go_on, thread }
    }

    fn used(&self) -> u16 {
        self.memory.load(Gpa(USED + 2)).unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.desk.over.store(true, Ordering::SeqCst);
        self.desk.bell.ring();
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_device_at_work_is_busy_until_it_has_said_what_came_of_it() {
    let rig = Rig::new();
    assert!(rig.desk.is_busy());
    rig.go_on.send(()).unwrap();
    while rig.desk.is_busy() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!((rig.used(), rig.memory.load::<u8>(Gpa(DATA)).unwrap()), (1, 0x5a));
    assert_eq!((rig.desk.post.calls.load(Ordering::SeqCst), rig.kicks.0.load(Ordering::SeqCst)), (1, 1));
    let news = Served { interrupt: true, more: false, fault: None };
    assert_eq!(lock(&rig.desk.news).pop_front(), Some((0, news)));
}

#[test]
fn the_worker_is_given_back_when_no_request_is_half_done() {
    let rig = Rig::new();
    let desk = rig.desk.clone();
    let recalled = std::thread::spawn(move || desk.with_seat(|seat| seat.worker.take()).is_some());
    while !rig.desk.wanted.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    assert_eq!(rig.used(), 0);
    rig.go_on.send(()).unwrap();
    assert!(recalled.join().unwrap());
    assert_eq!(rig.used(), 1);
}
