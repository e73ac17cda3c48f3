//! The far end of an emulator's serial line, over a socket: what comes is the log, what is typed goes the other way.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use super::io;

/// A line that one emulator will connect to.
pub struct Line {
    /// The port of this machine that it listens on.
    pub port: u16,
    stream: Arc<Mutex<Option<TcpStream>>>,
}

impl Line {
    /// Listens; what arrives is appended to `log`.
    pub fn new(log: &Path) -> Result<Line, String> {
        let failed = |why| format!("no socket for the serial line: {why}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let mut log = io(log, File::create(log))?;
        let stream = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&stream);
        // It ends with the connection, or with this program.
        thread::spawn(move || -> std::io::Result<()> {
            let (mut from, _) = listener.accept()?;
            let to = from.try_clone()?;
            if let Ok(mut place) = shared.lock() {
                *place = Some(to);
            }
            std::io::copy(&mut from, &mut log).map(drop)
        });
        Ok(Line { port, stream })
    }

    /// Types; nobody hears it before the emulator has connected.
    pub fn send(&self, bytes: &[u8]) {
        if let Ok(mut stream) = self.stream.lock()
            && let Some(stream) = stream.as_mut()
        {
            // An emulator that is gone is noticed elsewhere.
            let _ = stream.write_all(bytes);
        }
    }

    /// Types what comes from standard input, for as long as this program runs.
    pub fn connect_input(&self) {
        let to = Line { port: self.port, stream: Arc::clone(&self.stream) };
        thread::spawn(move || {
            let mut bytes = [0; 256];
            while let Ok(count @ 1..) = std::io::stdin().read(&mut bytes) {
                to.send(&bytes[..count]);
            }
        });
    }
}
