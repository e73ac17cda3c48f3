//! evolve: breeds a boot sector that prints a given text.
//!
//! Nobody writes the program. A population of sectors is run, each by the tester in a PC of its own; those that print something
//! closest to the text have offspring with small faults, and so on, until one prints the text and halts.
//!
//! ```text
//! cargo run --release -p hako-testing --example evolve -- --text Hello --seed 1
//! ```
//!
//! The same seed gives the same sector in the same number of generations, on any number of cores: guests run under the
//! virtual clock, and chance comes from the seed alone.
#![forbid(unsafe_code)]

mod args;
mod breed;
mod chance;
mod fitness;
mod genome;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use breed::{Individual, Population};
use fitness::Arena;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("evolve: {why}; --help shows what there is");
            return ExitCode::from(2);
        }
    };
    let mut arena = Arena::new(args.text.as_bytes(), args.jobs);
    let mut population = Population::new(args.seed, args.population);
    let mut line = Line::new();
    loop {
        let best = match population.next_generation(&mut arena) {
            Ok(best) => best,
            Err(why) => {
                eprintln!("\nevolve: {why}");
                return ExitCode::from(4);
            }
        };
        let perfect = best.score == arena.perfect();
        line.show(population.generation(), &best, &arena, perfect);
        if perfect {
            return finish(&best, args.out.as_deref());
        }
        if population.generation() >= args.generations {
            eprintln!("\nevolve: no sector prints it after {} generations", args.generations);
            return ExitCode::FAILURE;
        }
    }
}

/// Shows the winner, and keeps it if a file is named.
fn finish(best: &Individual, out: Option<&std::path::Path>) -> ExitCode {
    let sector = best.genome.sector();
    for (number, row) in best.genome.code().chunks(16).enumerate() {
        let bytes: Vec<String> = row.iter().map(|b| format!("{b:02x}")).collect();
        println!("{:04x}: {}", 0x7c00 + number * 16, bytes.join(" "));
    }
    if let Some(path) = out
        && let Err(why) = std::fs::write(path, sector)
    {
        eprintln!("evolve: cannot write {}: {why}", path.display());
        return ExitCode::from(4);
    }
    ExitCode::SUCCESS
}

/// The line that shows how it goes.
struct Line {
    started: Instant,
    shown: Option<Instant>,
    live: bool,
}

impl Line {
    fn new() -> Line {
        Line { started: Instant::now(), shown: None, live: std::io::stderr().is_terminal() }
    }

    /// Shows it ten times a second on a terminal, every second elsewhere, and always at the end.
    fn show(&mut self, generation: u64, best: &Individual, arena: &Arena, last: bool) {
        let pause = Duration::from_millis(if self.live { 100 } else { 1000 });
        if !last && self.shown.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        self.shown = Some(Instant::now());
        let rate = arena.tests() as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let text: String = best
            .printed
            .iter()
            .map(|&b| if b.is_ascii_graphic() || b == b' ' { char::from(b) } else { '.' })
            .collect();
        let line = format!(
            "generation {generation:6}  best {:5} of {}  {rate:6.0} tests/s  {text:.40}",
            best.score,
            arena.perfect()
        );
        let mut err = std::io::stderr().lock();
        // A terminal that goes away is no reason to stop.
        let _ = if self.live && !last {
            write!(err, "\r{line}\x1b[K")
        } else if self.live {
            writeln!(err, "\r{line}\x1b[K")
        } else {
            writeln!(err, "{line}")
        };
    }
}
