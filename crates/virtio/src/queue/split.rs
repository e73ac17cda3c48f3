//! A split virtqueue's positions, and the steps of the device in it.

use core::sync::atomic::{Ordering, fence};

use hako_mem::GuestMemory;

use super::ring::{DESCRIPTOR, Part, Rings};
use super::{Buffers, Fault};

/// Descriptor flags (2.7.5).
const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
/// Flag of the available ring: the driver wants no notification (2.7.6).
const NO_INTERRUPT: u16 = 1;
/// Offsets in both rings (2.7.6, 2.7.8).
const FLAGS: u64 = 0;
const INDEX: u64 = 2;
const RING: u64 = 4;

/// A queue that the driver has set up, and how far the device is in it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Queue {
    rings: Rings,
    /// VIRTIO_F_INDIRECT_DESC and VIRTIO_F_EVENT_IDX.
    indirect: bool,
    event_index: bool,
    next_avail: u16,
    next_used: u16,
    /// `next_used` when the driver was last asked whether it wants to be notified.
    asked: u16,
}

crate::saved::record!(Queue { rings, indirect, event_index, next_avail, next_used, asked });

/// One descriptor, as it was at the only time it is read.
struct Descriptor {
    gpa: u64,
    len: u32,
    flags: u16,
    next: u16,
}

impl Descriptor {
    fn load(table: u64, index: u16, memory: &GuestMemory) -> Result<Descriptor, Fault> {
        let raw = Part(table).load_descriptor(memory, index)?;
        Ok(Descriptor {
            gpa: raw as u64,
            len: (raw >> 64) as u32,
            flags: (raw >> 96) as u16,
            next: (raw >> 112) as u16,
        })
    }
}

impl Queue {
    /// A queue from its beginning.
    pub fn new(rings: Rings, indirect: bool, event_index: bool) -> Result<Queue, Fault> {
        rings.check()?;
        Ok(Queue { rings, indirect, event_index, next_avail: 0, next_used: 0, asked: 0 })
    }

    /// Entries.
    pub fn size(&self) -> u16 {
        self.rings.size
    }

    /// Where its parts are.
    pub fn rings(&self) -> &Rings {
        &self.rings
    }

    /// A legacy driver chooses its features whenever it likes.
    pub fn set_features(&mut self, indirect: bool, event_index: bool) {
        self.indirect = indirect;
        self.event_index = event_index;
    }

    fn avail(&self) -> Part {
        Part(self.rings.avail)
    }

    fn used(&self) -> Part {
        Part(self.rings.used)
    }

    /// The place of an entry in its ring.
    fn slot(&self, index: u16) -> u64 {
        u64::from(index & (self.rings.size - 1))
    }

    /// How many buffers wait.
    pub fn waiting(&self, memory: &GuestMemory) -> Result<u16, Fault> {
        let waiting = self.avail().load(memory, INDEX)?.wrapping_sub(self.next_avail);
        if waiting > self.rings.size {
            return Err(Fault::Available(waiting, self.rings.size));
        }
        Ok(waiting)
    }

    /// The next available buffer, in `buffers`, and the number it is returned by.
    pub fn pop(&mut self, memory: &GuestMemory, buffers: &mut Buffers) -> Result<Option<u16>, Fault> {
        if self.waiting(memory)? == 0 {
            return Ok(None);
        }
        // The entry is read after the index that announced it.
        fence(Ordering::Acquire);
        let head = self.avail().load(memory, RING + 2 * self.slot(self.next_avail))?;
        self.collect(memory, head, buffers)?;
        self.next_avail = self.next_avail.wrapping_add(1);
        Ok(Some(head))
    }

    /// Walks a chain: descriptors of the table, of which the last may lead to an indirect table (2.7.5.3).
    fn collect(&self, memory: &GuestMemory, head: u16, buffers: &mut Buffers) -> Result<(), Fault> {
        buffers.clear();
        let size = self.rings.size;
        let (mut table, mut entries, mut index) = (self.rings.desc, size, head);
        let mut nested = false;
        for _ in 0..size {
            if index >= entries {
                return Err(Fault::Index(index, entries));
            }
            let mut d = Descriptor::load(table, index, memory)?;
            if d.flags & INDIRECT != 0 {
                let count = u64::from(d.len) / DESCRIPTOR;
                let whole = u64::from(d.len).is_multiple_of(DESCRIPTOR) && count != 0;
                if !self.indirect || nested || d.flags & NEXT != 0 || !whole {
                    return Err(Fault::Indirect);
                }
                nested = true;
                (table, entries, index) = (d.gpa, u16::try_from(count).unwrap_or(u16::MAX), 0);
                d = Descriptor::load(table, index, memory)?;
                if d.flags & INDIRECT != 0 {
                    return Err(Fault::Indirect);
                }
            }
            buffers.push(d.gpa, d.len, d.flags & WRITE != 0)?;
            if d.flags & NEXT == 0 {
                return Ok(());
            }
            index = d.next;
        }
        Err(Fault::Loop(size))
    }

    /// Returns a buffer of which `len` bytes were written.
    pub fn push(&mut self, memory: &GuestMemory, head: u16, len: u32) -> Result<(), Fault> {
        self.used().store_used(memory, RING + 8 * self.slot(self.next_used), head, len)?;
        self.next_used = self.next_used.wrapping_add(1);
        // The entry is seen before the index that announces it.
        fence(Ordering::Release);
        self.used().store(memory, INDEX, self.next_used)
    }

    /// Asks to be notified of the next buffer; whether one came meanwhile (2.7.10).
    pub fn rearm(&mut self, memory: &GuestMemory) -> Result<bool, Fault> {
        if self.event_index {
            let avail_event = RING + 8 * u64::from(self.rings.size);
            self.used().store(memory, avail_event, self.next_avail)?;
            fence(Ordering::SeqCst);
        }
        Ok(self.waiting(memory)? != 0)
    }

    /// Whether the driver wants to be notified of the buffers returned since the last call (2.7.7).
    pub fn wants_interrupt(&mut self, memory: &GuestMemory) -> Result<bool, Fault> {
        let (old, new) = (self.asked, self.next_used);
        if old == new {
            return Ok(false);
        }
        self.asked = new;
        // The index is written before the driver's wish is read.
        fence(Ordering::SeqCst);
        if self.event_index {
            let event = self.avail().load(memory, RING + 2 * u64::from(self.rings.size))?;
            return Ok(new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old));
        }
        Ok(self.avail().load(memory, FLAGS)? & NO_INTERRUPT == 0)
    }
}
