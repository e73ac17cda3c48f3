//! A machine made of a vector, and tasks that call the kernel from tests.

extern crate std;

use crate::Kernel;
use crate::frames::{Frame, Frames};
use crate::lifecycle::{Plan, Space};
use crate::platform::Platform;
use crate::task::Task;
use hakoniwa_abi::{Call, Error, Message, PAGE, TASKS, TaskId, rights};
use std::boxed::Box;
use std::string::String;
use std::vec;
use std::vec::Vec;

/// Physical memory and what devices saw.
pub struct Machine {
    memory: Vec<u64>,
    /// The log.
    pub log: String,
    /// Port writes.
    pub ports: Vec<(u16, u64, u32)>,
    /// Interrupt lines that are held back, a bit each.
    pub masked: u32,
    /// Flushes of guests' maps.
    pub guest_flushes: usize,
    /// The tags of flushed translations.
    pub linear_flushes: Vec<u64>,
    /// Flushes.
    pub flushes: usize,
    /// The time-stamp counter.
    pub ticks: u64,
}

impl Machine {
    /// A machine with this many pages of memory.
    pub fn new(pages: usize) -> Machine {
        let memory = vec![0; pages * 512];
        Machine {
            memory,
            log: String::new(),
            ports: Vec::new(),
            masked: 0xffff,
            flushes: 0,
            guest_flushes: 0,
            linear_flushes: Vec::new(),
            ticks: 0,
        }
    }
}

impl Platform for Machine {
    fn load(&self, at: u64) -> u64 {
        assert_eq!(at % 8, 0);
        self.memory[at as usize / 8]
    }

    fn store(&mut self, at: u64, value: u64) {
        assert_eq!(at % 8, 0);
        self.memory[at as usize / 8] = value;
    }

    fn copy(&mut self, from: u64, to: u64, words: u64) {
        (0..words).for_each(|n| self.store(to + n * 8, self.load(from + n * 8)));
    }

    fn clear_page(&mut self, at: u64) {
        self.memory[at as usize / 8..][..512].fill(0);
    }

    fn flush(&mut self) {
        self.flushes += 1;
    }

    fn forget_guest(&mut self, _vmcs: u64, root: u64) {
        self.flush_guest(root);
    }

    fn flush_guest(&mut self, _root: u64) {
        self.guest_flushes += 1;
    }

    fn flush_linear(&mut self, vpid: u64) {
        self.linear_flushes.push(vpid);
    }

    fn time_stamp(&self) -> u64 {
        self.ticks
    }

    fn log(&mut self, bytes: &[u8]) {
        self.log.push_str(core::str::from_utf8(bytes).unwrap());
    }

    fn log_waiting(&self) -> u64 {
        0
    }

    fn port_read(&mut self, port: u16, _width: u64) -> u32 {
        port.into()
    }

    fn port_write(&mut self, port: u16, width: u64, value: u32) {
        self.ports.push((port, width, value));
    }

    fn irq_mask(&mut self, line: u32, masked: bool) {
        self.masked = self.masked & !(1 << line) | u32::from(masked) << line;
    }
}

/// A kernel on such a machine. Its memory is the test's to lose.
pub type World = Kernel<'static, Machine>;

/// Pages of the test machine.
pub const PAGES: usize = 256;

/// A kernel with one task that may do everything: "init", in slot 1, priority 7.
pub fn world() -> World {
    world_of(PAGES, 200)
}

/// The same with this many pages, and this many of them init's.
pub fn world_of(pages: usize, quota: u32) -> World {
    let tasks: Box<[Task; TASKS]> = vec![Task::EMPTY; TASKS].into_boxed_slice().try_into().unwrap();
    let mut frames = Frames::new(Vec::leak(vec![Frame::RESERVED; pages]));
    (2..pages as u32).for_each(|n| frames.add(n));
    let mut world = Kernel::new(Machine::new(pages), Box::leak(tasks), frames, PAGE);
    let plan = Plan {
        pager: TaskId::KERNEL,
        parent: TaskId::KERNEL,
        priority: 7,
        rights: rights::ALL,
        quota,
        name: *b"init\0\0\0\0",
        space: Space::Own,
    };
    let slot = world.create(plan).unwrap();
    world.start(slot, 0x40_0000, 0x7f_0000_0000, 0).unwrap();
    assert_eq!(slot, 1);
    world
}

/// A started child of `parent` with this priority and no rights.
pub fn child(world: &mut World, parent: TaskId, priority: u64) -> TaskId {
    let name = u64::from_le_bytes(*b"child\0\0\0");
    let id = TaskId(call(world, parent, Call::TaskCreate, &[0, priority, 0, 20, name]).unwrap() as u32);
    call(world, parent, Call::TaskStart, &[id.0.into(), 0x40_0000, 0x7f_0000_0000]).unwrap();
    id
}

/// The name of init.
pub fn init(world: &World) -> TaskId {
    world.tasks[1].id
}

/// Lets a task make a call with arguments in the registers of ordinary calls; returns RDI.
pub fn call(world: &mut World, id: TaskId, call: Call, arguments: &[u64]) -> Result<u64, Error> {
    let argument = |i: usize| arguments.get(i).copied().unwrap_or(0);
    world.current = id.slot();
    let context = &mut world.tasks[id.slot()].context;
    (context.rax, context.rdi, context.rsi) = (call as u64, argument(0), argument(1));
    (context.rdx, context.r8, context.r9, context.r10) = (argument(2), argument(3), argument(4), argument(5));
    context.r15 = 0;
    let now = world.now;
    world.call(now);
    status(world, id).map(|()| world.tasks[id.slot()].context.rdi)
}

/// Lets a task make a message call.
pub fn send(
    world: &mut World,
    id: TaskId,
    call: Call,
    peer: TaskId,
    message: Message,
    grant: u64,
) -> Result<(), Error> {
    world.current = id.slot();
    let context = &mut world.tasks[id.slot()].context;
    context.set_message(peer.0.into(), &message, grant);
    context.rax = call as u64;
    let now = world.now;
    world.call(now);
    status(world, id)
}

/// What a task's status register says.
pub fn status(world: &World, id: TaskId) -> Result<(), Error> {
    Error::from_status(world.tasks[id.slot()].context.rax)
}

/// What a task received: sender, message, grant.
pub fn received(world: &World, id: TaskId) -> (TaskId, Message, u64) {
    let context = &world.tasks[id.slot()].context;
    (TaskId(context.rdi as u32), context.message(), context.r15)
}

/// Checks that nothing got lost: free frames plus what tasks hold is all there was.
pub fn pages_in_use(world: &World) -> u32 {
    PAGES as u32 - 2 - world.frames.free()
}

#[test]
fn a_log_line_carries_its_task_and_no_control_characters() {
    let mut world = world();
    let id = init(&world);
    let words = *b"hi\x1b[2J\n..";
    let word = u64::from_le_bytes(words[..8].try_into().unwrap());
    call(&mut world, id, Call::Log, &[7, word]).unwrap();
    assert_eq!(world.platform.log, "[init] hi?[2J\n");
    assert_eq!(call(&mut world, id, Call::Log, &[49]), Err(Error::BadArgument));
}
