//! Every target on a seeded stream of random and mutated inputs; `HAKO_LONG=1` makes it twenty times as many.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hako_fuzz::TARGETS;
use hako_fuzz::stream::Stream;

/// Inputs for each target where nothing else is said.
const INPUTS: usize = 4000;
/// Targets whose inputs cost more than some ten microseconds.
const FEWER: [(&str, usize); 8] = [
    ("cpu", 2000),
    ("virtio", 1000),
    ("board", 1000),
    ("firmware", 500),
    ("images", 400),
    ("loader", 1000),
    ("vga", 300),
    ("map", 1000),
];

fn inputs(name: &str) -> usize {
    let n = FEWER.iter().find(|(few, _)| *few == name).map_or(INPUTS, |(_, n)| *n);
    let long = std::env::var_os("HAKO_LONG").is_some_and(|v| v != "0");
    if long { 20 * n } else { n }
}

fn play(name: &str) {
    let Some(n) = TARGETS.iter().position(|t| t.name == name) else { panic!("there is no target {name}") };
    let (mut stream, run) = (Stream::new(n as u64), TARGETS[n].run);
    for n in 0..inputs(name) {
        let input = stream.next_input();
        if catch_unwind(AssertUnwindSafe(|| run(&input))).is_err() {
            panic!("target {name}, input {n}: {}", hex(&smaller(run, input)));
        }
    }
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test] fn $name() { play(stringify!($name)); })*

        #[test]
        fn every_target_has_its_test() {
            assert!(TARGETS.iter().map(|t| t.name).eq([$(stringify!($name)),*]));
        }
    };
}

tests! { cpu pic pit rtc i8042 serial ide fdc vga fw_cfg pci acpi_pm lapic ioapic hpet virtio board firmware map images loader specs }

/// Cuts pieces out of a failing input as long as it still fails.
fn smaller(run: fn(&[u8]), mut input: Vec<u8>) -> Vec<u8> {
    let fails = |bytes: &[u8]| catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut piece = input.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < input.len() {
            let mut shorter = input.clone();
            shorter.drain(at..(at + piece).min(input.len()));
            if fails(&shorter) {
                input = shorter;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    std::panic::set_hook(hook);
    input
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
