//! A bench keeps its machine for the next test. Nothing of the last guest may be left in it: every guest must do on a
//! used bench exactly what it does on a new one, to the instruction.

use std::sync::Arc;
use std::time::Duration;

use hako_guests::{ALL, Guest, Medium};
use hako_machine::{ClockKind, Config, EngineChoice, Outcome};
use hako_testing::spec::Channel;
use hako_testing::{Bench, MachineBench, Screen};
use hako_x86::CpuState;

/// Everything that can be seen of a run.
#[derive(PartialEq)]
struct Seen {
    outcome: Option<Outcome>,
    time: Duration,
    serial: Vec<u8>,
    debugcon: Vec<u8>,
    printed: Vec<u8>,
    screen: Option<Screen>,
    cpu: Option<CpuState>,
    /// The first megabytes of memory at power-on.
    memory: Vec<u8>,
}

const LIMIT: Duration = Duration::from_millis(50);

/// One configuration for all, so that the bench keeps the machine; the images differ.
fn config(guest: &Guest) -> Arc<Config> {
    Arc::new(Config {
        engine: EngineChoice::Soft,
        clock: Some(ClockKind::Virtual),
        image: Some(guest.image.into()),
        no_reboot: true,
        timeout: Some(LIMIT),
        ..Config::default()
    })
}

fn run(bench: &mut MachineBench, guest: &Guest) -> Seen {
    let subject = bench.prepare(&config(guest)).unwrap();
    let memory = subject.memory(0, 3 << 20);
    while subject.outcome().is_none() && subject.now() < LIMIT {
        subject.run(LIMIT, false);
    }
    Seen {
        outcome: subject.outcome(),
        time: subject.now(),
        serial: subject.said(Channel::Com(0)).to_vec(),
        debugcon: subject.said(Channel::Debugcon).to_vec(),
        printed: subject.said(Channel::Screen).to_vec(),
        screen: subject.screen(),
        cpu: subject.state().ok(),
        memory,
    }
}

#[test]
fn a_used_bench_is_as_a_new_one() {
    let guests: Vec<_> = ALL.iter().filter(|guest| guest.medium == Medium::HardDisk).collect();
    let fresh: Vec<_> = guests.iter().map(|guest| run(&mut MachineBench::default(), guest)).collect();
    let mut bench = MachineBench::default();
    // There and back again, so that each guest follows two others.
    let order = (0..guests.len()).chain((0..guests.len()).rev());
    let mut before = "nothing";
    for number in order {
        let (used, new) = (run(&mut bench, guests[number]), &fresh[number]);
        let name = guests[number].name;
        assert!(used.memory == new.memory, "{name} behind {before}: memory at power-on");
        assert_eq!(used.outcome, new.outcome, "{name} behind {before}: the end");
        assert_eq!(used.serial, new.serial, "{name} behind {before}: the serial line");
        assert!(used == *new, "{name} behind {before}: something else");
        before = name;
    }
}
