//! Where what the guest says goes, and the history of it that tests look at.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use hako_board::Output;

use crate::config::SinkSpec;
use crate::error::Error;

/// The longest history kept of one channel; a storming guest only loses its oldest words.
const HISTORY: usize = 16 << 20;

/// One open destination.
enum Sink {
    None,
    Stdout,
    File(File),
}

impl Sink {
    fn open(spec: &SinkSpec) -> Result<Sink, Error> {
        Ok(match spec {
            SinkSpec::None => Sink::None,
            SinkSpec::Stdio => Sink::Stdout,
            SinkSpec::File(path) => Sink::create(path)?,
        })
    }

    fn create(path: &Path) -> Result<Sink, Error> {
        File::create(path).map(Sink::File).map_err(|e| Error::file("create", path, e))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::None => Ok(()),
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Sink::File(file) => file.write_all(bytes),
        }
    }
}

/// A destination, what went to it, and how much of that is still to be written.
struct Channel {
    sink: Sink,
    said: Vec<u8>,
    unwritten: usize,
}

/// A channel is written when it has a whole line, this many bytes, or when the run loop says so.
const BUFFER: usize = 4096;

impl Channel {
    fn take(&mut self, from: &mut Vec<u8>) -> io::Result<()> {
        if from.is_empty() {
            return Ok(());
        }
        self.said.extend_from_slice(from);
        self.unwritten += from.len();
        let line = from.contains(&b'\n');
        from.clear();
        if line || self.unwritten >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let from = self.said.len().saturating_sub(self.unwritten);
        self.unwritten = 0;
        let done = self.sink.write(self.said.get(from..).unwrap_or(&[]));
        if self.said.len() > HISTORY {
            self.said.drain(..HISTORY / 2);
        }
        done
    }
}

/// The channels of a machine.
pub struct Sinks {
    serial: Channel,
    debugcon: Channel,
    printed: Channel,
}

impl Sinks {
    /// Opens files; two channels with the same file share it.
    pub fn open(serial: &SinkSpec, debugcon: &SinkSpec) -> Result<Sinks, Error> {
        let first = Sink::open(serial)?;
        let second = match (&first, debugcon) {
            (Sink::File(file), SinkSpec::File(_)) if serial == debugcon => {
                Sink::File(file.try_clone().map_err(|e| Error::Host(format!("cannot share a file: {e}")))?)
            }
            _ => Sink::open(debugcon)?,
        };
        let channel = |sink| Channel { sink, said: Vec::new(), unwritten: 0 };
        Ok(Sinks { serial: channel(first), debugcon: channel(second), printed: channel(Sink::None) })
    }

    /// Fetches what the board has to say.
    pub fn take(&mut self, from: &mut Output) -> io::Result<()> {
        self.printed.take(&mut from.printed)?;
        self.serial.take(&mut from.serial)?;
        self.debugcon.take(&mut from.debugcon)
    }

    /// Whether anything waits to be written.
    pub fn pending(&self) -> bool {
        self.serial.unwritten != 0 || self.debugcon.unwritten != 0
    }

    /// Writes what waits.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.pending() {
            self.serial.flush()?;
            self.debugcon.flush()?;
        }
        Ok(())
    }

    /// Forgets what was said; the destinations stay open.
    pub fn forget(&mut self) {
        for c in [&mut self.serial, &mut self.debugcon, &mut self.printed] {
            c.said.clear();
            c.unwritten = 0;
        }
    }

    /// What COM1 said.
    pub fn serial(&self) -> &[u8] {
        &self.serial.said
    }

    /// What the debug console said.
    pub fn debugcon(&self) -> &[u8] {
        &self.debugcon.said
    }

    /// What INT 10h printed.
    pub fn printed(&self) -> &[u8] {
        &self.printed.said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_channels_may_share_a_file() {
        let f = tempfile::NamedTempFile::new().unwrap();
        let spec = SinkSpec::File(f.path().into());
        let mut sinks = Sinks::open(&spec, &spec).unwrap();
        for (serial, debugcon) in [("a", "b"), ("c", "d")] {
            let mut out = Output { serial: serial.into(), debugcon: debugcon.into(), ..Output::default() };
            sinks.take(&mut out).unwrap();
            sinks.flush().unwrap();
            assert!(out.is_empty());
        }
        assert_eq!(std::fs::read(f.path()).unwrap(), b"abcd");
        assert_eq!((sinks.serial(), sinks.debugcon()), (&b"ac"[..], &b"bd"[..]));
    }

    #[test]
    fn a_file_that_cannot_be_created_is_named() {
        let e = Sinks::open(&SinkSpec::File("/nowhere/out".into()), &SinkSpec::None).err().unwrap();
        assert!(e.to_string().contains("/nowhere/out"));
    }
}
