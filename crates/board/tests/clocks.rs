//! All clocks of a PC tell the same time.

use std::sync::Arc;

use hako_board::{Board, Disks, Layout, Pc, PcConfig};
use hako_engine::Time;
use hako_mem::{Gpa, Slab};
use hako_x86::Width;

const LAPIC: u64 = 0xfee0_0000;
const HPET: u64 = 0xfed0_0000;

fn pc() -> Board {
    let layout = Layout::new(1 << 20, 0);
    let memory = layout.memory(Arc::new(Slab::heap(layout.slab_len())), &[]).unwrap();
    Board::Pc(Box::new(Pc::new(PcConfig::new(layout), memory, Disks::default())))
}

fn byte(board: &mut Board, now: Time, port: u16) -> u64 {
    let mut data = [0];
    let _ = board.port_in(now, port, Width::B1, &mut data);
    data[0].into()
}

fn out(board: &mut Board, now: Time, port: u16, value: u8) {
    let _ = board.port_out(now, port, Width::B1, &[value]);
}

fn dword(board: &mut Board, now: Time, address: u64) -> u64 {
    let mut data = [0; 4];
    let _ = board.mmio_read(now, 0, Gpa(address), &mut data);
    u32::from_le_bytes(data).into()
}

fn set(board: &mut Board, now: Time, address: u64, value: u32) {
    let _ = board.mmio_write(now, 0, Gpa(address), &value.to_le_bytes());
}

/// Whether `ticks` of `hz` are what has passed, to one tick.
fn agrees(ticks: u64, hz: u64, passed: u64) -> bool {
    let exact = u128::from(passed) * u128::from(hz) / 1_000_000_000;
    u128::from(ticks).abs_diff(exact) <= 1
}

#[test]
fn over_ten_seconds_all_clocks_agree_to_one_tick() {
    const STEP: u64 = 7_777_777;
    let mut board = pc();
    let start = Time(123_456);
    // The APIC's timer: one count a nanosecond, from the top.
    set(&mut board, start, LAPIC + 0xf0, 0x1ff);
    set(&mut board, start, LAPIC + 0x320, 0x1_0040);
    set(&mut board, start, LAPIC + 0x3e0, 0x3);
    set(&mut board, start, LAPIC + 0x380, u32::MAX);
    set(&mut board, start, HPET + 0x10, 1);
    // Counters 0 (free-running) and 2 (gated by port 0x61).
    for (port, value) in [(0x43, 0x34), (0x40, 0), (0x40, 0), (0x61, 1), (0x43, 0xb4), (0x42, 0), (0x42, 0)] {
        out(&mut board, start, port, value);
    }
    let pm_start = start.ticks(3_579_545);
    let (mut pit, mut last) = ([0u64; 2], [0u64; 2]);
    let mut now = start;
    let mut rtc_seconds = 0;
    let mut second = None;
    while now < start + core::time::Duration::from_secs(10) {
        now = Time(now.0 + STEP);
        let _ = board.tick(now);
        let passed = now.0 - start.0;

        let apic = u64::from(u32::MAX) - dword(&mut board, now, LAPIC + 0x390);
        assert!(agrees(apic, 1_000_000_000 / 16, passed), "APIC timer");

        let hpet = dword(&mut board, now, HPET + 0xf0);
        assert!(agrees(hpet, 100_000_000, passed), "event timers");

        let pm = (0..4).fold(0, |v, n| v | byte(&mut board, now, 0x608 + n) << (8 * n));
        assert_eq!(pm, now.ticks(3_579_545) & 0xff_ffff);
        assert!(agrees(now.ticks(3_579_545) - pm_start, 3_579_545, passed), "PM timer");

        for (n, (latch, port)) in [(0x00, 0x40), (0x80, 0x42)].into_iter().enumerate() {
            out(&mut board, now, 0x43, latch);
            let count = byte(&mut board, now, port) | byte(&mut board, now, port) << 8;
            let down = 0x1_0000 - count;
            pit[n] += down.wrapping_sub(last[n]) & 0xffff;
            last[n] = down;
            assert!(agrees(pit[n], 1_193_182, passed), "counter {n}: {} after {passed} ns", pit[n]);
        }

        out(&mut board, now, 0x70, 0);
        let shown = byte(&mut board, now, 0x71);
        rtc_seconds += u64::from(second.is_some_and(|s| s != shown));
        second = Some(shown);
        assert!(agrees(rtc_seconds, 1, passed), "real-time clock");
    }
}

#[test]
fn the_power_management_timer_interrupts_by_itself() {
    let mut board = pc();
    // PM1_EN.TMR_EN, and ACPI mode.
    out(&mut board, Time::ZERO, 0x602, 1);
    out(&mut board, Time::ZERO, 0x604, 1);
    let at = Time::at_tick(1 << 23, 3_579_545);
    assert_eq!(board.next_event(), at);
    for (port, value) in [(0xa0, 0x11), (0xa1, 0x70), (0xa1, 2), (0xa1, 1), (0xa1, 0)] {
        out(&mut board, Time::ZERO, port, value);
    }
    for (port, value) in [(0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0)] {
        out(&mut board, Time::ZERO, port, value);
    }
    let _ = board.tick(at);
    assert!(board.lines(0).intr);
    assert_eq!(board.acknowledge(at, 0), 0x71);
    assert_eq!(board.next_event(), Time::NEVER);
}

#[test]
fn an_event_that_an_access_moves_is_known_at_once() {
    let mut board = pc();
    out(&mut board, Time::ZERO, 0x43, 0x34);
    assert_eq!(board.next_event(), Time::NEVER);
    out(&mut board, Time::ZERO, 0x40, 0);
    out(&mut board, Time::ZERO, 0x40, 0);
    assert_eq!(board.next_event(), Time::at_tick(65_536, 1_193_182));
    for (index, value) in [(0x0a, 0x26), (0x0b, 0x42)] {
        out(&mut board, Time::ZERO, 0x70, index);
        out(&mut board, Time::ZERO, 0x71, value);
    }
    assert_eq!(board.next_event(), Time::at_tick(1, 1024));
}
