//! The driver side: a board of one PCI function, the two flavours of registers, and queues in guest memory.
#![allow(dead_code)]

pub mod disk;
pub mod ring;

use hako_chips::pci::{ConfigSpace, Env, Msi, PciDevice};
use hako_engine::Time;
use hako_mem::GuestMemory;
use hako_virtio::Flavour;
pub use ring::Ring;

pub const BOTH: [Flavour; 2] = [Flavour::Modern, Flavour::Legacy];
pub const RAM: u64 = 1 << 20;

pub const ACKNOWLEDGE: u8 = 1;
pub const DRIVER: u8 = 2;
pub const DRIVER_OK: u8 = 4;
pub const FEATURES_OK: u8 = 8;
pub const NEEDS_RESET: u8 = 0x40;

pub const INDIRECT_DESC: u64 = 1 << 28;
pub const EVENT_IDX: u64 = 1 << 29;
pub const VERSION_1: u64 = 1 << 32;

/// Offsets in the modern BAR.
pub const ISR: u64 = 0x1000;
pub const DEVICE: u64 = 0x2000;
pub const NOTIFY: u64 = 0x3000;

pub struct Board {
    pub config: ConfigSpace,
    pub device: Box<dyn PciDevice>,
    pub memory: GuestMemory,
    pub msis: Vec<Msi>,
    pub now: Time,
    pub flavour: Flavour,
}

impl Board {
    /// The function in a machine of 1 MiB, with bus mastering on.
    pub fn new((config, device): (ConfigSpace, Box<dyn PciDevice>), flavour: Flavour) -> Board {
        let memory = GuestMemory::flat(RAM);
        let mut board = Board { config, device, memory, msis: Vec::new(), now: Time::ZERO, flavour };
        board.config_write(4, 0x0407 & !0x400, 2);
        board
    }

    pub fn call<R>(&mut self, f: impl FnOnce(&mut dyn PciDevice, &mut Env<'_>) -> R) -> R {
        let mut env =
            Env { config: &mut self.config, memory: &self.memory, now: self.now, msis: &mut self.msis };
        f(&mut *self.device, &mut env)
    }

    pub fn read(&mut self, bar: u8, offset: u64, width: usize) -> u64 {
        let mut data = [0; 8];
        self.call(|d, env| d.bar_read(env, bar, offset, &mut data[..width]));
        u64::from_le_bytes(data)
    }

    pub fn write(&mut self, bar: u8, offset: u64, width: usize, value: u64) {
        self.call(|d, env| d.bar_write(env, bar, offset, &value.to_le_bytes()[..width]));
    }

    pub fn config_read(&mut self, at: u8) -> u32 {
        self.call(|d, env| d.config_read(env, at, 4));
        self.config.dword(at)
    }

    pub fn config_write(&mut self, at: u8, value: u32, len: usize) {
        self.config.write(at, &value.to_le_bytes()[..len]);
        self.call(|d, env| d.config_written(env, at, len));
    }

    pub fn pin(&self) -> bool {
        self.config.interrupt()
    }

    /// Lets the device act until it wants no more time; how often it did.
    pub fn settle(&mut self) -> usize {
        let mut ticks = 0;
        while self.device.next_event() != Time::NEVER && ticks < 1_000_000 {
            self.now = self.now.max(self.device.next_event());
            self.call(|d, env| d.tick(env));
            ticks += 1;
        }
        ticks
    }

    fn modern(&self) -> bool {
        self.flavour == Flavour::Modern
    }

    pub fn status(&mut self) -> u8 {
        let at = if self.modern() { 0x14 } else { 18 };
        self.read(0, at, 1) as u8
    }

    pub fn set_status(&mut self, status: u8) {
        let at = if self.modern() { 0x14 } else { 18 };
        self.write(0, at, 1, status.into());
    }

    pub fn offered(&mut self) -> u64 {
        if !self.modern() {
            return self.read(0, 0, 4);
        }
        self.write(0, 0, 4, 1);
        let high = self.read(0, 4, 4);
        self.write(0, 0, 4, 0);
        high << 32 | self.read(0, 4, 4)
    }

    pub fn take(&mut self, features: u64) {
        if self.modern() {
            for (select, half) in [(0, features & 0xffff_ffff), (1, features >> 32)] {
                self.write(0, 8, 4, select);
                self.write(0, 0xc, 4, half);
            }
        } else {
            self.write(0, 4, 4, features & 0xffff_ffff);
        }
    }

    /// 3.1.1 up to the queues, with VERSION_1 where there is such a thing.
    pub fn negotiate(&mut self, features: u64) {
        self.set_status(0);
        self.set_status(ACKNOWLEDGE);
        self.set_status(ACKNOWLEDGE | DRIVER);
        if self.modern() {
            self.take(features | VERSION_1);
            self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
            assert_ne!(self.status() & FEATURES_OK, 0, "the features were refused");
        } else {
            self.take(features);
        }
    }

    pub fn driver_ok(&mut self) {
        let status = self.status();
        self.set_status(status | DRIVER_OK);
    }

    pub fn select(&mut self, queue: u16) {
        let at = if self.modern() { 0x16 } else { 14 };
        self.write(0, at, 2, queue.into());
    }

    pub fn queue_size(&mut self, queue: u16) -> u16 {
        self.select(queue);
        let at = if self.modern() { 0x18 } else { 12 };
        self.read(0, at, 2) as u16
    }

    /// Puts queue `queue` at `base`, in the legacy layout for both flavours; a modern one may be smaller.
    pub fn set_queue(&mut self, queue: u16, base: u64, size: u16) -> Ring {
        let most = self.queue_size(queue);
        if self.modern() {
            let ring = Ring::new(&self.memory, base, size.min(most));
            self.set_rings(queue, &ring);
            ring
        } else {
            let ring = Ring::new(&self.memory, base, most);
            self.write(0, 8, 4, base >> 12);
            ring
        }
    }

    /// The registers of a modern queue.
    pub fn set_rings(&mut self, queue: u16, ring: &Ring) {
        self.select(queue);
        self.write(0, 0x18, 2, ring.size.into());
        for (at, value) in [(0x20, ring.desc), (0x28, ring.avail), (0x30, ring.used)] {
            self.write(0, at, 4, value & 0xffff_ffff);
            self.write(0, at + 4, 4, value >> 32);
        }
        self.write(0, 0x1c, 2, 1);
    }

    pub fn kick(&mut self, queue: u16) {
        if self.modern() {
            self.write(0, NOTIFY + 4 * u64::from(queue), 2, queue.into());
        } else {
            self.write(0, 16, 2, queue.into());
        }
    }

    pub fn isr(&mut self) -> u8 {
        let at = if self.modern() { ISR } else { 19 };
        self.read(0, at, 1) as u8
    }

    /// The device-specific configuration, while MSI-X is off.
    pub fn field(&mut self, offset: u64, width: usize) -> u64 {
        let base = if self.modern() { DEVICE } else { 20 };
        self.read(0, base + offset, width)
    }

    pub fn set_field(&mut self, offset: u64, width: usize, value: u64) {
        let base = if self.modern() { DEVICE } else { 20 };
        self.write(0, base + offset, width, value);
    }

    /// Where the MSI-X capability is.
    pub fn msix_capability(&self) -> u8 {
        let mut at = self.config.byte(0x34);
        while self.config.byte(at) != 0x11 {
            at = self.config.byte(at + 1);
            assert_ne!(at, 0, "no MSI-X");
        }
        at
    }

    /// Turns MSI-X on, vector `n` being a write of 0x40 + n to fee00000.
    pub fn enable_msix(&mut self) {
        let at = self.msix_capability();
        for n in 0..=u64::from(self.config.word(at + 2) & 0x7ff) {
            for (word, value) in [(0, 0xfee0_0000), (4, 0), (8, 0x40 + n), (12, 0)] {
                self.write(1, 16 * n + word, 4, value);
            }
        }
        self.config_write(at + 2, 0x8000, 2);
    }

    /// The vectors that were sent since the last call, as [`Board::enable_msix`] numbers them.
    pub fn vectors(&mut self) -> Vec<u32> {
        self.msis.drain(..).map(|m| m.data - 0x40).collect()
    }
}
