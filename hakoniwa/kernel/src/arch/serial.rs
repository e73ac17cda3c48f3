//! The log: COM1. Until there is a [`PerCpu`](super::percpu::PerCpu), and in panics, whoever writes waits for the port;
//! otherwise bytes wait in a ring, and the kernel fills the port's FIFO whenever it passes by and the FIFO is empty, at
//! the latest when the timer says so. The port's interrupt belongs to the task that reads it.

use super::cpu::{port_read, port_write};
use super::percpu;
use core::fmt::{self, Write};
use hakoniwa_kernel::log::Log;

const COM1: u16 = 0x3f8;
/// Nanoseconds that a character takes on the line.
const CHARACTER: u64 = 86_806;

/// The log's way to the port.
pub struct Serial {
    log: Log<'static>,
    /// Characters that the port's FIFO holds.
    fifo: u64,
    /// When the port is looked at next, in nanoseconds since boot; `u64::MAX` while nothing waits.
    pub due: u64,
}

/// 115200 baud, eight bits, no interrupts. The line format comes first: some models start with five bits.
pub fn init() {
    for (register, value) in [(3, 0x83), (0, 1), (1, 0), (3, 3), (1, 0), (2, 7), (4, 3)] {
        port_write(COM1 + register, 1, value);
    }
}

impl Serial {
    /// Nothing waits yet in this room.
    pub fn new(room: &'static mut [u8]) -> Serial {
        /// In the identification register: FIFOs are on, and work.
        const ON: u32 = 0xc0;
        let fifo = if port_read(COM1 + 2, 1) & ON == ON { 16 } else { 1 };
        Serial { log: Log::new(room), fifo, due: u64::MAX }
    }

    /// Fills the port's FIFO if it is empty.
    pub fn drain(&mut self, now: u64) {
        if is_empty() {
            for _ in 0..self.fifo {
                let Some(byte) = self.log.take() else {
                    self.due = u64::MAX;
                    return;
                };
                port_write(COM1, 1, byte.into());
            }
        }
        self.due = now.saturating_add(self.fifo * CHARACTER);
    }
}

/// Whether the port takes more.
fn is_empty() -> bool {
    port_read(COM1 + 5, 1) & 0x20 != 0
}

/// Writes bytes; a line end becomes CR LF.
pub fn write(bytes: &[u8]) {
    if let Some(serial) = percpu::serial() {
        serial.log.write(bytes);
        // The kernel's way out looks at the port.
        serial.due = 0;
        return;
    }
    for byte in bytes {
        if *byte == b'\n' {
            send(b'\r');
        }
        send(*byte);
    }
}

/// Bytes that the port has not got yet.
pub fn waiting() -> u64 {
    percpu::serial().map_or(0, |serial| serial.log.waiting())
}

/// Waits until all that was written is with the port.
pub fn flush() {
    if let Some(serial) = percpu::serial() {
        while let Some(byte) = serial.log.take() {
            send(byte);
        }
    }
}

fn send(byte: u8) {
    /// More polls than a character takes: a machine without a port is not waited for.
    const PATIENCE: u32 = 100_000;
    for _ in 0..PATIENCE {
        if is_empty() {
            break;
        }
    }
    port_write(COM1, 1, byte.into());
}

struct Port;

impl Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(text.as_bytes());
        Ok(())
    }
}

/// Writes a line.
pub fn line(what: fmt::Arguments) {
    // The port cannot fail.
    let _ = Port.write_fmt(what);
    write(b"\n");
}
