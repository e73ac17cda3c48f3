//! The loader itself: each mode is entered, and says so.

use hako_fuzz::modes::{self, Mode};
use hako_hostile_tests::{Guest, engines, machine};
use hako_machine::Ended;

#[test]
fn guests_are_in_the_mode_that_they_ask_for() {
    let modes = [
        // mov ax, cs; shr ax, 4 (= 100h); out 0f4h, ax
        (Mode::Real, &[0x8c, 0xc8, 0xc1, 0xe8, 0x04, 0xe7, 0xf4][..], 0x100),
        // mov eax, cr0; and eax, 80000001h; rol eax, 4; out 0f4h, eax
        (Mode::Protected32, b"\x0f\x20\xc0\x25\x01\0\0\x80\xc1\xc0\x04\xe7\xf4", 0x10),
        // The same, with a REX prefix that only 64-bit mode knows: mov rax, cr0; and rax, ..; rol eax, 4; out
        (Mode::Long, b"\x0f\x20\xc0\x48\x25\x01\0\0\x80\xc1\xc0\x04\xe7\xf4", 0x18),
    ];
    engines::each(&modes, 1, |engine, modes| {
        for (mode, code, value) in modes {
            let guest = Guest::new(format!("{mode:?}"), *mode, *code);
            let mut m = machine(engine).image(guest.disk()).build().unwrap();
            let outcome = m.run();
            let state = m.state().unwrap();
            assert_eq!(outcome.ended, Ended::DebugExit(*value), "{mode:?} on {engine:?}: {state:x?}");
            assert_eq!(m.read_memory(modes::CODE, code.len()), *code);
        }
    });
}
