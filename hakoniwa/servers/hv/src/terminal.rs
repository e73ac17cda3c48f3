//! What a guest says, line by line in the log, and what is typed for it.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use hako_board::{Board, Output};
use hako_chips::pci::Bdf;
use hako_engine::{Attention, Time};
use hakoniwa_abi::TaskId;
use hakoniwa_runtime::console::{self, READ_MOST};
use hakoniwa_runtime::println;

/// Input is fetched while less than this waits here: the rest waits at the console server.
const ENOUGH: usize = 128;
/// How long the beginning of a line, a prompt perhaps, stays alone before it is shown as it is: half a second.
const PATIENCE: u64 = 500_000_000;

/// A guest's terminal.
pub struct Terminal {
    name: String,
    /// The console server, and the digit by which it knows the guest.
    source: Option<(TaskId, u8)>,
    /// The virtio console, which gets the input where there is one; else COM1 does.
    device: Option<Bdf>,
    waiting: VecDeque<u8>,
    /// There may be more at the console server.
    more: bool,
    /// The beginnings of lines that are not ended yet: of COM1 and the debug ports, and of the virtio console.
    lines: [Vec<u8>; 2],
    /// When the last of them grew, in nanoseconds since boot.
    grown: u64,
}

impl Terminal {
    /// A terminal for a guest of this name.
    pub fn new(name: String, console: Option<TaskId>, device: Option<Bdf>) -> Terminal {
        // A console that knows enough guests already has no digit for it.
        let digit = console.and_then(|console| Some((console, console::register(console, &name).ok()?)));
        let source = digit.filter(|(_, digit)| *digit != 0);
        Terminal {
            name,
            source,
            device,
            waiting: VecDeque::new(),
            more: false,
            lines: [Vec::new(), Vec::new()],
            grown: 0,
        }
    }

    /// The console server has input.
    pub fn come(&mut self) {
        self.more = self.source.is_some();
    }

    /// Whether there is input under way.
    pub fn has_input(&self) -> bool {
        self.more || !self.waiting.is_empty()
    }

    fn fetch(&mut self) {
        let mut bytes = [0; READ_MOST];
        while let Some((console, digit)) = self.source.filter(|_| self.more && self.waiting.len() < ENOUGH) {
            // A console that is gone has nothing more.
            let count = console::read(console, digit, &mut bytes).unwrap_or(0);
            self.waiting.extend(&bytes[..count]);
            self.more = count == READ_MOST;
        }
    }

    /// Gives the guest as much input as it has room for.
    pub fn feed(&mut self, board: &mut Board, time: Time) -> Attention {
        let mut attention = Attention::empty();
        self.fetch();
        match self.device {
            Some(at) => {
                let (taken, change) = board.device_input(time, at, self.waiting.make_contiguous());
                self.waiting.drain(..taken.min(self.waiting.len()));
                attention |= change;
            }
            None => {
                while let Some(byte) = self.waiting.front().copied() {
                    if !board.serial_input(time, byte) {
                        break;
                    }
                    self.waiting.pop_front();
                    attention |= Attention::EVENTS;
                }
            }
        }
        attention
    }

    /// Takes what the guest said, and prints the lines that it has ended. `now` is in nanoseconds since boot.
    pub fn say(&mut self, output: &mut Output, now: u64) {
        if output.is_empty() {
            return;
        }
        for said in [&output.serial, &output.debugcon, &output.printed] {
            self.lines[0].extend_from_slice(said);
        }
        self.lines[1].extend_from_slice(&output.console);
        output.clear();
        for line in &mut self.lines {
            while let Some(end) = line.iter().position(|b| *b == b'\n') {
                show(&self.name, &line[..end]);
                line.drain(..=end);
            }
        }
        if self.lines.iter().any(|line| !line.is_empty()) {
            self.grown = now;
        }
    }

    /// When `tick` is wanted, in nanoseconds since boot.
    pub fn next_event(&self) -> u64 {
        let silent = self.lines.iter().all(Vec::is_empty);
        if silent { u64::MAX } else { self.grown.saturating_add(PATIENCE) }
    }

    /// Shows what has waited long for the end of its line.
    pub fn tick(&mut self, now: u64) {
        if self.next_event() <= now {
            self.finish();
        }
    }

    /// Shows the lines that were never ended.
    pub fn finish(&mut self) {
        for line in self.lines.iter_mut().filter(|line| !line.is_empty()) {
            show(&self.name, line);
            line.clear();
        }
    }
}

fn show(name: &str, line: &[u8]) {
    println!("{name}: {}", String::from_utf8_lossy(line).trim_end());
}
