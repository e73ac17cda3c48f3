//! What the tests of whole machines share.
#![allow(dead_code)] // each test binary uses a part

use std::path::PathBuf;
use std::time::Duration;

use hako_machine::{Builder, EngineChoice, Machine};

/// A boot sector with this code.
pub fn mbr(code: &[u8]) -> Vec<u8> {
    let mut sector = code.to_vec();
    assert!(sector.len() <= 510);
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector
}

/// Prints A by INT 10h and halts with interrupts off.
pub fn print_a() -> Vec<u8> {
    // mov ax, 0x0e41; int 0x10; cli; hlt
    mbr(&[0xb8, 0x41, 0x0e, 0xcd, 0x10, 0xfa, 0xf4])
}

/// The engines of this host.
pub fn engines() -> Vec<EngineChoice> {
    if let Ok(only) = std::env::var("HAKO_TEST_ENGINE") {
        return vec![if only == "kvm" { EngineChoice::Kvm } else { EngineChoice::Soft }];
    }
    let kvm = hako_engine_kvm::probe().usable.is_ok();
    [EngineChoice::Soft].into_iter().chain(kvm.then_some(EngineChoice::Kvm)).collect()
}

/// A PC that ends after a while whatever happens.
pub fn pc(engine: EngineChoice) -> Builder {
    Machine::builder().engine(engine).timeout(Duration::from_secs(90))
}

/// A file of the cache of `cargo xtask guests`, where it is there.
pub fn cached(name: &str) -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let path = base.join("hako/guests").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("not tested: {} is not there (cargo xtask guests --tiny-kernel)", path.display());
    None
}
