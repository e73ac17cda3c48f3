//! Threads that serve virtio devices on kvm, one for each device that has one.
//!
//! A device's worker sits at a desk. Its thread sleeps until the desk's bell rings, which the guest does by an access
//! that does not stop its CPU; then it serves all queues of the device and tells the driver by a message that the kernel
//! delivers. What a message cannot say (the interrupt pin, a vector that is masked, a broken rule) is posted: the machine
//! is kicked and lets the device's function say it. One thread for each device, so that a disk that waits for its host
//! holds no other up.
//!
//! Whoever wants the worker back, or has it go on in other memory, waits for the call of [`Worker::run`] that goes on,
//! which is bounded. soft has no such threads: it serves in line and is repeatable.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;

use hako_board::pc::FIRST_SLOT;
use hako_chips::pci::{Bdf, Msi};
use hako_engine::{EngineError, Kick};
use hako_engine_kvm::{Bound, Doorbell, Message, Outside, Place, Sender};
use hako_mem::GuestMemory;
use hako_virtio::{Notify, Served, Station, Terms, Worker};

use crate::core::Core;
use crate::engine::Engine;
use crate::error::Error;
use crate::machine::Machine;
use crate::signals;

/// A thread that panicked has left plain data and a worker between two calls.
fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All threads of a machine, as the machine sees them.
pub(crate) struct IoThreads {
    outside: Outside,
    post: Arc<Post>,
    desks: Vec<Arc<Desk>>,
    /// Calls of workers when the machine last asked whether one may wake the guest.
    seen: u64,
}

/// Who has something that its function must say.
struct Post {
    /// The devices, by their number on the bus.
    devices: AtomicU32,
    /// Calls of workers so far.
    calls: AtomicU64,
    kicker: Arc<dyn Kick>,
}

impl Post {
    fn put(&self, device: u8) {
        self.devices.fetch_or(1u32.checked_shl(device.into()).unwrap_or(0), Ordering::SeqCst);
        self.kicker.kick();
    }
}

impl IoThreads {
    /// `None` where the engine serves in line.
    pub fn of(engine: &Engine) -> Option<IoThreads> {
        let post = Post { devices: AtomicU32::new(0), calls: AtomicU64::new(0), kicker: engine.kicker() };
        Some(IoThreads { outside: engine.outside()?, post: Arc::new(post), desks: Vec::new(), seen: 0 })
    }

    /// A station with a thread, for the device at `at`.
    pub fn station(&mut self, at: Bdf) -> Result<Box<dyn Station>, Error> {
        let desk = Arc::new(Desk::new(at.device(), self.post.clone())?);
        let served = desk.clone();
        let thread = signals::spawn_deaf("virtio", move || served.attend())
            .map_err(|e| Error::Host(format!("cannot start a thread for a disk: {e}")))?;
        self.desks.push(desk.clone());
        Ok(Box::new(Thread {
            desk,
            thread: Some(thread),
            outside: self.outside.clone(),
            notify: Notify::Nowhere,
            bound: Vec::new(),
            messages: Vec::new(),
        }))
    }

    /// Lets the functions of devices say what they must.
    pub fn hear(&self, core: &mut Core) {
        let now = core.now(0);
        for at in self.take() {
            let _ = core.board.poke(now, at);
        }
    }

    /// The devices whose functions have something to say, each once.
    fn take(&self) -> impl Iterator<Item = Bdf> + use<> {
        let devices = self.post.devices.swap(0, Ordering::SeqCst);
        (FIRST_SLOT..32).filter(move |n| devices >> n & 1 != 0).map(|n| Bdf::new(0, n, 0))
    }

    /// Whether a device may still wake a guest that was found halted: one is at work, or one was since the last time
    /// this was asked, and what it raised then may not have been seen yet.
    pub fn may_wake(&mut self) -> bool {
        // In this order: whoever is not busy any more has counted its call.
        let busy = self.desks.iter().any(|desk| desk.is_busy());
        let calls = self.post.calls.load(Ordering::SeqCst);
        let posted = self.post.devices.load(Ordering::SeqCst) != 0;
        std::mem::replace(&mut self.seen, calls) != calls || busy || posted
    }
}

/// What a thread and the board share of one device.
struct Desk {
    device: u8,
    post: Arc<Post>,
    bell: Arc<Doorbell>,
    seat: Mutex<Seat>,
    /// Somebody wants the seat: the thread leaves it after the call that goes on.
    wanted: AtomicBool,
    free: Condvar,
    /// What sends the message of each queue.
    senders: Mutex<Vec<Option<Sender>>>,
    /// What the function must say.
    news: Mutex<VecDeque<(u16, Served)>>,
    over: AtomicBool,
}

/// Who works, and in which memory.
#[derive(Default)]
struct Seat {
    worker: Option<Worker>,
    memory: Option<GuestMemory>,
}

impl Desk {
    fn new(device: u8, post: Arc<Post>) -> Result<Desk, EngineError> {
        Ok(Desk {
            device,
            post,
            bell: Arc::new(Doorbell::new()?),
            seat: Mutex::default(),
            wanted: AtomicBool::new(false),
            free: Condvar::new(),
            senders: Mutex::default(),
            news: Mutex::default(),
            over: AtomicBool::new(false),
        })
    }

    /// The thread: serves whenever the bell has rung.
    fn attend(&self) {
        loop {
            self.bell.wait();
            let mut seat = lock(&self.seat);
            while self.wanted.load(Ordering::SeqCst) {
                seat = self.free.wait(seat).unwrap_or_else(PoisonError::into_inner);
            }
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            self.bell.answer();
            self.work(&mut seat);
        }
    }

    /// Serves the queues until nothing waits in them, a rule is broken or somebody wants the seat.
    fn work(&self, seat: &mut Seat) {
        let Seat { worker: Some(worker), memory: Some(memory) } = seat else { return };
        let mut left = true;
        while std::mem::take(&mut left) {
            for queue in 0..worker.queues() {
                if self.wanted.load(Ordering::SeqCst) {
                    // The rest is for the next one who sits here.
                    return self.bell.ring();
                }
                let served = worker.run(queue, memory);
                self.tell(queue, served);
                self.post.calls.fetch_add(1, Ordering::SeqCst);
                if served.fault.is_some() {
                    return;
                }
                left |= served.more;
            }
        }
    }

    /// What came of a call: a message, or news.
    fn tell(&self, queue: u16, served: Served) {
        let mut interrupt = served.interrupt;
        if interrupt && let Some(Some(sender)) = lock(&self.senders).get(usize::from(queue)) {
            sender.send();
            interrupt = false;
        }
        if !interrupt && served.fault.is_none() {
            return;
        }
        let mut news = lock(&self.news);
        match news.iter_mut().find(|(n, _)| *n == queue) {
            Some((_, old)) => {
                old.interrupt |= interrupt;
                old.fault = old.fault.or(served.fault);
            }
            None => news.push_back((queue, Served { interrupt, more: false, fault: served.fault })),
        }
        drop(news);
        self.post.put(self.device);
    }

    /// Changes who works, or where, between two calls of the worker.
    fn with_seat<R>(&self, change: impl FnOnce(&mut Seat) -> R) -> R {
        self.wanted.store(true, Ordering::SeqCst);
        let mut seat = lock(&self.seat);
        let result = change(&mut seat);
        self.wanted.store(false, Ordering::SeqCst);
        drop(seat);
        self.free.notify_all();
        result
    }

    /// Whether the worker is at work or about to be.
    fn is_busy(&self) -> bool {
        match self.seat.try_lock() {
            Ok(seat) => seat.worker.is_some() && self.bell.rung(),
            Err(TryLockError::Poisoned(_)) => false,
            Err(TryLockError::WouldBlock) => true,
        }
    }
}

/// The board's end of a desk.
struct Thread {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    outside: Outside,
    /// Where `bound` is.
    notify: Notify,
    bound: Vec<Bound>,
    /// The message of each queue, once it has had one.
    messages: Vec<Option<Message>>,
}

impl Thread {
    /// Has notifications ring the bell. Where KVM does not do that, they stop the CPU and reach the function.
    fn bind(&mut self, notify: Notify, queues: u16) {
        if self.notify == notify {
            return;
        }
        self.unbind();
        self.notify = notify;
        let place = |queue: u16| match notify {
            Notify::Nowhere => None,
            Notify::Memory { first, step } => {
                let offset = step.checked_mul(queue.into())?;
                first.checked_add(offset).map(Place::Memory)
            }
            Notify::Port(port) => Some(Place::Port(port, queue)),
        };
        for place in (0..queues).filter_map(place) {
            match self.outside.bind(&self.desk.bell, place) {
                Ok(bound) => self.bound.push(bound),
                Err(why) => tracing::debug!(?place, %why, "notifications stop the CPU"),
            }
        }
    }

    fn unbind(&mut self) {
        self.bound.clear();
        self.notify = Notify::Nowhere;
    }

    /// Has the queues' messages be these.
    fn set_messages(&mut self, messages: &[Option<Msi>]) {
        self.messages.resize_with(messages.len().max(self.messages.len()), || None);
        let mut senders = lock(&self.desk.senders);
        senders.clear();
        for (own, message) in self.messages.iter_mut().zip(messages) {
            let sender = message.and_then(|message| match sender(&self.outside, own, message) {
                Ok(sender) => Some(sender),
                Err(why) => {
                    tracing::debug!(?message, %why, "the function sends it");
                    None
                }
            });
            senders.push(sender);
        }
    }
}

/// Makes `own` this message; what sends it.
fn sender(outside: &Outside, own: &mut Option<Message>, message: Msi) -> Result<Sender, EngineError> {
    let own = match own {
        Some(own) => own,
        None => own.insert(outside.message()?),
    };
    own.set(message.address, message.data)?;
    own.sender()
}

impl Station for Thread {
    fn take(&mut self, worker: Worker, terms: &Terms, memory: &GuestMemory) {
        self.set_messages(&terms.messages);
        self.bind(terms.notify, worker.queues());
        let memory = Some(memory.clone());
        self.desk.with_seat(|seat| *seat = Seat { worker: Some(worker), memory });
        self.desk.bell.ring();
    }

    fn change(&mut self, terms: &Terms) {
        self.set_messages(&terms.messages);
        self.bind(terms.notify, u16::try_from(terms.messages.len()).unwrap_or(u16::MAX));
    }

    fn show(&mut self, memory: &GuestMemory) {
        self.desk.with_seat(|seat| seat.memory = Some(memory.clone()));
    }

    fn notify(&mut self) {
        self.desk.bell.ring();
    }

    fn recall(&mut self) -> Option<Worker> {
        self.unbind();
        self.desk.with_seat(|seat| seat.worker.take())
    }

    fn news(&mut self) -> Option<(u16, Served)> {
        lock(&self.desk.news).pop_front()
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.desk.with_seat(|seat| *seat = Seat::default());
        self.desk.over.store(true, Ordering::SeqCst);
        self.desk.bell.ring();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Machine {
    /// Lets the functions of devices that were served elsewhere say what they must.
    pub(crate) fn hear_devices(&mut self) {
        if let Some(threads) = &self.io_threads {
            threads.hear(&mut self.core);
        }
    }

    /// Stops the work of devices, so that disks and memory stand still.
    pub(crate) fn recall_devices(&mut self) {
        if self.io_threads.is_some() {
            let now = self.core.now(0);
            let _ = self.core.board.recall(now);
        }
    }
}

#[cfg(test)]
mod tests;
