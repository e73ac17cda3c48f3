//! INT 1Ah (clock), INT 08h (tick), INT 70h (RTC interrupt), and the waits of INT 15h that the RTC times.
//! RTC registers: MC146818A data sheet, "Address map"; the PC keeps the century in register 32h.

use hako_mem::Gpa;
use hako_x86::SegReg;

use crate::bda;
use crate::call::Call;
use crate::{Service, pci, rom};

/// Ticks in a day: 24 hours of 65,536 ticks at 1,193,182 / 65,536 Hz, as IBM counts them.
const TICKS_PER_DAY: u32 = 0x1800b0;
/// One period of the RTC at 1,024 Hz, in microseconds.
const PERIOD: u32 = 976;

const SECONDS: u8 = 0x00;
const ALARM_SECONDS: u8 = 0x01;
const MINUTES: u8 = 0x02;
const ALARM_MINUTES: u8 = 0x03;
const HOURS: u8 = 0x04;
const ALARM_HOURS: u8 = 0x05;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const STATUS_C: u8 = 0x0c;
const CENTURY: u8 = 0x32;

/// Register A: an update of the time is under way.
const UPDATING: u8 = 0x80;
/// Register B: the time stands still and may be set.
const SET: u8 = 0x80;
/// Registers B and C: the periodic interrupt.
const PERIODIC: u8 = 0x40;
/// Registers B and C: the alarm.
const ALARM: u8 = 0x20;
/// Register B: 24 hours.
const HOURS_24: u8 = 0x02;
/// Register B: daylight saving.
const DAYLIGHT: u8 = 0x01;

/// Starts the RTC's divider and sets the tick count from the time of day.
pub(crate) fn start(call: &mut Call<'_>) {
    call.set_cmos(STATUS_A, 0x26); // 32,768 Hz crystal, periodic rate 1,024 Hz
    call.set_cmos(STATUS_B, HOURS_24);
    let [h, m, s] = [HOURS, MINUTES, SECONDS].map(|r| u32::from(from_bcd(call.cmos(r))));
    let seconds = (h * 60 + m) * 60 + s;
    let ticks = (u64::from(seconds) * 1_193_182 / 65_536) as u32;
    bda::TICKS.set(call, ticks % TICKS_PER_DAY);
}

fn from_bcd(v: u8) -> u8 {
    (v >> 4).min(9) * 10 + (v & 0xf).min(9)
}

/// INT 08h.
pub(crate) fn tick(call: &mut Call<'_>) {
    let ticks = bda::TICKS.get(call).wrapping_add(1);
    if ticks >= TICKS_PER_DAY {
        bda::TICKS.set(call, 0);
        let days = bda::MIDNIGHT.get(call);
        bda::MIDNIGHT.set(call, days.wrapping_add(1));
    } else {
        bda::TICKS.set(call, ticks);
    }
    let left = bda::FLOPPY_TIMEOUT.get(call);
    if left > 0 {
        bda::FLOPPY_TIMEOUT.set(call, left - 1);
        if left == 1 {
            let motors = bda::FLOPPY_MOTORS.get(call);
            bda::FLOPPY_MOTORS.set(call, motors & 0xf0);
            call.outb(0x3f2, 0x0c); // digital output register: motors off, DMA and controller on
        }
    }
}

/// INT 70h.
pub(crate) fn rtc_interrupt(call: &mut Call<'_>) {
    let cause = call.cmos(STATUS_C);
    let wanted = call.cmos(STATUS_B);
    if cause & wanted & PERIODIC != 0 {
        count_wait(call);
    }
    if cause & wanted & ALARM != 0 {
        call.resume_at(rom::CALL_ALARM);
    }
}

/// One period of a wait has passed.
fn count_wait(call: &mut Call<'_>) {
    if bda::WAIT_STATE.get(call) & 1 == 0 {
        return;
    }
    let left = bda::WAIT_LEFT.get(call);
    if left > PERIOD {
        bda::WAIT_LEFT.set(call, left - PERIOD);
        return;
    }
    stop_wait(call);
    let at = bda::WAIT_FLAG_AT.get(call);
    let flag = Gpa(u64::from(at >> 16) * 16 + u64::from(at & 0xffff));
    let old = call.load::<u8>(flag);
    call.store(flag, old | 0x80);
}

fn stop_wait(call: &mut Call<'_>) {
    bda::WAIT_LEFT.set(call, 0);
    let state = bda::WAIT_STATE.get(call);
    bda::WAIT_STATE.set(call, state & !1);
    let b = call.cmos(STATUS_B);
    call.set_cmos(STATUS_B, b & !PERIODIC);
}

/// Starts a wait that sets bit 7 of the byte at `flag` (segment:offset) after so many microseconds; `false` if one runs.
fn start_wait(call: &mut Call<'_>, flag: u32, microseconds: u32) -> bool {
    let state = bda::WAIT_STATE.get(call);
    if state & 1 != 0 {
        return false;
    }
    bda::WAIT_FLAG_AT.set(call, flag);
    bda::WAIT_LEFT.set(call, microseconds);
    bda::WAIT_STATE.set(call, 1);
    let b = call.cmos(STATUS_B);
    call.set_cmos(STATUS_B, b | PERIODIC);
    true
}

/// INT 15h/83h: AL = 0 starts an event wait of CX:DX microseconds with its flag at ES:BX, AL = 1 cancels it.
pub(crate) fn event_wait(call: &mut Call<'_>) {
    let ok = match call.al() {
        0 => {
            let flag = u32::from(call.cpu.segment(SegReg::Es).selector) << 16 | u32::from(call.bx());
            let time = u32::from(call.cx()) << 16 | u32::from(call.dx());
            start_wait(call, flag, time)
        }
        1 => {
            stop_wait(call);
            true
        }
        _ => false,
    };
    call.set_ah(if ok { 0 } else { 0x80 });
    call.set_carry(!ok);
}

/// INT 15h/86h: returns after CX:DX microseconds.
pub(crate) fn wait(call: &mut Call<'_>) {
    // The flag is the data area's own: 0040:00A0.
    let time = u32::from(call.cx()) << 16 | u32::from(call.dx());
    if start_wait(call, 0x0040_00a0, time) {
        call.resume_at(rom::OPEN_RTC);
    } else {
        call.set_ah(0x83);
        call.set_carry(true);
    }
}

/// Woken from the wait of INT 15h/86h.
pub(crate) fn waiting(call: &mut Call<'_>) {
    let state = bda::WAIT_STATE.get(call);
    if state & 1 != 0 {
        call.wait(Service::Waiting);
        return;
    }
    bda::WAIT_STATE.set(call, 0);
    call.set_ah(0);
    call.set_carry(false);
}

/// INT 1Ah.
pub(crate) fn clock(call: &mut Call<'_>) {
    match call.ah() {
        0x00 => {
            let ticks = bda::TICKS.get(call);
            let midnight = bda::MIDNIGHT.get(call);
            bda::MIDNIGHT.set(call, 0);
            call.set_cx((ticks >> 16) as u16);
            call.set_dx(ticks as u16);
            call.set_al(midnight);
            call.set_carry(false);
        }
        0x01 => {
            let ticks = u32::from(call.cx()) << 16 | u32::from(call.dx());
            bda::TICKS.set(call, ticks);
            bda::MIDNIGHT.set(call, 0);
            call.set_carry(false);
        }
        0x02 => {
            if settled(call) {
                let (h, m, s) = (call.cmos(HOURS), call.cmos(MINUTES), call.cmos(SECONDS));
                let daylight = call.cmos(STATUS_B) & DAYLIGHT;
                call.set_cx(u16::from_be_bytes([h, m]));
                call.set_dx(u16::from_be_bytes([s, daylight]));
            }
        }
        0x03 => {
            let [h, m] = call.cx().to_be_bytes();
            let [s, daylight] = call.dx().to_be_bytes();
            set_registers(call, &[(HOURS, h), (MINUTES, m), (SECONDS, s)]);
            let b = call.cmos(STATUS_B) & !DAYLIGHT;
            call.set_cmos(STATUS_B, b | daylight & DAYLIGHT);
            call.set_carry(false);
        }
        0x04 => {
            if settled(call) {
                let (century, year) = (call.cmos(CENTURY), call.cmos(YEAR));
                let (month, day) = (call.cmos(MONTH), call.cmos(DAY));
                call.set_cx(u16::from_be_bytes([century, year]));
                call.set_dx(u16::from_be_bytes([month, day]));
            }
        }
        0x05 => {
            let [century, year] = call.cx().to_be_bytes();
            let [month, day] = call.dx().to_be_bytes();
            set_registers(call, &[(CENTURY, century), (YEAR, year), (MONTH, month), (DAY, day)]);
            call.set_carry(false);
        }
        0x06 => {
            let b = call.cmos(STATUS_B);
            let already = b & ALARM != 0;
            if !already {
                let [h, m] = call.cx().to_be_bytes();
                let s = call.dh();
                call.set_cmos(ALARM_HOURS, h);
                call.set_cmos(ALARM_MINUTES, m);
                call.set_cmos(ALARM_SECONDS, s);
                call.set_cmos(STATUS_B, b | ALARM);
            }
            call.set_carry(already);
        }
        0x07 => {
            let b = call.cmos(STATUS_B);
            call.set_cmos(STATUS_B, b & !ALARM);
            call.set_carry(false);
        }
        0xb1 => pci::pci_bios(call),
        _ => call.set_carry(true),
    }
}

/// Whether the RTC can be read; CF of the caller says the same. An update takes 2 ms, which a service can't wait for,
/// so a caller that meets one is told to try again, as it would be of a stopped clock.
fn settled(call: &mut Call<'_>) -> bool {
    let ready = call.cmos(STATUS_A) & UPDATING == 0;
    call.set_carry(!ready);
    ready
}

/// Sets time registers while the clock stands still.
fn set_registers(call: &mut Call<'_>, values: &[(u8, u8)]) {
    let b = call.cmos(STATUS_B);
    call.set_cmos(STATUS_B, b | SET);
    for &(register, value) in values {
        call.set_cmos(register, value);
    }
    call.set_cmos(STATUS_B, b & !SET);
}
