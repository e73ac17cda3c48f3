//! The console (5.3): one port, which is a stream of bytes each way.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use hako_chips::pci::{ConfigSpace, PciDevice};

use crate::function::{Flavour, Function};
use crate::model::{Model, Serve};
use crate::queue::{Chain, Fault};
use crate::registers::Registers;

/// The queue of what the guest reads; the other one is what it says.
const RECEIVE: u16 = 0;
const QUEUE_SIZE: u16 = 64;
/// VIRTIO_CONSOLE_F_SIZE (5.3.3).
const F_SIZE: u64 = 1;
/// Bytes that wait for the guest to read them; more is refused, not lost.
const MOST_INPUT: usize = 64 << 10;
/// Bytes that the guest may say in one request.
const MOST_OUTPUT: u64 = 16 << 20;

/// The size of the terminal behind a console.
#[derive(Clone)]
pub struct ConsoleSize(Arc<Registers>);

impl ConsoleSize {
    /// The terminal has another size. The driver is told at the device's next tick.
    pub fn set(&self, columns: u16, rows: u16) {
        self.0.change(0, &fields(columns, rows)[..4]);
    }
}

/// `struct virtio_console_config` (5.3.4) without the fields of features that are not offered: columns, rows.
fn fields(columns: u16, rows: u16) -> [u8; 8] {
    let [c0, c1] = columns.to_le_bytes();
    let [r0, r1] = rows.to_le_bytes();
    // One port.
    [c0, c1, r0, r1, 1, 0, 0, 0]
}

/// A console. What the guest says is fetched by [`PciDevice::output`], what it reads is given by [`PciDevice::input`].
pub fn console(
    (columns, rows): (u16, u16),
    flavour: Flavour,
) -> (ConfigSpace, Box<dyn PciDevice>, ConsoleSize) {
    let registers = Registers::new(&fields(columns, rows), 0..0);
    let model = Model {
        id: 3,
        class: 0x07_80_00,
        features: F_SIZE,
        queues: vec![QUEUE_SIZE; 2],
        registers: Arc::clone(&registers),
        serve: Box::new(Port {
            input: VecDeque::new(),
            output: Vec::new(),
            registers: Arc::clone(&registers),
        }),
    };
    let (space, function) = Function::new(model, flavour);
    (space, Box::new(function), ConsoleSize(registers))
}

/// Bytes on their way.
struct Port {
    input: VecDeque<u8>,
    output: Vec<u8>,
    registers: Arc<Registers>,
}

impl Port {
    /// As much input as there is room for.
    fn give(&mut self, chain: &mut Chain<'_>) -> Result<(), Fault> {
        if chain.writable() == 0 {
            return Err(Fault::Request("room for input"));
        }
        let most = usize::try_from(chain.writable()).unwrap_or(usize::MAX).min(self.input.len());
        let (first, second) = self.input.as_slices();
        let first = &first[..first.len().min(most)];
        let second = &second[..most - first.len()];
        chain.write(first)?;
        chain.write(second)?;
        self.input.drain(..most);
        Ok(())
    }

    /// All of what the guest says.
    fn hear(&mut self, chain: &mut Chain<'_>) -> Result<(), Fault> {
        if chain.readable() > MOST_OUTPUT {
            return Err(Fault::Request("output of at most 16 MiB"));
        }
        let at = self.output.len();
        self.output.resize(at + chain.readable() as usize, 0);
        let heard = chain.read(&mut self.output[at..]);
        if heard.is_err() {
            self.output.truncate(at);
        }
        heard
    }
}

impl Serve for Port {
    fn serve(&mut self, queue: u16, chain: &mut Chain<'_>) -> Result<(), Fault> {
        if queue == RECEIVE { self.give(chain) } else { self.hear(chain) }
    }

    fn ready(&self, queue: u16) -> bool {
        queue != RECEIVE || !self.input.is_empty()
    }

    fn negotiated(&mut self, features: u64) {
        if features & F_SIZE != 0 {
            // Linux takes the size over only when it is told that it has changed.
            self.registers.change(0, &[]);
        }
    }

    fn input(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.input_room());
        self.input.extend(&bytes[..taken]);
        taken
    }

    fn input_room(&self) -> usize {
        MOST_INPUT.saturating_sub(self.input.len())
    }

    fn output(&mut self, to: &mut Vec<u8>) {
        to.append(&mut self.output);
    }

    fn save(&self) -> Vec<u8> {
        self.input.iter().copied().collect()
    }

    fn restore(&mut self, saved: &[u8]) -> bool {
        let possible = saved.len() <= MOST_INPUT;
        if possible {
            self.input = saved.iter().copied().collect();
            self.output.clear();
        }
        possible
    }
}
