//! What exits cost: a guest that counts, hakoniwa/cost/cost.s, and what it may find.

use std::path::Path;
use std::process::Command;

use super::guests::File;
use super::{io, source};
use crate::{Outcome, tools};

/// How many instructions some of its lines may tell of at most.
const MOST: [(&str, u64); 3] =
    [("mov from a register of the local APIC", 3_200), ("mov to it", 3_250), ("out to a port", 1_900)];

/// What describes it to its server.
pub const LINE: &str = "name=cost memory=2 deaf disk=cost.bin\n";

/// Looks whether the log tells of more.
pub fn judge(log: &str) -> Outcome {
    for (what, most) in MOST {
        let start = format!("cost: cost of {what}: ");
        let told = log.lines().find_map(|line| line.split_once(&start)?.1.trim().parse::<u64>().ok());
        match told {
            Some(cost) if cost <= most => {}
            Some(cost) => return Err(format!("{what}: {cost} instructions, more than {most}")),
            None => return Err(format!("nobody told what costs: {what}")),
        }
    }
    Ok(())
}

/// The guest's image, as a file of the archive. `dir` is for the assembler.
pub fn file(dir: &Path) -> Result<File, String> {
    tools::ensure(&[tools::BINUTILS])?;
    let [object, image] = ["cost.o", "cost.bin"].map(|name| dir.join(name));
    let include = tools::root().join("guests/asm/include");
    let mut assemble = Command::new("as");
    assemble.arg("--64").arg("-I").arg(&include).arg("-o").arg(&object);
    tools::run(assemble.arg(source().join("cost/cost.s")))?;
    let mut link = Command::new("ld");
    link.args(["-m", "elf_x86_64", "--entry", "start", "--oformat", "binary"]);
    link.args(["--defsym", "image_base=0x7c00", "--defsym", "image_unit=512"]);
    link.arg("-T").arg(include.join("flat.ld")).arg("-o").arg(&image);
    tools::run(link.arg(&object))?;
    Ok(("cost.bin".into(), io(&image, std::fs::read(&image))?))
}
