//! Time: the TSC, measured once against the 8254.

use super::apic::Apic;
use super::cpu::{port_read, port_write, tsc};

/// Nanoseconds since boot.
pub struct Clock {
    start: u64,
    hz: u64,
    /// Nanoseconds for a tick, in 2^-32.
    scale: u64,
    /// Ticks for a nanosecond, in 2^-32.
    inverse: u64,
}

impl Clock {
    /// Measures the TSC and the local APIC's timer for 10 ms.
    pub fn calibrate(apic: &mut Apic) -> Clock {
        const GATE: u16 = 0x61;
        const COUNT: u32 = 11_932;
        const PER_SECOND: u64 = 100;
        // Channel 2 counts down once, its gate opened by port 0x61, its output seen there.
        let old = port_read(GATE, 1) & !3;
        port_write(GATE, 1, old);
        port_write(0x43, 1, 0xb0);
        port_write(0x42, 1, COUNT & 0xff);
        port_write(0x42, 1, COUNT >> 8);
        apic.start_counting();
        let start = tsc();
        port_write(GATE, 1, old | 1);
        while port_read(GATE, 1) & 0x20 == 0 {}
        let (end, ticks) = (tsc(), apic.counted());
        port_write(GATE, 1, old);
        let hz = (end - start).max(1) * PER_SECOND;
        apic.hz = u64::from(ticks) * PER_SECOND;
        let ratio = |a: u64, b: u64| ((u128::from(a) << 32) / u128::from(b)) as u64;
        Clock { start, hz, scale: ratio(1_000_000_000, hz), inverse: ratio(hz, 1_000_000_000) }
    }

    /// TSC ticks a second.
    pub fn tsc_hz(&self) -> u64 {
        self.hz
    }

    /// TSC ticks in some nanoseconds.
    pub fn ticks(&self, nanoseconds: u64) -> u64 {
        ((u128::from(nanoseconds) * u128::from(self.inverse)) >> 32) as u64
    }

    /// Nanoseconds since the calibration.
    pub fn now(&self) -> u64 {
        ((u128::from(tsc().wrapping_sub(self.start)) * u128::from(self.scale)) >> 32) as u64
    }
}
