//! The entropy device (5.4).

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use hako_chips::pci::{ConfigSpace, PciDevice};

use crate::function::{Flavour, Function};
use crate::model::{Model, Serve};
use crate::queue::{Chain, Fault};
use crate::registers::Registers;
use crate::saved::Record;

const QUEUE_SIZE: u16 = 8;
/// Bytes given to one request; a driver that wants more asks again (5.4.6).
const MOST: usize = 4096;

/// Where random bytes come from.
pub trait Entropy: Send {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
    /// Where a generator is in its sequence, if it has one.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }
    /// Takes it back; whether it can be that.
    fn restore(&mut self, saved: &[u8]) -> bool {
        saved.is_empty()
    }
}

/// The same bytes for the same seed: for runs that are to be repeated. No secret is safe with it.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Seeded {
        Seeded(seed)
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
    }

    fn save(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.put(&mut bytes);
        bytes
    }

    fn restore(&mut self, mut saved: &[u8]) -> bool {
        match u64::get(&mut saved) {
            Some(state) if saved.is_empty() => {
                self.0 = state;
                true
            }
            _ => false,
        }
    }
}

/// An entropy device.
pub fn rng(entropy: Box<dyn Entropy>, flavour: Flavour) -> (ConfigSpace, Box<dyn PciDevice>) {
    let model = Model {
        id: 4,
        class: 0x00_ff_00,
        features: 0,
        queues: vec![QUEUE_SIZE],
        registers: Registers::new(&[], 0..0),
        serve: Box::new(Source(entropy)),
    };
    let (space, function) = Function::new(model, flavour);
    (space, Box::new(function))
}

struct Source(Box<dyn Entropy>);

impl Serve for Source {
    fn serve(&mut self, _queue: u16, chain: &mut Chain<'_>) -> Result<(), Fault> {
        // At least one byte is due (5.4.6.2).
        if chain.writable() == 0 {
            return Err(Fault::Request("room for random bytes"));
        }
        let mut bytes = [0; MOST];
        let bytes = &mut bytes[..chain.writable().min(MOST as u64) as usize];
        self.0.fill(bytes);
        chain.write(bytes)
    }

    fn save(&self) -> Vec<u8> {
        self.0.save()
    }

    fn restore(&mut self, saved: &[u8]) -> bool {
        self.0.restore(saved)
    }
}
