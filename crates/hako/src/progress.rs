//! How far the tests are: one line on standard error that is drawn anew, where that is a terminal.
//!
//! A library would draw it as well, but the usual one estimates with logarithms: 62 KB of a program that is to have 4 MB, and the
//! mathematics library to load in every run.

use std::io::{IsTerminal, Write, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Columns of the bar.
const WIDTH: usize = 30;
/// The line is drawn anew no sooner than this.
const PAUSE: Duration = Duration::from_millis(50);
/// To the line's beginning, and what is there goes.
const CLEAR: &str = "\r\x1b[K";

/// The line. Workers share it.
pub struct Progress {
    start: Instant,
    /// When it was drawn last; `None` where nothing is drawn.
    drawn: Option<Mutex<Instant>>,
}

impl Progress {
    /// Nothing is drawn yet.
    pub fn new() -> Progress {
        let able = stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let start = Instant::now();
        Progress { start, drawn: able.then(|| Mutex::new(start)) }
    }

    /// Says that `done` of `total` are done; what is `said` of the last one stays above the line.
    pub fn tell(&self, done: usize, total: usize, said: Option<&str>) {
        let Some(drawn) = &self.drawn else {
            return said.into_iter().for_each(|said| eprintln!("{said}"));
        };
        let mut drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if said.is_none() && now.duration_since(*drawn) < PAUSE {
            return;
        }
        *drawn = now;
        let said = said.map(|said| format!("{said}\n")).unwrap_or_default();
        show(&format!("{CLEAR}{said}{}", line(done, total, self.start.elapsed())));
    }

    /// Nothing of the line stays.
    pub fn finish(self) {
        if self.drawn.is_some() {
            show(CLEAR);
        }
    }
}

/// In one piece, so that nothing comes between. A terminal that is gone sees nothing; the tests go on.
fn show(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

fn line(done: usize, total: usize, elapsed: Duration) -> String {
    let full = (WIDTH * done).checked_div(total).unwrap_or(0).min(WIDTH);
    format!("{}{} {done}/{total} {}s", "█".repeat(full), "░".repeat(WIDTH - full), elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_as_tests_are_done() {
        let at = |done, total| line(done, total, Duration::from_millis(61_900));
        assert_eq!(at(0, 4), format!("{} 0/4 61s", "░".repeat(30)));
        assert_eq!(at(1, 3), format!("{}{} 1/3 61s", "█".repeat(10), "░".repeat(20)));
        assert_eq!(at(4, 4), format!("{} 4/4 61s", "█".repeat(30)));
        assert_eq!(at(0, 0), format!("{} 0/0 61s", "░".repeat(30)));
    }
}
