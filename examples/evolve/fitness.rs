//! How good a sector is: the tester runs it and looks at what it printed.

use std::sync::Arc;
use std::time::Duration;

use hako_machine::{ClockKind, Config, Ended, EngineChoice};
use hako_testing::spec::Channel;
use hako_testing::{Bench, MachineBench};

use crate::genome::Genome;

/// How long a sector may run: 5,000 instructions are more than a good one needs.
const LIFE: Duration = Duration::from_micros(50);

/// The machines on which sectors are tried, one for each core.
pub struct Arena {
    text: Vec<u8>,
    benches: Vec<MachineBench>,
    tests: u64,
}

/// What came of a trial.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    pub score: u32,
    pub printed: Vec<u8>,
}

impl Arena {
    pub fn new(text: &[u8], jobs: usize) -> Arena {
        Arena { text: text.to_vec(), benches: (0..jobs).map(|_| MachineBench::default()).collect(), tests: 0 }
    }

    /// How many sectors have been tried.
    pub fn tests(&self) -> u64 {
        self.tests
    }

    /// The score of a sector that prints the text, nothing else, and halts.
    pub fn perfect(&self) -> u32 {
        self.text.len() as u32 * 256 + 1
    }

    /// Tries all, on all machines at once; the trials are in the order of the sectors.
    pub fn try_all(&mut self, genomes: &[Genome]) -> Result<Vec<Trial>, String> {
        self.tests += genomes.len() as u64;
        let share = genomes.len().div_ceil(self.benches.len()).max(1);
        let text = &self.text;
        std::thread::scope(|scope| {
            let workers: Vec<_> = self
                .benches
                .iter_mut()
                .zip(genomes.chunks(share))
                .map(|(bench, part)| scope.spawn(|| part.iter().map(|g| attempt(bench, g, text)).collect()))
                .collect();
            let mut trials = Vec::with_capacity(genomes.len());
            for worker in workers {
                let part: Result<Vec<Trial>, String> =
                    worker.join().map_err(|_| "a bug of hako's own".to_owned())?;
                trials.extend(part?);
            }
            Ok(trials)
        })
    }
}

/// Runs one sector.
fn attempt(bench: &mut MachineBench, genome: &Genome, text: &[u8]) -> Result<Trial, String> {
    let config = Config {
        image: Some(genome.sector()[..].into()),
        engine: EngineChoice::Soft,
        clock: Some(ClockKind::Virtual),
        timeout: Some(LIFE),
        no_reboot: true,
        detect_hang: true,
        ..Config::default()
    };
    let subject = bench.prepare(&Arc::new(config))?;
    while subject.outcome().is_none() && subject.now() < LIFE {
        subject.run(LIFE, false);
    }
    let halted = subject.outcome().is_some_and(|outcome| outcome.ended == Ended::HaltedForGood);
    let printed = subject.said(Channel::Screen).to_vec();
    Ok(Trial { score: score(&printed, text, halted), printed })
}

/// Every letter in its place counts, near ones almost as much, and a clean end a little. Whoever prints much more than
/// the text (an error of the firmware, say) has printed nothing of it.
fn score(printed: &[u8], text: &[u8], halted: bool) -> u32 {
    let excess = printed.len().saturating_sub(text.len());
    if excess > 4 {
        return 0;
    }
    let near = |(a, b): (&u8, &u8)| 256 - u32::from(a.abs_diff(*b));
    let letters: u32 = printed.iter().zip(text).map(near).sum();
    letters.saturating_sub(excess as u32 * 64) + u32::from(halted && excess == 0)
}
