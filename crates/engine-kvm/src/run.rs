//! The run loop: KVM_RUN, let the bus answer, again.
//!
//! *Complete before you look.* At an I/O exit KVM is in the middle of an instruction: its registers are stale (rip is
//! past an OUT, but still on an IN or a string instruction), and only the next KVM_RUN finishes it. The loop goes there
//! anyway; before it leaves for any reason, [`KvmVcpu::finish`] enters KVM_RUN with `immediate_exit` set, which finishes
//! the access and executes nothing more, and at the same time fetches all registers. So outside `run` nothing is ever
//! pending.

use std::time::{Duration, Instant};

use hako_engine::{Attention, Bus, Deadline, EngineError, Exit, ExitKind, Vcpu};
use hako_x86::{Activity, RFlags};
use kvm_bindings::{
    KVM_EXIT_DEBUG, KVM_EXIT_HLT, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_INTR, KVM_EXIT_IO,
    KVM_EXIT_IRQ_WINDOW_OPEN, KVM_EXIT_MMIO, KVM_EXIT_SHUTDOWN, KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR,
    KVM_SYNC_X86_EVENTS, KVM_SYNC_X86_VALID_FIELDS, KVMIO, kvm_interrupt,
};
use kvm_ioctls::Error;
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

use crate::debug::Meaning;
use crate::error::host;
use crate::kick::{Kicker, Running};
use crate::vcpu::{KvmVcpu, exit_at};

ioctl_iow_nr!(KVM_INTERRUPT, KVMIO, 0x86, kvm_interrupt);

/// With the irqchip in the kernel HLT does not exit: a vCPU that has not exited for so long is looked at.
const WATCH: Duration = Duration::from_millis(20);

/// Exits that finishing one access may take: KVM's emulator goes through at most 1024 iterations of a string
/// instruction without coming to an instruction boundary, with a read and a write of up to four pieces each.
const FINISH_LIMIT: u32 = 1024 * 8;

/// The #UD vector.
const UD: u8 = 6;

/// Why KVM_RUN came back.
enum Entered {
    Exit(u32),
    Interrupted,
    Failed(Error),
}

/// The points in real time at which the loop looks up.
struct Alarms {
    deadline: Option<Instant>,
    /// When a halted CPU is looked for, and how many exits there were when that was decided.
    watch: Option<(Instant, u64)>,
}

impl Alarms {
    fn next(&self) -> Option<Instant> {
        match (self.deadline, self.watch) {
            (Some(d), Some((w, _))) => Some(d.min(w)),
            (d, w) => d.or(w.map(|w| w.0)),
        }
    }
}

impl KvmVcpu {
    pub(crate) fn run_until(&mut self, bus: &mut dyn Bus, until: Deadline) -> Result<Exit, EngineError> {
        if let Some(exit) = self.deferred.take() {
            return Ok(exit);
        }
        self.follow(bus.memory())?;
        if let Some(exit) = self.wait(bus)? {
            return Ok(exit);
        }
        let deadline = match until {
            Deadline::Never => None,
            Deadline::After(d) => Instant::now().checked_add(d),
            Deadline::Count(_) => {
                return Err(EngineError::Host {
                    what: "a deadline in instructions",
                    why: "KVM does not count instructions".to_owned(),
                    remedy: "use --engine soft".to_owned(),
                });
            }
        };
        self.prepare_debugging()?;
        let mut alarms = Alarms { deadline, watch: None };
        if self.irqchip {
            let now = Instant::now();
            // A run may be over before anybody looks up.
            if self.find_starved(now)? {
                return Ok(self.here(ExitKind::Deadline));
            }
            alarms.watch = Some((now + WATCH, self.counts.all));
        }

        let kicker = self.kicker.clone();
        let immediate_exit = self.page().immediate_exit();
        // SAFETY: the flag lies in the vCPU's mapping, which lives as long as `self`, longer than `running`.
        let running = unsafe { Running::enter(&kicker, immediate_exit) }?;
        let left = self.run_loop(bus, &running, &kicker, &mut alarms);
        drop(running);
        // The signal may have come after the last KVM_RUN; its reason is kept elsewhere (`kick.rs`).
        self.page().set_immediate_exit(false);
        left
    }

    /// A CPU that does not run: what it waits for, and the exit if that is not there.
    fn wait(&mut self, bus: &mut dyn Bus) -> Result<Option<Exit>, EngineError> {
        match self.activity {
            Activity::Shutdown => {
                let rip = self.page().sync().regs.rip;
                return Ok(Some(exit_at(ExitKind::TripleFault, rip)));
            }
            Activity::Halted | Activity::WaitForSipi if !self.irqchip => {
                let lines = bus.lines(self.at);
                if lines.nmi {
                    self.nmi()?;
                }
                // Of the events only those that were set from outside can wake it: KVM delivers its own first.
                let events_known = self.fresh;
                let sync = *self.page().sync();
                let halted = self.activity == Activity::Halted;
                let intr = lines.intr && sync.regs.rflags & RFlags::IF.bits() != 0;
                let nmi = events_known && sync.events.nmi.pending != 0 && sync.events.nmi.masked == 0;
                if halted && (intr || nmi) {
                    self.activity = Activity::Running;
                }
                self.look_at_lines = true;
            }
            _ => {}
        }
        if !self.irqchip && self.activity != Activity::Running {
            return Ok(Some(self.halt_exit()));
        }
        Ok(None)
    }

    /// The CPU stands behind a HLT.
    fn halt_exit(&mut self) -> Exit {
        let behind = self.page().sync().regs.rip;
        exit_at(ExitKind::Halt, behind.wrapping_sub(1))
    }

    fn prepare_debugging(&mut self) -> Result<(), EngineError> {
        let rip = self.page().sync().regs.rip;
        self.debugging.leave(&self.fd, rip)?;
        if self.moved && self.debugging.steps() {
            self.flush()?;
            self.debugging.apply(&self.fd)?;
        }
        self.moved = false;
        Ok(())
    }

    fn run_loop(
        &mut self,
        bus: &mut dyn Bus,
        running: &Running<'_>,
        kicker: &Kicker,
        alarms: &mut Alarms,
    ) -> Result<Exit, EngineError> {
        self.missed = false;
        // A kick outside `run` has sent no signal.
        if kicker.take() {
            return Ok(self.here(ExitKind::Kicked));
        }
        self.set_alarm(running, alarms)?;
        loop {
            if self.look_at_lines {
                self.offer_interrupt(bus)?;
            }
            if std::mem::take(&mut self.missed) {
                if let Some(exit) = self.interrupted(kicker, alarms)? {
                    return Ok(exit);
                }
                self.set_alarm(running, alarms)?;
            }
            match self.enter()? {
                Entered::Exit(reason) => {
                    if let Some(exit) = self.exit(bus, reason)? {
                        return Ok(exit);
                    }
                }
                Entered::Failed(errno) => {
                    let detail = format!("KVM_RUN failed: {errno}");
                    return Ok(self.here(ExitKind::Unknown { code: errno.errno() as u64, detail }));
                }
                Entered::Interrupted => {
                    if let Some(exit) = self.interrupted(kicker, alarms)? {
                        return Ok(exit);
                    }
                    self.set_alarm(running, alarms)?;
                }
            }
        }
    }

    fn set_alarm(&mut self, running: &Running<'_>, alarms: &Alarms) -> Result<(), EngineError> {
        match alarms.next() {
            Some(at) => self.alarm.at(running.tid, Instant::now(), at),
            None => Ok(()),
        }
    }

    /// KVM_RUN, for the guest.
    fn enter(&mut self) -> Result<Entered, EngineError> {
        self.held.forget();
        self.fresh = false;
        let entered = kvm_run(self);
        // What KVM_RUN was asked for it has brought, also when it was interrupted.
        self.fresh = self.ask == KVM_SYNC_X86_VALID_FIELDS;
        self.counts.all += 1;
        match entered {
            Ok(KVM_EXIT_INTR) => Ok(Entered::Interrupted),
            Ok(reason) => {
                self.mp_state = self.irqchip.then_some(Activity::Running);
                Ok(Entered::Exit(reason))
            }
            Err(errno) if matches!(errno.errno(), libc::EINTR | libc::EAGAIN) => Ok(Entered::Interrupted),
            // Registers of ours that KVM does not take.
            Err(errno) if errno.errno() == libc::EINVAL => Err(self.failed(errno)),
            // Whatever else goes wrong may be the guest's doing: a KVM that emulates says ENOSPC of a guest that
            // executes where no memory is, any KVM says EFAULT where the host cannot give it a page.
            Err(errno) => Ok(Entered::Failed(errno)),
        }
    }

    /// KVM_RUN failed: the registers that waited for it are not to wait for the next one too.
    fn failed(&mut self, errno: Error) -> EngineError {
        self.page().clear_dirty();
        self.fresh = false;
        host("KVM_RUN")(errno)
    }

    /// An exit at the present rip.
    fn here(&mut self, kind: ExitKind) -> Exit {
        let rip = self.page().sync().regs.rip;
        exit_at(kind, rip)
    }

    /// Deals with an exit; `None` goes on.
    fn exit(&mut self, bus: &mut dyn Bus, reason: u32) -> Result<Option<Exit>, EngineError> {
        let kind = match reason {
            KVM_EXIT_IO | KVM_EXIT_MMIO | KVM_EXIT_X86_RDMSR | KVM_EXIT_X86_WRMSR => {
                let at = self.at;
                let Some(attention) = self.page().answer(bus, at) else {
                    let kind = self.page().unknown();
                    return Ok(Some(self.here(kind)));
                };
                self.counts.bus += 1;
                if attention.is_empty() && !self.debugging.steps() {
                    return Ok(None);
                }
                return self.attend(bus, attention);
            }
            KVM_EXIT_IRQ_WINDOW_OPEN => {
                self.counts.window += 1;
                self.look_at_lines = true;
                return Ok(None);
            }
            KVM_EXIT_HLT => {
                self.activity = Activity::Halted;
                // An interrupt that is there already wakes it at once.
                return self.wait(bus);
            }
            KVM_EXIT_DEBUG => {
                let (arch, rip) = (self.page().debug(), self.page().sync().regs.rip);
                match self.debugging.exit(&self.fd, &arch, rip)? {
                    Meaning::Hit(hit) => ExitKind::Debug(hit),
                    Meaning::Passed => return Ok(None),
                }
            }
            _ => self.fatal(reason)?,
        };
        Ok(Some(self.here(kind)))
    }

    /// Exits after which the guest cannot simply go on.
    fn fatal(&mut self, reason: u32) -> Result<ExitKind, EngineError> {
        match reason {
            KVM_EXIT_SHUTDOWN => {
                self.activity = Activity::Shutdown;
                Ok(ExitKind::TripleFault)
            }
            KVM_EXIT_INTERNAL_ERROR => {
                let kind = self.page().internal_error();
                if matches!(kind, ExitKind::Refused(_)) {
                    self.counts.refused += 1;
                    self.drop_queued_ud()?;
                    self.expect_refusals();
                }
                Ok(kind)
            }
            _ => Ok(self.page().unknown()),
        }
    }

    /// KVM queues a #UD when it refuses an instruction, unless it was asked not to (since Linux 5.15). The guest must not
    /// get it: somebody else executes the instruction.
    fn drop_queued_ud(&mut self) -> Result<(), EngineError> {
        if self.clean_refusals {
            return Ok(());
        }
        self.look()?;
        let mut sync = *self.page().sync();
        if sync.events.exception.nr == UD {
            sync.events.exception = Default::default();
            self.page().give(&sync, KVM_SYNC_X86_EVENTS);
        }
        Ok(())
    }

    /// Acts on what the bus says about an access that is not finished yet.
    fn attend(&mut self, bus: &mut dyn Bus, attention: Attention) -> Result<Option<Exit>, EngineError> {
        let leave = Attention::WISH | Attention::EVENTS;
        let mut seen = attention;
        self.note(bus, attention)?;
        if !seen.intersects(leave) && !self.debugging.steps() {
            return Ok(None);
        }
        let before = self.page().sync().regs.rip;
        seen |= self.finish(bus)?;
        let after = self.page().sync().regs.rip;
        // KVM sometimes stands behind the instruction at the exit already, and then nobody knows where it began.
        let rip = (before != after).then_some(before);
        if self.debugging.steps()
            && self.deferred.is_none()
            && let Meaning::Hit(hit) = self.debugging.stepped(&self.fd)?
        {
            self.deferred = Some(exit_at(ExitKind::Debug(hit), after));
        }
        if seen.contains(Attention::WISH) {
            return Ok(Some(Exit { kind: ExitKind::Wish, rip }));
        }
        if let Some(exit) = self.deferred.take() {
            return Ok(Some(exit));
        }
        Ok(seen.contains(Attention::EVENTS).then_some(Exit { kind: ExitKind::Deadline, rip }))
    }

    /// The parts of an attention that the engine itself acts on.
    fn note(&mut self, bus: &mut dyn Bus, attention: Attention) -> Result<(), EngineError> {
        if attention.contains(Attention::LINES) {
            self.look_at_lines = true;
        }
        if attention.contains(Attention::MAP) {
            self.follow(bus.memory())?;
        }
        Ok(())
    }

    /// Finishes the access that the last exit was about, without executing more, and fetches all registers. An exit
    /// other than an access is put off until the next `run`. Returns what the bus said about further accesses of the
    /// same instruction.
    fn finish(&mut self, bus: &mut dyn Bus) -> Result<Attention, EngineError> {
        let mut seen = Attention::empty();
        for _ in 0..FINISH_LIMIT {
            let Some(reason) = self.enter_and_leave()? else { return Ok(seen) };
            let at = self.at;
            match self.page().answer(bus, at) {
                Some(attention) => {
                    self.counts.bus += 1;
                    self.note(bus, attention)?;
                    seen |= attention;
                }
                None => {
                    self.deferred = self.exit(bus, reason)?;
                    return Ok(seen);
                }
            }
        }
        let detail = "an instruction made thousands of accesses and still did not end".to_owned();
        self.deferred = Some(self.here(ExitKind::Unknown { code: KVM_EXIT_MMIO.into(), detail }));
        Ok(seen)
    }

    /// KVM_RUN that executes nothing: finishes an access, takes over waiting registers, brings all registers. `None`
    /// when nothing further came of it.
    fn enter_and_leave(&mut self) -> Result<Option<u32>, EngineError> {
        let ask = self.ask;
        let mut page = self.page();
        page.set_immediate_exit(true);
        page.ask_for(KVM_SYNC_X86_VALID_FIELDS);
        let entered = kvm_run(self);
        let mut page = self.page();
        page.set_immediate_exit(false);
        page.ask_for(ask);
        self.missed = true;
        self.fresh = true;
        match entered {
            Ok(KVM_EXIT_INTR) => Ok(None),
            Ok(reason) => Ok(Some(reason)),
            Err(errno) if matches!(errno.errno(), libc::EINTR | libc::EAGAIN) => Ok(None),
            Err(errno) => Err(self.failed(errno)),
        }
    }

    /// Has all of `kvm_sync_regs` say what the CPU holds.
    pub(crate) fn look(&mut self) -> Result<(), EngineError> {
        if self.fresh {
            return Ok(());
        }
        self.enter_and_leave()?;
        Ok(())
    }

    /// Has KVM take over the registers that wait for the next KVM_RUN.
    pub(crate) fn flush(&mut self) -> Result<(), EngineError> {
        if self.page().dirty() {
            self.enter_and_leave()?;
        }
        Ok(())
    }

    /// A signal came, or nothing at all: looks for the reason.
    fn interrupted(&mut self, kicker: &Kicker, alarms: &mut Alarms) -> Result<Option<Exit>, EngineError> {
        self.counts.interrupted += 1;
        self.mp_state = None;
        // First this, then the reasons: see `kick.rs`.
        self.page().set_immediate_exit(false);
        if kicker.take() {
            return Ok(Some(self.here(ExitKind::Kicked)));
        }
        let now = Instant::now();
        if alarms.deadline.is_some_and(|d| d <= now) || self.find_starved(now)? {
            return Ok(Some(self.here(ExitKind::Deadline)));
        }
        let Some((at, exits)) = alarms.watch else { return Ok(None) };
        if at > now {
            return Ok(None);
        }
        // This interruption is itself counted.
        let quiet = self.counts.all <= exits + 1;
        alarms.watch = Some((now + WATCH, self.counts.all));
        if quiet && self.activity()? != Activity::Running {
            return Ok(Some(self.halt_exit()));
        }
        Ok(None)
    }

    /// Without irqchip: hands KVM an interrupt if it can take one, else asks for the moment when it can. A KVM that
    /// emulates looks for that moment only every hundred instructions or so, and misses short ones (STI, NOP, CLI).
    fn offer_interrupt(&mut self, bus: &mut dyn Bus) -> Result<(), EngineError> {
        self.look_at_lines = false;
        let at = self.at;
        let mut lines = bus.lines(at);
        if lines.nmi {
            self.raise_nmi()?;
        }
        if self.irqchip {
            return Ok(());
        }
        if lines.intr {
            // Registers that wait decide whether an interrupt can be taken; giving them up tells.
            self.flush()?;
        }
        if lines.intr && self.page().takes_interrupt() {
            let interrupt = kvm_interrupt { irq: bus.acknowledge(at).into() };
            // SAFETY: the ioctl reads one kvm_interrupt, which is what it is given.
            if unsafe { ioctl_with_ref(&self.fd, KVM_INTERRUPT(), &interrupt) } != 0 {
                return Err(host("KVM_INTERRUPT")(Error::last()));
            }
            self.fresh = false;
            self.page().interrupt_queued();
            lines = bus.lines(at);
        }
        self.page().want_window(lines.intr);
        Ok(())
    }
}

/// KVM_RUN; the reason of the exit.
fn kvm_run(vcpu: &mut KvmVcpu) -> Result<u32, Error> {
    vcpu.fd.run()?;
    Ok(vcpu.page().reason())
}
