//! The memory balloon (5.5), with reports of free pages.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;

use hako_chips::pci::{ConfigSpace, PciDevice};
use hako_mem::{Gpa, GuestMemory, PAGE_MASK, PAGE_SIZE, RegionKind, Slab, SlabOffset};

use crate::function::{Flavour, Function};
use crate::model::{Model, Serve};
use crate::queue::{Chain, Fault};
use crate::registers::Registers;

/// Queues. Free pages are reported on queue 4 as 5.5.2 counts, or on queue 2 as drivers do that count only the queues
/// of features they took; queue 3 never exists.
const INFLATE: u16 = 0;
const DEFLATE: u16 = 1;
const QUEUES: [u16; 5] = [128, 128, 32, 0, 32];
/// Feature bits (5.5.3).
const F_DEFLATE_ON_OOM: u64 = 1 << 2;
const F_PAGE_POISON: u64 = 1 << 4;
const F_PAGE_REPORTING: u64 = 1 << 5;
/// Fields (5.5.4): pages wanted, pages there are (the driver's), command, poison value (the driver's).
const NUM_PAGES: usize = 0;
const ACTUAL: usize = 4;
const POISON: usize = 12;
const FIELDS: usize = 16;

/// Takes memory back from the guest.
pub trait Reclaim: Send {
    /// The guest does not need what it has in `len` bytes of `slab` from `at` on (whole pages of RAM): their storage
    /// may be given back to the host. Afterwards they read as zeros or as before.
    fn give_back(&mut self, slab: &Slab, at: SlabOffset, len: u64);
}

/// The machine's side of a balloon.
#[derive(Clone)]
pub struct Balloon(Arc<Registers>);

impl Balloon {
    /// Asks the guest for so many pages of 4 KiB; it gives them when it likes. The driver is told at the device's
    /// next tick.
    pub fn set_target(&self, pages: u32) {
        self.0.change(NUM_PAGES, &pages.to_le_bytes());
    }

    /// How many pages the guest says it has given.
    pub fn actual(&self) -> u32 {
        self.0.dword(ACTUAL)
    }
}

/// A balloon, empty.
pub fn balloon(reclaim: Box<dyn Reclaim>, flavour: Flavour) -> (ConfigSpace, Box<dyn PciDevice>, Balloon) {
    // The driver writes two of the four fields; the command between them is of a feature that is not offered.
    let registers = Registers::new(&[0; FIELDS], ACTUAL..FIELDS);
    let serve = Pages { reclaim, registers: Arc::clone(&registers), poison: false };
    let model = Model {
        id: 5,
        class: 0x00_ff_00,
        features: F_DEFLATE_ON_OOM | F_PAGE_POISON | F_PAGE_REPORTING,
        queues: vec![QUEUES[0], QUEUES[1], QUEUES[2], QUEUES[3], QUEUES[4]],
        registers: Arc::clone(&registers),
        serve: Box::new(serve),
    };
    let (space, function) = Function::new(model, flavour);
    (space, Box::new(function), Balloon(registers))
}

struct Pages {
    reclaim: Box<dyn Reclaim>,
    registers: Arc<Registers>,
    /// The driver took PAGE_POISON: pages have to keep the value it says.
    poison: bool,
}

impl Pages {
    /// Gives back the whole pages of a range that are RAM; anything else is left alone.
    fn give_back(&mut self, memory: &GuestMemory, gpa: u64, len: u64) {
        let Some(end) = gpa.checked_add(len).map(|end| end & !PAGE_MASK) else { return };
        let mut at = gpa.checked_next_multiple_of(PAGE_SIZE).unwrap_or(end);
        while at < end {
            let Some(hit) = memory.lookup(Gpa(at)) else {
                at += PAGE_SIZE;
                continue;
            };
            let n = hit.left.min(end - at) & !PAGE_MASK;
            if hit.kind == RegionKind::Ram {
                self.reclaim.give_back(memory.slab(), hit.offset, n);
                // What was there may be gone: code caches and dirty logs have to know.
                memory.slab().note_write(hit.offset, n);
            }
            at += n.max(PAGE_SIZE);
        }
    }

    /// A list of page numbers (5.5.6); neighbours are given back together.
    fn inflate(&mut self, chain: &mut Chain<'_>) -> Result<(), Fault> {
        let (mut first, mut count) = (0, 0);
        // Drivers send 256 numbers at a time; the rest of a list that is longer than all of memory is of no use.
        let most = chain.memory().slab().len() / PAGE_SIZE;
        for _ in 0..(chain.readable() / 4).min(most) {
            let mut number = [0; 4];
            chain.read(&mut number)?;
            let page = u64::from(u32::from_le_bytes(number));
            if page == first + count {
                count += 1;
                continue;
            }
            self.give_back(chain.memory(), first * PAGE_SIZE, count * PAGE_SIZE);
            (first, count) = (page, 1);
        }
        self.give_back(chain.memory(), first * PAGE_SIZE, count * PAGE_SIZE);
        Ok(())
    }

    /// Free pages are the buffers themselves (5.5.6.7).
    fn report(&mut self, chain: &mut Chain<'_>) {
        // Pages that have to keep a value other than 0 cannot be replaced by empty ones.
        let keep = self.poison && self.registers.dword(POISON) != 0;
        while let Some(piece) = chain.next_writable() {
            if !keep {
                self.give_back(chain.memory(), piece.gpa, piece.len.into());
            }
        }
    }
}

impl Serve for Pages {
    fn serve(&mut self, queue: u16, chain: &mut Chain<'_>) -> Result<(), Fault> {
        match queue {
            INFLATE => self.inflate(chain),
            // Pages come back by being used.
            DEFLATE => Ok(()),
            _ => {
                self.report(chain);
                Ok(())
            }
        }
    }

    fn negotiated(&mut self, features: u64) {
        self.poison = features & F_PAGE_POISON != 0;
    }

    fn reset(&mut self) {
        self.poison = false;
    }
}
