//! Exceptions: the one being raised, and a log of those delivered last.

use hako_x86::Vector;

use crate::Why;

/// An exception that an instruction raised and that has not been delivered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Its vector.
    pub vector: Vector,
    /// Its error code, for vectors that have one.
    pub error: Option<u32>,
    /// The failed check.
    pub why: Option<Why>,
}

/// A delivered exception, for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// Its vector.
    pub vector: Vector,
    /// Its error code, for vectors that have one.
    pub error: Option<u32>,
    /// The failed check; `None` for exceptions asked for (INT3, single step).
    pub why: Option<Why>,
    /// CR2 when it was raised: the address, for page faults.
    pub cr2: u64,
    /// RIP (offset in CS) of the instruction.
    pub rip: u64,
    /// The selector of CS.
    pub cs: u16,
    /// Instructions completed before it.
    pub count: u64,
}

/// How many exceptions the log remembers.
const DEPTH: usize = 8;

/// The exceptions delivered last.
#[derive(Clone, Debug, Default)]
pub struct FaultLog {
    ring: [Option<FaultRecord>; DEPTH],
    total: u64,
}

impl FaultLog {
    /// How many exceptions there have been.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The remembered exceptions, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &FaultRecord> {
        let start = (self.total % DEPTH as u64) as usize;
        self.ring.iter().cycle().skip(start).take(DEPTH).flatten()
    }

    /// The last exception.
    pub fn last(&self) -> Option<&FaultRecord> {
        self.iter().last()
    }

    pub(crate) fn push(&mut self, record: FaultRecord) {
        if let Some(slot) = self.ring.get_mut((self.total % DEPTH as u64) as usize) {
            *slot = Some(record);
        }
        self.total = self.total.wrapping_add(1);
    }
}
