//! Assembles the guests and writes the list that `lib.rs` includes.
//!
//! Every `asm/NAME.hako.toml` is the test of one guest and says what kind of machine and medium it wants; `asm/NAME.s` is
//! its program. Nothing else lists the guests.

mod asm;
mod iso;
mod list;

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=asm");
    println!("cargo::rerun-if-changed=build");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    if let Err(message) = build(Path::new("asm"), &out) {
        println!("cargo::error={}", message.replace('\n', " "));
    }
}

fn build(sources: &Path, out: &Path) -> Result<(), String> {
    let guests = list::read(sources)?;
    for guest in &guests {
        let flat = asm::assemble(sources, out, &guest.name, guest.layout())?;
        let image = match guest.medium {
            list::Medium::Cd => iso::bootable(&flat),
            _ => flat,
        };
        let path = out.join(format!("{}.img", guest.name));
        std::fs::write(&path, image).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    let sources = sources.canonicalize().map_err(|e| format!("cannot find {}: {e}", sources.display()))?;
    let lists = [
        ("list.rs", list::to_rust(&guests, &sources)),
        ("sources.rs", list::sources_to_rust(&guests, &sources)),
    ];
    lists.iter().try_for_each(|(name, rust)| {
        let path = out.join(name);
        std::fs::write(&path, rust).map_err(|e| format!("cannot write {}: {e}", path.display()))
    })
}
