//! The log: COM1, polled.

use super::cpu::{port_read, port_write};
use core::fmt::{self, Write};

const COM1: u16 = 0x3f8;

/// 115200 baud, eight bits, no interrupts. The line format comes first: some models start with five bits.
pub fn init() {
    for (register, value) in [(3, 0x83), (0, 1), (1, 0), (3, 3), (1, 0), (2, 7), (4, 3)] {
        port_write(COM1 + register, 1, value);
    }
}

/// Writes bytes; a line end becomes CR LF.
pub fn write(bytes: &[u8]) {
    for byte in bytes {
        if *byte == b'\n' {
            send(b'\r');
        }
        send(*byte);
    }
}

fn send(byte: u8) {
    /// More polls than a character takes: a machine without a port is not waited for.
    const PATIENCE: u32 = 100_000;
    for _ in 0..PATIENCE {
        if port_read(COM1 + 5, 1) & 0x20 != 0 {
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
