//! Virtio disks of whole machines: a driver of our own on every engine, on kvm with a thread that serves.

mod common;

use std::io::Write;
use std::time::Duration;

use common::{engines, pc};
use hako_guests::Guest;
use hako_machine::{Builder, DiskInterface, DiskSpec, Ended, EngineChoice};

const BOTH: [DiskInterface; 2] = [DiskInterface::Virtio, DiskInterface::VirtioLegacy];

fn disk() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[0; 1 << 20]).unwrap();
    file
}

/// A machine with the driver in `guests/asm/virtio-blk.s`.
fn machine(engine: EngineChoice, interface: DiskInterface, file: &tempfile::NamedTempFile) -> Builder {
    let disk = DiskSpec { interface: Some(interface), ..file.path().to_path_buf().into() };
    pc(engine).memory(16 << 20).image(Guest::named("virtio-blk").unwrap().image).disk(disk)
}

fn passes(builder: Builder, what: &str) {
    let mut m = builder.build().unwrap();
    let outcome = m.run();
    assert_eq!(outcome.ended, Ended::DebugExit(0x10), "{what}: {}", String::from_utf8_lossy(m.serial()));
}

#[test]
fn pins_messages_resets_moves_and_broken_rules_on_every_engine() {
    for engine in engines() {
        for interface in BOTH {
            let file = disk();
            passes(machine(engine, interface, &file), &format!("{engine:?} {interface:?}"));
            let image = std::fs::read(file.path()).unwrap();
            let sector = &image[5 * 512..6 * 512];
            assert!(
                sector[0] != 0 && sector.iter().zip(&sector[4..]).all(|(a, b)| a == b),
                "what was flushed"
            );
            assert!(image.iter().enumerate().all(|(n, byte)| *byte == 0 || n / 512 == 5), "and nothing else");
        }
    }
}

#[test]
fn several_cpus_do_not_change_that() {
    for engine in engines() {
        let file = disk();
        passes(machine(engine, DiskInterface::Virtio, &file).cpus(2), &format!("{engine:?}"));
    }
}

#[test]
fn two_disks_have_threads_of_their_own() {
    for engine in engines() {
        let (first, second) = (disk(), disk());
        let other =
            DiskSpec { interface: Some(DiskInterface::VirtioLegacy), ..second.path().to_path_buf().into() };
        passes(machine(engine, DiskInterface::Virtio, &first).disk(other), &format!("{engine:?}"));
        assert!(std::fs::read(second.path()).unwrap().iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_run_may_end_while_a_disk_is_at_work() {
    for engine in engines() {
        for interface in BOTH {
            let file = disk();
            let limit = Duration::from_millis(if engine == EngineChoice::Kvm { 60 } else { 1 });
            let m = machine(engine, interface, &file).append("=s1000000").timeout(limit);
            assert_eq!(m.build().unwrap().run().ended, Ended::Timeout, "{engine:?} {interface:?}");
        }
    }
}

#[test]
fn on_soft_every_run_is_the_same() {
    let run = || {
        let file = disk();
        let outcome = machine(EngineChoice::Soft, DiskInterface::Virtio, &file).build().unwrap().run();
        (outcome.count, outcome.time)
    };
    assert_eq!(run(), run());
}
