//! What the machine costs around the guest. `cargo test --profile fast -p hako-machine --test speed -- --ignored --nocapture`

mod common;

use std::time::Instant;

use hako_machine::{ClockKind, EngineChoice, Machine, MachineKind};

/// A million OUTs to the debug console's neighbour, and as many INs.
#[test]
#[ignore = "measures"]
fn port_accesses() {
    // mov ecx, 1000000; l: out 0x80, al; in al, 0x80; dec ecx; jnz l; cli; hlt
    let code =
        [0x66, 0xb9, 0x40, 0x42, 0x0f, 0x00, 0xe6, 0x80, 0xe4, 0x80, 0x66, 0x49, 0x75, 0xf8, 0xfa, 0xf4];
    for detect in [false, true] {
        let mut m = Machine::builder()
            .engine(EngineChoice::Soft)
            .clock(ClockKind::Virtual)
            .detect_hang(detect)
            .image(common::mbr(&code))
            .build()
            .unwrap();
        let begin = Instant::now();
        m.run();
        println!("pc, hang detection {detect}: {:?} for an OUT and an IN", begin.elapsed() / 1_000_000);
    }
}

/// SeaBIOS to the first instruction of a boot sector.
#[test]
#[ignore = "measures"]
fn seabios() {
    let image = common::mbr(&[0xfa, 0xf4]);
    for _ in 0..3 {
        let begin = Instant::now();
        let mut m = Machine::builder()
            .engine(EngineChoice::Soft)
            .clock(ClockKind::Virtual)
            .firmware(hako_machine::FirmwareChoice::SeaBios)
            .image(&image[..])
            .build()
            .unwrap();
        let outcome = m.run();
        println!("SeaBIOS and a boot sector: {:?}, {:?} instructions", begin.elapsed(), outcome.count);
    }
}

/// The bare machine on KVM, a guest that halts at once.
#[test]
#[ignore = "measures"]
fn bare_on_kvm() {
    for _ in 0..5 {
        let begin = Instant::now();
        let mut m = Machine::builder()
            .engine(EngineChoice::Kvm)
            .machine(MachineKind::Bare)
            .memory(128 << 20)
            .image(&[0xf4][..])
            .build()
            .unwrap();
        let built = begin.elapsed();
        m.run();
        let ran = begin.elapsed();
        drop(m);
        println!("built {built:?}, ran {:?}, dropped {:?}", ran - built, begin.elapsed() - ran);
    }
}
