//! What comes from outside while a machine runs: bytes, signals, the wish to leave. Threads put it in; the run loop
//! takes it out between two runs of the CPU and stamps it with the count.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hako_engine::Kick;

/// How many bytes may wait for the guest before the reader of standard input has to wait too.
const ROOM: usize = 4096;

/// What is waiting.
#[derive(Default)]
pub(crate) struct Waiting {
    /// Bytes for the guest.
    pub input: Vec<u8>,
    /// A signal that asks to end.
    pub signal: Option<i32>,
    /// Ctrl-A x was typed.
    pub leave: bool,
    /// The terminal has another size.
    pub resized: bool,
    /// Somebody may still put bytes in.
    pub open: bool,
}

impl Waiting {
    /// Whether something waits that is no input.
    pub fn is_urgent(&self) -> bool {
        self.leave || self.resized || self.signal.is_some()
    }
}

/// The box.
#[derive(Default)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    kicker: Mutex<Option<Arc<dyn Kick>>>,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked while it held plain data leaves plain data.
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    /// Who is kicked when something arrives.
    pub fn set_kicker(&self, kicker: Arc<dyn Kick>) {
        *lock(&self.kicker) = Some(kicker);
    }

    /// Changes what is waiting, and wakes and kicks the machine.
    pub fn put(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut lock(&self.waiting));
        self.changed.notify_all();
        if let Some(k) = &*lock(&self.kicker) {
            k.kick();
        }
    }

    /// Puts bytes in; waits while there is no room. `false` once nobody reads any more.
    pub fn put_input(&self, bytes: &[u8]) {
        for part in bytes.chunks(ROOM) {
            let mut waiting = lock(&self.waiting);
            while waiting.input.len() + part.len() > ROOM {
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            drop(waiting);
            self.put(|w| w.input.extend_from_slice(part));
        }
    }

    /// Looks and takes.
    pub fn with<T>(&self, f: impl FnOnce(&mut Waiting) -> T) -> T {
        let mut waiting = lock(&self.waiting);
        let before = waiting.input.len();
        let result = f(&mut waiting);
        if waiting.input.len() < before {
            self.changed.notify_all();
        }
        result
    }

    /// Sleeps until something is put in, at most `limit`. Returns at once if anything is waiting that `ready` accepts.
    pub fn sleep(&self, limit: Duration, ready: impl Fn(&Waiting) -> bool) {
        let waiting = lock(&self.waiting);
        if !ready(&waiting) {
            let _ = self.changed.wait_timeout(waiting, limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_lost_when_the_reader_is_slow() {
        let inbox = Arc::new(Inbox::default());
        let writer = Arc::clone(&inbox);
        let data: Vec<u8> = (0..100_000u32).map(|i| (i * 7) as u8).collect();
        let sent = data.clone();
        let thread = std::thread::spawn(move || writer.put_input(&sent));
        let mut got = Vec::new();
        while got.len() < data.len() {
            inbox.with(|w| {
                let n = w.input.len().min(16);
                got.extend(w.input.drain(..n));
            });
        }
        thread.join().unwrap();
        assert_eq!(got, data);
    }
}
