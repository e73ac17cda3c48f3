//! The engines of this host.

use hako_machine::EngineChoice;

/// Whether KVM takes part. Without /dev/kvm the tests fail, unless HAKO_NO_KVM=1 says that this host has none.
pub fn kvm() -> bool {
    let usable = hako_engine_kvm::probe().usable;
    if std::env::var("HAKO_NO_KVM").is_ok_and(|v| v == "1") {
        eprintln!("SKIPPED on kvm: HAKO_NO_KVM=1");
        assert!(usable.is_err(), "HAKO_NO_KVM=1 is set, but /dev/kvm works: this test could have run");
        return false;
    }
    if let Err(why) = usable {
        panic!("this test needs KVM: {why}. Set HAKO_NO_KVM=1 on hosts that have none.");
    }
    true
}

/// Runs `test` on each engine, with what it may take of a list: all of it on soft, every `n`-th item on kvm, where a
/// guest costs a hundred times as much; `HAKO_LONG=1` gives both all.
pub fn each<T: Clone>(all: &[T], n: usize, test: impl Fn(EngineChoice, &[T])) {
    test(EngineChoice::Soft, all);
    if kvm() {
        let long = std::env::var_os("HAKO_LONG").is_some_and(|v| v != "0");
        let some: Vec<T> = all.iter().step_by(if long { 1 } else { n }).cloned().collect();
        test(EngineChoice::Kvm, &some);
    }
}
