//! Input: bytes for COM1 and keys, none lost.

mod common;

use std::time::Duration;

use common::{engines, mbr, pc};
use hako_chips::i8042::keys;
use hako_machine::{Ended, EngineChoice, Progress, Time};

/// Echoes COM1 by polling until it sees a dot.
fn serial_echo() -> Vec<u8> {
    mbr(&[
        0xba, 0xfd, 0x03, // l: mov dx, 3fd
        0xec, 0xa8, 0x01, 0x74, 0xfb, // in al, dx; test al, 1; jz $-3
        0xba, 0xf8, 0x03, 0xec, 0xee, // mov dx, 3f8; in al, dx; out dx, al
        0x3c, 0x2e, 0x75, 0xef, // cmp al, '.'; jne l
        0xfa, 0xf4, // cli; hlt
    ])
}

/// Echoes keys by INT 16h to COM1 until Enter.
fn key_echo() -> Vec<u8> {
    mbr(&[
        0xb4, 0x00, 0xcd, 0x16, // l: mov ah, 0; int 16h
        0xba, 0xf8, 0x03, 0xee, // mov dx, 3f8; out dx, al
        0x3c, 0x0d, 0x75, 0xf4, // cmp al, 13; jne l
        0xfa, 0xf4,
    ])
}

#[test]
fn serial_bytes_arrive_in_order_and_none_is_lost() {
    let mut text: Vec<u8> = (0..2000u32).map(|i| b'a' + (i % 26) as u8).collect();
    text.push(b'.');
    for engine in engines() {
        let sent = if engine == EngineChoice::Kvm { &text[text.len() - 100..] } else { &text[..] };
        let mut m = pc(engine).image(serial_echo()).build().unwrap();
        m.send_serial(sent);
        assert_eq!(m.run().ended, Ended::HaltedForGood, "{engine:?}");
        assert_eq!(m.serial(), sent, "{engine:?}");
    }
}

#[test]
fn after_silence_a_whole_fifo_arrives_together() {
    let code = mbr(&[
        0xba, 0xfa, 0x03, 0xb0, 0x01, 0xee, // mov dx, 3fa; mov al, 1; out dx, al: FIFOs on
        0x66, 0xb9, 0x40, 0x0d, 0x03, 0x00, 0x67, 0xe2, 0xfd, // mov ecx, 200000; loop $, by ecx: 2 ms
        0xba, 0xfc, 0x03, 0xb0, 0x03, 0xee, // mov dx, 3fc; mov al, 3; out dx, al: DTR, RTS
        0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf8, // w: mov dx, 3fd; in al, dx; test al, 1; jz w
        0xba, 0xf8, 0x03, 0xec, 0xee, // l: mov dx, 3f8; in al, dx; out dx, al
        0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x75, 0xf3, // mov dx, 3fd; in al, dx; test al, 1; jnz l
        0xfa, 0xf4, // cli; hlt
    ]);
    let mut m = pc(EngineChoice::Soft).image(code).build().unwrap();
    m.send_serial(b"0123456789abcdefghij");
    assert_eq!(m.run().ended, Ended::HaltedForGood);
    assert_eq!(m.serial(), b"0123456789abcdef");
}

#[test]
fn a_guest_that_takes_rts_away_gets_nothing_until_it_is_back() {
    let code = mbr(&[
        0xba, 0xfc, 0x03, 0xb0, 0x03, 0xee, // mov dx, 3fc; mov al, 3; out dx, al: DTR, RTS
        0xb0, 0x01, 0xee, // mov al, 1; out dx, al: DTR alone
        0xb9, 0x50, 0xc3, 0xe2, 0xfe, // mov cx, 50000; loop $
        0xba, 0xf8, 0x03, 0xec, 0xec, 0xee, // mov dx, 3f8; in al, dx; in al, dx; out dx, al
        0xba, 0xfc, 0x03, 0xb0, 0x03, 0xee, // mov dx, 3fc; mov al, 3; out dx, al
        0xb9, 0x50, 0xc3, 0xe2, 0xfe, // mov cx, 50000; loop $
        0xba, 0xf8, 0x03, 0xec, 0xee, // mov dx, 3f8; in al, dx; out dx, al
        0xfa, 0xf4, // cli; hlt
    ]);
    let mut m = pc(EngineChoice::Soft).image(code).build().unwrap();
    m.send_serial(b"xy");
    assert_eq!(m.run().ended, Ended::HaltedForGood);
    assert_eq!(m.serial(), b"xy");
}

#[test]
fn keys_reach_int_16h() {
    for engine in engines() {
        let mut m = pc(engine).image(key_echo()).build().unwrap();
        m.send_keys(keys::text("Hello, World 42!\n").unwrap());
        assert_eq!(m.run().ended, Ended::HaltedForGood, "{engine:?}");
        assert_eq!(m.serial(), b"Hello, World 42!\r", "{engine:?}");
    }
}

#[test]
fn a_guest_that_waits_for_keys_goes_on_when_they_come() {
    let mut m = pc(EngineChoice::Soft).detect_hang(true).image(key_echo()).build().unwrap();
    m.set_input_open(true);
    assert_eq!(m.run_until(Time::ZERO + Duration::from_secs(1), true), Progress::Time);
    m.send_keys(keys::text("x").unwrap());
    assert_eq!(m.run_until(Time::ZERO + Duration::from_secs(2), true), Progress::Output);
    assert_eq!(m.serial(), b"x");
    m.set_input_open(false);
    assert_eq!(m.run_until(Time::NEVER, true), Progress::Ended);
    assert!(matches!(m.outcome().unwrap().ended, Ended::Hang(_)), "{:?}", m.outcome());
}

#[test]
fn the_same_input_makes_the_same_run() {
    let run = || {
        let mut m = pc(EngineChoice::Soft).image(key_echo()).build().unwrap();
        m.send_keys(keys::text("abc\n").unwrap());
        let outcome = m.run();
        (outcome.count, outcome.time)
    };
    assert_eq!(run(), run());
}
