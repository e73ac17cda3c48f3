//! Guests that do their worst: boot sectors from hakoniwa/hostile/hostile.s, a server full of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::guests::File;
use super::{io, source};
use crate::tools;

/// Each crime: its name, its number in the source, further words of its configuration, how it ends.
const CRIMES: [(&str, u32, &str, &str); 8] = [
    ("msrs", 1, "", "wrote 0x10"),
    ("control", 2, "ends=badly", "triple fault"),
    ("memory", 3, "", "wrote 0x10"),
    ("ports", 4, "", "wrote 0x10"),
    ("tables", 5, "ends=badly", "triple fault"),
    ("runaway", 6, "ends=badly seconds=3", "ran for 3 s"),
    ("busy", 7, "ends=badly seconds=3", "ran for 3 s"),
    ("stack", 8, "ends=badly", "triple fault"),
];

/// The configuration of a server with this number, and the boot sectors. `dir` is for the assembler.
pub fn files(server: u32, dir: &Path) -> Result<Vec<File>, String> {
    tools::ensure(&[tools::BINUTILS])?;
    let mut files = Vec::new();
    let mut lines = String::new();
    for (name, crime, words, _) in CRIMES {
        let [object, image] = ["o", "bin"].map(|suffix| dir.join(format!("{name}.{suffix}")));
        let mut assemble = Command::new("as");
        assemble.args(["--32", "--defsym", &format!("CRIME={crime}"), "-o"]).arg(&object);
        tools::run(assemble.arg(source().join("hostile/hostile.s")))?;
        let mut link = Command::new("ld");
        link.args(["-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o"]).arg(&image);
        tools::run(link.arg(&object))?;
        files.push((format!("{name}.bin"), io(&image, fs::read(&image))?));
        // One that hangs where it should not is ended, too.
        let words = if words.contains("seconds") { words.to_string() } else { format!("{words} seconds=60") };
        lines += &format!("name={name} memory=2 deaf disk={name}.bin {words}\n");
    }
    files.push((format!("hv{server}.cfg"), lines.into_bytes()));
    Ok(files)
}

/// What the log must have of them.
pub fn say() -> Vec<String> {
    CRIMES.iter().map(|(name, _, _, end)| format!("{name}: {end}")).collect()
}
