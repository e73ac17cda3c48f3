//! Hang detection: the guest is back in a state that it was in before, and nothing that can still happen will lead it
//! out of there.
//!
//! Exact, not a guess: a state is the CPU's registers and all memory that was ever written. Between the two meetings
//! the guest has written to no port, read none whose value passes with time, taken no interrupt but the firmware's own
//! tick, and asked for no service that has to do with time; no chip has an event due that the guest could see, and no
//! input can come. Cheap: every [`SAMPLE`] instructions two numbers are compared, and only a guest that was quiet for a
//! power of two of samples is looked at closely. On soft under the virtual clock.

mod cycle;
mod memory;
mod ticks;

use hako_engine::Deadline;
use hako_x86::CpuState;

use crate::machine::Machine;
use crate::outcome::Ended;
use memory::Copy;

/// Instructions between two looks.
const SAMPLE: u64 = 50_000;

/// What is remembered between two looks.
#[derive(Default)]
pub(crate) struct Watch {
    /// The count of the next look.
    next: u64,
    /// What the guest had done at the last look.
    seen: Done,
    /// Looks since then at which it had done no more.
    quiet: u64,
    /// HLTs woken by nothing but the tick, so far.
    halts: u64,
    /// The state at the last HLT.
    halt: Option<Met>,
}

/// What the guest has done that can be seen outside, or could be seen to change.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Done {
    activity: u64,
    volatile: u64,
    acknowledged: u64,
}

/// A state that may be met again.
struct Met {
    cpu: CpuState,
    memory: Copy,
    done: Done,
}

impl Watch {
    /// A deadline not behind the next look.
    pub fn deadline(&self, until: Deadline) -> Deadline {
        match until {
            Deadline::Count(n) => Deadline::Count(n.min(self.next)),
            Deadline::Never | Deadline::After(_) => Deadline::Count(self.next),
        }
    }
}

/// Two states are the same whatever the time is.
fn same(a: &CpuState, b: &CpuState) -> bool {
    // Cheap fields first: most states differ in them.
    a.rip == b.rip && a.gpr == b.gpr && {
        let at = |s: &CpuState| CpuState { tsc: 0, ..s.clone() };
        at(a) == at(b)
    }
}

impl Machine {
    fn done(&self) -> Done {
        Done {
            activity: self.core.activity,
            volatile: self.core.board.volatile_reads(),
            acknowledged: self.core.acknowledged,
        }
    }

    /// Whether hangs can be told at all here.
    pub(crate) fn can_watch(&self) -> bool {
        let steps = self.core.trace.as_ref().is_some_and(|t| t.what.instr);
        self.engine.counts() && self.engine.cpus() == 1 && self.core.clock.is_virtual() && !steps
    }

    /// The look after each run of the engine.
    pub(crate) fn watch(&mut self) -> Result<(), Ended> {
        let count = self.raw_count();
        if count < self.hang.next || !self.can_watch() {
            return Ok(());
        }
        self.hang.next = count + SAMPLE;
        let done = self.done();
        if done != self.hang.seen {
            (self.hang.seen, self.hang.quiet) = (done, 0);
            return Ok(());
        }
        self.hang.quiet += 1;
        if !self.hang.quiet.is_power_of_two() || self.input_possible() {
            return Ok(());
        }
        self.look_for_cycle((self.hang.quiet * SAMPLE).min(cycle::LONGEST))
    }

    /// The state of the moment, unless the guest uses too much memory to be copied.
    fn meet(&mut self) -> Result<Option<Met>, Ended> {
        let cpu = self.state().map_err(|e| Ended::Failed(e.to_string()))?;
        let memory = Copy::of(self.core.board.memory().slab());
        Ok(memory.map(|memory| Met { cpu, memory, done: self.done() }))
    }

    /// A HLT with interrupts on, before it waits.
    pub(crate) fn watch_halt(&mut self, state: &CpuState) -> Result<(), Ended> {
        if !self.can_watch() || self.input_possible() || self.core.board.expects_more_than_ticks(true) {
            return Ok(());
        }
        if self.core.board.next_wake() == hako_engine::Time::NEVER {
            return Ok(()); // Halted for good: the caller says so.
        }
        self.hang.halts += 1;
        if !self.hang.halts.is_power_of_two() {
            // The next HLT after one that was remembered is compared with it.
            if let Some(met) = self.hang.halt.take()
                && same(&met.cpu, state)
            {
                return self.compare_halts(&met);
            }
            return Ok(());
        }
        self.hang.halt = self.meet()?;
        self.core.services = 0;
        Ok(())
    }
}
