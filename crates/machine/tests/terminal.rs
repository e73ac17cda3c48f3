//! The terminal after a panic: as it was before.

mod common;

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

use common::{pc, print_a};
use hako_machine::{EngineChoice, SinkSpec};

/// Set for the process that panics.
const PANICS: &str = "HAKO_TEST_PANICS";

/// The settings that raw mode changes.
fn settings(fd: &impl AsRawFd) -> [libc::tcflag_t; 4] {
    // SAFETY: termios is plain data that tcgetattr fills; the descriptor is open.
    let t = unsafe {
        let mut t: libc::termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(fd.as_raw_fd(), &mut t), 0);
        t
    };
    [t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag]
}

/// Not a test by itself: the process in which a machine on a terminal is given up by a panic.
#[test]
fn a_process_that_panics() {
    if std::env::var_os(PANICS).is_some() {
        let builder = pc(EngineChoice::Soft).image(print_a()).serial(SinkSpec::Stdio).stdin(true);
        let _machine = builder.build().unwrap();
        let raw = settings(&std::io::stdin())[3] & (libc::ICANON | libc::ECHO | libc::ISIG) == 0;
        panic!("raw mode: {raw}");
    }
}

#[test]
fn a_panic_leaves_the_terminal_as_it_was() {
    let (mut user, mut program) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: openpty writes two descriptors; the other arguments may be null.
    assert_eq!(unsafe { libc::openpty(&mut user, &mut program, null, null.cast(), null.cast()) }, 0);
    // SAFETY: both descriptors are new and nobody else's.
    let (_user, program) = unsafe { (File::from_raw_fd(user), OwnedFd::from_raw_fd(program)) };
    let before = settings(&program);
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_that_panics", "--nocapture"])
        .env(PANICS, "1")
        .stdin(program.try_clone().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(text.contains("raw mode: true"), "{text}");
    assert_eq!(settings(&program), before);
}
