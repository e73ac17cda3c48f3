//! When each chip wants to act next. An access asks again only those chips that it may have touched.

use bitflags::bitflags;
use hako_chips::pit::Pit;
use hako_engine::Time;

use super::{Pc, SCI, TIMER, keyboard, rtc};

bitflags! {
    /// What an access may have touched: the interrupt lines, and the next events of chips.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Touched: u16 {
        const PIT = 1 << 0;
        const KEYBOARD = 1 << 1;
        const COM13 = 1 << 2;
        const COM24 = 1 << 3;
        const RTC = 1 << 4;
        const PM = 1 << 5;
        const HPET = 1 << 6;
        const APIC = 1 << 7;
        const DEVICES = 1 << 8;
        /// Interrupt lines or A20, which the others may move too.
        const LINES = 1 << 9;
    }
}

/// Chips that have events; the first of [`Touched`].
const SOURCES: usize = 9;

/// The next event of each chip.
pub(super) struct Events {
    at: [Time; SOURCES],
    first: Time,
}

impl Events {
    /// Nothing is to come.
    pub fn new() -> Events {
        Events { at: [Time::NEVER; SOURCES], first: Time::NEVER }
    }

    /// The first of them.
    #[inline]
    pub fn first(&self) -> Time {
        self.first
    }

    /// Those that have come.
    fn due(&self, now: Time) -> Touched {
        let due = self.at.iter().enumerate().filter(|(_, at)| **at <= now);
        due.fold(Touched::empty(), |due, (n, _)| due | Touched::from_bits_retain(1 << n))
    }

    /// All that are to come.
    fn all(&self) -> impl Iterator<Item = (Touched, Time)> {
        let known = self.at.into_iter().enumerate().filter(|(_, at)| *at != Time::NEVER);
        known.map(|(n, at)| (Touched::from_bits_retain(1 << n), at))
    }
}

impl Pc {
    /// Finds out when the next event is.
    pub(super) fn refresh(&mut self) {
        let mut rest = self.touched.bits() & ((1 << SOURCES) - 1);
        self.touched = Touched::empty();
        while rest != 0 {
            let n = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let at = self.event_of(Touched::from_bits_retain(1 << n));
            if let Some(known) = self.events.at.get_mut(n) {
                *known = at;
            }
        }
        self.events.first = self.events.at.iter().fold(Time::NEVER, |first, at| first.min(*at));
    }

    /// When a chip wants to act next.
    fn event_of(&self, source: Touched) -> Time {
        match source {
            Touched::PIT => self.pit.as_ref().map_or(Time::NEVER, Pit::next_event),
            Touched::KEYBOARD => self.keyboard.next_event(),
            Touched::COM13 => self.coms.events()[0].1,
            Touched::COM24 => self.coms.events()[1].1,
            Touched::RTC => self.rtc.next_event(),
            Touched::PM => self.pm.next_event(),
            Touched::HPET => self.hpet.next_event(),
            Touched::APIC => self.wires.next_event(),
            Touched::DEVICES => self.devices.next_event(),
            _ => Time::NEVER,
        }
    }

    /// Lets every chip whose time has come act.
    pub(super) fn act(&mut self, now: Time) {
        let due = self.events.due(now);
        self.touched |= due | Touched::LINES;
        if due.contains(Touched::PIT) {
            self.tick_pit(now);
        }
        if due.intersects(Touched::COM13 | Touched::COM24) {
            self.tick_coms(now);
        }
        if due.contains(Touched::KEYBOARD) {
            self.keyboard.tick(now);
            self.settle_keyboard();
        }
        if due.contains(Touched::RTC) {
            self.rtc.tick(now);
            self.wires.set_isa(rtc::IRQ, self.rtc.irq());
        }
        if due.contains(Touched::PM) {
            self.pm.tick(now);
            self.wires.set_isa(SCI, self.pm.irq(now));
        }
        if due.contains(Touched::HPET) {
            self.hpet.tick(now);
            self.settle_hpet();
        }
        if due.contains(Touched::APIC) {
            self.wires.tick(now);
        }
        if due.contains(Touched::DEVICES) {
            self.tick_devices(now);
        }
    }

    /// Whether the interrupt that follows a chip's event could reach a CPU.
    fn is_heard(&self, source: Touched) -> bool {
        self.wires.open(match source {
            Touched::PIT => TIMER,
            Touched::KEYBOARD => keyboard::IRQ,
            Touched::COM13 => 4,
            Touched::COM24 => 3,
            Touched::RTC => rtc::IRQ,
            Touched::PM => SCI,
            // These have events only while their interrupts are on, or do more than to interrupt.
            _ => return true,
        })
    }

    /// When an interrupt may come next by itself.
    pub(crate) fn next_wake(&self) -> Time {
        let heard = self.events.all().filter(|(source, _)| self.is_heard(*source));
        heard.fold(Time::NEVER, |first, (_, at)| first.min(at))
    }

    /// See [`crate::Board::expects_more_than_ticks`]. What the clock does shows in its interrupt only: polling it is a
    /// volatile read.
    pub(crate) fn expects_more_than_ticks(&self, interrupts: bool) -> bool {
        self.events.all().any(|(source, _)| match source {
            Touched::PIT => false,
            Touched::RTC => interrupts && self.is_heard(source),
            _ => true,
        })
    }
}
