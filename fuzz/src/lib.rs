//! Makes a libFuzzer binary of a target of `hako_fuzz`.

pub use hako_fuzz::TARGETS;
pub use libfuzzer_sys::fuzz_target;

/// The target's function.
pub fn find(name: &str) -> fn(&[u8]) {
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => target.run,
        None => panic!("hako_fuzz has no target {name}"),
    }
}

/// The whole of a fuzz target: its name is that of the binary.
#[macro_export]
macro_rules! fuzz {
    () => {
        $crate::fuzz_target!(|data: &[u8]| $crate::find(env!("CARGO_BIN_NAME"))(data));
    };
}
