//! The keyboard controller of a PC with keyboard and mouse: an 8042 with the program of IBM's PS/2 (PS/2 Hardware
//! Interface Technical Reference, Keyboard and Auxiliary Device Controller).
//!
//! Every byte in the output buffer raises IRQ1, or IRQ12 if it came from the mouse, if the command byte enables it.
//! After a byte was read the buffer stays empty for [`BYTE_TIME`], so that the 8259A sees an edge for each byte.

mod keyboard;
pub mod keys;
mod mouse;
mod scancodes;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use core::time::Duration;

use hako_engine::Time;
use serde::{Deserialize, Serialize};

use crate::Wish;
use crate::saved::{RestoreError, Saved, check};
pub use keyboard::Keyboard;
pub use keys::{Key, KeyEvent};
pub use mouse::Mouse;

/// Layout of the saved state.
const VERSION: u32 = 1;

/// How long the output buffer stays empty between two bytes.
pub const BYTE_TIME: Duration = Duration::from_micros(100);
/// Guest time between two key movements of [`I8042::type_keys`].
pub const KEY_TIME: Duration = Duration::from_millis(5);

/// Status register bits.
mod status {
    pub const OUTPUT_FULL: u8 = 0x01;
    pub const COMMAND: u8 = 0x08;
    pub const NOT_LOCKED: u8 = 0x10;
    pub const MOUSE: u8 = 0x20;
}

/// Command byte bits.
mod config {
    pub const KEYBOARD_INTERRUPT: u8 = 0x01;
    pub const MOUSE_INTERRUPT: u8 = 0x02;
    pub const SYSTEM: u8 = 0x04;
    pub const KEYBOARD_OFF: u8 = 0x10;
    pub const MOUSE_OFF: u8 = 0x20;
    pub const TRANSLATE: u8 = 0x40;
}

/// Output port bits.
mod port {
    pub const NO_RESET: u8 = 0x01;
    pub const A20: u8 = 0x02;
    pub const IRQ1: u8 = 0x10;
    pub const IRQ12: u8 = 0x20;
    /// Clock and data of the keyboard, idle.
    pub const IDLE: u8 = 0xc0;
}

/// The chip with what is plugged into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct I8042 {
    s: I8042State,
}

/// A byte in the output buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// It.
    pub byte: u8,
    /// It came from the mouse.
    pub mouse: bool,
}

/// What the chip holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct I8042State {
    /// The controller's RAM; byte 0 is the command byte.
    pub ram: [u8; 32],
    /// The output buffer.
    pub output: Option<Output>,
    /// What port 0x60 reads while it is empty.
    pub last: u8,
    /// The controller's own bytes that wait for the output buffer.
    pub replies: VecDeque<Output>,
    /// When the output buffer may be filled again.
    pub ready_at: Time,
    /// The last write went to port 0x64.
    pub command_last: bool,
    /// The command whose data byte is awaited at port 0x60.
    pub awaiting: Option<u8>,
    /// The A20 line of the output port.
    pub a20: bool,
    /// A reset was asked for and not taken yet.
    pub reset: bool,
    /// The break prefix of set 2 came and its code did not.
    pub released: bool,
    /// The keyboard.
    pub keyboard: Keyboard,
    /// The mouse.
    pub mouse: Mouse,
    /// Key movements still to be made.
    pub typing: VecDeque<KeyEvent>,
    /// When the next of them is made.
    pub type_at: Time,
}

/// Controller replies that may wait; a guest that asks without reading loses further ones.
const REPLIES: usize = 16;

impl Default for I8042 {
    fn default() -> Self {
        Self::new()
    }
}

impl I8042 {
    /// The chip after power-on: both devices enabled, translation on, interrupts off, A20 on (its pin is high then).
    pub fn new() -> Self {
        let mut ram = [0; 32];
        ram[0] = config::TRANSLATE;
        Self {
            s: I8042State {
                ram,
                output: None,
                last: 0,
                replies: VecDeque::new(),
                ready_at: Time::ZERO,
                command_last: false,
                awaiting: None,
                a20: true,
                reset: false,
                released: false,
                keyboard: Keyboard::new(),
                mouse: Mouse::new(),
                typing: VecDeque::new(),
                type_at: Time::ZERO,
            },
        }
    }

    /// Reads register 0 (port 0x60, output buffer) or 1 (port 0x64, status); others read all ones.
    pub fn read(&mut self, reg: u8, now: Time) -> u8 {
        self.tick(now);
        match reg {
            0 => self.read_output(now),
            1 => self.status(),
            _ => 0xff,
        }
    }

    /// Writes register 0 (port 0x60, data) or 1 (port 0x64, command).
    pub fn write(&mut self, reg: u8, value: u8, now: Time) {
        self.tick(now);
        match reg {
            0 => {
                self.s.command_last = false;
                match self.s.awaiting.take() {
                    Some(command) => self.command_data(command, value),
                    None => {
                        self.s.ram[0] &= !config::KEYBOARD_OFF;
                        self.s.keyboard.receive(value);
                    }
                }
            }
            1 => {
                self.s.command_last = true;
                self.s.awaiting = None;
                self.command(value);
            }
            _ => {}
        }
        self.fill(now);
    }

    /// Level of IRQ1.
    pub fn irq1(&self) -> bool {
        self.config() & config::KEYBOARD_INTERRUPT != 0 && self.s.output.is_some_and(|output| !output.mouse)
    }

    /// Level of IRQ12.
    pub fn irq12(&self) -> bool {
        self.config() & config::MOUSE_INTERRUPT != 0 && self.s.output.is_some_and(|output| output.mouse)
    }

    /// The A20 line of the output port. The PC's A20 is this or that of port 0x92.
    pub fn a20(&self) -> bool {
        self.s.a20
    }

    /// Sets the A20 line of the output port, for firmware and loaders.
    pub fn set_a20(&mut self, on: bool) {
        self.s.a20 = on;
    }

    /// Takes the wish that a write made.
    pub fn take_wish(&mut self) -> Option<Wish> {
        core::mem::take(&mut self.s.reset).then_some(Wish::Reset)
    }

    /// When [`I8042::tick`] is wanted: a byte reaches the output buffer, or a key moves.
    pub fn next_event(&self) -> Time {
        let byte = if self.s.output.is_none() && self.has_byte() { self.s.ready_at } else { Time::NEVER };
        let key = if self.may_type() { self.s.type_at } else { Time::NEVER };
        byte.min(key)
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Time) {
        self.fill(now);
        if self.may_type()
            && now >= self.s.type_at
            && let Some(event) = self.s.typing.pop_front()
        {
            self.s.keyboard.key(event);
            self.s.type_at = now + KEY_TIME;
            self.fill(now);
        }
    }

    /// A key of the keyboard moves now. Like a real one it forgets keys that nobody reads.
    pub fn key(&mut self, event: KeyEvent, now: Time) {
        self.tick(now);
        self.s.keyboard.key(event);
        self.fill(now);
    }

    /// Makes key movements ([`keys::text`], [`keys::named`], [`keys::chord`]) one after another, each when the guest
    /// has read the one before, [`KEY_TIME`] apart at least. None is lost.
    pub fn type_keys(&mut self, events: impl IntoIterator<Item = KeyEvent>, now: Time) {
        self.s.typing.extend(events);
        self.tick(now);
    }

    /// Whether everything that was typed has been made and read.
    pub fn typing_done(&self) -> bool {
        self.s.typing.is_empty() && self.s.keyboard.queue.is_empty() && self.s.output.is_none()
    }

    /// The lights: Scroll, Num and Caps Lock in bits 0 to 2.
    pub fn leds(&self) -> u8 {
        self.s.keyboard.leds
    }

    fn config(&self) -> u8 {
        self.s.ram[0]
    }

    fn status(&self) -> u8 {
        let full = match self.s.output {
            None => 0,
            Some(Output { mouse: false, .. }) => status::OUTPUT_FULL,
            Some(Output { mouse: true, .. }) => status::OUTPUT_FULL | status::MOUSE,
        };
        let command = if self.s.command_last { status::COMMAND } else { 0 };
        full | self.config() & config::SYSTEM | command | status::NOT_LOCKED
    }

    fn read_output(&mut self, now: Time) -> u8 {
        if let Some(output) = self.s.output.take() {
            self.s.last = output.byte;
            self.s.ready_at = now + BYTE_TIME;
        }
        self.s.last
    }

    fn keyboard_on(&self) -> bool {
        self.config() & config::KEYBOARD_OFF == 0
    }

    fn mouse_on(&self) -> bool {
        self.config() & config::MOUSE_OFF == 0
    }

    /// Whether a byte waits for the output buffer.
    fn has_byte(&self) -> bool {
        !self.s.replies.is_empty()
            || self.keyboard_on() && !self.s.keyboard.queue.is_empty()
            || self.mouse_on() && !self.s.mouse.queue.is_empty()
    }

    /// Whether the guest is ready for the next key of [`I8042::type_keys`].
    fn may_type(&self) -> bool {
        !self.s.typing.is_empty()
            && self.keyboard_on()
            && self.s.keyboard.scanning
            && self.s.keyboard.queue.is_empty()
            && self.s.output.is_none()
    }

    /// Fills the output buffer if it is empty and its time has come.
    fn fill(&mut self, now: Time) {
        while self.s.output.is_none() && now >= self.s.ready_at {
            self.s.output = if let Some(reply) = self.s.replies.pop_front() {
                Some(reply)
            } else if let Some(byte) = self.keyboard_on().then(|| self.s.keyboard.send()).flatten() {
                match self.translated(byte) {
                    Some(byte) => Some(Output { byte, mouse: false }),
                    None => continue,
                }
            } else if self.mouse_on() {
                self.s.mouse.send().map(|byte| Output { byte, mouse: true })
            } else {
                None
            };
            if self.s.output.is_none() {
                return;
            }
        }
    }

    /// A byte of the keyboard as the guest is to see it; `None` for the break prefix, which goes into the next.
    fn translated(&mut self, byte: u8) -> Option<u8> {
        if self.config() & config::TRANSLATE == 0 {
            self.s.released = false;
            return Some(byte);
        }
        if byte == scancodes::BREAK {
            self.s.released = true;
            return None;
        }
        let released = if core::mem::take(&mut self.s.released) { 0x80 } else { 0 };
        Some(scancodes::translate(byte) | released)
    }

    fn reply(&mut self, byte: u8, mouse: bool) {
        if self.s.replies.len() < REPLIES {
            self.s.replies.push_back(Output { byte, mouse });
        }
    }

    /// A command written to port 0x64.
    fn command(&mut self, command: u8) {
        let config = &mut self.s.ram[0];
        match command {
            0x20..=0x3f => self.reply(self.s.ram[usize::from(command & 0x1f)], false),
            // Write RAM; write output port, keyboard buffer, mouse buffer, mouse.
            0x60..=0x7f | 0xd1..=0xd4 => self.s.awaiting = Some(command),
            // Test password: none is installed.
            0xa4 => self.reply(0xf1, false),
            0xa7 => *config |= config::MOUSE_OFF,
            0xa8 => *config &= !config::MOUSE_OFF,
            // Interface tests: no error. Test inputs: clocks low. Input port: keyboard not locked.
            0xa9 | 0xab | 0xe0 => self.reply(0x00, false),
            0xaa => {
                *config |= config::SYSTEM;
                self.reply(0x55, false);
            }
            0xad => *config |= config::KEYBOARD_OFF,
            0xae => *config &= !config::KEYBOARD_OFF,
            0xc0 => self.reply(0x80, false),
            0xd0 => self.reply(self.output_port(), false),
            0xdd => self.s.a20 = false,
            0xdf => self.s.a20 = true,
            // Pulse the output port's bits that are 0 here; bit 0 is the reset line.
            0xf0..=0xff => self.s.reset |= command & port::NO_RESET == 0,
            _ => {}
        }
    }

    /// The data byte of a command, written to port 0x60.
    fn command_data(&mut self, command: u8, value: u8) {
        match command {
            0xd1 => {
                self.s.a20 = value & port::A20 != 0;
                self.s.reset |= value & port::NO_RESET == 0;
            }
            0xd2 => self.reply(value, false),
            0xd3 => self.reply(value, true),
            0xd4 => {
                self.s.ram[0] &= !config::MOUSE_OFF;
                self.s.mouse.receive(value);
            }
            _ => self.s.ram[usize::from(command & 0x1f)] = value,
        }
    }

    fn output_port(&self) -> u8 {
        let bit = |level, bit| if level { bit } else { 0 };
        port::IDLE
            | port::NO_RESET
            | bit(self.s.a20, port::A20)
            | bit(self.irq1(), port::IRQ1)
            | bit(self.irq12(), port::IRQ12)
    }

    /// The state.
    pub fn save(&self) -> Saved<I8042State> {
        Saved { version: VERSION, state: self.s.clone() }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<I8042State>) -> Result<(), RestoreError> {
        let s = saved.open(VERSION)?;
        check(s.replies.len() <= REPLIES, "more replies than are kept")?;
        check(
            s.awaiting.is_none_or(|c| matches!(c, 0x60..=0x7f | 0xd1..=0xd4)),
            "no such command takes data",
        )?;
        s.keyboard.check()?;
        s.mouse.check()?;
        self.s = s.clone();
        Ok(())
    }
}
