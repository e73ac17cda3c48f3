//! Saving and restoring the clock.

use hako_engine::Time;
use serde::{Deserialize, Serialize};

use super::{Rtc, SECOND, SIZE, SOURCES, reg};
use crate::saved::{RestoreError, Saved, check};

/// Layout of the saved state.
const VERSION: u32 = 1;

/// What the chip holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtcState {
    /// All bytes; those of the running clock are stale. Register C is without IRQF.
    #[serde(with = "bytes")]
    pub cmos: [u8; SIZE],
    /// The byte selected by port 0x70.
    pub index: u8,
    /// Seconds since 1970 that the clock showed, or would have shown, at power-on.
    pub base: i64,
    /// Nanoseconds after a full second of guest time at which the clock's seconds begin.
    pub phase: u64,
    /// What the guest's weekday register differs by from the calendar, 0 to 6.
    pub weekday_shift: u8,
    /// Up to when time has passed for the flags of register C.
    pub seen: Time,
}

/// serde knows arrays up to 32 elements only.
mod bytes {
    use alloc::vec::Vec;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::SIZE;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; SIZE], to: S) -> Result<S::Ok, S::Error> {
        bytes.as_slice().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; SIZE], D::Error> {
        let bytes = Vec::<u8>::deserialize(from)?;
        bytes.try_into().map_err(|bytes: Vec<u8>| D::Error::invalid_length(bytes.len(), &"128 bytes"))
    }
}

impl Rtc {
    /// The state.
    pub fn save(&self) -> Saved<RtcState> {
        Saved { version: VERSION, state: self.s.clone() }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<RtcState>) -> Result<(), RestoreError> {
        let s = saved.open(VERSION)?;
        check(s.index < 0x80, "the selected byte lies outside the RAM")?;
        check(s.phase < SECOND, "the second begins later than a second")?;
        check(s.weekday_shift < 7, "a week has seven days")?;
        check(s.cmos[usize::from(reg::C)] & !SOURCES == 0, "register C has a flag that does not exist")?;
        check(s.cmos[usize::from(reg::A)] & 0x80 == 0, "register A holds UIP")?;
        self.s = s.clone();
        Ok(())
    }
}
