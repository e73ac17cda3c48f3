//! Small guest programs of our own, each a test case and an example.
//!
//! [`ALL`] is the one list of them: `hako demo` shows it, the test-suite runs it on every engine and firmware, the documentation
//! tells of it. The programs are in `asm/`, in the GNU assembler's language; each begins with what it shows and what it prints. Beside
//! each program lies its test, which also says what machine and medium it wants. Together they examine an engine and a board: they look at
//! their results themselves and print `OK name` or `FAIL name: 0x... instead of 0x...`.

#![no_std]
#![forbid(unsafe_code)]

/// One guest program.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    /// What it is called, as in `hako demo NAME`.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// The assembled program, or the CD that holds it.
    pub image: &'static [u8],
    /// The size that the image is padded to with zeros before use; 0: as it is.
    pub size: u64,
    /// The RAM that it wants in bytes, if it is not the usual.
    pub memory: Option<u64>,
    /// The machine that it runs on.
    pub machine: Machine,
    /// What it is loaded from.
    pub medium: Medium,
    /// The firmwares that it runs on; none for a bare machine.
    pub firmwares: &'static [&'static str],
    /// The engines that it runs on.
    pub engines: &'static [&'static str],
    /// Its test: a TOML specification as `hako test` takes it.
    pub spec: &'static str,
    /// Where it cannot pass, and why.
    pub exempt: &'static [Exempt],
}

/// The kind of machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Machine {
    /// RAM with the image in it, and one port.
    Bare,
    /// A PC.
    Pc,
}

/// What a guest is loaded from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// Memory at address 0 of the bare machine.
    Rom,
    /// The first IDE disk.
    HardDisk,
    /// The first floppy drive, 1.44M.
    Floppy,
    /// The CD drive, by El Torito.
    Cd,
    /// No medium: a kernel that is started directly.
    Kernel,
}

/// A combination in which a guest cannot pass. An empty string stands for every engine, firmware or condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exempt {
    /// The engine.
    pub engine: &'static str,
    /// The firmware.
    pub firmware: &'static str,
    /// The condition: `software-kvm` is a /dev/kvm that emulates instead of using the CPU's virtualization.
    pub when: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// Every guest, by name.
pub static ALL: &[Guest] = include!(concat!(env!("OUT_DIR"), "/list.rs"));

/// The source of every guest in [`ALL`], in its order: apart, so that a program that shows none does not carry them.
static SOURCES: &[&str] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// Other names that people may try, and what they stand for.
pub const ALIASES: [(&str, &str); 2] = [("mbr", "print-a"), ("triple-fault", "triple-protected")];

impl Guest {
    /// The guest of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, real)| real);
        ALL.iter().find(|guest| guest.name == name)
    }

    /// Its source, to read.
    pub fn source(&self) -> &'static str {
        ALL.iter().zip(SOURCES).find(|(guest, _)| guest.name == self.name).map_or("", |(_, source)| source)
    }

    /// The length of the medium: the image, padded.
    pub fn medium_len(&self) -> u64 {
        self.size.max(self.image.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hello_rom_is_41_bytes_and_ends_in_hlt() {
        let rom = Guest::named("hello").map(|g| g.image).unwrap_or_default();
        assert_eq!((rom.len(), rom.last()), (41, Some(&0xf4)));
        let text: [u8; 10] = core::array::from_fn(|i| rom[i * 4 + 1]);
        assert_eq!(&text, b"Hello KVM!");
    }

    #[test]
    fn every_disk_and_floppy_has_a_boot_signature() {
        for g in ALL.iter().filter(|g| matches!(g.medium, Medium::HardDisk | Medium::Floppy)) {
            assert_eq!(g.image.get(510..512), Some(&[0x55, 0xaa][..]), "{}", g.name);
            assert_eq!(g.image.len() % 512, 0, "{}", g.name);
        }
    }

    #[test]
    fn every_source_says_what_it_shows_and_what_to_expect() {
        for g in ALL {
            let source = g.source();
            assert!(source.starts_with("# "), "{}", g.name);
            assert!(source.contains("# Shows:") && source.contains("# Expected:"), "{}", g.name);
        }
    }

    #[test]
    fn every_alias_names_a_guest() {
        assert!(ALIASES.iter().all(|(alias, _)| Guest::named(alias).is_some()));
    }

    #[test]
    fn every_exemption_has_a_reason() {
        assert!(ALL.iter().flat_map(|g| g.exempt).all(|e| !e.reason.is_empty()));
    }
}
