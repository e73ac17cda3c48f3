//! Port 0x61, NMI Status and Control (PIIX3 data sheet): the gate and the output of counter 2.

use hako_engine::Time;

use super::{HZ, Pit};

/// CLK pulses between two refresh requests (15.085 microseconds), whatever counter 1 is set to.
const REFRESH: u64 = 18;

impl Pit {
    /// Reads port 0x61: bit 0 gate 2, bit 1 speaker data, bits 2 and 3 as written, bit 4 toggles with each refresh
    /// request, bit 5 OUT 2.
    pub fn read_port61(&mut self, now: Time) -> u8 {
        let refresh = (now.ticks(HZ) / REFRESH % 2) as u8;
        self.port61 | refresh << 4 | u8::from(self.output(2, now)) << 5
    }

    /// Writes port 0x61: bit 0 gate 2, bit 1 speaker data, bits 2 and 3 disable NMI sources that hako does not have.
    pub fn write_port61(&mut self, value: u8, now: Time) {
        self.port61 = value & 0x0f;
        self.set_gate(2, value & 1 != 0, now);
    }

    /// What the speaker is driven with: OUT 2 and speaker data.
    pub fn speaker(&mut self, now: Time) -> bool {
        self.port61 & 2 != 0 && self.output(2, now)
    }
}
