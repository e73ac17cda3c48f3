//! Signals that ask hako to end, or say that the terminal has another size: a thread waits for them and tells the
//! machine.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::inbox::Inbox;
use crate::terminal;

/// The signals that end a run.
const ENDING: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

fn set() -> libc::sigset_t {
    // SAFETY: sigset_t is plain data; sigemptyset and sigaddset fill the value they are given.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for s in ENDING.into_iter().chain([libc::SIGWINCH]) {
            libc::sigaddset(&mut set, s);
        }
        set
    }
}

/// Keeps the signals away from this thread and those it makes from now on.
fn block() {
    // SAFETY: reads the set and changes this thread's mask only.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set(), std::ptr::null_mut()) };
}

/// Spawns a thread that never sees the signals.
pub(crate) fn spawn_deaf(name: &str, f: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let thread = move || {
        block();
        f();
    };
    std::thread::Builder::new().name(name.into()).spawn(thread)
}

/// From now on the first of the ending signals ends the machine's run; a second one ends the process on the spot, for a host
/// that does not take what the guest says.
pub(crate) fn catch(inbox: &Arc<Inbox>) -> io::Result<()> {
    block();
    let inbox = Arc::clone(inbox);
    let waiter = move || {
        let mut seen = false;
        loop {
            let mut n = 0;
            // SAFETY: waits for a signal of the set and writes its number.
            if unsafe { libc::sigwait(&set(), &mut n) } != 0 {
                continue;
            }
            if n == libc::SIGWINCH {
                inbox.put(|w| w.resized = true);
                continue;
            }
            if seen {
                terminal::restore();
                // SAFETY: ends the process; nothing of it is used any more.
                unsafe { libc::_exit(128 + n) };
            }
            seen = true;
            inbox.put(|w| w.signal = Some(n));
        }
    };
    spawn_deaf("signals", waiter).map(drop)
}
