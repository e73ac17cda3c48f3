//! The bus that a CPU sees: the board, the clock, the sinks and the trace.

use hako_board::Board;
use hako_engine::{At, Attention, Bus, Lines, Time};
use hako_firmware::TRAP_PORT;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::Width;

use crate::clock::Clock;
use crate::incoming::Incoming;
use crate::sink::Sinks;
use crate::trace::Trace;

/// A write to a port, as [`crate::Machine::ports_written`] lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortWrite {
    /// Guest time.
    pub time: Time,
    /// The port.
    pub port: u16,
    /// The width.
    pub width: Width,
    /// The value, zero-extended.
    pub value: u32,
}

/// The longest list of port writes kept.
const PORT_LOG: usize = 1 << 20;

/// Everything of a machine that is not the CPU, as a [`Bus`].
pub(crate) struct Core {
    pub board: Board,
    pub clock: Clock,
    pub sinks: Sinks,
    pub trace: Option<Trace>,
    /// Bytes on their way to the guest.
    pub incoming: Incoming,
    /// Something has come from outside.
    pub took_input: bool,
    /// The event that the running deadline stands for.
    pub horizon: Time,
    /// Leave `run` when the guest says something.
    pub stop_on_output: bool,
    /// The guest has said something since this was last cleared.
    pub spoke: bool,
    /// Accesses that show or change what may differ from one time to the next: for hang detection.
    pub activity: u64,
    /// Interrupts acknowledged.
    pub acknowledged: u64,
    /// The services of the built-in firmware that were asked for, by number.
    pub services: u32,
    /// Port writes, if asked for.
    pub ports: Option<Vec<PortWrite>>,
    /// The host could not take what the guest said.
    pub sink_error: Option<std::io::Error>,
}

impl Core {
    /// What every access ends with: fetch output, and see whether the deadline still holds. Most say nothing and move
    /// nothing.
    #[inline]
    fn settle(&mut self, attention: Attention) -> Attention {
        if self.board.output().is_empty() && self.next_event() >= self.horizon {
            return attention;
        }
        self.settle_changes(attention)
    }

    #[inline(never)]
    fn settle_changes(&mut self, mut attention: Attention) -> Attention {
        if !self.board.output().is_empty() {
            let waited = self.sinks.pending();
            self.fetch_output();
            // Whoever waits for output wants it now; so does a user whose guest has begun a line.
            if self.stop_on_output || (!waited && self.sinks.pending()) {
                attention |= Attention::EVENTS;
            }
        }
        if self.next_event() < self.horizon {
            attention |= Attention::EVENTS;
        }
        attention
    }

    /// When the board or a line to it has something to do.
    #[inline]
    pub fn next_event(&self) -> Time {
        self.board.next_event().min(self.next_byte())
    }

    /// Does what is due at `now`.
    pub fn tick(&mut self, now: Time) {
        if self.board.expects_more_than_ticks(true) {
            self.activity = self.activity.wrapping_add(1);
        }
        self.bytes_arrive(now);
        if self.board.next_event() <= now {
            let _ = self.board.tick(now);
        }
        if !self.board.output().is_empty() {
            self.fetch_output();
        }
    }

    /// Lets the host look at the CPUs: what it reads for that is no activity of the guest's.
    pub fn looked_at<T>(&mut self, look: impl FnOnce(&mut Core) -> T) -> T {
        let activity = self.activity;
        let seen = look(self);
        self.activity = activity;
        seen
    }

    /// From now on CPU number `cpu` is the one that the trace shows.
    pub fn show_cpu(&mut self, cpu: u8) {
        if let Some(t) = &mut self.trace {
            t.cpu = Some(cpu);
        }
    }

    /// As new at instruction `count`; the sinks stay open.
    pub fn restart(&mut self, count: u64) {
        self.clock.restart(count);
        self.sinks.forget();
        self.incoming.clear();
        (self.activity, self.acknowledged, self.services) = (0, 0, 0);
        (self.spoke, self.took_input) = (false, false);
        self.sink_error = None;
        if let Some(ports) = &mut self.ports {
            ports.clear();
        }
    }

    /// Takes what the board has to say.
    pub fn fetch_output(&mut self) {
        self.spoke = true;
        self.activity = self.activity.wrapping_add(1);
        let done = self.sinks.take(self.board.output());
        self.note(done);
    }

    /// Writes out what the guest said and what waits for its line to end.
    pub fn flush(&mut self) {
        let done = self.sinks.flush();
        self.note(done);
    }

    /// Remembers the first failure; the run loop ends the run.
    fn note(&mut self, done: std::io::Result<()>) {
        if let Err(e) = done {
            self.sink_error.get_or_insert(e);
        }
    }

    /// Guest time at instruction `count`.
    #[inline]
    pub fn now(&self, count: u64) -> Time {
        self.clock.now(count)
    }

    /// A port write for the trace and the list.
    #[cold]
    fn note_write(&mut self, now: Time, port: u16, width: Width, data: &[u8]) {
        if let Some(t) = self.trace.as_mut().filter(|t| t.what.io) {
            t.io(now, true, port, width, data);
        }
        let Some(log) = &mut self.ports else { return };
        for item in data.chunks_exact(width.bytes()) {
            if log.len() < PORT_LOG {
                let value = item.iter().rev().fold(0, |v, b| v << 8 | u32::from(*b));
                log.push(PortWrite { time: now, port, width, value });
            }
        }
    }
}

impl Bus for Core {
    fn port_in(&mut self, at: At, port: u16, width: Width, data: &mut [u8]) -> Attention {
        let now = self.now(at.count);
        let attention = self.board.port_in(now, port, width, data);
        if let Some(t) = self.trace.as_mut().filter(|t| t.what.io) {
            t.io(now, false, port, width, data);
        }
        self.settle(attention)
    }

    fn port_out(&mut self, at: At, port: u16, width: Width, data: &[u8]) -> Attention {
        let now = self.now(at.count);
        if self.trace.is_some() || self.ports.is_some() {
            self.note_write(now, port, width, data);
        }
        // The stubs of the built-in firmware are no activity of the guest's.
        self.activity = self.activity.wrapping_add(u64::from(port != TRAP_PORT));
        let attention = self.board.port_out(now, port, width, data);
        self.settle(attention)
    }

    fn mmio_read(&mut self, at: At, gpa: Gpa, data: &mut [u8]) -> Attention {
        let now = self.now(at.count);
        let attention = self.board.mmio_read(now, at.cpu, gpa, data);
        if let Some(t) = self.trace.as_mut().filter(|t| t.what.mmio) {
            t.mmio(now, false, gpa, data);
        }
        self.settle(attention)
    }

    fn mmio_write(&mut self, at: At, gpa: Gpa, data: &[u8]) -> Attention {
        let now = self.now(at.count);
        if let Some(t) = self.trace.as_mut().filter(|t| t.what.mmio) {
            t.mmio(now, true, gpa, data);
        }
        self.activity = self.activity.wrapping_add(1);
        let attention = self.board.mmio_write(now, at.cpu, gpa, data);
        self.settle(attention)
    }

    fn msr_read(&mut self, at: At, index: u32) -> Option<u64> {
        let now = self.now(at.count);
        let value = self.board.msr_read(now, at.cpu, index);
        if let Some(t) = self.trace.as_mut().filter(|t| t.what.io) {
            t.msr(now, index, value, false);
        }
        value
    }

    fn msr_write(&mut self, at: At, index: u32, value: u64) -> Option<Attention> {
        let now = self.now(at.count);
        let done = self.board.msr_write(now, at.cpu, index, value);
        if let Some(t) = self.trace.as_mut().filter(|t| t.what.io) {
            t.msr(now, index, done.map(|_| value), true);
        }
        self.activity = self.activity.wrapping_add(1);
        done.map(|attention| self.settle(attention))
    }

    fn acknowledge(&mut self, at: At) -> u8 {
        let now = self.now(at.count);
        let vector = self.board.acknowledge(now, at.cpu);
        self.acknowledged = self.acknowledged.wrapping_add(1);
        if let Some(t) = self.trace.as_mut().filter(|t| t.what.int) {
            t.line(now, format_args!("int  hardware interrupt, vector {vector:#04x}"));
        }
        vector
    }

    fn task_priority(&mut self, at: At) -> Option<u8> {
        self.board.task_priority(self.now(at.count), at.cpu)
    }

    fn set_task_priority(&mut self, at: At, priority: u8) -> Option<Attention> {
        let now = self.now(at.count);
        let done = self.board.set_task_priority(now, at.cpu, priority);
        done.map(|attention| self.settle(attention))
    }

    fn ferr(&mut self, at: At, level: bool) -> Attention {
        let attention = self.board.ferr(at.cpu, level);
        self.settle(attention)
    }

    fn ignne(&mut self, _at: At) -> bool {
        self.board.ignne()
    }

    fn lines(&mut self, at: At) -> Lines {
        self.board.lines(at.cpu)
    }

    fn tsc(&mut self, at: At) -> u64 {
        // One tick a nanosecond: the TSC derives from guest time like every other clock.
        self.activity = self.activity.wrapping_add(1);
        self.now(at.count).0
    }

    fn memory(&self) -> &GuestMemory {
        self.board.memory()
    }
}
