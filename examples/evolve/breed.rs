//! A population and its generations.

use std::cmp::Reverse;

use crate::chance::Chance;
use crate::fitness::Arena;
use crate::genome::Genome;

/// A sector and what it did.
#[derive(Clone, Debug)]
pub struct Individual {
    pub genome: Genome,
    pub score: u32,
    pub printed: Vec<u8>,
}

/// The best so far, and the offspring that are to be tried.
pub struct Population {
    chance: Chance,
    size: usize,
    generation: u64,
    elite: Vec<Individual>,
}

/// One in so many survives.
const SURVIVORS: usize = 8;

impl Population {
    pub fn new(seed: u64, size: usize) -> Population {
        Population { chance: Chance::new(seed), size, generation: 0, elite: Vec::new() }
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Tries a generation of offspring and keeps the best of them and of their parents; the best of all is returned.
    pub fn next_generation(&mut self, arena: &mut Arena) -> Result<Individual, String> {
        let genomes: Vec<Genome> = (0..self.size).map(|_| self.offspring()).collect();
        let trials = arena.try_all(&genomes)?;
        let young = genomes.into_iter().zip(trials);
        self.elite.extend(young.map(|(genome, t)| Individual { genome, score: t.score, printed: t.printed }));
        // The younger of equals wins, so that the population drifts.
        self.elite.reverse();
        self.elite.sort_by_key(|i| Reverse(i.score));
        self.elite.dedup_by(|a, b| a.genome == b.genome);
        self.elite.truncate((self.size / SURVIVORS).max(2));
        self.generation += 1;
        Ok(self.elite[0].clone())
    }

    fn offspring(&mut self) -> Genome {
        if self.elite.is_empty() {
            return Genome::random(&mut self.chance);
        }
        let mother = self.chance.below(self.elite.len());
        let father = self.chance.below(self.elite.len());
        let mut child = match self.chance.below(3) {
            0 => self.elite[mother].genome.cross(&self.elite[father].genome, &mut self.chance),
            _ => self.elite[mother].genome.clone(),
        };
        child.mutate(&mut self.chance);
        child
    }
}
