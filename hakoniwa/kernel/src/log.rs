//! The log on its way to the serial port: whoever writes does not wait for the port, and what finds no room is counted.

use core::fmt::{self, Write};

/// Room for the line that tells of lost bytes.
const NOTE: usize = 80;

/// Bytes in the order in which they were written.
pub struct Log<'a> {
    bytes: &'a mut [u8],
    first: usize,
    count: usize,
    /// Bytes that found no room since the last note about it.
    lost: u64,
}

impl<'a> Log<'a> {
    /// With this much room, which is more than a line's.
    pub fn new(bytes: &'a mut [u8]) -> Log<'a> {
        Log { bytes, first: 0, count: 0, lost: 0 }
    }

    /// Takes bytes; a line end becomes CR LF.
    pub fn write(&mut self, bytes: &[u8]) {
        self.confess();
        for byte in bytes {
            if *byte == b'\n' {
                self.push(b'\r');
            }
            self.push(*byte);
        }
    }

    /// Takes a byte. Once one is lost, all are until the log says so.
    fn push(&mut self, byte: u8) {
        if self.lost != 0 || self.count == self.bytes.len() {
            self.lost += 1;
            return;
        }
        let at = (self.first + self.count) % self.bytes.len();
        self.bytes[at] = byte;
        self.count += 1;
    }

    /// Tells of lost bytes as soon as there is room for that.
    fn confess(&mut self) {
        if self.lost != 0 && self.bytes.len() - self.count >= NOTE {
            let lost = core::mem::take(&mut self.lost);
            // It fits.
            let _ = write!(self, "\n[kernel] {lost} bytes of the log are lost\n");
        }
    }

    /// How many bytes wait.
    pub fn waiting(&self) -> u64 {
        self.count as u64
    }

    /// The byte that has waited longest.
    pub fn take(&mut self) -> Option<u8> {
        if self.count == 0 {
            self.confess();
        }
        let byte = self.bytes[self.first];
        self.count = self.count.checked_sub(1)?;
        self.first = (self.first + 1) % self.bytes.len();
        Some(byte)
    }
}

impl Write for Log<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    extern crate std;

    const SIZE: usize = 200;

    fn all(log: &mut Log) -> String {
        let bytes: Vec<u8> = core::iter::from_fn(|| log.take()).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_written_comes_out_in_order_with_both_characters_of_a_line_end() {
        let mut room = [0; SIZE];
        let mut log = Log::new(&mut room);
        log.write(b"one\n");
        log.write(b"two");
        assert_eq!(all(&mut log), "one\r\ntwo");
        assert_eq!(log.take(), None);
    }

    #[test]
    fn it_goes_round() {
        let mut room = [0; SIZE];
        let mut log = Log::new(&mut room);
        for _ in 0..5 {
            log.write(&[b'x'; SIZE / 2 + 1]);
            assert_eq!(all(&mut log).len(), SIZE / 2 + 1);
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told_where_it_is_missing() {
        let mut room = [0; SIZE];
        let mut log = Log::new(&mut room);
        log.write(&[b'x'; SIZE]);
        log.write(b"lost");
        log.take();
        log.write(b"too, though there is room for one");
        let text = all(&mut log);
        assert_eq!(text.trim_start_matches('x'), "\r\n[kernel] 37 bytes of the log are lost\r\n");
        log.write(b"on");
        assert_eq!(all(&mut log), "on");
    }
}
