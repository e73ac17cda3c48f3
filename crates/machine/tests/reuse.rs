//! One machine for many guests: as fast as it has to be, and without a trace of the guest before.

mod common;

use std::time::Instant;

use common::{mbr, pc, print_a};
use hako_machine::{ClockKind, Ended, EngineChoice, Machine};

/// Changes what it can reach: memory below and above 1 MiB, video memory, CMOS, PIC, PIT, A20, PAM, disk, FLAGS.
fn vandal() -> Vec<u8> {
    let code = b"\xb8\x00\x90\x8e\xc0\x31\xff\xb9\xff\xff\xb0\xaa\xf3\xaa\
        \xb8\x00\xb8\x8e\xc0\x31\xff\xb9\x00\x08\xb8\x41\x1f\xf3\xab\
        \xb8\xff\xff\x8e\xc0\xbf\x10\x00\xb9\x00\x10\xb0\x55\xf3\xaa\
        \xb0\x0f\xe6\x70\xb0\x5a\xe6\x71\xb0\x34\xe6\x43\xb0\x99\xe6\x40\xe6\x40\
        \xb0\xff\xe6\xa1\xb0\x7f\xe6\x21\
        \xb8\x01\x03\xb9\x01\x00\xba\x80\x00\xbb\x00\x7c\xcd\x13\
        \xb8\x13\x00\xcd\x10\xb0\x00\xe6\x92\
        \x66\xb8\x58\x00\x00\x80\xba\xf8\x0c\x66\xef\xba\xfc\x0c\x66\xb8\x33\x33\x33\x33\x66\xef\
        \xfd\xfa\xf4";
    mbr(code)
}

fn all_of(m: &mut Machine) -> (Vec<u8>, Vec<u8>, String, Option<u64>) {
    let outcome = m.run();
    let state = format!("{outcome:?} {:?}", m.state().unwrap());
    (m.read_memory(0, 0x11_0000), m.printed().to_vec(), state, m.count())
}

#[test]
fn no_state_is_left_behind() {
    let fresh = || pc(EngineChoice::Soft).clock(ClockKind::Virtual);
    let expected = all_of(&mut fresh().image(print_a()).build().unwrap());
    let mut m = fresh().image(vandal()).build().unwrap();
    assert_eq!(m.run().ended, Ended::HaltedForGood);
    m.reset_to(print_a()).unwrap();
    let got = all_of(&mut m);
    assert!(got.0 == expected.0, "memory differs");
    assert_eq!((got.1, got.2, got.3), (expected.1, expected.2, expected.3));
}

#[test]
fn a_reset_machine_is_a_new_one_on_kvm_too() {
    if !common::engines().contains(&EngineChoice::Kvm) {
        return;
    }
    let mut m = pc(EngineChoice::Kvm).memory(2 << 20).image(vandal()).build().unwrap();
    m.run();
    m.reset_to(print_a()).unwrap();
    assert_eq!(m.run().ended, Ended::HaltedForGood);
    assert!(m.printed().ends_with(b"A"));
    assert!(m.read_memory(0x9_0000, 0x1000).iter().all(|b| *b == 0));
}

/// `cargo test --profile fast -p hako-machine --test reuse -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn tests_a_second() {
    let mut m = pc(EngineChoice::Soft).clock(ClockKind::Virtual).image(print_a()).build().unwrap();
    let image: std::sync::Arc<[u8]> = print_a().into();
    let begin = Instant::now();
    const N: u32 = 20_000;
    for _ in 0..N {
        m.reset_to(hako_machine::Source::Bytes(image.clone())).unwrap();
        assert_eq!(m.run().ended, Ended::HaltedForGood);
        assert!(m.screen().unwrap().lines().any(|l| l.contains('A')));
    }
    let each = begin.elapsed() / N;
    println!("{each:?} a test, {:.0} a second", 1.0 / each.as_secs_f64());
}
