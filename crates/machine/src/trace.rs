//! `--trace`: what the machine does, line by line, with symbolic names.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::str::FromStr;

use hako_board::names;
use hako_engine::{Exit, ExitKind, Time};
use hako_mem::Gpa;
use hako_x86::{Width, msr};

use crate::error::Error;

/// What can be traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceSet {
    /// Why the engine came back.
    pub exits: bool,
    /// Port accesses, and MSRs that chips own.
    pub io: bool,
    /// Accesses to what is neither RAM nor ROM.
    pub mmio: bool,
    /// Interrupts and firmware services.
    pub int: bool,
    /// Every instruction.
    pub instr: bool,
}

impl FromStr for TraceSet {
    type Err = String;

    fn from_str(s: &str) -> Result<TraceSet, String> {
        let mut set = TraceSet::default();
        for word in s.split(',') {
            *match word {
                "exits" => &mut set.exits,
                "io" => &mut set.io,
                "mmio" => &mut set.mmio,
                "int" => &mut set.int,
                "instr" => &mut set.instr,
                _ => {
                    return Err(format!("cannot trace \"{word}\"; there are exits, io, mmio, int, instr"));
                }
            } = true;
        }
        Ok(set)
    }
}

/// What to trace and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSpec {
    /// What.
    pub what: TraceSet,
    /// The file; standard error without one.
    pub file: Option<PathBuf>,
}

/// An open trace.
pub struct Trace {
    /// What it shows.
    pub what: TraceSet,
    /// Which CPU the lines are about, where there are several.
    pub cpu: Option<u8>,
    to: Box<dyn Write + Send>,
}

impl Trace {
    /// Opens the file, if there is one.
    pub fn open(spec: &TraceSpec) -> Result<Trace, Error> {
        let to: Box<dyn Write + Send> = match &spec.file {
            Some(path) => {
                Box::new(BufWriter::new(File::create(path).map_err(|e| Error::file("create", path, e))?))
            }
            None => Box::new(std::io::stderr()),
        };
        Ok(Trace { what: spec.what, cpu: None, to })
    }

    /// One line. A trace that cannot be written (disk full) is no reason to stop a guest.
    pub fn line(&mut self, now: Time, what: std::fmt::Arguments<'_>) {
        let _ = match self.cpu {
            Some(cpu) => writeln!(self.to, "{now:?} cpu{cpu} {what}"),
            None => writeln!(self.to, "{now:?} {what}"),
        };
    }

    /// Writes out what is buffered.
    pub fn flush(&mut self) {
        let _ = self.to.flush();
    }

    /// Why the engine came back.
    pub fn exit(&mut self, now: Time, exit: &Exit) {
        let rip = exit.rip.map(|rip| format!(" at rip {rip:#x}")).unwrap_or_default();
        let what = match &exit.kind {
            ExitKind::Halt => "hlt".to_string(),
            ExitKind::TripleFault => "triple fault".into(),
            ExitKind::Wish => "a chip's wish".into(),
            ExitKind::Debug(_) => "debug".into(),
            ExitKind::Deadline => "deadline".into(),
            ExitKind::Kicked => "kicked".into(),
            ExitKind::Refused(r) => {
                let bytes = r.bytes.get(..usize::from(r.len)).unwrap_or(&r.bytes);
                let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
                format!("refused {}", hex.join(" "))
            }
            ExitKind::Unknown { code, detail } => format!("unknown {code:#x} {detail}"),
        };
        self.line(now, format_args!("exit {what}{rip}"));
    }

    /// A port access.
    pub fn io(&mut self, now: Time, write: bool, port: u16, width: Width, data: &[u8]) {
        let (verb, arrow) = if write { ("out", "<-") } else { ("in ", "->") };
        let name = names::port(port);
        let shown = Items { width, data };
        self.line(now, format_args!("io   {verb} {port:#06x} {name:<16} {arrow} {shown}"));
    }

    /// An access outside RAM and ROM.
    pub fn mmio(&mut self, now: Time, write: bool, gpa: Gpa, data: &[u8]) {
        let (verb, arrow) = if write { ("write", "<-") } else { ("read ", "->") };
        let shown = Items { width: Width::from_bytes(data.len()).unwrap_or(Width::B1), data };
        self.line(now, format_args!("mmio {verb} {gpa} {arrow} {shown}"));
    }

    /// An MSR that chips own.
    pub fn msr(&mut self, now: Time, index: u32, value: Option<u64>, write: bool) {
        let name = msr::name(index).unwrap_or("?");
        let verb = if write { "wrmsr" } else { "rdmsr" };
        match value {
            Some(v) => self.line(now, format_args!("io   {verb} {index:#x} {name} {v:#x}")),
            None => self.line(now, format_args!("io   {verb} {index:#x} {name} #GP")),
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The items of a string access, at most eight of them.
struct Items<'a> {
    width: Width,
    data: &'a [u8],
}

impl std::fmt::Display for Items<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = self.width.bytes();
        for item in self.data.chunks(n).take(8) {
            let value = item.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b));
            write!(f, "{value:#0digits$x} ", digits = 2 + 2 * n)?;
        }
        if let ([b @ 0x20..=0x7e], 1) = (self.data, n) {
            write!(f, "'{}'", *b as char)?;
        }
        if self.data.len() > 8 * n {
            write!(f, "... ({} items)", self.data.len() / n)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_set_is_a_list_of_words() {
        let set: TraceSet = "exits,int".parse().unwrap();
        assert_eq!(set, TraceSet { exits: true, int: true, ..TraceSet::default() });
        assert!("exits,foo".parse::<TraceSet>().unwrap_err().contains("foo"));
        assert!("".parse::<TraceSet>().is_err());
    }

    #[test]
    fn port_lines_carry_the_ports_name_and_the_character() {
        let f = tempfile::NamedTempFile::new().unwrap();
        let mut t = Trace::open(&TraceSpec {
            what: TraceSet { io: true, ..TraceSet::default() },
            file: Some(f.path().into()),
        })
        .unwrap();
        t.io(Time(1500), true, 0x3f8, Width::B1, b"A");
        t.io(Time(1500), false, 0x1f0, Width::B2, &[0x55; 512]);
        drop(t);
        let text = std::fs::read_to_string(f.path()).unwrap();
        assert!(text.contains("0.000001500s io   out 0x03f8 com1.data        <- 0x41 'A'"), "{text}");
        assert!(text.contains("0x01f0 ide1.data        -> 0x5555 0x5555"), "{text}");
        assert!(text.contains("(256 items)"), "{text}");
    }
}
