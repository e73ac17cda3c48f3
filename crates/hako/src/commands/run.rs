//! `hako run`.

use std::io::{Write, stdout};

use hako_machine::{Builder, Config, Ended, Machine, Outcome, Source};

use crate::args::run::{RunArgs, RunOptions};
use crate::png;

/// Boots the image and runs it to its end.
pub fn run(args: &RunArgs) -> u8 {
    drive(args.options.config(args.image.clone().map(Source::File)), &args.options)
}

/// Runs a machine to its end as the options say; returns the exit status.
pub fn drive(config: Config, options: &RunOptions) -> u8 {
    let mut machine = match Builder::from_config(config).build() {
        Ok(machine) => machine,
        Err(why) => {
            eprintln!("hako: {why}");
            return why.status();
        }
    };
    if options.verbose {
        for note in machine.notes() {
            eprintln!("hako: {note}");
        }
    }
    let outcome = machine.run();
    explain(&outcome, options);
    match show_screen(&machine, options) {
        Ok(()) => outcome.status,
        Err(why) => {
            eprintln!("hako: {why}");
            if outcome.status == 0 { 4 } else { outcome.status }
        }
    }
}

/// What `--screen` and `--screenshot` ask for.
fn show_screen(machine: &Machine, options: &RunOptions) -> Result<(), String> {
    const NONE: &str = "this machine has no screen: --screen and --screenshot need --machine pc";
    if options.screen {
        let screen = machine.screen().ok_or(NONE)?;
        write!(stdout(), "{screen}").map_err(|why| format!("standard output: {why}"))?;
    }
    if let Some(path) = &options.screenshot {
        let image = machine.picture().ok_or(NONE)?;
        png::write(path, &image)?;
    }
    Ok(())
}

/// Says on standard error how the run ended, where that is not what everybody hopes for, or always with `-v`.
fn explain(outcome: &Outcome, options: &RunOptions) {
    match &outcome.ended {
        Ended::TripleFault(report) | Ended::Refused(report) | Ended::Unknown(report) => eprint!("{report}"),
        Ended::Timeout => eprintln!("hako: timeout: the guest had not ended after {}", limit(options)),
        Ended::Failed(why) => eprintln!("hako: {why}"),
        Ended::Hang(why) => eprintln!("hako: the guest hangs: {why}"),
        _ => {}
    }
    if options.verbose {
        eprintln!("hako: {}", summary(outcome));
    }
}

fn limit(options: &RunOptions) -> String {
    options.timeout.map_or_else(|| "its time".into(), |t| format!("{t:?} (--timeout)"))
}

/// One line about a finished run.
fn summary(outcome: &Outcome) -> String {
    let mut text =
        format!("{}, status {}, after {:?} of guest time", outcome.ended, outcome.status, outcome.time);
    if let Some(count) = outcome.count {
        text += &format!(", {count} instructions");
    }
    if outcome.rescued > 0 {
        text += &format!(", {} instructions that KVM refused executed by hako's own CPU", outcome.rescued);
    }
    if outcome.resets > 0 {
        text += &format!(", {} resets", outcome.resets);
    }
    text
}
