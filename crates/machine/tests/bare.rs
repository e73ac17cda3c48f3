//! The bare machine: the first document's VM, on every engine that this host has.

mod common;

use std::time::Duration;

use common::engines;
use hako_machine::{Ended, EngineChoice, Machine, MachineKind, Outcome};

/// `mov al, c; out 1, al` for each character, then `hlt`.
fn hello() -> Vec<u8> {
    let mut rom: Vec<u8> = b"Hello KVM!".iter().flat_map(|c| [0xb0, *c, 0xe6, 0x01]).collect();
    rom.push(0xf4);
    rom
}

fn run(engine: EngineChoice, rom: &[u8]) -> (Outcome, Vec<u8>) {
    let mut m = Machine::builder()
        .engine(engine)
        .machine(MachineKind::Bare)
        .image(rom)
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    let outcome = m.run();
    (outcome, m.serial().to_vec())
}

#[test]
fn the_41_byte_hello_says_hello_and_halts() {
    assert_eq!(hello().len(), 41);
    for engine in engines() {
        let (outcome, said) = run(engine, &hello());
        assert_eq!(outcome.ended, Ended::HaltedForGood, "{engine:?}");
        assert_eq!(outcome.status, 0);
        assert_eq!(said, b"Hello KVM!", "{engine:?}");
    }
}

#[test]
fn soft_counts_every_instruction() {
    let (outcome, _) = run(EngineChoice::Soft, &hello());
    assert_eq!(outcome.count, Some(21));
    assert_eq!(outcome.time.0, 210);
}

#[test]
fn other_ports_read_all_ones() {
    // in al, 1; out 1, al; in ax, 0x77; out 1, al; hlt
    let rom = [0xe4, 0x01, 0xe6, 0x01, 0xe5, 0x77, 0xe6, 0x01, 0xf4];
    for engine in engines() {
        assert_eq!(run(engine, &rom).1, [0xff, 0xff], "{engine:?}");
    }
}

#[test]
fn string_output_arrives_whole() {
    // mov si, msg; mov cx, 5; mov dx, 1; cld; rep outsb; hlt; msg
    let mut rom = vec![0xbe, 13, 0, 0xb9, 5, 0, 0xba, 1, 0, 0xfc, 0xf3, 0x6e, 0xf4];
    rom.extend(b"abcde");
    for engine in engines() {
        assert_eq!(run(engine, &rom).1, b"abcde", "{engine:?}");
    }
}

#[test]
fn any_halt_ends_it_also_with_interrupts_on() {
    for engine in engines() {
        assert_eq!(run(engine, &[0xfb, 0x90, 0xf4]).0.ended, Ended::HaltedForGood, "{engine:?}");
    }
}

#[test]
fn an_endless_loop_ends_at_the_time_limit() {
    let mut m = Machine::builder()
        .engine(EngineChoice::Soft)
        .machine(MachineKind::Bare)
        .image(&[0xeb, 0xfe][..])
        .timeout(Duration::from_millis(1))
        .build()
        .unwrap();
    let outcome = m.run();
    assert_eq!((outcome.ended, outcome.status), (Ended::Timeout, 124));
    assert_eq!(outcome.count, Some(100_000));
}

#[test]
fn an_image_that_does_not_fit_is_an_error_of_status_4() {
    let e = Machine::builder()
        .machine(MachineKind::Bare)
        .engine(EngineChoice::Soft)
        .memory(4096)
        .image(vec![0; 5000])
        .build()
        .err()
        .unwrap();
    assert_eq!(e.status(), 4);
    assert!(e.to_string().contains("--memory"), "{e}");
}
