//! SeaBIOS, where the host has it.

mod common;

use common::{engines, mbr, pc};
use hako_machine::{Ended, FirmwareChoice, SinkSpec};

/// Prints B to the debug console, A by INT 10h, and halts.
fn boot_sector() -> Vec<u8> {
    // mov al, 'B'; out 0xe9, al; mov ax, 0x0e41; int 0x10; cli; hlt
    mbr(&[0xb0, 0x42, 0xe6, 0xe9, 0xb8, 0x41, 0x0e, 0xcd, 0x10, 0xfa, 0xf4])
}

#[test]
fn it_boots_a_hard_disk_and_logs_to_the_debug_console() {
    if hako_machine::firmware::seabios().is_none() {
        return;
    }
    for engine in engines() {
        let mut m = pc(engine)
            .firmware(FirmwareChoice::SeaBios)
            .image(boot_sector())
            .debugcon(SinkSpec::None)
            .build()
            .unwrap();
        let outcome = m.run();
        let log = String::from_utf8_lossy(m.debugcon()).into_owned();
        assert_eq!(outcome.ended, Ended::HaltedForGood, "{engine:?}\n{log}");
        assert!(log.contains("SeaBIOS"), "{engine:?}\n{log}");
        assert!(log.ends_with("B"), "{engine:?}\n{log}");
        let screen: Vec<String> = m.screen().unwrap().lines().collect();
        assert!(screen.iter().any(|l| l.ends_with('A')), "{engine:?} {screen:#?}");
    }
}
