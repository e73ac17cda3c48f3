//! Saving and restoring.

use hako_engine::Time;
use serde::{Deserialize, Serialize};

use super::comparator::{self, Comparator, ComparatorState};
use super::{COMPARATORS, ENABLE, Hpet, LEGACY};
use crate::saved::{RestoreError, Saved, check};

/// Layout of the saved state.
const VERSION: u32 = 1;

/// What the chip holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HpetState {
    /// General configuration.
    pub configuration: u64,
    /// Level-triggered interrupts that are active.
    pub status: u8,
    /// The counter while it stands; else what it is ahead of guest time in counts.
    pub counter: u64,
    /// The comparators.
    pub comparators: [ComparatorState; COMPARATORS],
    /// Edges that the board has not seen yet.
    pub edges: u8,
    /// Up to when matches have been found.
    pub seen: Time,
}

impl Hpet {
    /// The state.
    pub fn save(&self) -> Saved<HpetState> {
        let comparators = self.comparators.map(|c| c.0);
        let &Hpet { configuration, status, counter, edges, seen, .. } = self;
        Saved {
            version: VERSION,
            state: HpetState { configuration, status, counter, comparators, edges, seen },
        }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<HpetState>) -> Result<(), RestoreError> {
        let s = saved.open(VERSION)?;
        check(s.configuration & !(ENABLE | LEGACY) == 0, "a configuration bit that does not exist is set")?;
        check((s.status | s.edges) >> COMPARATORS == 0, "a comparator that does not exist is active")?;
        check(s.comparators.iter().all(comparator::possible), "a comparator has bits that do not exist")?;
        *self = Hpet {
            configuration: s.configuration,
            status: s.status,
            counter: s.counter,
            comparators: s.comparators.map(Comparator),
            edges: s.edges,
            seen: s.seen,
        };
        Ok(())
    }
}
