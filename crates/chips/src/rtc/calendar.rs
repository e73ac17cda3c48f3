//! Dates, the formats of the clock's registers, and the alarm.

/// A date and time of the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DateTime {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: u8,
    /// 1 to 31.
    pub(super) day: u8,
    /// 0 is Sunday.
    pub(super) weekday: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
}

const DAY: i64 = 86_400;
/// Days in 400 years.
const ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const TO_1970: i64 = 719_468;

impl DateTime {
    /// From seconds since 1970. Years are counted from March, so that the leap day is a year's last.
    pub(super) fn from_seconds(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let from_march = days + TO_1970;
        let (era, day_of_era) = (from_march.div_euclid(ERA), from_march.rem_euclid(ERA));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = (march_month + 2) % 12 + 1;
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u8,
            weekday: (days + 4).rem_euclid(7) as u8,
            hour: (rest / 3600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
        }
    }
}

/// Seconds since 1970 of a date (century, year of it, month, day) and time (hour, minute, second) of small numbers.
pub(super) fn seconds([century, year, month, day]: [i64; 4], [hour, minute, second]: [i64; 3]) -> i64 {
    let months = (century * 100 + year) * 12 + month - 3;
    let (year, march_month) = (months.div_euclid(12), months.rem_euclid(12));
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let days =
        era * ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * march_month + 2) / 5;
    (days + day - 1 - TO_1970) * DAY + hour * 3600 + minute * 60 + second
}

/// How the registers hold numbers (register B, DM and 24/12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    binary: bool,
    hours24: bool,
}

impl Format {
    pub(super) fn from_register_b(b: u8) -> Self {
        Self { binary: b & 0x04 != 0, hours24: b & 0x02 != 0 }
    }

    /// A number up to 99 as a register holds it.
    pub(super) fn number(self, value: u8) -> u8 {
        if self.binary { value } else { value / 10 % 10 * 16 + value % 10 }
    }

    /// The number that a register holds.
    pub(super) fn value(self, register: u8) -> u8 {
        if self.binary { register } else { (register >> 4) * 10 + (register & 0x0f) }
    }

    /// An hour, 0 to 23; with 12 hours bit 7 is PM and midnight is 12.
    pub(super) fn hour(self, hour: u8) -> u8 {
        if self.hours24 {
            return self.number(hour);
        }
        let pm = if hour >= 12 { 0x80 } else { 0 };
        self.number((hour + 11) % 12 + 1) | pm
    }

    /// The hour that a register holds.
    pub(super) fn hour_value(self, register: u8) -> u8 {
        if self.hours24 {
            return self.value(register);
        }
        let pm = if register & 0x80 != 0 { 12 } else { 0 };
        self.value(register & 0x7f) % 12 + pm
    }
}

/// Seconds (at least 1, at most a day) from second `now` of a day until the alarm; `None` fields match always. An
/// alarm at a time that no clock shows never comes.
pub(super) fn next_alarm(now: u32, hour: Option<u8>, minute: Option<u8>, second: Option<u8>) -> Option<u32> {
    let matches = |field: Option<u8>, value: u32| field.is_none_or(|field| u32::from(field) == value);
    let mut at = now + 1;
    while at <= now + DAY as u32 {
        let (h, m, s) = (at / 3600 % 24, at / 60 % 60, at % 60);
        at = if !matches(hour, h) {
            (at / 3600 + 1) * 3600
        } else if !matches(minute, m) {
            (at / 60 + 1) * 60
        } else if !matches(second, s) {
            at + 1
        } else {
            return Some(at - now);
        };
    }
    None
}
