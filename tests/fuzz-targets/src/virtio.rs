//! Virtio devices under a driver that does anything: registers, queues and memory in any state and order.

use hako_chips::pci::{ConfigSpace, Env, Msi, PciDevice};
use hako_engine::Time;
use hako_mem::{Gpa, GuestMemory, Slab, SlabOffset};
use hako_virtio::{BlkConfig, Flavour, Reclaim, Seeded, balloon, blk, console, rng};

use crate::clock::{Clock, lies_ahead};
use crate::disk::Disk;
use crate::input::Input;

const RAM: u64 = 256 << 10;
/// Where the script's queues begin: one every 32 KiB, which is room for 256 entries in the legacy layout.
const QUEUES: [u64; 4] = [0x8000, 0x1_0000, 0x1_8000, 0x2_0000];
const NEEDS_RESET: u8 = 0x40;

/// Gives nothing back, but looks at what it could.
struct Watch;

impl Reclaim for Watch {
    fn give_back(&mut self, slab: &Slab, at: SlabOffset, len: u64) {
        assert!(len != 0 && (at.0 | len).is_multiple_of(4096), "no whole pages are given back");
        assert!(at.0 + len <= slab.len(), "pages outside of memory are given back");
    }
}

fn device(kind: u8, flavour: Flavour) -> (ConfigSpace, Box<dyn PciDevice>) {
    let disk = |read_only| {
        let mut disk = Disk::new(64, b"disk");
        disk.read_only = read_only;
        Box::new(disk)
    };
    match kind % 5 {
        0 => blk(BlkConfig::default(), disk(false), flavour),
        1 => blk(BlkConfig { queues: 3, ..BlkConfig::default() }, disk(true), flavour),
        2 => {
            let (space, device, _) = console((80, 25), flavour);
            (space, device)
        }
        3 => rng(Box::new(Seeded::new(1)), flavour),
        _ => {
            let (space, device, _) = balloon(Box::new(Watch), flavour);
            (space, device)
        }
    }
}

struct Rig {
    kind: u8,
    flavour: Flavour,
    config: ConfigSpace,
    device: Box<dyn PciDevice>,
    memory: GuestMemory,
    msis: Vec<Msi>,
    clock: Clock,
}

impl Rig {
    fn call<R>(&mut self, f: impl FnOnce(&mut dyn PciDevice, &mut Env<'_>) -> R) -> R {
        let mut env =
            Env { config: &mut self.config, memory: &self.memory, now: self.clock.now, msis: &mut self.msis };
        f(&mut *self.device, &mut env)
    }

    fn write(&mut self, bar: u8, offset: u64, data: &[u8]) {
        self.call(|d, env| d.bar_write(env, bar, offset, data));
    }

    fn read(&mut self, bar: u8, offset: u64, data: &mut [u8]) {
        self.call(|d, env| d.bar_read(env, bar, offset, data));
    }

    fn modern(&self) -> bool {
        self.flavour == Flavour::Modern
    }

    fn status(&mut self) -> u8 {
        let mut status = [0];
        self.read(0, if self.modern() { 0x14 } else { 18 }, &mut status);
        status[0]
    }

    fn set_status(&mut self, status: u8) {
        self.write(0, if self.modern() { 0x14 } else { 18 }, &[status]);
    }

    /// Initializes the device as a driver should, with some of its features, and all queues of [`QUEUES`] it has.
    fn start(&mut self, features: u32) {
        self.config.write(4, &[7]);
        self.call(|d, env| d.config_written(env, 4, 2));
        self.set_status(0);
        self.set_status(3);
        if !self.modern() {
            self.write(0, 4, &features.to_le_bytes());
            for (n, at) in (0u16..).zip(QUEUES) {
                self.write(0, 14, &n.to_le_bytes());
                self.write(0, 8, &((at >> 12) as u32).to_le_bytes());
            }
            return self.set_status(7);
        }
        let mut offered = [0; 4];
        self.write(0, 0, &[0; 4]);
        self.read(0, 4, &mut offered);
        for (select, half) in [(0u32, features & u32::from_le_bytes(offered)), (1, 1)] {
            self.write(0, 8, &select.to_le_bytes());
            self.write(0, 0xc, &half.to_le_bytes());
        }
        self.set_status(11);
        for (n, at) in (0u16..).zip(QUEUES) {
            self.write(0, 0x16, &n.to_le_bytes());
            self.write(0, 0x18, &16u16.to_le_bytes());
            for (register, part) in [(0x20, at), (0x28, at + 0x100), (0x30, at + 0x1000)] {
                self.write(0, register, &part.to_le_bytes());
            }
            self.write(0, 0x1c, &[1, 0]);
        }
        self.set_status(15);
    }

    /// Writes a few linked descriptors and makes them available.
    fn offer(&mut self, input: &mut Input<'_>) {
        let (queue, head, count) =
            (input.pick(&QUEUES), u64::from(input.u8() % 16), u64::from(input.u8() % 5));
        for n in head..=head + count {
            let (gpa, len) = (input.wild() % (2 * RAM), input.wild() as u32);
            let len = if input.u8().is_multiple_of(8) { len } else { len % 0x1001 };
            // Mostly as it should be: readable ones first, each leading to the next one.
            let mut flags = u16::from(n < head + count) | if n > head { 2 } else { 0 };
            if input.u8().is_multiple_of(8) {
                flags ^= u16::from(input.u8() % 8);
            }
            let next = if input.u8().is_multiple_of(16) { input.u16() } else { n as u16 + 1 };
            let raw =
                u128::from(gpa) | u128::from(len) << 64 | u128::from(flags) << 96 | u128::from(next) << 112;
            let _ = self.memory.store(Gpa(queue + 16 * n), raw);
            if n == head {
                // What a disk's request begins with.
                let kind = input.pick(&[0u8, 1, 4, 8, 11, 13]);
                let _ = self.memory.store(Gpa(gpa), u128::from(kind) | u128::from(input.u8()) << 64);
            }
        }
        let (avail, size) = if self.modern() { (queue + 0x100, 16) } else { (queue + 0x1000, 256) };
        let index: u16 = self.memory.load(Gpa(avail + 2)).unwrap_or(0);
        let _ = self.memory.store(Gpa(avail + 4 + 2 * (u64::from(index) % size)), head as u16);
        let _ = self.memory.store(Gpa(avail + 2), index.wrapping_add(1));
    }

    fn kick(&mut self, queue: u16) {
        let broken = self.status() & NEEDS_RESET != 0;
        let before = broken.then(|| self.memory_now());
        if self.modern() {
            self.write(0, 0x3000 + 4 * u64::from(queue % 0x400), &queue.to_le_bytes());
        } else {
            self.write(0, 16, &queue.to_le_bytes());
        }
        if before.is_some_and(|before| before != self.memory_now()) {
            panic!("a device that needs a reset writes to memory");
        }
    }

    fn memory_now(&self) -> Vec<u8> {
        let mut bytes = vec![0; RAM as usize];
        let _ = self.memory.read(Gpa(0), &mut bytes);
        bytes
    }

    /// Goes on with another device that was given this one's state.
    fn transplant(&mut self) {
        let saved = self.device.save();
        let mut fresh = device(self.kind, self.flavour).1;
        if let Err(why) = fresh.restore(&saved) {
            panic!("the device does not take back what it saved: {why}");
        }
        assert_eq!(fresh.save(), saved, "the device saves something else after it was restored");
        self.device = fresh;
    }

    /// What holds after every step.
    fn check(&mut self) {
        let mut said = Vec::new();
        self.device.output(&mut said);
        assert!(said.len() <= 48 << 20, "one call lets the guest say {} bytes", said.len());
        assert!(self.msis.len() <= 64, "one call sends {} messages", self.msis.len());
        self.msis.clear();
        let event = self.device.next_event();
        if event != Time::NEVER && event <= self.clock.now {
            self.call(|d, env| d.tick(env));
            lies_ahead(self.device.next_event(), self.clock.now);
        }
    }
}

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.u8();
    let flavour = if input.u8().is_multiple_of(2) { Flavour::Modern } else { Flavour::Legacy };
    let (config, device) = device(kind, flavour);
    let memory = GuestMemory::flat(RAM);
    let mut rig = Rig { kind, flavour, config, device, memory, msis: Vec::new(), clock: Clock::default() };
    rig.start(input.u32());
    while !input.is_empty() {
        let mut data = [0; 8];
        let width = input.pick(&[1, 2, 4, 8]);
        match input.u8() % 16 {
            0 => rig.read(input.u8() % 2, u64::from(input.u16()) % 0x4000, &mut data[..width]),
            1 => {
                let (bar, offset) = (input.u8() % 2, u64::from(input.u16()) % 0x4000);
                rig.write(bar, offset, &input.wild().to_le_bytes()[..width]);
            }
            2 => rig.write(0, u64::from(input.u8() % 0x40), &input.wild().to_le_bytes()[..width]),
            3 => {
                let at = input.u8();
                rig.config.write(at, &input.u32().to_le_bytes()[..width.min(4)]);
                rig.call(|d, env| d.config_written(env, at, width.min(4)));
            }
            4 => {
                let at = input.u8();
                rig.call(|d, env| d.config_read(env, at, 4));
            }
            5 => {
                let at = input.pick(&QUEUES) + input.wild() % 0x2000;
                let _ = rig.memory.write(Gpa(at), &input.wild().to_le_bytes()[..width]);
            }
            6 => rig.start(input.u32()),
            7 => {
                let bytes = input.take(64);
                rig.call(|d, env| assert!(d.input(env, bytes) <= bytes.len()));
            }
            8 => rig.transplant(),
            9 if input.u8().is_multiple_of(8) => {
                rig.device.reset();
                rig.config.reset();
            }
            9 => {
                rig.clock.advance(&mut input);
            }
            10 | 11 => {
                let queue = input.u16();
                rig.kick(if width == 1 { queue } else { queue % 4 });
            }
            _ => {
                rig.offer(&mut input);
                let queue = u16::from(input.u8() % 4);
                rig.kick(queue);
            }
        }
        rig.check();
    }
}
