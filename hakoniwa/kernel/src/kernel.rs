//! The kernel's state and its ways in: call, exception, interrupt, tick; and the way out: who runs next.

use crate::frames::Frames;
use crate::platform::Platform;
use crate::sched::{Queues, SLICE};
use crate::task::{Reason, State, Task};
use hakoniwa_abi::message::notify;
use hakoniwa_abi::{Message, PAGE, TASKS, TaskId, label};

/// Interrupt lines of the machine.
pub const LINES: usize = 16;

/// Everything that the kernel knows. One processor owns it.
pub struct Kernel<'a, P: Platform> {
    /// The machine.
    pub platform: P,
    /// The tasks by slot; slot 0 is what runs when nobody wants to.
    pub tasks: &'a mut [Task; TASKS],
    /// Physical memory.
    pub frames: Frames<'a>,
    /// The slot that runs.
    pub current: usize,
    /// The page tables whose upper half every task shares.
    pub root: u64,
    /// Why guests cannot run; 0 if they can.
    pub hv_missing: u64,
    /// Guests' memory can be mapped by large pages.
    pub large_pages: bool,
    /// Ticks of the time-stamp counter in a second.
    pub tsc_hz: u64,
    pub(crate) queues: Queues,
    pub(crate) now: u64,
    /// Who gets the rest of the running task's slice when it waits: the last that it called or answered.
    pub(crate) hint: Option<usize>,
    pub(crate) slice_end: u64,
    pub(crate) next_timer: u64,
    pub(crate) lines: [usize; LINES],
}

impl<'a, P: Platform> Kernel<'a, P> {
    /// A kernel without tasks. `root` is the page table that runs now.
    pub fn new(platform: P, tasks: &'a mut [Task; TASKS], frames: Frames<'a>, root: u64) -> Self {
        Kernel {
            platform,
            tasks,
            frames,
            current: 0,
            root,
            hv_missing: 0,
            large_pages: false,
            tsc_hz: 0,
            queues: Queues::default(),
            now: 0,
            hint: None,
            slice_end: 0,
            next_timer: u64::MAX,
            lines: [0; LINES],
        }
    }

    /// The running task made a system call at `now` (nanoseconds since boot); its registers are in its context.
    pub fn call(&mut self, now: u64) {
        self.now = now;
        self.system_call(self.current);
    }

    /// The running task caused an exception. `address` is CR2 of a page fault.
    pub fn exception(&mut self, now: u64, address: u64) {
        self.now = now;
        let context = &self.tasks[self.current].context;
        let message = if context.vector == 14 {
            Message::new(label::PAGE_FAULT, &[address, context.rip, context.error])
        } else {
            Message::new(label::EXCEPTION, &[context.vector, context.rip, context.error])
        };
        self.fault(self.current, message);
    }

    /// A device's interrupt line went up: whoever bound it hears of it, and the line is held back until then.
    pub fn interrupt(&mut self, now: u64, line: u32) {
        self.now = now;
        self.platform.irq_mask(line, true);
        if let Some(slot) = self.lines.get(line as usize).copied().filter(|s| *s != 0) {
            self.notify(slot, 1 << (notify::IRQ + line));
        }
    }

    /// Chooses who runs from `now` on and returns the slot; 0 if nobody wants to.
    pub fn pick(&mut self, now: u64) -> usize {
        self.now = now;
        if now >= self.next_timer {
            self.expire();
        }
        let top = self.queues.top();
        let is_top = |slot: usize| top & 1 << slot != 0;
        if now < self.slice_end && is_top(self.current) {
            return self.current;
        }
        self.current = match self.hint.take() {
            Some(peer) if now < self.slice_end && is_top(peer) => {
                self.queues.took(peer, self.tasks[peer].priority);
                peer
            }
            _ => {
                self.slice_end = now + SLICE;
                self.queues.take_turn().unwrap_or(0)
            }
        };
        self.current
    }

    /// When the kernel wants to be woken: the next timer, or the end of the slice if others wait for it.
    pub fn deadline(&self) -> u64 {
        if self.queues.top().count_ones() > 1 { self.next_timer.min(self.slice_end) } else { self.next_timer }
    }

    fn expire(&mut self) {
        let now = self.now;
        for slot in 1..TASKS {
            let task = &mut self.tasks[slot];
            if task.timer == 0 || task.timer > now {
                continue;
            }
            // A period that was missed is not made up for.
            task.timer = match (task.period, task.timer.saturating_add(task.period)) {
                (0, _) => 0,
                (_, next) if next > now => next,
                (period, _) => now.saturating_add(period),
            };
            self.notify(slot, notify::TIMER);
        }
        self.rearm();
    }

    /// Finds the next timer after one changed.
    pub(crate) fn rearm(&mut self) {
        let timers = self.tasks.iter().filter(|t| t.timer != 0 && t.state != State::Dead);
        self.next_timer = timers.map(|t| t.timer).min().unwrap_or(u64::MAX);
    }

    /// The slot of a task that exists.
    pub(crate) fn find(&self, id: TaskId) -> Option<usize> {
        let task = self.tasks.get(id.slot()).filter(|t| t.id == id && t.state != State::Free)?;
        (id != TaskId::KERNEL).then_some(task.id.slot())
    }

    pub(crate) fn wake(&mut self, slot: usize) {
        self.tasks[slot].state = State::Ready;
        self.queues.add(slot, self.tasks[slot].priority);
    }

    pub(crate) fn block(&mut self, slot: usize, state: State) {
        self.tasks[slot].state = state;
        self.queues.remove(slot);
    }

    /// A task cannot go on by itself: its pager may help. Without one it ends.
    pub(crate) fn fault(&mut self, slot: usize, message: Message) {
        let id = self.tasks[slot].id;
        // A pager that waits for this very task cannot help either.
        let helpless = [State::Dead, State::Sending(id), State::Waiting(id)];
        let helps = |pager: &usize| !helpless.contains(&self.tasks[*pager].state);
        match self.find(self.tasks[slot].pager).filter(helps) {
            Some(pager) => {
                let task = &mut self.tasks[slot];
                (task.outgoing, task.grant, task.reason) = (message, None, Reason::Fault);
                self.send(slot, pager);
            }
            None => self.end_by_fault(slot, message),
        }
    }

    /// Writes a line about a task to the log.
    pub(crate) fn report(&mut self, slot: usize, what: core::fmt::Arguments) {
        let mut line = Line { bytes: [0; 160], length: 0 };
        let name = self.tasks[slot].name;
        let name = core::str::from_utf8(&name).unwrap_or("?").trim_end_matches('\0');
        // A line that is too long is cut.
        let _ = core::fmt::write(&mut line, format_args!("[kernel] {name}: {what}"));
        self.platform.log(line.bytes.get(..line.length).unwrap_or_default());
        self.platform.log(b"\n");
    }
}

/// The frame number of a physical address.
pub(crate) fn frame(address: u64) -> u32 {
    u32::try_from(address / PAGE).unwrap_or(u32::MAX)
}

/// The physical address of a frame.
pub(crate) fn address(frame: u32) -> u64 {
    u64::from(frame) * PAGE
}

struct Line {
    bytes: [u8; 160],
    length: usize,
}

impl core::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            *self.bytes.get_mut(self.length).ok_or(core::fmt::Error)? = byte;
            self.length += 1;
        }
        Ok(())
    }
}
