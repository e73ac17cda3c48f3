//! Input from outside, on its way to the board.

use hako_engine::Time;

use crate::machine::Machine;
use crate::outcome::Ended;
use crate::terminal;

impl Machine {
    /// Takes what is in the inbox; bytes line up before the channel that standard input belongs to.
    pub(crate) fn take_input(&mut self) -> Result<(), Ended> {
        let (_, core, mut beat) = self.parts(Time::NEVER);
        beat.take_bytes(core);
        let (signal, leave, resized) =
            self.inbox.with(|w| (w.signal.take(), w.leave, std::mem::take(&mut w.resized)));
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
