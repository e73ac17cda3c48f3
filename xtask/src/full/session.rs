//! One guest: started, talked to, ended.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use super::rows::Row;
use crate::guests::cache::{Cache, at, copy};
use crate::measure::{Cost, await_cost};

/// What came of a guest.
pub struct Run {
    /// Why it failed.
    pub failure: Option<String>,
    /// What it cost.
    pub cost: Cost,
}

impl Run {
    /// One line for people.
    pub fn verdict(&self) -> String {
        match &self.failure {
            None => format!("ok, {:.1} s of CPU time", self.cost.cpu.as_secs_f64()),
            Some(why) => format!("FAILED: {why}"),
        }
    }
}

/// Runs a guest; its serial line and hako's own words are left in `logs`.
pub fn run(row: &Row, hako: &Path, cache: &Cache, logs: &Path) -> Result<Run, String> {
    let log = logs.join(format!("{} on {}", row.name, row.engine).replace([' ', ',', '/'], "-"));
    let words = log.with_extension("err");
    let mut command = Command::new(hako);
    command.args(["run", "--engine", row.engine, "-v", "--append"]);
    command.arg(format!("console=ttyS0 {}", row.append));
    let image = row.disk.map(|_| log.with_extension("img"));
    if let (Some(image), Some(interface)) = (&image, row.disk) {
        copy(&cache.path("disk/root.img"), image)?;
        command.arg("--disk").arg(format!("{},if={interface}", image.display()));
    }
    for arg in row.args.split_whitespace() {
        match arg.strip_prefix('@') {
            Some(name) => command.arg(cache.path(name)),
            None => command.arg(arg),
        };
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(at(&words, fs::File::create(&words))?);
    let start = Instant::now();
    let mut child = command.spawn().map_err(|why| format!("{command:?} did not start: {why}"))?;
    let mut serial = Vec::new();
    let mut failure = talk(row, &mut child, &mut serial);
    if failure.is_some() || !row.ends {
        // It has said all, or will not.
        let _ = child.kill();
    }
    let (cost, status) = await_cost(&child, start)?;
    if row.ends && failure.is_none() && !status.success() {
        failure = Some(format!("hako ended with {status}"));
    }
    at(&log, fs::write(log.with_extension("serial"), &serial))?;
    if let Some(image) = image {
        failure = failure.or(lost(&image, row.written));
        at(&image, fs::remove_file(&image))?;
    }
    Ok(Run { failure, cost })
}

/// Whether what the guest wrote is missing in the image.
fn lost(image: &Path, written: &str) -> Option<String> {
    match fs::File::open(image).and_then(|file| holds(file, written.as_bytes())) {
        Ok(true) => None,
        Ok(false) => Some("what it wrote is not in the image".into()),
        Err(why) => Some(format!("{}: {why}", image.display())),
    }
}

/// Whether a file has these bytes in it. In pieces: what is resident here when a child starts counts as the child's peak.
fn holds(mut file: impl Read, wanted: &[u8]) -> io::Result<bool> {
    let mut window = Vec::new();
    loop {
        if wanted.is_empty() || window.windows(wanted.len()).any(|w| w == wanted) {
            return Ok(true);
        }
        // What was found at the end may go on.
        window.drain(..window.len().saturating_sub(wanted.len() - 1));
        if file.by_ref().take(1 << 20).read_to_end(&mut window)? == 0 {
            return Ok(false);
        }
    }
}

/// Waits for what the guest says, types what it is to be told, then waits for its end.
fn talk(row: &Row, child: &mut Child, serial: &mut Vec<u8>) -> Option<String> {
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Some("its streams are not there".into());
    };
    let heard = listen(stdout);
    let end = Instant::now() + row.limit;
    let mut from = 0;
    for (says, typed) in row.talk {
        loop {
            let said = serial.get(from..).unwrap_or_default();
            if let Some(found) = said.windows(says.len()).position(|w| w == says.as_bytes()) {
                from += found + says.len();
                break;
            }
            match heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => serial.extend(bytes),
                Err(RecvTimeoutError::Timeout) => return Some(format!("no {says:?} in {:?}", row.limit)),
                Err(RecvTimeoutError::Disconnected) => return Some(format!("it ended without {says:?}")),
            }
        }
        if stdin.write_all(typed.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            return Some("it takes no more input".into());
        }
    }
    if !row.ends {
        return None;
    }
    loop {
        match heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(bytes) => serial.extend(bytes),
            Err(RecvTimeoutError::Timeout) => return Some(format!("it did not end in {:?}", row.limit)),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// What a stream brings, as it comes. The thread ends with the stream.
fn listen(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            if sender.send(buffer[..n].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_across_the_pieces_of_a_file_and_at_its_end() {
        let mut image = vec![b'x'; (1 << 20) + 3];
        assert!(!holds(image.as_slice(), b"hello").unwrap());
        image[(1 << 20) - 2..].copy_from_slice(b"hello");
        assert!(holds(image.as_slice(), b"hello").unwrap());
        assert!(holds(image.as_slice(), b"").unwrap());
    }
}
