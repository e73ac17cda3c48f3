//! Bytes on their way to the guest: to serial ports, as fast as a line is, and to the console, as fast as it takes them.

use std::collections::VecDeque;
use std::time::Duration;

use hako_board::Board;
use hako_chips::pci::Bdf;
use hako_engine::Time;

use crate::config::Inlet;
use crate::core::Core;

/// What a byte takes on a line of 115,200 baud.
const BYTE_TIME: Duration = Duration::from_micros(87);

/// How much of the line's time is made up for: then 16 bytes come together, which fill a 16550A.
const LATE: Duration = Duration::from_micros(15 * 87);

/// One serial line.
#[derive(Default)]
struct Line {
    bytes: VecDeque<u8>,
    /// When it is free for the next of them.
    free: Time,
}

/// All that is on its way.
#[derive(Default)]
pub(crate) struct Incoming {
    lines: [Line; 4],
    console: VecDeque<u8>,
    /// Where the console is on the PCI bus.
    at: Option<Bdf>,
    /// Bytes in all of them.
    waiting: usize,
}

impl Incoming {
    /// Nothing is on its way; the console is at `at`.
    pub fn new(at: Option<Bdf>) -> Incoming {
        Incoming { at, ..Incoming::default() }
    }

    fn queue(&self, to: Inlet) -> Option<&VecDeque<u8>> {
        match to {
            Inlet::Com(n) => self.lines.get(usize::from(n)).map(|line| &line.bytes),
            Inlet::Console => Some(&self.console),
        }
    }

    /// Bytes line up.
    pub fn add(&mut self, to: Inlet, bytes: impl IntoIterator<Item = u8>) {
        let queue = match to {
            Inlet::Com(n) => self.lines.get_mut(usize::from(n)).map(|line| &mut line.bytes),
            Inlet::Console => Some(&mut self.console),
        };
        let Some(queue) = queue else { return };
        let before = queue.len();
        queue.extend(bytes);
        self.waiting += queue.len() - before;
    }

    /// Whether nothing waits there.
    pub fn is_empty(&self, to: Inlet) -> bool {
        self.queue(to).is_none_or(VecDeque::is_empty)
    }

    /// Everything is forgotten.
    pub fn clear(&mut self) {
        *self = Incoming::new(self.at);
    }
}

impl Core {
    /// Whether the guest's side takes a byte now.
    pub fn has_room(&self, to: Inlet) -> bool {
        match to {
            Inlet::Com(n) => self.board.com_has_room(n.into()),
            Inlet::Console => self.incoming.at.is_some_and(|at| self.board.device_room(at) != 0),
        }
    }

    /// Whether something waits that the guest's side takes.
    pub fn can_arrive(&self) -> bool {
        self.next_byte() != Time::NEVER
    }

    /// When the next byte reaches the guest: not before there is room.
    #[inline]
    pub fn next_byte(&self) -> Time {
        if self.incoming.waiting == 0 { Time::NEVER } else { self.next_waiting_byte() }
    }

    fn next_waiting_byte(&self) -> Time {
        let ready = |to| !self.incoming.is_empty(to) && self.has_room(to);
        if ready(Inlet::Console) {
            return Time::ZERO;
        }
        let lines = (0..).zip(&self.incoming.lines).filter(|(n, _)| ready(Inlet::Com(*n)));
        lines.fold(Time::NEVER, |first, (_, line)| first.min(line.free))
    }

    /// Bytes whose time has come reach the guest. A line is as fast as its rate says even where the host is late for a
    /// byte, as it is when it has slept: those that could have arrived meanwhile arrive together.
    pub fn bytes_arrive(&mut self, now: Time) {
        if self.next_byte() > now {
            return;
        }
        let Core { board, incoming, took_input, .. } = self;
        let Incoming { lines, console, at, waiting } = incoming;
        let before = *waiting;
        for (n, line) in lines.iter_mut().enumerate() {
            while line.free <= now
                && board.com_has_room(n)
                && let Some(byte) = line.bytes.pop_front()
            {
                board.com_input(now, n, byte);
                line.free = line.free.max(now - LATE) + BYTE_TIME;
                *waiting -= 1;
            }
        }
        if let (Some(at), false) = (*at, console.is_empty()) {
            *waiting -= console_takes(board, now, at, console);
        }
        *took_input |= *waiting != before;
    }
}

/// Offers the console what waits for it; how many bytes it took.
fn console_takes(board: &mut Board, now: Time, at: Bdf, bytes: &mut VecDeque<u8>) -> usize {
    // What it changes shows in the board's lines and events, which the run loop looks at next.
    let (taken, _) = board.device_input(now, at, bytes.make_contiguous());
    bytes.drain(..taken);
    taken
}
