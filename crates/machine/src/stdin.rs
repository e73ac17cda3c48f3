//! Standard input on its way to COM1: a reader thread for terminals and pipes, plain reading for files.

use std::fs::File;
use std::io::{self, Read};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::sync::Arc;

use crate::error::Error;
use crate::inbox::Inbox;
use crate::signals;
use crate::terminal::{self, RawMode};

/// The key that begins a command to hako: Ctrl-A.
const ESCAPE: u8 = 0x01;

/// Standard input as the machine holds it.
pub(crate) enum Stdin {
    /// A thread reads it; raw mode ends with the machine.
    Thread(#[allow(dead_code, reason = "held for its drop")] Option<RawMode>),
    /// A file: read when COM1 has room, so that the run is repeatable.
    File(ManuallyDrop<File>),
    /// Its end was reached.
    Ended,
}

impl Stdin {
    /// Begins to read.
    pub fn open(inbox: &Arc<Inbox>) -> Result<Stdin, Error> {
        let host = |e: io::Error| Error::Host(format!("cannot use standard input: {e}"));
        if terminal::stdin_is_terminal() {
            let raw = RawMode::enter().map_err(host)?;
            spawn(inbox, Some(Keys::default())).map_err(host)?;
            return Ok(Stdin::Thread(Some(raw)));
        }
        // SAFETY: the descriptor is open as long as the process lives, and ManuallyDrop never closes it.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(libc::STDIN_FILENO) });
        match file.metadata() {
            Ok(meta) if !blocks(&meta) => Ok(Stdin::File(file)),
            Ok(_) => {
                spawn(inbox, None).map_err(host)?;
                Ok(Stdin::Thread(None))
            }
            // Closed: there is nothing to read.
            Err(_) => Ok(Stdin::Ended),
        }
    }

    /// Bytes of a file, into `buf`; none for the other kinds.
    pub fn read(&mut self, buf: &mut [u8]) -> usize {
        let Stdin::File(file) = self else { return 0 };
        match file.read(buf) {
            Ok(0) | Err(_) => {
                *self = Stdin::Ended;
                0
            }
            Ok(n) => n,
        }
    }

    /// Whether a file may have more bytes.
    pub fn is_open(&self) -> bool {
        matches!(self, Stdin::File(_))
    }
}

/// Whether a read may wait for somebody: not for files and devices such as /dev/null.
fn blocks(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let t = meta.file_type();
    t.is_fifo() || t.is_socket()
}

/// The reader: bytes go to the inbox, which makes it wait while the guest does not take them.
fn spawn(inbox: &Arc<Inbox>, mut keys: Option<Keys>) -> io::Result<()> {
    let inbox = Arc::clone(inbox);
    inbox.put(|w| w.open = true);
    let reader = move || {
        let mut buf = [0; 4096];
        let mut stdin = io::stdin().lock();
        loop {
            let n = match stdin.read(&mut buf) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let bytes = buf.get(..n).unwrap_or(&[]);
            match &mut keys {
                None => inbox.put_input(bytes),
                Some(keys) => {
                    let typed = keys.sort(bytes);
                    inbox.put_input(&typed.bytes);
                    if typed.leave {
                        inbox.put(|w| w.leave = true);
                    }
                }
            }
        }
        inbox.put(|w| w.open = false);
    };
    signals::spawn_deaf("stdin", reader).map(drop)
}

/// Tells hako's keys from the guest's.
#[derive(Default)]
struct Keys {
    escaped: bool,
}

/// What was typed.
struct Typed {
    bytes: Vec<u8>,
    leave: bool,
}

impl Keys {
    /// Ctrl-A x leaves, Ctrl-A Ctrl-A is one Ctrl-A for the guest, Ctrl-A and anything else is nothing.
    fn sort(&mut self, typed: &[u8]) -> Typed {
        let mut result = Typed { bytes: Vec::with_capacity(typed.len()), leave: false };
        for &byte in typed {
            match (std::mem::take(&mut self.escaped), byte) {
                (false, ESCAPE) => self.escaped = true,
                (false, _) => result.bytes.push(byte),
                (true, ESCAPE) => result.bytes.push(ESCAPE),
                (true, b'x' | b'X') => result.leave = true,
                (true, _) => {}
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_a_x_leaves() {
        let t = Keys::default().sort(b"ab\x01x");
        assert_eq!((t.bytes.as_slice(), t.leave), (&b"ab"[..], true));
    }

    #[test]
    fn ctrl_a_twice_is_one_for_the_guest() {
        let t = Keys::default().sort(b"\x01\x01x");
        assert_eq!((t.bytes.as_slice(), t.leave), (&b"\x01x"[..], false));
    }

    #[test]
    fn the_escape_may_be_split_over_two_reads() {
        let mut k = Keys::default();
        assert!(!k.sort(b"\x01").leave);
        assert!(k.sort(b"x").leave);
    }

    #[test]
    fn ctrl_a_and_another_key_is_nothing() {
        let t = Keys::default().sort(b"\x01qa");
        assert_eq!((t.bytes.as_slice(), t.leave), (&b"a"[..], false));
    }
}
