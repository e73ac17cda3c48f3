//! soft beside kvm, instruction by instruction, on generated ring-0 programs.

use hako_fuzz::modes::Mode;
use hako_hostile_tests::engines;
use hako_hostile_tests::lockstep::{Pair, Tally};

/// Programs for each mode; `HAKO_LONG=1` makes it ten times as many.
const PROGRAMS: u64 = 400;

fn programs() -> u64 {
    if std::env::var_os("HAKO_LONG").is_some_and(|v| v != "0") { 10 * PROGRAMS } else { PROGRAMS }
}

fn compare(mode: Mode, play: fn(&mut Pair, u64) -> Result<Tally, String>) {
    if !engines::kvm() {
        return;
    }
    let legacy_paging = matches!(mode, Mode::Paged32 | Mode::Pae32);
    if legacy_paging && hako_engine_kvm::probe().usable.is_ok_and(|speed| speed.is_emulated()) {
        eprintln!(
            "SKIPPED in {mode:?}: a KVM without hardware has no paging outside long mode; setting CR0.PG is #GP"
        );
        return;
    }
    let mut pair = Pair::new(mode).unwrap();
    let mut sum = Tally::default();
    let mut found = Vec::new();
    for seed in 0..programs() {
        match play(&mut pair, seed) {
            Ok(tally) => {
                sum.compared += tally.compared;
                sum.refused += tally.refused;
                sum.known += tally.known;
            }
            Err(what) => found.push(what),
        }
        if found.len() == 5 {
            break;
        }
    }
    println!("{mode:?}: {sum:?}");
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    assert!(sum.compared > 5 * programs(), "programs end too early: {sum:?}");
}

#[test]
fn real_mode() {
    compare(Mode::Real, Pair::play);
}

#[test]
fn protected_mode_of_16_bits() {
    compare(Mode::Protected16, Pair::play);
}

#[test]
fn protected_mode() {
    compare(Mode::Protected32, Pair::play);
}

#[test]
fn protected_mode_with_paging() {
    compare(Mode::Paged32, Pair::play);
}

#[test]
fn protected_mode_with_pae() {
    compare(Mode::Pae32, Pair::play);
}

/// Ring 3 runs on the host's CPU even where KVM emulates ring 0. Such a KVM cannot single-step it: the trap of the
/// host's step goes to the guest as #DB.
#[test]
fn long_mode_in_ring_3() {
    compare(Mode::UserLong, Pair::play_through);
}

#[test]
fn compatibility_mode() {
    compare(Mode::Compat, Pair::play);
}

#[test]
fn long_mode() {
    compare(Mode::Long, Pair::play);
}
