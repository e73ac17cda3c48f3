//! A disk in memory that tells what was done to it, and a driver of block devices.

use std::sync::{Arc, Mutex};

use hako_chips::block::within;
use hako_chips::{Block, BlockError};
use hako_mem::{Gpa, GuestMemory};
use hako_virtio::{BlkConfig, Flavour, blk};

use super::{Board, Ring};

/// What a disk was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Read(u64, usize),
    Write(u64, usize),
    Flush,
    Discard(u64, u64),
    Zeroes(u64, u64, bool),
}

#[derive(Default)]
pub struct Inner {
    pub bytes: Vec<u8>,
    pub acts: Vec<Act>,
    pub broken: bool,
    pub read_only: bool,
}

/// Shared with the test.
#[derive(Clone, Default)]
pub struct Disk(pub Arc<Mutex<Inner>>);

impl Disk {
    /// `sectors` sectors, each full of the low byte of its number.
    pub fn new(sectors: usize) -> Disk {
        let bytes = (0..sectors).flat_map(|n| [n as u8; 512]).collect();
        Disk(Arc::new(Mutex::new(Inner { bytes, ..Inner::default() })))
    }

    pub fn acts(&self) -> Vec<Act> {
        std::mem::take(&mut self.0.lock().unwrap().acts)
    }

    pub fn byte(&self, sector: usize) -> u8 {
        self.0.lock().unwrap().bytes[sector * 512]
    }

    fn act(&self, act: Act) -> Result<std::sync::MutexGuard<'_, Inner>, BlockError> {
        let mut inner = self.0.lock().unwrap();
        inner.acts.push(act);
        if inner.broken { Err(BlockError::Host("broken".into())) } else { Ok(inner) }
    }
}

impl Block for Disk {
    fn sectors(&self) -> u64 {
        self.0.lock().unwrap().bytes.len() as u64 / 512
    }
    fn read_only(&self) -> bool {
        self.0.lock().unwrap().read_only
    }
    fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        assert_eq!(buf.len() % 512, 0);
        let inner = self.act(Act::Read(lba, buf.len() / 512))?;
        let at = lba as usize * 512;
        buf.copy_from_slice(&inner.bytes[at..at + buf.len()]);
        Ok(())
    }
    fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), BlockError> {
        assert_eq!(data.len() % 512, 0);
        let mut inner = self.act(Act::Write(lba, data.len() / 512))?;
        let at = lba as usize * 512;
        inner.bytes[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), BlockError> {
        self.act(Act::Flush).map(drop)
    }
    fn discard(&mut self, lba: u64, count: u64) -> Result<(), BlockError> {
        within(lba, count, self.sectors(), self.read_only())?;
        self.act(Act::Discard(lba, count)).map(drop)
    }
    fn write_zeroes(&mut self, lba: u64, count: u64, unmap: bool) -> Result<(), BlockError> {
        within(lba, count, self.sectors(), self.read_only())?;
        self.act(Act::Zeroes(lba, count, unmap)).map(drop)
    }
}

pub const IN: u32 = 0;
pub const OUT: u32 = 1;
pub const FLUSH: u32 = 4;
pub const GET_ID: u32 = 8;
pub const DISCARD: u32 = 11;
pub const WRITE_ZEROES: u32 = 13;

/// Where a request's parts are.
pub const HEADER: u64 = 0x1000;
pub const STATUS: u64 = 0x1010;
pub const DATA: u64 = 0x2000;
pub const QUEUE: u64 = 0x4_0000;

/// A driver of one disk with its first queue set up.
pub struct Rig {
    pub board: Board,
    pub ring: Ring,
    pub disk: Disk,
}

impl Rig {
    pub fn new(flavour: Flavour, features: u64) -> Rig {
        Rig::on(Disk::new(64), flavour, features)
    }

    pub fn on(disk: Disk, flavour: Flavour, features: u64) -> Rig {
        let config = BlkConfig { serial: "hako0".into(), ..BlkConfig::default() };
        let mut board = Board::new(blk(config, Box::new(disk.clone()), flavour), flavour);
        board.negotiate(features);
        let ring = board.set_queue(0, QUEUE, 16);
        board.driver_ok();
        Rig { board, ring, disk }
    }

    pub fn memory(&self) -> GuestMemory {
        self.board.memory.clone()
    }

    pub fn header(&self, kind: u32, sector: u64) {
        self.memory().store(Gpa(HEADER), u128::from(kind) | u128::from(sector) << 64).unwrap();
    }

    /// One request with the given data descriptors; its status, 0xff if there is none.
    pub fn request(&mut self, kind: u32, sector: u64, data: &[(u64, u32, bool)]) -> u8 {
        let mut parts = vec![(HEADER, 16, false)];
        parts.extend(data);
        parts.push((STATUS, 1, true));
        self.raw(kind, sector, &parts)
    }

    /// One chain, as it is.
    pub fn raw(&mut self, kind: u32, sector: u64, parts: &[(u64, u32, bool)]) -> u8 {
        self.header(kind, sector);
        self.memory().store(Gpa(STATUS), 0xffu8).unwrap();
        self.ring.chain(0, parts);
        self.ring.offer(0);
        self.board.kick(0);
        self.memory().load(Gpa(STATUS)).unwrap()
    }

    pub fn broken(&mut self) -> bool {
        self.board.status() & super::NEEDS_RESET != 0
    }
}
