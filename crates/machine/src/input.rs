//! Input from outside, on its way to the board.

use crate::machine::Machine;
use crate::outcome::Ended;
use crate::terminal;

impl Machine {
    /// Takes what is in the inbox; bytes line up before the channel that standard input belongs to.
    pub(crate) fn take_input(&mut self) -> Result<(), Ended> {
        let (to, incoming) = (self.inlet, &mut self.core.incoming);
        if incoming.is_empty(to) && self.stdin.is_open() {
            let mut buf = [0; 256];
            let n = self.stdin.read(&mut buf);
            incoming.add(to, buf.iter().take(n).copied());
        }
        let (signal, leave, resized) = self.inbox.with(|w| {
            if incoming.is_empty(to) {
                incoming.add(to, w.input.drain(..));
            }
            (w.signal.take(), w.leave, std::mem::take(&mut w.resized))
        });
        if let Some(n) = signal {
            return Err(Ended::Signal(n));
        }
        if leave {
            return Err(Ended::Left);
        }
        if resized && let Some((columns, rows)) = terminal::size() {
            self.set_console_size(columns, rows);
        }
        Ok(())
    }

    /// Whether anything from outside can still reach the guest. Bytes that there is no room for cannot: a guest that
    /// waits for an interrupt has had the one for those that fill it.
    pub(crate) fn input_possible(&self) -> bool {
        if self.input_open || self.inbox.with(|w| w.open) {
            return true;
        }
        let outside = self.stdin.is_open() || self.inbox.with(|w| !w.input.is_empty());
        (outside && self.core.has_room(self.inlet)) || self.core.can_arrive()
    }
}
