//! `hako run`.

use std::io::{Write, stdout};

use hako_machine::{Builder, Config, Ended, Machine, MachineKind, Outcome, Source};

use crate::args::run::{RunArgs, RunOptions};
use crate::png::Screenshot;

/// The exit status where no medium boots, as for an image that cannot.
const NOT_BOOTED: u8 = 4;

/// Boots the image and runs it to its end.
pub fn run(args: &RunArgs) -> u8 {
    drive(args.options.config(args.image.clone().map(Source::File)), &args.options)
}

/// Runs a machine to its end as the options say; returns the exit status.
pub fn drive(config: Config, options: &RunOptions) -> u8 {
    if config.machine == MachineKind::Bare
        && let Some(option) = options.not_for_bare()
    {
        eprintln!("hako: {option} needs --machine pc: a bare machine is RAM, port 1 and one CPU");
        return 2;
    }
    let mut machine = match Builder::from_config(config).build() {
        Ok(machine) => machine,
        Err(why) => {
            eprintln!("hako: {why}");
            return why.status();
        }
    };
    let screenshot = match options.screenshot.as_deref().map(Screenshot::create).transpose() {
        Ok(screenshot) => screenshot,
        Err(why) => {
            eprintln!("hako: {why}");
            return 4;
        }
    };
    if options.verbose {
        for note in machine.notes() {
            eprintln!("hako: {note}");
        }
    }
    let mut outcome = machine.run();
    explain(&outcome, options);
    // A firmware that finds nothing to boot halts; nobody wants to take that for a guest that did.
    if outcome.ended == Ended::HaltedForGood
        && let Some(why) = machine.boot_error()
    {
        eprintln!("hako: no bootable medium: {why}");
        outcome.status = NOT_BOOTED;
    }
    match show_screen(&machine, options.screen, screenshot) {
        Ok(()) => outcome.status,
        Err(why) => {
            eprintln!("hako: {why}");
            if outcome.status == 0 { 4 } else { outcome.status }
        }
    }
}

/// What `--screen` and `--screenshot` ask for.
fn show_screen(machine: &Machine, text: bool, screenshot: Option<Screenshot<'_>>) -> Result<(), String> {
    if text && let Some(screen) = machine.screen() {
        write!(stdout(), "{screen}").map_err(|why| format!("standard output: {why}"))?;
    }
    match (screenshot, machine.picture()) {
        (Some(screenshot), Some(image)) => screenshot.write(&image),
        _ => Ok(()),
    }
}

/// Says on standard error how the run ended, where that is not what everybody hopes for, or always with `-v`.
fn explain(outcome: &Outcome, options: &RunOptions) {
    match &outcome.ended {
        Ended::TripleFault(report) | Ended::Refused(report) | Ended::Unknown(report) => eprint!("{report}"),
        Ended::Timeout => eprintln!("hako: timeout: the guest had not ended after {}", limit(options)),
        Ended::Host(why) | Ended::Failed(why) => eprintln!("hako: {why}"),
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
