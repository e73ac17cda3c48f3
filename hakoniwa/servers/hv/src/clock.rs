//! Time: the processor's counter, which guests read too, so that their clocks and the board's never differ.

use core::arch::x86_64::_rdtsc;

use hakoniwa_abi::Info;
use hakoniwa_runtime as rt;

/// The processor's time-stamp counter against the kernel's nanoseconds.
#[derive(Clone, Copy)]
pub struct Clock {
    hz: u64,
    /// The counter at one moment, and nanoseconds since boot then.
    ticks: u64,
    now: u64,
}

/// The processor's counter.
pub fn ticks() -> u64 {
    // SAFETY: the kernel lets tasks read it.
    unsafe { _rdtsc() }
}

const NANOSECONDS: u64 = 1_000_000_000;

fn scale(value: u64, by: u64, of: u64) -> u128 {
    match value.checked_mul(by) {
        Some(product) => (product / of).into(),
        None => u128::from(value) * u128::from(by) / u128::from(of),
    }
}

impl Clock {
    /// Asks the kernel once.
    pub fn new() -> Clock {
        Clock { hz: rt::info(Info::TscHz).max(1), now: rt::now(), ticks: ticks() }
    }

    /// Ticks as nanoseconds, rounded down.
    pub fn nanoseconds(&self, ticks: u64) -> u64 {
        scale(ticks, NANOSECONDS, self.hz) as u64
    }

    /// The first nanosecond at which the counter has reached `ticks`.
    pub fn reaches(&self, ticks: u64) -> u64 {
        u64::try_from((u128::from(ticks) * u128::from(NANOSECONDS)).div_ceil(u128::from(self.hz)))
            .unwrap_or(u64::MAX)
    }

    /// Nanoseconds as ticks.
    pub fn ticks(&self, nanoseconds: u64) -> u64 {
        scale(nanoseconds, self.hz, NANOSECONDS) as u64
    }

    /// Nanoseconds since boot, without asking the kernel.
    pub fn boot_time(&self) -> u64 {
        self.since_boot(ticks())
    }

    /// Nanoseconds since boot when the counter stands at `ticks`, which is not before this clock was made.
    pub fn since_boot(&self, ticks: u64) -> u64 {
        self.now.saturating_add(self.nanoseconds(ticks.saturating_sub(self.ticks)))
    }
}
