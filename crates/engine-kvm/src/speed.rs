//! How fast a KVM executes, measured in the VM that is then used, before its guest starts: 0.15 ms where ring 0 is
//! emulated, some 30 us where it is not.

use std::time::{Duration, Instant};

use hako_engine::{At, Attention, Bus, Deadline, EngineError, ExitKind};
use hako_mem::{GuestMemory, RegionKind};
use hako_x86::{CpuState, SegReg, Segment, Width};

use crate::probe::strange;
use crate::state::{Held, Parts};
use crate::vcpu::KvmVcpu;

/// How fast this KVM executes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Nanoseconds per instruction of a real-mode loop, which no KVM can run in the host's ring 3.
    pub ring0_ns_per_instruction: f64,
    /// Nanoseconds from an OUT of the guest to us and back.
    pub exit_ns: f64,
}

/// A processor needs less for an instruction of a loop, an emulator more.
const EMULATION_NS: f64 = 50.0;

impl Speed {
    /// Whether ring 0 is emulated instruction by instruction rather than executed by the processor.
    pub fn is_emulated(&self) -> bool {
        self.ring0_ns_per_instruction > EMULATION_NS
    }
}

/// Iterations of the first loop, and of the second, which is exact on fast hardware and affordable only there.
const SHORT: u16 = 64;
const LONG: u16 = 16_384;

/// The guest: five OUTs, a short loop, an OUT, a long loop, an OUT.
#[rustfmt::skip]
const CODE: [u8; 22] = [
    0xe6, 0x80, 0xe6, 0x80, 0xe6, 0x80, 0xe6, 0x80, 0xe6, 0x80, // out 0x80, al
    0xb9, SHORT as u8, (SHORT >> 8) as u8, 0xe2, 0xfe,          // mov cx, SHORT; loop $
    0xe6, 0x80,
    0xb9, LONG as u8, (LONG >> 8) as u8, 0xe2, 0xfe,            // mov cx, LONG; loop $
];
/// The last OUT.
const END: [u8; 2] = [0xe6, 0x80];
/// Which OUT is the first one, the one before the short loop, the one behind it and the last.
const FIRST: usize = 0;
const BEFORE: usize = 4;
const BEHIND: usize = 5;
const LAST: usize = 6;

/// A bus that takes the time of each OUT.
pub(crate) struct Stopwatch {
    memory: GuestMemory,
    times: Vec<Instant>,
}

impl Stopwatch {
    pub(crate) fn new(memory: &GuestMemory) -> Stopwatch {
        Stopwatch { memory: memory.clone(), times: Vec::with_capacity(LAST + 1) }
    }

    fn between(&self, from: usize, to: usize) -> Option<Duration> {
        Some(self.times.get(to)?.saturating_duration_since(*self.times.get(from)?))
    }

    /// What the times say so far.
    fn speed(&self) -> Option<Speed> {
        let exit = self.between(FIRST, BEFORE)? / (BEFORE - FIRST) as u32;
        let per = |took: Duration, n: u16| took.saturating_sub(exit).as_nanos() as f64 / f64::from(n);
        let short = per(self.between(BEFORE, BEHIND)?, SHORT);
        let long = self.between(BEHIND, LAST).map(|took| per(took, LONG));
        Some(Speed { ring0_ns_per_instruction: long.unwrap_or(short), exit_ns: exit.as_nanos() as f64 })
    }
}

impl Bus for Stopwatch {
    fn port_out(&mut self, _: At, _: u16, _: Width, _: &[u8]) -> Attention {
        self.times.push(Instant::now());
        let slow = self.speed().is_some_and(|speed| speed.is_emulated());
        if slow || self.times.len() > LAST { Attention::WISH } else { Attention::empty() }
    }
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }
}

impl KvmVcpu {
    /// Measures this KVM on a CPU that has not run yet and leaves the CPU in its reset state and the memory as it was.
    /// Needs a page of RAM below 1 MiB, of which it borrows the first bytes.
    pub fn measure(&mut self, memory: &GuestMemory) -> Result<Speed, EngineError> {
        let regions = memory.map().regions();
        let ram = regions.iter().find(|r| r.kind == RegionKind::Ram && r.gpa.0 < 0x10_0000);
        let at = ram.ok_or_else(|| strange("there is no RAM below 1 MiB".to_owned()))?.gpa;
        let unusable = |e: hako_mem::MemError| strange(e.to_string());
        let mut kept = [0; CODE.len() + END.len()];
        memory.read(at, &mut kept).map_err(unusable)?;
        let mut code = CODE.to_vec();
        code.extend_from_slice(&END);
        memory.write(at, &code).map_err(unusable)?;

        let mut state = CpuState::reset();
        state.seg[SegReg::Cs as usize] = Segment::real((at.0 >> 4) as u16);
        state.rip = 0;
        self.set_partial_state(&state, Parts::CORE)?;
        let mut watch = Stopwatch::new(memory);
        let exit = self.run_until(&mut watch, Deadline::After(Duration::from_millis(100)))?;

        memory.write(at, &kept).map_err(unusable)?;
        self.set_partial_state(&CpuState::reset(), Parts::CORE)?;
        // The loops have touched nothing else.
        self.held = Held::reset();
        match (exit.kind, watch.speed()) {
            (ExitKind::Wish, Some(speed)) => Ok(speed),
            // Not through in 100 ms: slower than anything known.
            (ExitKind::Deadline, _) => Ok(Speed { ring0_ns_per_instruction: 1e6, exit_ns: 1e6 }),
            (kind, _) => Err(strange(format!("a loop ended with {kind:?}"))),
        }
    }
}
