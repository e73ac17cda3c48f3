//! The high-precision event timers: their registers in memory, and where their interrupts go.

use hako_chips::hpet::{self, Output, Route};
use hako_engine::Time;

use super::events::Touched;
use super::{Pc, TIMER, rtc};

/// The global interrupt that a comparator's output leads to.
fn gsi(route: Route) -> u8 {
    match route {
        Route::Pit => TIMER,
        Route::Rtc => rtc::IRQ,
        Route::Input(n) => n,
    }
}

impl Pc {
    /// A read of memory; whether it was the timers'. Bytes of one register are read at the same time.
    pub(super) fn hpet_read(&mut self, now: Time, address: u64, data: &mut [u8]) -> bool {
        let offset = address.wrapping_sub(hpet::BASE);
        if offset >= hpet::SIZE {
            return false;
        }
        for (at, byte) in (offset..).zip(data.iter_mut()) {
            *byte = (self.hpet.read(at as u16, now) >> (8 * (at & 7))) as u8;
        }
        // What a read finds out has happened is told.
        self.settle_hpet();
        true
    }

    /// A write to memory; whether it was to the timers.
    pub(super) fn hpet_write(&mut self, now: Time, address: u64, data: &[u8]) -> bool {
        let offset = address.wrapping_sub(hpet::BASE);
        if offset >= hpet::SIZE {
            return false;
        }
        let mut rest = (offset..).zip(data).peekable();
        while let Some((first, _)) = rest.peek().copied() {
            let (mut value, mut mask) = (0, 0);
            while let Some((at, byte)) = rest.next_if(|(at, _)| at & !7 == first & !7) {
                value |= u64::from(*byte) << (8 * (at & 7));
                mask |= 0xff << (8 * (at & 7));
            }
            self.hpet.write(first as u16, value, mask, now);
        }
        self.settle_hpet();
        true
    }

    /// Brings the wires up to the timers' outputs.
    pub(super) fn settle_hpet(&mut self) {
        self.touched |= Touched::HPET | Touched::LINES;
        self.wires.replace_legacy(self.hpet.is_legacy());
        let mut levels = 0;
        for n in 0..hpet::COMPARATORS {
            let Some(Output { route, level, edge }) = self.hpet.take_output(n) else { continue };
            levels |= u32::from(level) << gsi(route);
            if edge {
                self.wires.pulse_gsi(gsi(route));
            }
        }
        self.wires.set_hpet(levels);
    }
}
