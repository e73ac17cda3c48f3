//! What is typed at the host's serial port goes to one guest at a time. A server of guests registers each; Ctrl-A and
//! a digit chooses whom the input goes to, Ctrl-A twice is a Ctrl-A for the guest, Ctrl-A and anything else lists the
//! guests. The first guest has the input until another is chosen, or until its server ends.
//!
//! This task waits for nobody but the port: a server is notified and comes for its bytes when it has time.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use hakoniwa_abi::message::notify;
use hakoniwa_abi::{Error, Message, Received, TaskId, label};
use hakoniwa_runtime::console::{COME, PLACES, READ, READ_MOST, REGISTER};
use hakoniwa_runtime::{self as rt, println};

hakoniwa_runtime::entry!(main);

/// COM1, whose transmitter is the kernel's log.
const PORT: u16 = 0x3f8;
const LINE: u64 = 4;
/// What waits for a guest; more is lost.
const MOST: usize = 4096;
/// The key that gives orders to this task.
const ORDER: u8 = 1;

/// A guest that may get the input.
struct Place {
    /// 1 to 9.
    digit: u8,
    server: TaskId,
    name: String,
    waiting: VecDeque<u8>,
}

#[derive(Default)]
struct Console {
    places: Vec<Place>,
    /// The digit of the guest that has the input.
    focus: u8,
    /// The last byte was [`ORDER`].
    order: bool,
}

fn main(_: u64) -> u64 {
    if let Err(why) = open() {
        println!("the serial port cannot be opened: {why:?}");
        return 1;
    }
    let mut console = Console::default();
    loop {
        let Ok(received) = rt::receive() else { continue };
        if received.sender == TaskId::KERNEL {
            if received.message.label == label::NOTIFICATION && console.drain().is_err() {
                return 1;
            }
            continue;
        }
        let answer = console.answer(&received);
        // Who is gone needs no answer.
        let _ = rt::reply(received.sender, answer);
    }
}

/// Lets received bytes interrupt, through the modem output that PCs wire to the interrupt controller.
fn open() -> Result<(), Error> {
    const DTR_RTS_OUT2: u32 = 0x0b;
    rt::irq_bind(LINE)?;
    rt::port_write(PORT + 4, 1, DTR_RTS_OUT2)?;
    rt::port_write(PORT + 1, 1, 1)
}

impl Console {
    /// Takes every byte that is there, then lets the line interrupt again.
    fn drain(&mut self) -> Result<(), Error> {
        while rt::port_read(PORT + 5)? & 1 != 0 {
            let byte = rt::port_read(PORT)?;
            self.byte(byte);
        }
        rt::irq_done(LINE)
    }

    fn byte(&mut self, byte: u8) {
        match (core::mem::take(&mut self.order), byte) {
            (false, ORDER) => self.order = true,
            (true, b'1'..=b'9') => self.choose(byte - b'0'),
            (false, _) | (true, ORDER) => self.give(byte),
            (true, _) => self.list(),
        }
    }

    fn choose(&mut self, digit: u8) {
        match self.places.iter().find(|p| p.digit == digit) {
            Some(place) => {
                println!("input goes to {}", place.name);
                self.focus = digit;
            }
            None => self.list(),
        }
    }

    fn list(&self) {
        for place in &self.places {
            let mark = if place.digit == self.focus { " (has the input)" } else { "" };
            println!("Ctrl-A {}: {}{mark}", place.digit, place.name);
        }
    }

    /// Keeps a byte for whom the input goes to, and tells the server. A server that is gone loses its places.
    fn give(&mut self, byte: u8) {
        while let Some(place) = self.places.iter_mut().find(|p| p.digit == self.focus) {
            if place.waiting.len() < MOST {
                place.waiting.push_back(byte);
            }
            let server = place.server;
            if rt::notify(server, COME) != Err(Error::BadTask) {
                return;
            }
            self.places.retain(|p| p.server != server);
            self.focus = self.places.first().map_or(0, |p| p.digit);
        }
    }

    fn answer(&mut self, received: &Received) -> Message {
        let [first, ..] = received.message.words;
        match received.message.label {
            REGISTER => Message::new(REGISTER, &[self.register(received.sender, first).into()]),
            READ => self.read(received.sender, first),
            _ => Message::default(),
        }
    }

    /// A new place for a guest of this server: its digit, or 0 if all are taken.
    fn register(&mut self, server: TaskId, name: u64) -> u8 {
        let free = |digit: &u8| self.places.iter().all(|p| p.digit != *digit);
        let Some(digit) = (1..=PLACES).find(free) else { return 0 };
        let bytes = name.to_le_bytes();
        let name = String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned();
        self.places.push(Place { digit, server, name, waiting: VecDeque::new() });
        if self.focus == 0 {
            self.focus = digit;
        }
        digit
    }

    /// Bytes for a guest of the one who asks: how many, then the bytes.
    fn read(&mut self, server: TaskId, digit: u64) -> Message {
        let mut message = Message::new(READ, &[]);
        let own = |p: &&mut Place| u64::from(p.digit) == digit && p.server == server;
        let Some(place) = self.places.iter_mut().find(own) else { return message };
        let count = place.waiting.len().min(READ_MOST);
        message.words[0] = count as u64;
        for (index, byte) in place.waiting.drain(..count).enumerate() {
            message.words[1 + index / 8] |= u64::from(byte) << (index % 8 * 8);
        }
        message
    }
}

const _: () = assert!(COME & !notify::USER == 0);
