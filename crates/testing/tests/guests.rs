//! Every guest of the one list on every engine and firmware that it names.

use std::path::Path;
use std::sync::Arc;

use hako_guests::{ALL, Guest};
use hako_machine::EngineChoice;
use hako_testing::{Case, Host, Images, Options, Spec, cases, report, run};

fn images() -> Images {
    Images::with_built_in(|name| Guest::named(name).map(|guest| guest.image))
}

/// All guests on `engine`, those whose name contains `HAKO_GUEST` if that is set.
fn all(engine: EngineChoice) -> Vec<Case> {
    let wanted = std::env::var("HAKO_GUEST").unwrap_or_default();
    let (images, host) = (images(), Host::this());
    let guests = ALL.iter().filter(|guest| guest.name.contains(&wanted));
    let cases = guests.flat_map(|guest| {
        let spec = Spec::parse(guest.spec, guest.name).unwrap_or_else(|e| panic!("{e}"));
        cases(guest.name, &Arc::new(spec), Path::new(""), Some(engine), &images, &host)
            .unwrap_or_else(|e| panic!("{}: {e}", guest.name))
    });
    cases.collect()
}

fn every_guest_passes_on(engine: EngineChoice) {
    let results = run(&all(engine), Options::default(), |_| {});
    assert_eq!(results.failed(), 0, "\n{}", report::human(&results));
    eprint!("{}", report::human(&results));
}

#[test]
fn every_guest_passes_on_soft() {
    every_guest_passes_on(EngineChoice::Soft);
}

#[test]
fn every_guest_passes_on_kvm() {
    every_guest_passes_on(EngineChoice::Kvm);
}
