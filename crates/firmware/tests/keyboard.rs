//! INT 09h (scan codes in) and INT 16h (keys out).

mod common;

use common::{Machine, abcd, set};
use hako_firmware::{Outcome, Service};
use hako_x86::{Gpr, RFlags};

/// Feeds scan codes to the second half of INT 09h.
fn strokes(m: &mut Machine, codes: &[u8]) -> Outcome {
    let mut outcome = Outcome::Resume;
    for &code in codes {
        set(&mut m.cpu, Gpr::Rax, 0x4f00 | u16::from(code));
        outcome = m.service(Service::Key);
    }
    outcome
}

fn int16(m: &mut Machine, ax: u16) {
    m.int(0x16, |cpu| set(cpu, Gpr::Rax, ax));
}

/// All keys in the buffer, by AH=11h and 10h.
fn keys(m: &mut Machine) -> Vec<u16> {
    let mut keys = Vec::new();
    loop {
        int16(m, 0x1100);
        if m.flags().contains(RFlags::ZF) {
            return keys;
        }
        int16(m, 0x1000);
        keys.push(m.ax());
    }
}

fn typed(codes: &[u8]) -> Vec<u16> {
    let mut m = Machine::with_disk();
    strokes(&mut m, codes);
    keys(&mut m)
}

#[test]
fn without_a_key_the_stub_halts_and_asks_again() {
    let mut m = Machine::with_disk();
    int16(&mut m, 0x0000);
    assert!(m.waits());
    strokes(&mut m, &[0x1e]);
    int16(&mut m, 0x0000);
    assert!(m.returns());
    assert_eq!(m.ax(), 0x1e61);
}

#[test]
fn looking_takes_no_key_away() {
    let mut m = Machine::with_disk();
    int16(&mut m, 0x0100);
    assert!(m.flags().contains(RFlags::ZF));
    assert_eq!(m.ax(), 0x0100);
    strokes(&mut m, &[0x1e]);
    for _ in 0..2 {
        int16(&mut m, 0x0100);
        assert!(!m.flags().contains(RFlags::ZF));
        assert_eq!(m.ax(), 0x1e61);
    }
}

#[test]
fn shift_control_and_alt_change_what_a_key_gives() {
    assert_eq!(typed(&[0x2a, 0x1e, 0x9e, 0xaa, 0x1e]), [0x1e41, 0x1e61]);
    assert_eq!(typed(&[0x36, 0x02, 0xb6, 0x02]), [0x0221, 0x0231]);
    assert_eq!(typed(&[0x1d, 0x1e, 0x9d]), [0x1e01]);
    assert_eq!(typed(&[0x38, 0x1e, 0xb8]), [0x1e00]);
    assert_eq!(typed(&[0x1d, 0x02]), []);
}

#[test]
fn caps_lock_is_for_letters_and_num_lock_for_the_keypad() {
    assert_eq!(typed(&[0x3a, 0xba, 0x1e, 0x02, 0x2a, 0x1e]), [0x1e41, 0x0231, 0x1e61]);
    assert_eq!(typed(&[0x47, 0x45, 0xc5, 0x47, 0x2a, 0x47]), [0x4700, 0x4737, 0x4700]);
}

#[test]
fn a_held_lock_toggles_once() {
    let mut m = Machine::with_disk();
    strokes(&mut m, &[0x3a, 0x3a, 0x3a, 0xba]);
    int16(&mut m, 0x0200);
    assert_eq!(m.al(), 0x40);
}

#[test]
fn gray_keys_are_told_apart_only_by_those_who_ask() {
    assert_eq!(typed(&[0xe0, 0x48, 0xe0, 0x1c, 0xe0, 0x35]), [0x48e0, 0xe00d, 0xe02f]);
    let mut m = Machine::with_disk();
    strokes(&mut m, &[0xe0, 0x48, 0xe0, 0x1c, 0xe0, 0x35, 0x57, 0x1e]);
    let mut old = Vec::new();
    for _ in 0..4 {
        int16(&mut m, 0x0000);
        old.push(m.ax());
    }
    assert_eq!(old, [0x4800, 0x1c0d, 0x352f, 0x1e61]); // F11 is not for them
}

#[test]
fn function_keys_have_four_codes() {
    assert_eq!(
        typed(&[0x3b, 0x2a, 0x3b, 0xaa, 0x1d, 0x3b, 0x9d, 0x38, 0x3b]),
        [0x3b00, 0x5400, 0x5e00, 0x6800]
    );
    assert_eq!(typed(&[0x57, 0x58]), [0x8500, 0x8600]);
}

#[test]
fn prefixed_shifts_are_no_shifts() {
    assert_eq!(typed(&[0xe0, 0x2a, 0xe0, 0x52, 0xe0, 0xd2, 0xe0, 0xaa, 0x1e]), [0x52e0, 0x1e61]);
}

#[test]
fn the_right_control_and_alt_count_too() {
    let mut m = Machine::with_disk();
    strokes(&mut m, &[0xe0, 0x1d, 0xe0, 0x38]);
    int16(&mut m, 0x1200);
    assert_eq!(m.ax(), 0x0c0c);
    strokes(&mut m, &[0xe0, 0x9d, 0xe0, 0xb8]);
    int16(&mut m, 0x1200);
    assert_eq!(m.ax(), 0);
}

#[test]
fn alt_and_the_keypad_make_any_character() {
    assert_eq!(typed(&[0x38, 0x4f, 0xcf, 0x50, 0xd0, 0x51, 0xd1, 0xb8]), [123]);
}

#[test]
fn the_buffer_holds_15_keys() {
    let mut m = Machine::with_disk();
    for _ in 0..20 {
        strokes(&mut m, &[0x1e, 0x9e]);
    }
    assert_eq!(keys(&mut m).len(), 15);
}

#[test]
fn keys_are_pushed_by_programs() {
    let mut m = Machine::with_disk();
    for n in 0..16 {
        m.int(0x16, |cpu| abcd(cpu, [0x0500, 0, 0x1234, 0]));
        assert_eq!(m.al(), u8::from(n == 15));
    }
    int16(&mut m, 0x0000);
    assert_eq!(m.ax(), 0x1234);
}

#[test]
fn control_alt_delete_resets_warm() {
    let mut m = Machine::with_disk();
    assert_eq!(strokes(&mut m, &[0x1d, 0x38, 0x53]), Outcome::Reset);
    assert_eq!(m.word(0x472), 0x1234);
}

#[test]
fn control_break_empties_the_buffer_and_calls_int_1bh() {
    let mut m = Machine::with_disk();
    strokes(&mut m, &[0x1e, 0x1d, 0xe0, 0x46]);
    assert_eq!(m.bytes(0xf_0000 + m.cpu.rip, 2), [0xcd, 0x1b]);
    assert_eq!(m.byte(0x471), 0x80);
    assert_eq!(keys(&mut m), [0]);
}

#[test]
fn print_screen_calls_int_5() {
    let mut m = Machine::with_disk();
    strokes(&mut m, &[0xe0, 0x2a, 0xe0, 0x37]);
    assert_eq!(m.bytes(0xf_0000 + m.cpu.rip, 6), [0xb0, 0x20, 0xe6, 0x20, 0xcd, 0x05]);
}

#[test]
fn sysreq_calls_int_15h_85h_down_and_up() {
    let mut m = Machine::with_disk();
    strokes(&mut m, &[0x54]);
    assert_eq!((m.ax(), m.bytes(0xf_0000 + m.cpu.rip, 2)), (0x8500, vec![0xcd, 0x15]));
    strokes(&mut m, &[0xd4]);
    assert_eq!(m.ax(), 0x8501);
}

#[test]
fn pause_halts_until_another_key() {
    let mut m = Machine::with_disk();
    strokes(&mut m, &[0xe1, 0x1d, 0x45]);
    assert_eq!(m.bytes(0xf_0000 + m.cpu.rip, 4), [0xb0, 0x20, 0xe6, 0x20]);
    m.service(Service::Paused);
    assert!(m.waits());
    strokes(&mut m, &[0xe1, 0x9d, 0xc5]);
    m.service(Service::Paused);
    assert!(m.waits());
    strokes(&mut m, &[0x1e]);
    m.service(Service::Paused);
    assert_eq!(m.bytes(0xf_0000 + m.cpu.rip, 2), [0x58, 0xcf]);
    assert_eq!(keys(&mut m), []);
}

#[test]
fn answers_of_the_keyboard_are_no_keys() {
    assert_eq!(typed(&[0xfa, 0xfe, 0xee, 0x00, 0xff]), []);
}

#[test]
fn insert_toggles_its_state() {
    let mut m = Machine::with_disk();
    strokes(&mut m, &[0xe0, 0x52, 0xe0, 0x52, 0xe0, 0xd2]);
    int16(&mut m, 0x0200);
    assert_eq!(m.al(), 0x80);
}
