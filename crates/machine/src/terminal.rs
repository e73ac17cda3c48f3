//! The terminal in raw mode, and the way back from it.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

/// The terminal's settings before raw mode, while it is in raw mode.
static BEFORE: Mutex<Option<libc::termios>> = Mutex::new(None);

/// Raw mode of standard input, for as long as the value lives. It ends also with a panic (unwinding drops the value),
/// with `exit` and with the signals that [`crate::signals`] catches.
pub(crate) struct RawMode;

/// Whether standard input is a terminal.
pub(crate) fn stdin_is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stdin())
}

/// Columns and rows of the terminal on standard output, or else on standard input.
pub(crate) fn size() -> Option<(u16, u16)> {
    [libc::STDOUT_FILENO, libc::STDIN_FILENO].into_iter().find_map(|fd| {
        // SAFETY: winsize is plain data that the request fills; both descriptors are open as long as the process lives,
        // and one that is no terminal is refused.
        let size = unsafe {
            let mut size: libc::winsize = std::mem::zeroed();
            (libc::ioctl(fd, libc::TIOCGWINSZ, &mut size) == 0).then_some(size)
        };
        size.filter(|s| s.ws_col != 0 && s.ws_row != 0).map(|s| (s.ws_col, s.ws_row))
    })
}

impl RawMode {
    /// Every key goes to the guest, Ctrl-C too; output is treated as before, so that a guest's LF stays a new line.
    pub fn enter() -> io::Result<RawMode> {
        // SAFETY: termios is plain data that tcgetattr fills; standard input is open as long as the process lives.
        let before = unsafe {
            let mut t: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(libc::STDIN_FILENO, &mut t) != 0 {
                return Err(io::Error::last_os_error());
            }
            t
        };
        let mut raw = before;
        // SAFETY: cfmakeraw changes the value it is given.
        unsafe { libc::cfmakeraw(&mut raw) };
        raw.c_oflag = before.c_oflag;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| {
            extern "C" fn at_exit() {
                restore();
            }
            // SAFETY: registers a function that lives as long as the program. If there is no room for it, drop and
            // signals still restore.
            unsafe { libc::atexit(at_exit) };
        });
        set(&raw)?;
        Ok(RawMode)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

fn set(t: &libc::termios) -> io::Result<()> {
    // SAFETY: tcsetattr reads the value; no other memory is involved.
    match unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, t) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Back to the settings from before raw mode, if it is on.
pub(crate) fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // A terminal that has gone away cannot be restored and need not be.
        let _ = set(&before);
    }
}
