//! What happens beside the CPUs and need not stop them: input arrives, chips act when their time has come, output is
//! shown, devices that threads serve have their say.
//!
//! Between two runs of the engine the machine does this itself. While several CPUs run on kvm, the first does, under the
//! lock of the board, and all the others run on.

use std::time::Duration;

use hako_engine::{Deadline, Time};

use crate::config::Inlet;
use crate::core::Core;
use crate::inbox::Inbox;
use crate::io_thread::IoThreads;
use crate::stdin::Stdin;

/// Buffered output is shown after this long at the latest.
const FLUSH: Duration = Duration::from_millis(10);

/// The parts of a machine that it takes.
pub(crate) struct Beat<'a> {
    pub inbox: &'a Inbox,
    pub stdin: &'a mut Stdin,
    /// Where standard input goes.
    pub inlet: Inlet,
    pub io_threads: Option<&'a IoThreads>,
    /// When buffered output was last shown.
    pub shown: &'a mut Time,
    /// When the machine wants all CPUs to stop.
    pub end: Time,
}

impl Beat<'_> {
    /// Bytes from outside line up before the channel that standard input belongs to.
    pub fn take_bytes(&mut self, core: &mut Core) {
        let (to, incoming) = (self.inlet, &mut core.incoming);
        if incoming.is_empty(to) && self.stdin.is_open() {
            let mut buf = [0; 256];
            let n = self.stdin.read(&mut buf);
            incoming.add(to, buf.iter().take(n).copied());
        }
        self.inbox.with(|w| {
            if incoming.is_empty(to) {
                incoming.add(to, w.input.drain(..));
            }
        });
    }

    /// Says how far the CPUs may run from `now` on, and shows output that has waited long enough.
    pub fn look_ahead(&mut self, core: &mut Core, now: Time) {
        core.horizon = core.next_event().min(self.end);
        if core.sinks.pending() {
            if now.since(*self.shown) >= FLUSH {
                core.flush();
                *self.shown = now;
            } else {
                core.horizon = core.horizon.min(*self.shown + FLUSH);
            }
        }
    }

    /// While CPUs run in real time: does what is due, and says until when there is nothing more. `None` where the
    /// machine itself has to look.
    pub fn go_on(&mut self, core: &mut Core) -> Option<Deadline> {
        let said = core.stop_on_output && core.spoke;
        if said || core.sink_error.is_some() || self.inbox.with(|w| w.is_urgent()) {
            return None;
        }
        self.take_bytes(core);
        if let Some(threads) = self.io_threads {
            threads.hear(core);
        }
        let now = core.now(0);
        if now >= self.end {
            return None;
        }
        if core.next_event() <= now {
            core.tick(now);
        }
        self.look_ahead(core, now);
        Some(core.clock.deadline(0, core.horizon, false))
    }
}
