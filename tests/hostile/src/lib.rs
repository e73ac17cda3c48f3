//! Guests that try to harm their host, and what the tests need to run them.
//!
//! A [`Guest`] is code for one mode of the CPU in the small world of [`hako_fuzz::modes`], made into a disk whose boot
//! sector loads the world and enters the mode. Whatever it does, a run has to end in a clear verdict.
#![forbid(unsafe_code)]

mod boot;
pub mod engines;
pub mod lockstep;

use std::time::Duration;

use hako_fuzz::modes::{self, Mode};
use hako_machine::{Builder, ClockKind, Ended, EngineChoice, Machine, Outcome};
use hako_mem::{Gpa, GuestMemory};

/// What the handler of every vector does where nothing else is said: CLI, HLT.
pub const HALT: [u8; 8] = [0xfa, 0xf4, 0xeb, 0xfc, 0, 0, 0, 0];
/// Goes on with the instruction that faulted, for ever (IRETQ).
pub const RETRY: [u8; 8] = [0x48, 0xcf, 0, 0, 0, 0, 0, 0];

/// A guest that means no good.
#[derive(Clone, Debug)]
pub struct Guest {
    /// What it tries.
    pub name: String,
    /// The mode its code runs in; rings other than 0 it has to enter itself.
    pub mode: Mode,
    /// Its code, at [`modes::CODE`].
    pub code: Vec<u8>,
    /// The first bytes of each exception handler.
    pub handlers: [u8; 8],
    /// What else is in memory: address and bytes.
    pub patches: Vec<(u64, Vec<u8>)>,
}

impl Guest {
    /// A guest whose exceptions halt it.
    pub fn new(name: impl Into<String>, mode: Mode, code: impl Into<Vec<u8>>) -> Guest {
        Guest { name: name.into(), mode, code: code.into(), handlers: HALT, patches: Vec::new() }
    }

    /// With other handlers.
    #[must_use]
    pub fn handlers(mut self, handlers: [u8; 8]) -> Guest {
        self.handlers = handlers;
        self
    }

    /// With something else in memory.
    #[must_use]
    pub fn patch(mut self, at: u64, bytes: impl Into<Vec<u8>>) -> Guest {
        self.patches.push((at, bytes.into()));
        self
    }

    /// The disk that boots it.
    pub fn disk(&self) -> Vec<u8> {
        let memory = GuestMemory::flat(modes::RAM);
        modes::tables(self.mode, &memory, &self.handlers);
        let code = (modes::CODE, self.code.clone());
        for (at, bytes) in self.patches.iter().chain([&code]) {
            assert!(memory.write(Gpa(*at), bytes).is_ok(), "{} does not fit", self.name);
        }
        boot::disk(self.mode, &memory)
    }
}

/// How long a guest may run: guest time on soft, the host's on kvm.
fn limit(engine: EngineChoice) -> Duration {
    Duration::from_millis(if engine == EngineChoice::Soft { 2 } else { 100 })
}

/// The machine that hostile guests get.
pub fn machine(engine: EngineChoice) -> Builder {
    let clock = if engine == EngineChoice::Soft { ClockKind::Virtual } else { ClockKind::Host };
    Machine::builder().engine(engine).clock(clock).memory(4 << 20).no_reboot(true).timeout(limit(engine))
}

/// Runs guests one after another in one machine, and judges each end.
pub fn run_all(engine: EngineChoice, guests: &[Guest]) {
    let Some(first) = guests.first() else { return };
    let floppy = vec![0u8; 1440 << 10];
    let mut m = match machine(engine).image(first.disk()).floppy(floppy).build() {
        Ok(m) => m,
        Err(why) => panic!("{engine:?}: {why}"),
    };
    for guest in guests {
        if let Err(why) = m.reset_to(guest.disk()) {
            panic!("{engine:?}: {}: {why}", guest.name);
        }
        let outcome = m.run();
        judge(engine, &guest.name, &outcome);
    }
    assert!(peak_memory_kib() < 600 << 10, "the host had to give {} KiB", peak_memory_kib());
}

/// What no guest may bring about: a failure of hako's own, or, where every instruction is ours, one not understood.
pub fn judge(engine: EngineChoice, name: &str, outcome: &Outcome) {
    let clear = match &outcome.ended {
        Ended::Failed(_) | Ended::Signal(_) | Ended::Left => false,
        Ended::Refused(_) | Ended::Unknown(_) => engine != EngineChoice::Soft,
        _ => true,
    };
    assert!(clear && outcome.status != 8, "{name} on {engine:?}: {}", outcome.ended);
}

/// The most memory that this process has had, in KiB.
fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
