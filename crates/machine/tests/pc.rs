//! The PC with the built-in firmware.

mod common;

use std::time::Duration;

use common::{engines, mbr, pc, print_a};
use hako_machine::{ClockKind, Ended, EngineChoice};

#[test]
fn a_boot_sector_prints_a_and_halts() {
    for engine in engines() {
        let mut m = pc(engine).image(print_a()).build().unwrap();
        let outcome = m.run();
        assert_eq!(outcome.ended, Ended::HaltedForGood, "{engine:?} {:?}", m.boot_error());
        assert!(m.printed().ends_with(b"A"), "{engine:?} {:?}", m.printed());
        let screen = m.screen().unwrap();
        assert!(screen.lines().any(|l| l.contains('A')), "{engine:?}");
    }
}

#[test]
fn memory_sizes_out_of_range_are_refused_with_status_2() {
    for bytes in [0, 4096, (1 << 20) - 1, (64 << 30) + 1, u64::MAX] {
        let e = pc(EngineChoice::Soft).memory(bytes).image(print_a()).build().err().unwrap();
        assert_eq!(e.status(), 2, "{bytes}: {e}");
    }
    for bytes in [1 << 20, (1 << 20) + 1, 5 << 30] {
        let mut m = pc(EngineChoice::Soft).memory(bytes).image(print_a()).build().unwrap();
        assert_eq!(m.run().ended, Ended::HaltedForGood, "{bytes}");
    }
}

#[test]
fn under_the_host_clock_a_halted_cpu_sleeps_and_wakes() {
    // sti; hlt; hlt; cli; hlt: two ticks of 55 ms
    for engine in engines() {
        let mut m =
            pc(engine).clock(ClockKind::Host).image(mbr(&[0xfb, 0xf4, 0xf4, 0xfa, 0xf4])).build().unwrap();
        assert_eq!(m.run().ended, Ended::HaltedForGood, "{engine:?}");
    }
}

#[test]
fn the_guests_reset_restarts_the_machine_or_ends_the_run() {
    // mov al, 0xfe; out 0x64, al; jmp $
    let image = mbr(&[0xb0, 0xfe, 0xe6, 0x64, 0xeb, 0xfe]);
    for engine in engines() {
        let mut m = pc(engine).no_reboot(true).image(&image[..]).build().unwrap();
        assert_eq!(m.run().ended, Ended::Reset, "{engine:?}");
        let mut m = pc(engine).timeout(Duration::from_millis(200)).image(&image[..]).build().unwrap();
        let outcome = m.run();
        assert_eq!(outcome.ended, Ended::Timeout, "{engine:?}");
        assert!(outcome.resets > 0, "{engine:?}");
    }
}

#[test]
fn interrupts_that_nothing_raises_any_more_end_the_run() {
    // mov al, 0xff; out 0x21, al; sti; hlt: every interrupt is masked
    let image = mbr(&[0xb0, 0xff, 0xe6, 0x21, 0xe6, 0xa1, 0xfb, 0xf4, 0xeb, 0xfd]);
    for engine in engines() {
        let mut m = pc(engine).image(&image[..]).build().unwrap();
        assert_eq!(m.run().ended, Ended::HaltedForGood, "{engine:?}");
    }
}
