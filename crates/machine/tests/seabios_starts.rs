//! SeaBIOS with several CPUs, and the kernels that it starts by our option ROM. Where the host has no SeaBIOS, nothing is
//! tested.

mod common;

use common::{cached, engines, mbr, pc};
use hako_guests::Guest;
use hako_machine::{Builder, DiskSpec, Ended, EngineChoice, FirmwareChoice, ModuleSpec, Protocol};

/// A PC with SeaBIOS.
fn seabios(engine: EngineChoice) -> Option<Builder> {
    hako_machine::firmware::seabios()?;
    Some(pc(engine).firmware(FirmwareChoice::SeaBios))
}

#[test]
fn any_number_of_cpus_gets_through_its_start() {
    for cpus in [1, 2, 4, 8] {
        let Some(builder) = seabios(EngineChoice::Soft) else { return };
        // mov al, 0x10; out 0xf4, al; hlt
        let mut m = builder.cpus(cpus).image(mbr(&[0xb0, 0x10, 0xe6, 0xf4, 0xf4])).build().unwrap();
        let outcome = m.run();
        let log = String::from_utf8_lossy(m.debugcon()).into_owned();
        assert_eq!(outcome.ended, Ended::DebugExit(0x10), "{cpus} CPUs: {log}");
        assert!(log.contains(&format!("Found {cpus} cpu(s)")), "{log}");
    }
}

#[test]
fn the_option_rom_starts_kernels_of_every_kind() {
    for engine in engines() {
        let kinds = ["multiboot", "multiboot2", "pvh"];
        // On a software KVM SeaBIOS takes its time.
        let some = if engine == EngineChoice::Soft { &kinds[..] } else { &kinds[..1] };
        for &kind in some {
            let Some(builder) = seabios(engine) else { return };
            let [guest, hello] = [kind, "hello"].map(|name| Guest::named(name).unwrap().image);
            let mut config = builder.memory(16 << 20).image(guest).append("one two").config().clone();
            let (name, args) = ("builtin:hello".into(), "first".into());
            config.modules.push(ModuleSpec { name, source: hello.into(), args });
            let mut m = Builder::from_config(config).build().unwrap();
            let outcome = m.run();
            let text = String::from_utf8_lossy(m.serial()).into_owned();
            assert!(matches!(outcome.ended, Ended::DebugExit(_)), "{engine:?} {kind}: {text}");
            // It knows how much memory our firmware leaves; SeaBIOS keeps more for itself.
            let memory = |line: &&str| line.contains("usable memory") || line.contains("KiB from 1 MiB on");
            let failed: Vec<&str> = text.lines().filter(|l| l.starts_with("FAIL ") && !memory(l)).collect();
            assert!(failed.is_empty() && text.contains("OK   command line"), "{engine:?} {kind}: {text}");
        }
    }
}

#[test]
fn a_bzimage_asks_seabios_and_finds_its_root() {
    let (Some(kernel), Some(disk)) = (cached("tiny/up-mptable/bzImage"), cached("disk/root.img")) else {
        return;
    };
    for protocol in [None, Some(Protocol::Linux64)] {
        let Some(builder) = seabios(EngineChoice::Soft) else { return };
        let root = DiskSpec { snapshot: true, ..disk.clone().into() };
        let mut config =
            builder.image(kernel.clone()).append("console=ttyS0 root=/dev/vda1").disk(root).config().clone();
        config.protocol = protocol;
        let mut m = Builder::from_config(config).build().unwrap();
        m.run();
        let text = String::from_utf8_lossy(m.serial()).into_owned();
        assert!(text.contains("hello from /sbin/init"), "{protocol:?}: {text}");
    }
}
