//! hako on a terminal: raw mode while the guest runs, and the terminal as before at every end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Child;

use crate::guest::{self, COM1, LOOP, SAYING, say, sector};
use crate::hako::{Done, Folder, command, wait};

/// A pseudo-terminal: the user's end and the program's.
pub struct Terminal {
    pub user: File,
    program: OwnedFd,
    before: Settings,
}

/// The settings that raw mode changes.
type Settings = [libc::tcflag_t; 4];

impl Terminal {
    /// A new one.
    pub fn open() -> Terminal {
        let (mut user, mut program) = (0, 0);
        let null = std::ptr::null_mut();
        // SAFETY: openpty writes two descriptors; the other arguments may be null.
        let done = unsafe { libc::openpty(&mut user, &mut program, null, null.cast(), null.cast()) };
        assert_eq!(done, 0, "openpty");
        // SAFETY: both descriptors are new and nobody else's.
        let (user, program) = unsafe { (File::from_raw_fd(user), OwnedFd::from_raw_fd(program)) };
        let before = settings(&program);
        Terminal { user, program, before }
    }

    /// Starts hako with the terminal as its standard input.
    pub fn start(&self, args: &[&str]) -> Child {
        command().args(args).stdin(self.program.try_clone().unwrap()).spawn().unwrap()
    }

    /// What the user types.
    pub fn type_keys(&mut self, keys: &[u8]) {
        self.user.write_all(keys).unwrap();
    }

    /// Gives it a size.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the request reads the value; the descriptor is open.
        assert_eq!(unsafe { libc::ioctl(self.user.as_raw_fd(), libc::TIOCSWINSZ, &size) }, 0);
    }

    fn is_raw(&self) -> bool {
        let [_, _, _, local] = settings(&self.program);
        local & (libc::ICANON | libc::ECHO | libc::ISIG) == 0
    }

    /// The end of a run: the terminal is as it was.
    pub fn end(&self, child: Child) -> Done {
        let done = wait(child);
        assert_eq!(settings(&self.program), self.before, "{}", done.err);
        done
    }
}

fn settings(fd: &OwnedFd) -> Settings {
    // SAFETY: termios is plain data that tcgetattr fills; the descriptor is open.
    let t = unsafe {
        let mut t: libc::termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(fd.as_raw_fd(), &mut t), 0);
        t
    };
    [t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag]
}

/// Reads what the guest says until `text`.
fn hears(child: &mut Child, text: &str) {
    let mut word = vec![0; text.len()];
    child.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    assert_eq!(String::from_utf8_lossy(&word), text);
}

/// Says `ready`, then echoes.
fn echo(folder: &Folder) -> String {
    folder.file("image", &sector(&say(COM1, "ready", &guest::echo(SAYING))))
}

#[test]
fn keys_go_to_the_guest_raw_and_ctrl_a_x_leaves() {
    let folder = Folder::new();
    let image = echo(&folder);
    let mut terminal = Terminal::open();
    let mut child = terminal.start(&["run", "--engine", "soft", &image]);
    hears(&mut child, "ready");
    assert!(terminal.is_raw());
    // Ctrl-C is a key like others, Ctrl-A twice is one.
    terminal.type_keys(b"a\x03\x01\x01z");
    hears(&mut child, "a\x03\x01z");
    terminal.type_keys(b"\x01x");
    terminal.end(child).expect(130);
}

#[test]
fn a_long_paste_arrives_complete() {
    let folder = Folder::new();
    let image = echo(&folder);
    let terminal = Terminal::open();
    let mut child = terminal.start(&["run", "--engine", "soft", "--clock", "virtual", &image]);
    hears(&mut child, "ready");
    // Everything but the echo's end and Ctrl-A, which is a command to hako.
    let paste: Vec<u8> =
        (0..0x1_0000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect();
    let mut user = terminal.user.try_clone().unwrap();
    let typed = paste.clone();
    let typist = std::thread::spawn(move || user.write_all(&typed).unwrap());
    let mut heard = vec![0; paste.len()];
    child.stdout.as_mut().unwrap().read_exact(&mut heard).unwrap();
    typist.join().unwrap();
    assert!(heard == paste);
    (&terminal.user).write_all(b"\x01x").unwrap();
    terminal.end(child).expect(130);
}

#[test]
fn the_terminal_is_restored_however_the_guest_ends() {
    let folder = Folder::new();
    let table: [(&str, Vec<u8>, &[&str], i32); 3] = [
        ("timeout", say(COM1, "ready", LOOP), &["--timeout", "100ms"], 124),
        ("triple fault", say(COM1, "ready", &[0x0f, 0x01, 0x1e, 0x80, 0x7c, 0xcd, 0]), &[], 6),
        ("halt", say(COM1, "ready", &[0xfa, 0xf4]), &[], 0),
    ];
    for (name, code, options, status) in table {
        let image = folder.file("image", &sector(&code));
        let terminal = Terminal::open();
        let child = terminal.start(&[&["run", "--engine", "soft", &image], options].concat());
        let done = terminal.end(child);
        assert_eq!(done.status, status, "{name}: {}", done.err);
    }
}

#[test]
fn the_terminal_is_restored_by_signals() {
    let folder = Folder::new();
    let image = echo(&folder);
    for (signal, status) in [(libc::SIGTERM, 143), (libc::SIGINT, 130), (libc::SIGHUP, 129)] {
        let terminal = Terminal::open();
        let mut child = terminal.start(&["run", "--engine", "soft", &image]);
        hears(&mut child, "ready");
        // SAFETY: sends a signal to our own child, which has not been waited for.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        terminal.end(child).expect(status);
    }
}

#[test]
fn the_terminal_is_left_alone_by_errors_and_by_other_channels() {
    let terminal = Terminal::open();
    let child = terminal.start(&["run", "/no/such/file"]);
    terminal.end(child).expect(4);
    let folder = Folder::new();
    let image = folder.file("image", &sector(&say(COM1, "ready", &[0xfa, 0xf4])));
    let child = terminal.start(&["run", "--engine", "soft", "--serial", "none", &image]);
    terminal.end(child).expect(0);
}
