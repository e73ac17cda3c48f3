//! Saving and restoring: KVM's `kvm_pit_state2` and what it leaves out.

use hako_engine::Time;
use serde::{Deserialize, Serialize};

use super::Pit;
use super::counter::{Counter, CounterState, NEVER_PROGRAMMED, rw};
use crate::saved::{RestoreError, Saved, check};

/// Layout of the saved state.
const VERSION: u32 = 1;

/// State of the 8254 and port 0x61. KVM's `kvm_pit_state2` is the three `channel`s and its flag
/// KVM_PIT_FLAGS_SPEAKER_DATA_ON, which is bit 1 of `port61`; the other fields are at their defaults for a state that
/// comes from KVM ([`PitState::from_channels`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PitState {
    /// The counters.
    pub counters: [CounterState; 3],
    /// Edges of OUT 0 not reported yet.
    pub edges: u64,
    /// Bits 0 to 3 of port 0x61; bit 0 is the gate of counter 2.
    pub port61: u8,
}

impl PitState {
    /// The state that KVM's in-kernel timer had at `now`.
    pub fn from_channels(
        channels: [super::ChannelState; 3],
        speaker_data: bool,
        now: Time,
    ) -> Saved<PitState> {
        let port61 = channels[2].gate & 1 | u8::from(speaker_data) << 1;
        let counters = channels.map(|channel| CounterState {
            channel,
            idle: false,
            next_count: None,
            stopped_at: None,
            seen: now,
        });
        Saved { version: VERSION, state: PitState { counters, edges: 0, port61 } }
    }
}

fn possible(s: &CounterState) -> Result<(), RestoreError> {
    let c = &s.channel;
    let counts = 1..=0x10000;
    let bytes = rw::NONE..=rw::WORD_HIGH;
    check(counts.contains(&c.count), "a count outside 1..=0x10000")?;
    check(s.next_count.is_none_or(|count| counts.contains(&count)), "a count outside 1..=0x10000")?;
    check(c.mode < 8 || c.mode == NEVER_PROGRAMMED, "no such timer mode")?;
    check(c.mode != NEVER_PROGRAMMED || s.next_count.is_none(), "a count awaits its turn without a mode")?;
    check(c.count_latched <= 3 && c.rw_mode <= 3, "no such byte of the count")?;
    check(bytes.contains(&c.read_state) && bytes.contains(&c.write_state), "no such byte of the count")?;
    check([c.status_latched, c.bcd, c.gate].iter().all(|&flag| flag <= 1), "a flag is neither 0 nor 1")
}

impl Pit {
    /// The state.
    pub fn save(&self) -> Saved<PitState> {
        let state = PitState {
            counters: self.counters.each_ref().map(|c| c.0),
            edges: self.edges,
            port61: self.port61,
        };
        Saved { version: VERSION, state }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<PitState>) -> Result<(), RestoreError> {
        let state = saved.open(VERSION)?;
        for counter in &state.counters {
            possible(counter)?;
        }
        check(state.port61 < 0x10, "port 0x61 has four writable bits")?;
        self.counters = state.counters.map(Counter);
        self.edges = state.edges;
        self.port61 = state.port61;
        Ok(())
    }
}
