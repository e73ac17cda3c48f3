//! The command line.

use std::path::PathBuf;

pub const HELP: &str = "\
Breeds a boot sector that prints a text.

Options:
  --text TEXT         what it must print [default: Hello]
  --seed N            where chance begins [default: 1]
  --population N      sectors in a generation [default: 64]
  --generations N     give up after so many [default: 1000000]
  --jobs N            sectors run at once [default: one per core]
  --out FILE          write the winner there";

pub struct Args {
    pub text: String,
    pub seed: u64,
    pub population: usize,
    pub generations: u64,
    pub jobs: usize,
    pub out: Option<PathBuf>,
}

/// The options; nothing if help is asked for.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Args>, String> {
    let mut args = Args {
        text: "Hello".into(),
        seed: 1,
        population: 64,
        generations: 1_000_000,
        jobs: std::thread::available_parallelism().map_or(1, |n| n.get()),
        out: None,
    };
    while let Some(option) = words.next() {
        if option == "--help" || option == "-h" {
            return Ok(None);
        }
        let value = words.next().ok_or_else(|| format!("{option} is unknown or needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{option} needs a number, not {value}"));
        match &option[..] {
            "--text" if (1..=64).contains(&value.len()) && value.is_ascii() => args.text = value,
            "--text" => return Err("--text needs 1 to 64 ASCII characters".into()),
            "--seed" => args.seed = number()?,
            "--population" => args.population = number()?.clamp(4, 100_000) as usize,
            "--generations" => args.generations = number()?,
            "--jobs" => args.jobs = number()?.clamp(1, 1024) as usize,
            "--out" => args.out = Some(value.into()),
            _ => return Err(format!("there is no option {option}")),
        }
    }
    Ok(Some(args))
}
