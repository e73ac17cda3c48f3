//! Input from outside, on its way to the board.

use crate::machine::Machine;
use crate::outcome::Ended;

impl Machine {
    /// Takes what is in the inbox; bytes line up before COM1.
    pub(crate) fn take_input(&mut self) -> Result<(), Ended> {
        if self.core.serial_in.is_empty() && self.stdin.is_open() {
            let mut buf = [0; 256];
            let n = self.stdin.read(&mut buf);
            self.core.serial_in.extend(buf.iter().take(n));
        }
        let serial_in = &mut self.core.serial_in;
        let (signal, leave) = self.inbox.with(|w| {
            if serial_in.is_empty() {
                serial_in.extend(w.serial.drain(..));
            }
            (w.signal.take(), w.leave)
        });
        if let Some(n) = signal {
            return Err(Ended::Signal(n));
        }
        if leave {
            return Err(Ended::Left);
        }
        Ok(())
    }

    /// Whether anything from outside can still reach the guest. Bytes that COM1 has no room for cannot: a guest that
    /// waits for an interrupt has had the one for those that fill it.
    pub(crate) fn input_possible(&self) -> bool {
        if self.input_open || self.inbox.with(|w| w.open) {
            return true;
        }
        let waiting = !self.core.serial_in.is_empty()
            || self.stdin.is_open()
            || self.inbox.with(|w| !w.serial.is_empty());
        waiting && self.core.board.serial_has_room()
    }
}
