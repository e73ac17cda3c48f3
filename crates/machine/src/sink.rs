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

/// The channels of a machine in the order in which they are written: the serial ports, the debug console, the virtio
/// console, and what INT 10h prints, which goes nowhere.
pub struct Sinks([Channel; 7]);

const DEBUGCON: usize = 4;
const CONSOLE: usize = 5;
const PRINTED: usize = 6;

impl Sinks {
    /// Opens the destinations of all channels but the last; those with the same file share it.
    pub fn open(specs: [&SinkSpec; PRINTED]) -> Result<Sinks, Error> {
        let mut sinks: [Sink; PRINTED + 1] = std::array::from_fn(|_| Sink::None);
        for (n, spec) in specs.into_iter().enumerate() {
            let twin = specs.iter().position(|other| *other == spec).and_then(|n| sinks.get(n));
            let sink = match twin {
                Some(Sink::File(file)) => Sink::File(
                    file.try_clone().map_err(|e| Error::Host(format!("cannot share a file: {e}")))?,
                ),
                _ => Sink::open(spec)?,
            };
            sinks[n] = sink;
        }
        Ok(Sinks(sinks.map(|sink| Channel { sink, said: Vec::new(), unwritten: 0 })))
    }

    /// Fetches what the board has to say.
    pub fn take(&mut self, from: &mut Output) -> io::Result<()> {
        let [com2, com3, com4] = &mut from.coms;
        let from =
            [&mut from.serial, com2, com3, com4, &mut from.debugcon, &mut from.console, &mut from.printed];
        self.0.iter_mut().zip(from).try_for_each(|(channel, from)| channel.take(from))
    }

    /// Whether anything waits to be written.
    pub fn pending(&self) -> bool {
        self.0.iter().any(|c| c.unwritten != 0)
    }

    /// Writes what waits.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.iter_mut().filter(|c| c.unwritten != 0).try_for_each(Channel::flush)
    }

    /// Forgets what was said; the destinations stay open.
    pub fn forget(&mut self) {
        for c in &mut self.0 {
            c.said.clear();
            c.unwritten = 0;
        }
    }

    /// What a serial port said, 0 for COM1.
    pub fn com(&self, n: u8) -> &[u8] {
        self.0[..DEBUGCON].get(usize::from(n)).map_or(&[], |c| &c.said)
    }

    /// What the debug console said.
    pub fn debugcon(&self) -> &[u8] {
        &self.0[DEBUGCON].said
    }

    /// What the virtio console said.
    pub fn console(&self) -> &[u8] {
        &self.0[CONSOLE].said
    }

    /// What INT 10h printed.
    pub fn printed(&self) -> &[u8] {
        &self.0[PRINTED].said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_may_share_a_file() {
        let f = tempfile::NamedTempFile::new().unwrap();
        let (spec, none) = (SinkSpec::File(f.path().into()), SinkSpec::None);
        let mut sinks = Sinks::open([&spec, &none, &none, &none, &spec, &spec]).unwrap();
        for (serial, debugcon, console) in [("a", "b", ""), ("c", "", "d")] {
            let mut out = Output {
                serial: serial.into(),
                debugcon: debugcon.into(),
                console: console.into(),
                ..Output::default()
            };
            sinks.take(&mut out).unwrap();
            sinks.flush().unwrap();
            assert!(out.is_empty());
        }
        assert_eq!(std::fs::read(f.path()).unwrap(), b"abcd");
        assert_eq!((sinks.com(0), sinks.debugcon(), sinks.console()), (&b"ac"[..], &b"b"[..], &b"d"[..]));
    }

    #[test]
    fn a_file_that_cannot_be_created_is_named() {
        let none = &SinkSpec::None;
        let e = Sinks::open([&SinkSpec::File("/nowhere/out".into()), none, none, none, none, none])
            .err()
            .unwrap();
        assert!(e.to_string().contains("/nowhere/out"));
    }
}
