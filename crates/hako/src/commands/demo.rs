//! `hako demo`: the guests that are built in.

use hako_guests::{ALIASES, ALL, Guest, Medium};
use hako_machine::{Config, DiskSpec, ModuleSpec, Source};
use hako_testing::spec::{Module, Spec};

use super::run::drive;
use crate::args::run::{DemoArgs, Machine, RunOptions};
use crate::out;

/// Runs a built-in guest, or lists them all.
pub fn run(args: &DemoArgs) -> u8 {
    let Some(name) = &args.name else {
        return out::finish(&list(), 0);
    };
    let Some(guest) = Guest::named(name) else {
        eprintln!("hako: there is no guest named '{name}'; 'hako demo' lists them");
        return 2;
    };
    let mut options = args.options.clone();
    if guest.medium == Medium::Rom {
        options.machine = Machine::Bare;
    }
    drive(config(guest, &options), &options)
}

/// The machine with the guest's medium in it.
fn config(guest: &Guest, options: &RunOptions) -> Config {
    let mut image = guest.image.to_vec();
    image.resize(usize::try_from(guest.medium_len()).unwrap_or(image.len()), 0);
    let image = Source::from(image);
    match guest.medium {
        Medium::Rom | Medium::HardDisk => options.config(Some(image)),
        Medium::Floppy => Config { floppy: Some(DiskSpec::from(image)), ..options.config(None) },
        Medium::Cd => Config { cdrom: Some(DiskSpec::from(image)), ..options.config(None) },
        Medium::Kernel => kernel(guest, options.config(Some(image))),
    }
}

/// A kernel gets the command line and the modules that its test gives it, unless the options say otherwise.
fn kernel(guest: &Guest, config: Config) -> Config {
    let Ok(Spec { kernel, .. }) = Spec::parse(guest.spec, guest.name) else { return config };
    let builtin = |m: &Module| {
        let guest = Guest::named(m.file.path.strip_prefix("builtin:")?)?;
        let (name, args) = (m.file.path.clone(), m.args.clone());
        Some(ModuleSpec { name, source: Source::from(guest.image), args })
    };
    let modules = if config.modules.is_empty() {
        kernel.modules.iter().filter_map(builtin).collect()
    } else {
        config.modules.clone()
    };
    let (append, memory) = (config.append.clone().or(kernel.append), config.memory.or(guest.memory));
    Config { append, memory, modules, ..config }
}

fn list() -> String {
    let width = ALL.iter().map(|g| g.name.len()).max().unwrap_or(0);
    let guests = ALL.iter().map(|Guest { name, about, .. }| format!("{name:width$}  {about}\n"));
    let aliases = ALIASES.iter().map(|(alias, name)| format!("{alias:width$}  short for {name}\n"));
    guests.chain(aliases).collect()
}
