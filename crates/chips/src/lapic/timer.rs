//! The timer (SDM Vol. 3A 11.5.4): one-shot, periodic, and TSC-deadline mode.
//!
//! Only the moment at which it gets to zero is kept; the current count follows from it.

use hako_engine::Time;

use super::Lapic;
use super::lvt::Local;

/// Timer mode in the LVT entry.
const MODE_SHIFT: u32 = 17;

/// What the timer does at zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TimerMode {
    OneShot,
    Periodic,
    TscDeadline,
}

impl TimerMode {
    /// Of an LVT entry. The reserved fourth value is one-shot.
    pub fn of(entry: u32) -> TimerMode {
        match entry >> MODE_SHIFT & 3 {
            1 => TimerMode::Periodic,
            2 => TimerMode::TscDeadline,
            _ => TimerMode::OneShot,
        }
    }
}

impl Lapic {
    pub(super) fn timer_mode(&self) -> TimerMode {
        TimerMode::of(self.lvt[Local::Timer as usize])
    }

    /// Nanoseconds of one count (11.5.4, divide configuration register).
    fn divisor(&self) -> u64 {
        let value = self.divide & 3 | self.divide >> 1 & 4;
        1 << ((value + 1) & 7)
    }

    /// Nanoseconds from the initial count to zero.
    fn period(&self) -> u64 {
        u64::from(self.initial_count) * self.divisor()
    }

    /// Lets the timer do what it has done by `now`.
    pub fn tick(&mut self, now: Time) {
        let Some(due) = self.due.filter(|due| *due <= now) else { return };
        self.due = None;
        if self.timer_mode() == TimerMode::Periodic
            && let Some(passed) = (now.0 - due.0).checked_div(self.period())
        {
            self.due =
                Some(Time(due.0.saturating_add(self.period().saturating_mul(passed.saturating_add(1)))));
        }
        self.local(Local::Timer);
    }

    /// When the timer's interrupt comes next.
    #[inline]
    pub fn next_event(&self) -> Time {
        match self.due {
            Some(due) if self.is_open(Local::Timer) => due,
            _ => Time::NEVER,
        }
    }

    /// Starts the timer, or stops it with 0. In TSC-deadline mode the write is ignored.
    pub(super) fn set_initial_count(&mut self, count: u32, now: Time) {
        if self.timer_mode() != TimerMode::TscDeadline {
            self.initial_count = count;
            self.due = (count != 0).then(|| Time(now.0.saturating_add(self.period())));
        }
    }

    /// The current count; 0 in TSC-deadline mode.
    pub(super) fn current_count(&self, now: Time) -> u32 {
        match self.due {
            Some(due) if self.timer_mode() != TimerMode::TscDeadline => {
                u32::try_from(due.0.saturating_sub(now.0).div_ceil(self.divisor())).unwrap_or(u32::MAX)
            }
            _ => 0,
        }
    }

    /// Another divisor: the count goes on from where it is.
    pub(super) fn set_divide(&mut self, value: u32, now: Time) {
        let count = self.current_count(now);
        self.divide = value as u8 & 0xb;
        if self.due.is_some() && self.timer_mode() != TimerMode::TscDeadline {
            self.due = Some(Time(now.0.saturating_add(u64::from(count) * self.divisor())));
        }
    }

    /// IA32_TSC_DEADLINE; 0 in the other modes.
    pub(super) fn deadline(&self) -> u64 {
        match self.due {
            Some(due) if self.timer_mode() == TimerMode::TscDeadline => due.0,
            _ => 0,
        }
    }

    /// Arms the timer, or disarms it with 0. In the other modes the write is ignored.
    pub(super) fn set_deadline(&mut self, tsc: u64, now: Time) {
        if self.timer_mode() == TimerMode::TscDeadline {
            self.due = (tsc != 0).then_some(Time(tsc));
            self.tick(now);
        }
    }
}
