//! A split queue as its driver has it.

use hako_mem::{Gpa, GuestMemory};

pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

/// Addresses, and how far the driver is.
pub struct Ring {
    memory: GuestMemory,
    pub size: u16,
    pub desc: u64,
    pub avail: u64,
    pub used: u64,
    seen: u16,
}

impl Ring {
    /// The legacy layout at `base`, zeroed.
    pub fn new(memory: &GuestMemory, base: u64, size: u16) -> Ring {
        let avail = base + 16 * u64::from(size);
        let used = (avail + 6 + 2 * u64::from(size)).next_multiple_of(4096);
        let end = used + 6 + 8 * u64::from(size);
        memory.fill(Gpa(base), end - base, 0).unwrap();
        Ring { memory: memory.clone(), size, desc: base, avail, used, seen: 0 }
    }

    /// A queue whose parts somebody else has put somewhere.
    pub fn at(memory: &GuestMemory, size: u16, desc: u64, avail: u64, used: u64) -> Ring {
        Ring { memory: memory.clone(), size, desc, avail, used, seen: 0 }
    }

    /// Writes a descriptor of the table.
    pub fn desc(&self, index: u16, gpa: u64, len: u32, flags: u16, next: u16) {
        self.desc_in(self.desc, index, gpa, len, flags, next);
    }

    /// Writes a descriptor of a table at `table`.
    pub fn desc_in(&self, table: u64, index: u16, gpa: u64, len: u32, flags: u16, next: u16) {
        let raw = u128::from(gpa) | u128::from(len) << 64 | u128::from(flags) << 96 | u128::from(next) << 112;
        self.memory.store(Gpa(table + 16 * u64::from(index)), raw).unwrap();
    }

    /// Writes a chain of (address, length, writable) from descriptor `head` on.
    pub fn chain(&self, head: u16, parts: &[(u64, u32, bool)]) {
        for (n, (gpa, len, writable)) in (0..).zip(parts) {
            let last = usize::from(n) + 1 == parts.len();
            let flags = if *writable { WRITE } else { 0 } | if last { 0 } else { NEXT };
            self.desc(head + n, *gpa, *len, flags, head + n + 1);
        }
    }

    pub fn avail_index(&self) -> u16 {
        self.memory.load(Gpa(self.avail + 2)).unwrap()
    }

    pub fn set_avail_index(&self, index: u16) {
        self.memory.store(Gpa(self.avail + 2), index).unwrap();
    }

    /// The driver wants no notifications, or does.
    pub fn set_avail_flags(&self, flags: u16) {
        self.memory.store(Gpa(self.avail), flags).unwrap();
    }

    pub fn set_used_event(&self, index: u16) {
        self.memory.store(Gpa(self.avail + 4 + 2 * u64::from(self.size)), index).unwrap();
    }

    pub fn avail_event(&self) -> u16 {
        self.memory.load(Gpa(self.used + 4 + 8 * u64::from(self.size))).unwrap()
    }

    /// Makes the chain at `head` available.
    pub fn offer(&self, head: u16) {
        let index = self.avail_index();
        self.memory.store(Gpa(self.avail + 4 + 2 * u64::from(index % self.size)), head).unwrap();
        self.set_avail_index(index.wrapping_add(1));
    }

    pub fn used_index(&self) -> u16 {
        self.memory.load(Gpa(self.used + 2)).unwrap()
    }

    /// What was returned since the last call: (head, length).
    pub fn returned(&mut self) -> Vec<(u32, u32)> {
        let mut list = Vec::new();
        while self.seen != self.used_index() {
            let at = self.used + 4 + 8 * u64::from(self.seen % self.size);
            let id = self.memory.load(Gpa(at)).unwrap();
            list.push((id, self.memory.load(Gpa(at + 4)).unwrap()));
            self.seen = self.seen.wrapping_add(1);
        }
        list
    }
}
