//! The run loop: events, input, the engine, and what its exits mean.

use std::time::Duration;

use hako_chips::Wish;
use hako_engine::{Deadline, EngineError, Exit, ExitKind, Time};

use crate::beat::Beat;
use crate::config::{MachineKind, TripleFault};
use crate::core::Core;
use crate::engine::Engine;
use crate::inbox::Waiting;
use crate::io_thread::IoThreads;
use crate::machine::{Machine, Progress};
use crate::outcome::{Ended, Outcome};

/// The longest sleep of a machine that nothing but input can wake. Input ends it at once: this is only a time that
/// every host's clock can wait for.
const LONG: Duration = Duration::from_secs(3600);

impl Machine {
    /// Runs to the end.
    pub fn run(&mut self) -> Outcome {
        loop {
            self.run_until(Time::NEVER, false);
            if let Some(outcome) = &self.outcome {
                return outcome.clone();
            }
        }
    }

    /// Runs until the end, guest time `until`, or, if `stop_on_output`, until the guest says something.
    pub fn run_until(&mut self, until: Time, stop_on_output: bool) -> Progress {
        self.core.stop_on_output = stop_on_output;
        self.core.spoke = false;
        let progress = loop {
            if self.outcome.is_some() {
                break Progress::Ended;
            }
            if stop_on_output && self.core.spoke {
                break Progress::Output;
            }
            if self.core.now(self.raw_count()) >= until {
                break Progress::Time;
            }
            if let Err(ended) = self.advance(until) {
                self.end(ended);
            }
        };
        self.core.flush();
        progress
    }

    /// One run of the engine, and what its exit means.
    fn advance(&mut self, until: Time) -> Result<(), Ended> {
        self.take_input()?;
        self.hear_devices();
        self.next_turn();
        let count = self.raw_count();
        let now = self.core.now(count);
        let limit = self.limit();
        if now >= limit {
            return Err(Ended::Timeout);
        }
        if self.core.next_event() <= now {
            self.core.tick(now);
            self.heed_signals();
        }
        let count = self.raw_count();
        let (_, core, mut beat) = self.parts(until.min(limit));
        beat.look_ahead(core, now);
        let mut deadline = self.core.clock.deadline(count, self.core.horizon, self.engine.counts());
        if self.config.detect_hang && self.can_watch() {
            deadline = self.hang.deadline(deadline);
        }
        if let Engine::Soft(cpus) = &self.engine {
            deadline = cpus.limit(deadline);
        }
        self.trace_instruction()?;
        let (engine, core, mut beat) = self.parts(until.min(limit));
        let exit = engine.run(core, deadline, &mut beat).map_err(|e| Ended::Failed(e.to_string()))?;
        self.trace_exceptions();
        let count = self.raw_count();
        let in_vain = exit.kind == ExitKind::Halt && deadline != Deadline::Count(count);
        self.idle = self.ran(in_vain);
        if let Some(t) = self.core.trace.as_mut().filter(|t| t.what.exits)
            && !matches!(exit.kind, ExitKind::Debug(_))
        {
            t.exit(self.core.clock.now(count), &exit);
        }
        if let Some(e) = self.core.sink_error.take() {
            return Err(Ended::Host(format!("cannot write what the guest says: {e}")));
        }
        // A wish ends or restarts the machine whatever else the exit says.
        self.grant_all()?;
        self.handle(exit, until)?;
        if self.config.detect_hang { self.watch() } else { Ok(()) }
    }

    /// The engine, what is not CPU, and what happens beside the CPUs until `end`.
    pub(crate) fn parts(&mut self, end: Time) -> (&mut Engine, &mut Core, Beat<'_>) {
        let beat = Beat {
            inbox: &self.inbox,
            stdin: &mut self.stdin,
            inlet: self.inlet,
            io_threads: self.io_threads.as_ref(),
            shown: &mut self.shown,
            end,
        };
        (&mut self.engine, &mut self.core, beat)
    }

    /// When the time limit comes.
    fn limit(&self) -> Time {
        self.config.timeout.map_or(Time::NEVER, |t| Time::ZERO + t)
    }

    /// What chips want of the machine.
    pub(crate) fn grant_all(&mut self) -> Result<(), Ended> {
        while let Some(wish) = self.core.board.take_wish() {
            self.grant(wish)?;
        }
        Ok(())
    }

    /// What a chip wants of the machine.
    pub(crate) fn grant(&mut self, wish: Wish) -> Result<(), Ended> {
        match wish {
            Wish::Exit(v) => Err(Ended::DebugExit(v)),
            Wish::PowerOff => Err(Ended::PowerOff),
            Wish::Reset if self.config.no_reboot => Err(Ended::Reset),
            Wish::Reset => self.restart(),
            Wish::Firmware(_) => self.serve(),
        }
    }

    pub(crate) fn handle(&mut self, exit: Exit, until: Time) -> Result<(), Ended> {
        match exit.kind {
            ExitKind::Wish | ExitKind::Deadline | ExitKind::Kicked | ExitKind::Debug(_) => Ok(()),
            ExitKind::Halt => self.halted(until),
            ExitKind::TripleFault if self.config.triple_fault == TripleFault::Reset => {
                if self.config.no_reboot { Err(Ended::Reset) } else { self.restart() }
            }
            ExitKind::TripleFault => Err(Ended::TripleFault(Box::new(self.triple_fault_report()))),
            ExitKind::Refused(refusal) => self.rescue(refusal),
            ExitKind::Unknown { code, detail } => {
                Err(Ended::Unknown(Box::new(self.unknown_report(code, &detail))))
            }
        }
    }

    /// Where several CPUs take turns, gives the next one its turn if the last is over.
    fn next_turn(&mut self) {
        if let Engine::Soft(cpus) = &mut self.engine
            && let Some((from, to)) = cpus.turn()
        {
            self.core.clock.hand_over(from, to);
            self.core.show_cpu(cpus.current());
        }
    }

    /// An event may have raised a line of a CPU whose turn it is not: then the turn of the one that has it is over.
    fn heed_signals(&mut self) {
        if let Engine::Soft(cpus) = &mut self.engine
            && cpus.len() > 1
        {
            let others = !1u8.checked_shl(cpus.current().into()).unwrap_or(0);
            if self.core.board.take_signals() & others != 0 {
                cpus.end_turn();
                self.next_turn();
            }
        }
    }

    /// A CPU has run; `in_vain`: it is halted, and nothing that was there could wake it. Whether all are, on soft.
    fn ran(&mut self, in_vain: bool) -> bool {
        match &mut self.engine {
            Engine::Soft(cpus) => {
                let others = !1u8.checked_shl(cpus.current().into()).unwrap_or(0);
                cpus.ran(in_vain, self.core.board.take_signals() & others != 0)
            }
            Engine::Kvm(_) => false,
        }
    }

    /// HLT: for good, or until the next event.
    fn halted(&mut self, until: Time) -> Result<(), Ended> {
        if self.config.machine == MachineKind::Bare {
            return Err(Ended::HaltedForGood);
        }
        let rest = match &mut self.engine {
            Engine::Soft(_) => self.idle,
            Engine::Kvm(kvm) => kvm.cpus.rest().map_err(|e| Ended::Failed(e.to_string()))?,
        };
        if !rest {
            return Ok(());
        }
        let failed = |e: EngineError| Ended::Failed(e.to_string());
        if !self.engine.await_interrupt(&mut self.core).map_err(failed)? {
            return Err(Ended::HaltedForGood);
        }
        if self.config.detect_hang
            && let [state] = self.states().map_err(failed)?.as_slice()
        {
            self.watch_halt(state)?;
        }
        let wake = self.core.next_event();
        // Looked at first: an end of input that comes after it ends the sleep below.
        let open = self.inbox.with(|w| w.open);
        let timer = self.engine.timer_can_wake().map_err(failed)?;
        let served = self.io_threads.as_mut().is_some_and(IoThreads::may_wake);
        if !timer && !served && self.core.board.next_wake() == Time::NEVER && !self.input_possible() {
            return Err(Ended::HaltedForGood);
        }
        if !self.engine.counts() {
            // KVM waits by itself, and its timers with it.
            return Ok(());
        }
        let count = self.raw_count();
        let target = wake.min(until).min(self.limit());
        if self.core.clock.is_virtual() && target != Time::NEVER {
            self.core.clock.skip_to(count, target);
            return Ok(());
        }
        // Whoever watches wants to see what was said before the silence.
        self.core.flush();
        let left = target.since(self.core.now(count)).min(LONG);
        // Bytes are only of use where those before them are on their way: there may be no room for more.
        let room = self.core.incoming.is_empty(self.inlet);
        let news = |w: &Waiting| (room && !w.input.is_empty()) || w.is_urgent() || w.open != open;
        self.inbox.sleep(left, news);
        Ok(())
    }

    /// Ends the run.
    fn end(&mut self, ended: Ended) {
        self.recall_devices();
        let status = ended.status();
        self.outcome = Some(Outcome {
            ended,
            status,
            count: self.count(),
            time: self.time(),
            rescued: self.rescued,
            resets: self.resets,
        });
    }
}
