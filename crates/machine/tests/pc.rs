//! The PC with the built-in firmware.

mod common;

use common::{engines, pc, print_a};
use hako_machine::Ended;

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
