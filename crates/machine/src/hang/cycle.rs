//! A guest that runs in circles.

use hako_engine::{Breakpoint, BreakpointKind, Deadline, Debug, ExitKind};
use hako_x86::{CpuState, RFlags};

use super::{Met, same, ticks};
use crate::engine::Engine;
use crate::machine::Machine;
use crate::outcome::Ended;

/// The longest circle that is looked for, in instructions.
pub(super) const LONGEST: u64 = 400_000;
/// The longest circle that is walked an instruction at a time.
const LONGEST_WALK: u64 = 100_000;

impl Machine {
    /// Runs at most `budget` instructions on, and sees whether the state of this moment comes back.
    pub(super) fn look_for_cycle(&mut self, budget: u64) -> Result<(), Ended> {
        let Some(met) = self.meet()? else { return Ok(()) };
        let begin = self.raw_count();
        let stop = Breakpoint { kind: BreakpointKind::Execute, address: met.cpu.linear_rip(), len: 1 };
        self.set_breakpoints(vec![stop])?;
        let found = self.find_again(&met, begin.saturating_add(budget));
        self.set_breakpoints(Vec::new())?;
        if !found? {
            return Ok(());
        }
        let period = self.raw_count() - begin;
        self.judge(&met, period)
    }

    fn set_breakpoints(&mut self, breakpoints: Vec<Breakpoint>) -> Result<(), Ended> {
        let debug = Debug { step: false, breakpoints };
        self.engine.vcpu().set_debug(&debug).map_err(|e| Ended::Failed(e.to_string()))
    }

    /// Whether the CPU comes back to `met` before instruction `until`, with memory as it was and nothing done.
    fn find_again(&mut self, met: &Met, until: u64) -> Result<bool, Ended> {
        // Off the breakpoint.
        if !self.step_quietly(met)? {
            return Ok(false);
        }
        loop {
            let now = self.state().map_err(|e| Ended::Failed(e.to_string()))?;
            if same(&now, &met.cpu) && met.memory.same(self.core.board.memory().slab(), |_| false) {
                return Ok(true);
            }
            if now.rip == met.cpu.rip && !self.step_quietly(met)? {
                return Ok(false);
            }
            if self.raw_count() >= until || !self.run_quietly(met, until)? {
                return Ok(false);
            }
        }
    }

    /// One instruction; `false` if it was none of a circle's.
    fn step_quietly(&mut self, met: &Met) -> Result<bool, Ended> {
        let next = self.raw_count() + 1;
        self.run_quietly(met, next)
    }

    /// Runs to the breakpoint or to `until`; `false` if anything else happened, which the run loop then sees to.
    fn run_quietly(&mut self, met: &Met, until: u64) -> Result<bool, Ended> {
        let begin = self.raw_count();
        loop {
            let count = self.raw_count();
            if self.core.next_event() <= self.core.now(count) {
                return Ok(false);
            }
            self.core.horizon = self.core.next_event();
            let event = self.core.clock.deadline(count, self.core.horizon, true);
            let limit = match event {
                Deadline::Count(n) => n.min(until),
                Deadline::Never | Deadline::After(_) => until,
            };
            let exit = self
                .engine
                .vcpu()
                .run(&mut self.core, Deadline::Count(limit))
                .map_err(|e| Ended::Failed(e.to_string()))?;
            self.grant_all()?;
            if self.done() != met.done {
                return Ok(false);
            }
            match exit.kind {
                ExitKind::Wish => {}
                // A breakpoint stops before its instruction, also when the run begins on it.
                ExitKind::Debug(_) if self.raw_count() == begin => {}
                ExitKind::Debug(_) => return Ok(true),
                ExitKind::Deadline => return Ok(self.raw_count() >= until),
                // HLT, a triple fault: the CPU says it again when it is run again.
                _ => return Ok(false),
            }
        }
    }

    /// The circle is closed: whether anything can still break it.
    fn judge(&mut self, met: &Met, period: u64) -> Result<(), Ended> {
        if self.core.board.expects_more_than_ticks(true) {
            return Ok(());
        }
        // Only an interrupt can, if one may come at all and the circle ever lets it in.
        if self.core.board.next_wake() != hako_engine::Time::NEVER {
            if period > LONGEST_WALK {
                return Ok(());
            }
            let firmwares =
                self.bios.is_some() && ticks::handled_by_firmware(&met.cpu, self.core.board.memory());
            if !self.walk(period, firmwares)? {
                return Ok(());
            }
        }
        Err(Ended::Hang(describe(&met.cpu, period)))
    }

    /// Goes once around, an instruction at a time. `false` if the tick could break the circle: it is let in, and is not
    /// the firmware's own, or an instruction or service looks at what it counts.
    fn walk(&mut self, period: u64, firmwares: bool) -> Result<bool, Ended> {
        self.core.services = 0;
        let end = self.raw_count() + period;
        let (mut lets_in, mut looks) = (false, false);
        while self.raw_count() < end {
            let state = self.state().map_err(|e| Ended::Failed(e.to_string()))?;
            lets_in |= state.rflags.contains(RFlags::IF);
            looks = looks
                || !ticks::in_firmware(&state) && ticks::reads_tick_count(&state, self.core.board.memory());
            if lets_in && (looks || !firmwares) {
                return Ok(false);
            }
            let before = self.raw_count();
            let Engine::Soft(v) = &mut self.engine else { return Ok(false) };
            let _ = v.cpu().step(&mut self.core);
            self.grant_all()?;
            if self.raw_count() == before {
                return Ok(false); // An exception or an interrupt: not a circle after all.
            }
        }
        Ok(!lets_in || ticks::timeless(self.core.services))
    }

    /// Two HLTs in the same registers, woken by the tick alone: whether the guest did nothing but wait in between, and
    /// will do so again.
    pub(super) fn compare_halts(&mut self, met: &Met) -> Result<(), Ended> {
        let only_ticks = |at: u64| ticks::TICK_BYTES.contains(&at);
        let done = self.done();
        let quiet = done.volatile == met.done.volatile;
        let memory = self.core.board.memory();
        if !quiet
            || self.bios.is_none()
            || !ticks::handled_by_firmware(&met.cpu, memory)
            || !ticks::timeless(self.core.services)
            || !met.memory.same(memory.slab(), only_ticks)
        {
            return Ok(());
        }
        // Once more around, an instruction at a time, to see whether the guest looks at the tick count.
        self.walk_to_next_halt(met)
    }

    fn walk_to_next_halt(&mut self, met: &Met) -> Result<(), Ended> {
        const LIMIT: u32 = 10_000;
        let count = self.raw_count();
        let wake = self.core.next_event();
        self.core.clock.skip_to(count, wake);
        self.core.tick(wake);
        self.core.horizon = self.core.next_event();
        for _ in 0..LIMIT {
            let state = self.state().map_err(|e| Ended::Failed(e.to_string()))?;
            let own = ticks::in_firmware(&state);
            if !own && ticks::reads_tick_count(&state, self.core.board.memory()) {
                return Ok(());
            }
            let before = self.done();
            let Engine::Soft(v) = &mut self.engine else { return Ok(()) };
            let stop = v.cpu().step(&mut self.core);
            self.grant_all()?;
            let after = self.done();
            if !own && after.acknowledged == before.acknowledged && after != before {
                return Ok(());
            }
            if stop.kind == hako_cpu::StopKind::Halt {
                let state = self.state().map_err(|e| Ended::Failed(e.to_string()))?;
                let back = same(&state, &met.cpu)
                    && met.memory.same(self.core.board.memory().slab(), |at| ticks::TICK_BYTES.contains(&at));
                return if back { Err(Ended::Hang(describe_halt(&state))) } else { Ok(()) };
            }
        }
        Ok(())
    }
}

fn place(state: &CpuState) -> String {
    format!("{:04x}:{:04x}", state.segment(hako_x86::SegReg::Cs).selector, state.rip)
}

fn describe(state: &CpuState, period: u64) -> String {
    let at = place(state);
    match period {
        1 => format!("the instruction at {at} jumps to itself"),
        n => format!("the {n} instructions from {at} on repeat without change"),
    }
}

fn describe_halt(state: &CpuState) -> String {
    let at = place(state);
    if ticks::in_firmware(state) {
        format!("a firmware service halted at {at} waits for input that cannot come")
    } else {
        format!("HLT before {at} is woken by nothing but the timer's tick")
    }
}
