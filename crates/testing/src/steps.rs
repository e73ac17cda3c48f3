//! Runs the steps of a test on a subject.

use std::time::Duration;

use crate::failure::{Failure, Wanted};
use crate::finals;
use crate::pattern::Pattern;
use crate::spec::{Channel, Exit, Spec, Step};
use crate::subject::{Progress, Subject};

/// How far a guest runs at least between two looks at its screen.
const LOOK: Duration = Duration::from_millis(1);
/// And at most.
const LOOK_MOST: Duration = Duration::from_millis(50);
/// From this many unmatched bytes on a pattern is not looked for after each byte, but now and then.
const OFTEN: usize = 4096;

/// Runs a test that has been set up; `Ok` is a pass.
pub fn run(spec: &Spec, subject: &mut dyn Subject) -> Result<(), Box<Failure>> {
    let mut course = Course { spec, subject, used: Default::default() };
    for (number, step) in spec.steps.iter().enumerate() {
        let input_to_come = spec.steps[number..].iter().any(Step::is_input);
        course.subject.input_open(input_to_come);
        course.step(number, step)?;
    }
    let Some(finals) = &spec.finals else { return Ok(()) };
    // The machine ends the run at the limit: where that is wanted it is given the chance.
    let until = match finals.exit {
        Some(Exit::Timeout) => spec.limit.saturating_add(LOOK),
        _ => spec.limit,
    };
    while course.subject.outcome().is_none() {
        match course.subject.run(until, false) {
            Progress::Time => return Err(course.failure(None, Wanted::End(finals.exit))),
            Progress::Ended | Progress::Output => {}
        }
    }
    finals::check(finals, course.subject).map_err(|wanted| course.failure(None, wanted))
}

/// How much of each channel's bytes is used up, in the order of [`Channel::STREAMS`].
pub type Used = [usize; Channel::STREAMS.len()];

/// A test under way.
struct Course<'a> {
    spec: &'a Spec,
    subject: &'a mut dyn Subject,
    /// How much of what was said has been matched by earlier steps.
    used: Used,
}

impl Course<'_> {
    fn step(&mut self, number: usize, step: &Step) -> Result<(), Box<Failure>> {
        match step {
            Step::Expect(channel, pattern, within) => {
                let limit = within.map_or(self.spec.limit, |d| (self.subject.now() + d).min(self.spec.limit));
                if self.expect(*channel, pattern, limit) {
                    return Ok(());
                }
                Err(self.failure(Some(number), Wanted::Text(*channel, pattern.clone())))
            }
            Step::SendKeys(keys) => {
                self.subject.send_keys(keys);
                Ok(())
            }
            Step::Send(to, bytes) => {
                self.subject.send(*to, bytes);
                Ok(())
            }
            Step::Wait(time) => {
                let until = self.subject.now().saturating_add(*time).min(self.spec.limit);
                while self.subject.outcome().is_none() && self.subject.run(until, false) == Progress::Output {
                }
                Ok(())
            }
        }
    }

    /// Runs until the pattern is met; `false` if the guest ends or `limit` comes before.
    fn expect(&mut self, channel: Channel, pattern: &Pattern, limit: Duration) -> bool {
        let mut look = LOOK;
        loop {
            if self.met(channel, pattern) {
                return true;
            }
            if self.subject.outcome().is_some() || self.subject.now() >= limit {
                return false;
            }
            let waiting = self.unmatched(channel);
            // Looking costs time that grows with what there is to look at.
            let pause = look + Duration::from_micros(waiting as u64);
            let slice = match channel {
                Channel::Screen => self.subject.now() + pause,
                _ if waiting > OFTEN => self.subject.now() + pause,
                _ => limit,
            };
            if self.subject.run(slice.min(limit), waiting <= OFTEN) == Progress::Time {
                look = (look * 2).min(LOOK_MOST);
            }
        }
    }

    /// Whether the pattern is there; what it matched is used up.
    fn met(&mut self, channel: Channel, pattern: &Pattern) -> bool {
        let Some(n) = Channel::STREAMS.iter().position(|stream| *stream == channel) else {
            return on_screen(self.subject, pattern);
        };
        let (said, used) = (self.subject.said(channel), &mut self.used[n]);
        let from = (*used).min(said.len());
        let found = pattern.find(&said[from..]);
        if let Some(found) = &found {
            *used = from + found.end;
        }
        found.is_some()
    }

    /// How many bytes of a channel no step has matched yet.
    fn unmatched(&self, channel: Channel) -> usize {
        let stream = Channel::STREAMS.iter().position(|stream| *stream == channel);
        self.subject.said(channel).len().saturating_sub(stream.map_or(0, |n| self.used[n]))
    }

    fn failure(&mut self, step: Option<usize>, wanted: Wanted) -> Box<Failure> {
        Box::new(Failure::new(step, wanted, self.spec, self.subject, self.used))
    }
}

/// Whether the pattern is in the screen's text, or in what INT 10h printed.
pub fn on_screen(subject: &dyn Subject, pattern: &Pattern) -> bool {
    pattern.find(subject.said(Channel::Screen)).is_some()
        || subject.screen().is_some_and(|screen| pattern.find(screen.text().as_bytes()).is_some())
}

#[cfg(test)]
mod tests;
