//! The block device (5.2).

mod request;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use hako_chips::Block;
use hako_chips::pci::{ConfigSpace, PciDevice};

use crate::function::{Flavour, Function};
use crate::model::{Model, Serve};
use crate::queue::{Chain, Fault};
use crate::registers::Registers;

/// Entries of each queue.
const QUEUE_SIZE: u16 = 256;
/// Data descriptors of one request: header and status take two more.
const MOST_SEGMENTS: u32 = QUEUE_SIZE as u32 - 2;
/// Bytes of one data descriptor.
const MOST_SEGMENT: u32 = 1 << 20;
/// Most queues that `queues` may ask for: one for each CPU that a machine may have, and to spare.
const MOST_QUEUES: u16 = 64;
/// Most sectors of one segment of a discard request: 2 GiB, of which nothing is touched.
const MOST_DISCARD: u32 = 1 << 22;
/// Most sectors of one segment of a write-zeroes request: 64 MiB, which may have to be written.
const MOST_ZEROES: u32 = 1 << 17;
/// Most segments of a discard or write-zeroes request.
const MOST_RANGES: u32 = 16;
/// Bytes that move between disk and guest at a time.
const PIECE: usize = 256 << 10;
/// Offset of the `writeback` field.
const WRITEBACK: usize = 32;

/// Feature bits (5.2.3).
mod feature {
    pub const SIZE_MAX: u64 = 1 << 1;
    pub const SEG_MAX: u64 = 1 << 2;
    pub const RO: u64 = 1 << 5;
    pub const BLK_SIZE: u64 = 1 << 6;
    pub const FLUSH: u64 = 1 << 9;
    pub const TOPOLOGY: u64 = 1 << 10;
    pub const CONFIG_WCE: u64 = 1 << 11;
    pub const MQ: u64 = 1 << 12;
    pub const DISCARD: u64 = 1 << 13;
    pub const WRITE_ZEROES: u64 = 1 << 14;
}

/// A disk's properties beside its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlkConfig {
    /// What GET_ID answers: up to 20 bytes of ASCII.
    pub serial: String,
    /// Request queues, 1 to 64.
    pub queues: u16,
    /// Bytes of a logical block: a power of two from 512 on. Requests may be smaller all the same.
    pub block_size: u32,
    /// Bytes of a physical block: a power of two from `block_size` on, the least that is written well.
    pub physical_block_size: u32,
}

impl Default for BlkConfig {
    /// One queue; blocks of 512 bytes in pages of 4096.
    fn default() -> BlkConfig {
        BlkConfig { serial: String::new(), queues: 1, block_size: 512, physical_block_size: 4096 }
    }
}

/// A block device on `disk`.
pub fn blk(config: BlkConfig, disk: Box<dyn Block>, flavour: Flavour) -> (ConfigSpace, Box<dyn PciDevice>) {
    let (space, function) = Function::new(model(&config, disk), flavour);
    (space, Box::new(function))
}

/// What makes the device a disk.
pub fn model(config: &BlkConfig, disk: Box<dyn Block>) -> Model {
    let queues = config.queues.clamp(1, MOST_QUEUES);
    let registers = Registers::new(&fields(config, queues, disk.sectors()), WRITEBACK..WRITEBACK + 1);
    let mut features = feature::SIZE_MAX
        | feature::SEG_MAX
        | feature::BLK_SIZE
        | feature::FLUSH
        | feature::TOPOLOGY
        | feature::CONFIG_WCE;
    if queues > 1 {
        features |= feature::MQ;
    }
    features |= if disk.read_only() { feature::RO } else { feature::DISCARD | feature::WRITE_ZEROES };
    let mut serial = [0; 20];
    serial.iter_mut().zip(config.serial.bytes()).for_each(|(to, from)| *to = from);
    let serve = Disk {
        disk,
        serial,
        registers: Arc::clone(&registers),
        write_through: true,
        configurable: false,
        buffer: vec![0; PIECE],
    };
    Model {
        id: 2,
        class: 0x01_00_00,
        features,
        queues: vec![QUEUE_SIZE; usize::from(queues)],
        registers,
        serve: Box::new(serve),
    }
}

/// `struct virtio_blk_config` (5.2.4), up to the fields for secure erase.
fn fields(config: &BlkConfig, queues: u16, sectors: u64) -> Vec<u8> {
    let block = config.block_size.max(512).next_power_of_two().min(1 << 20);
    let physical = config.physical_block_size.max(block).next_power_of_two().min(1 << 24);
    let exponent = (physical / block).trailing_zeros() as u8;
    let mut fields = Vec::with_capacity(60);
    fields.extend(sectors.to_le_bytes());
    fields.extend(MOST_SEGMENT.to_le_bytes());
    fields.extend(MOST_SEGMENTS.to_le_bytes());
    // Geometry: not offered.
    fields.extend([0; 4]);
    fields.extend(block.to_le_bytes());
    // Topology: alignment offset 0, no optimal size.
    fields.extend([exponent, 0]);
    fields.extend(((physical / block) as u16).to_le_bytes());
    fields.extend([0; 4]);
    // Writeback, padding.
    fields.extend([1, 0]);
    fields.extend(queues.to_le_bytes());
    fields.extend(MOST_DISCARD.to_le_bytes());
    fields.extend(MOST_RANGES.to_le_bytes());
    // Discards are best made of whole physical blocks.
    fields.extend((physical / 512).to_le_bytes());
    fields.extend(MOST_ZEROES.to_le_bytes());
    fields.extend(MOST_RANGES.to_le_bytes());
    // Write zeroes may unmap; padding.
    fields.extend([1, 0, 0, 0]);
    fields
}

/// The disk and how it is to be written.
struct Disk {
    disk: Box<dyn Block>,
    serial: [u8; 20],
    registers: Arc<Registers>,
    /// The driver took neither FLUSH nor CONFIG_WCE: what is written has to last at once (5.2.6.2).
    write_through: bool,
    /// The driver took CONFIG_WCE: the `writeback` field says it.
    configurable: bool,
    buffer: Vec<u8>,
}

impl Disk {
    /// Whether a write may be acknowledged before it lasts.
    fn writeback(&self) -> bool {
        if self.configurable { self.registers.byte(WRITEBACK) & 1 != 0 } else { !self.write_through }
    }
}

impl Serve for Disk {
    fn serve(&mut self, _queue: u16, chain: &mut Chain<'_>) -> Result<(), Fault> {
        self.request(chain)
    }

    fn negotiated(&mut self, features: u64) {
        let flush = features & feature::FLUSH != 0;
        self.configurable = features & feature::CONFIG_WCE != 0;
        self.write_through = !flush;
        if self.configurable && !flush {
            self.registers.put(WRITEBACK, &[0]);
        }
    }

    fn reset(&mut self) {
        self.write_through = true;
        self.configurable = false;
    }
}
