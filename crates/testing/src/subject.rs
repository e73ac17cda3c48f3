//! What a test is run on: a machine, seen from outside.

use std::time::Duration;

use hako_machine::{Inlet, Outcome};
use hako_x86::CpuState;

use crate::screen::Screen;
use crate::spec::Channel;
use hako_chips::i8042::KeyEvent;

/// Why [`Subject::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The run has ended: see [`Subject::outcome`].
    Ended,
    /// The guest said something.
    Output,
    /// The time has come.
    Time,
}

/// A machine in the middle of a run. [`crate::MachineBench`] makes one of a [`hako_machine::Machine`]; tests of
/// the tester itself use a play.
pub trait Subject {
    /// Runs until the end, until guest time `until`, or, with `stop_on_output`, until the guest says something.
    fn run(&mut self, until: Duration, stop_on_output: bool) -> Progress;

    /// How the run ended, if it has.
    fn outcome(&self) -> Option<Outcome>;

    /// Guest time since power-on.
    fn now(&self) -> Duration;

    /// What has been said on a channel; for the screen what INT 10h has printed.
    fn said(&self, channel: Channel) -> &[u8];

    /// The text screen, if there is one.
    fn screen(&self) -> Option<Screen>;

    /// Types.
    fn send_keys(&mut self, keys: &[KeyEvent]);

    /// Sends bytes.
    fn send(&mut self, to: Inlet, bytes: &[u8]);

    /// Says whether more input may come: a guest that waits for some is only halted for good when none can.
    fn input_open(&mut self, open: bool);

    /// The CPU's registers, or why they cannot be had.
    fn state(&mut self) -> Result<CpuState, String>;

    /// Physical memory.
    fn memory(&self, at: u64, len: usize) -> Vec<u8>;

    /// A sector of a hard disk as it is now, and as it was at power-on.
    fn sector(&mut self, disk: u8, sector: u64) -> Result<SectorPair, String>;

    /// The port writes so far: port and value.
    fn ports_written(&self) -> Vec<(u16, u64)>;

    /// Where the CPU is: registers and the instructions there, ready to be printed.
    fn whereabouts(&mut self) -> Vec<String>;
}

/// A sector now and at power-on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectorPair {
    /// Now.
    pub now: Vec<u8>,
    /// At power-on.
    pub before: Vec<u8>,
}
