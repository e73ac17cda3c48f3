//! Why a test failed: what was expected, what came, and where the CPU was.

use std::fmt;
use std::time::Duration;

use hako_machine::{Ended, Outcome};

use crate::pattern::Pattern;
use crate::screen::Screen;
use crate::spec::{Channel, Exit, Spec};
use crate::steps::Used;
use crate::subject::Subject;

/// What a test wanted and did not get.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// This text.
    Text(Channel, Pattern),
    /// The end of the run, in this way or any good one.
    End(Option<Exit>),
    /// An exit status, and what it was.
    Status(u8, u8),
    /// A value of something.
    Value {
        /// Of what.
        what: String,
        /// Which.
        wanted: String,
        /// What it was.
        came: String,
    },
}

impl Wanted {
    /// Where the answer should have been seen, if in text.
    fn channel(&self) -> Option<Channel> {
        match self {
            Wanted::Text(channel, _) => Some(*channel),
            _ => None,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Text(channel, pattern) => write!(f, "expected on {}: {pattern}", channel.name()),
            Wanted::End(Some(exit)) => write!(f, "expected the guest to end by {}", name(*exit)),
            Wanted::End(None) => f.write_str("expected the guest to end"),
            Wanted::Status(wanted, came) => write!(f, "expected status {wanted}, got {came}"),
            Wanted::Value { what, wanted, came } => {
                write!(f, "expected {what}: {wanted}\n         got {what}: {came}")
            }
        }
    }
}

/// A kind of end as test files call it.
pub fn name(exit: Exit) -> &'static str {
    match exit {
        Exit::Halt => "halt",
        Exit::PowerOff => "power-off",
        Exit::Reset => "reset",
        Exit::DebugExit => "debug-exit",
        Exit::TripleFault => "triple-fault",
        Exit::Hang => "hang",
        Exit::Timeout => "timeout",
    }
}

/// Everything about a failed test.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The step that failed, from 0; none for the end.
    pub step: Option<usize>,
    /// How many steps there are.
    pub steps: usize,
    /// What was wanted.
    pub wanted: String,
    /// How the run ended, or that it had not.
    pub end: String,
    /// What was on the screen.
    pub screen: Option<Screen>,
    /// What was said that no step had matched, of the channels where there is any.
    pub said: Vec<(Channel, String)>,
    /// Where the CPU was.
    pub cpu: Vec<String>,
    /// Guest time at the end.
    pub time: Duration,
}

/// How much of what was said is shown, in lines.
const LINES: usize = 24;
/// And in letters.
const LETTERS: usize = 4000;

impl Failure {
    pub(crate) fn new(
        step: Option<usize>,
        wanted: Wanted,
        spec: &Spec,
        subject: &mut dyn Subject,
        matched: Used,
    ) -> Failure {
        let outcome = subject.outcome();
        let time = outcome.as_ref().map_or(subject.now(), |o| Duration::from_nanos(o.time.0));
        let screen = subject.screen().filter(|s| !s.is_blank() || wanted.channel() == Some(Channel::Screen));
        // At the end everything counts, not only what the steps left over.
        let matched = if step.is_some() { matched } else { Used::default() };
        let rest = |(channel, matched): (Channel, usize)| {
            let said = subject.said(channel);
            let rest = tail(&said[matched.min(said.len())..]);
            (!rest.is_empty()).then_some((channel, rest))
        };
        let said = Channel::STREAMS.into_iter().zip(matched).filter_map(rest).collect();
        Failure {
            step,
            steps: spec.steps.len(),
            wanted: wanted.to_string(),
            end: end(outcome.as_ref(), time),
            screen,
            said,
            cpu: report(outcome.as_ref()).unwrap_or_else(|| subject.whereabouts()),
            time,
        }
    }

    /// A test that could not be set up.
    pub(crate) fn setup(message: String) -> Failure {
        Failure {
            step: None,
            steps: 0,
            wanted: "the machine could not be built".into(),
            end: message,
            screen: None,
            said: Vec::new(),
            cpu: Vec::new(),
            time: Duration::ZERO,
        }
    }
}

fn end(outcome: Option<&Outcome>, time: Duration) -> String {
    let ended = match outcome.map(|o| &o.ended) {
        None => return format!("the guest was still running after {time:?} of guest time"),
        Some(Ended::Timeout) => return format!("the guest had not ended after {time:?} of guest time"),
        Some(ended) => ended,
    };
    format!("the guest ended after {time:?}: {ended}")
}

/// The report that came with the end.
fn report(outcome: Option<&Outcome>) -> Option<Vec<String>> {
    let report = outcome?.ended.report()?;
    Some(report.to_string().lines().map(str::to_owned).collect())
}

/// The last lines of what was said, readable.
fn tail(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(&said[said.len().saturating_sub(LETTERS)..]);
    let clean: String = text
        .chars()
        .filter(|&c| c != '\r')
        .flat_map(|c| {
            let plain = !c.is_control() || c == '\n' || c == '\t';
            (if plain { None } else { Some(c.escape_default()) })
                .into_iter()
                .flatten()
                .chain(plain.then_some(c))
        })
        .collect();
    let lines: Vec<&str> = clean.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LINES)..];
    shown.join("\n")
}

/// Bytes as test files write them, not too many.
pub fn hex(bytes: &[u8]) -> String {
    const MOST: usize = 32;
    let digits: Vec<String> = bytes.iter().take(MOST).map(|b| format!("{b:02x}")).collect();
    digits.join(" ") + if bytes.len() > MOST { " ..." } else { "" }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => writeln!(f, "step {} of {}: {}", step + 1, self.steps, self.wanted)?,
            None => writeln!(f, "{}", self.wanted)?,
        }
        writeln!(f, "{}", self.end)?;
        for (channel, said) in &self.said {
            writeln!(f, "{}:", channel.name().trim_start_matches("the "))?;
            for line in said.lines() {
                writeln!(f, "  | {line}")?;
            }
        }
        if let Some(screen) = &self.screen {
            writeln!(f, "screen:")?;
            for line in screen.to_string().lines() {
                writeln!(f, "  {line}")?;
            }
        }
        for line in &self.cpu {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_long_output_is_cut() {
        assert_eq!(tail(b"a\x1b[0mb\r\nc"), "a\\u{1b}[0mb\nc");
        let long: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let shown = tail(long.as_bytes());
        assert!(shown.starts_with("line 76") && shown.ends_with("line 99"), "{shown}");
    }

    #[test]
    fn bytes_are_shown_as_test_files_write_them() {
        assert_eq!(hex(&[0x55, 0xaa]), "55 aa");
        assert!(hex(&[0; 100]).ends_with(" ..."));
    }
}
