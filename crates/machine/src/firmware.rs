//! The ROMs of a PC: the built-in one, SeaBIOS from where distributions put it, or a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{FirmwareChoice, Source};
use crate::disk;
use crate::error::Error;

/// Where distributions put SeaBIOS and the VGA option ROMs.
const DIRECTORIES: [&str; 4] =
    ["/usr/share/seabios", "/usr/share/qemu", "/usr/local/share/qemu", "/usr/share/qemu-kvm"];
/// SeaBIOS for a 440FX, the larger build first.
const SEABIOS: [&str; 2] = ["bios-256k.bin", "bios.bin"];
/// The option ROM for a VGA at the ISA ports.
const VGA_ROM: &str = "vgabios-isavga.bin";
/// The largest ROM that fits below 4 GiB beside everything else.
const MAX_ROM: usize = 16 << 20;

/// What goes into the ROM sockets.
pub(crate) struct Firmware {
    /// The system ROM.
    pub rom: Arc<[u8]>,
    /// The VGA option ROM, offered through fw_cfg.
    pub vga_rom: Option<Arc<[u8]>>,
    /// The built-in firmware answers.
    pub builtin: bool,
    /// Something the user should know.
    pub note: Option<String>,
}

/// Finds the first of `names` in the usual directories.
fn find(names: &[&str]) -> Option<PathBuf> {
    let places = DIRECTORIES.iter().flat_map(|d| names.iter().map(move |n| Path::new(d).join(n)));
    places.into_iter().find(|p| p.is_file())
}

/// Where SeaBIOS is on this host, if it is: for `hako doctor`.
pub fn seabios() -> Option<PathBuf> {
    find(&SEABIOS)
}

/// Where its VGA option ROM is on this host, if it is.
pub fn vga_rom() -> Option<PathBuf> {
    find(&[VGA_ROM])
}

/// Reads what `choice` says.
pub(crate) fn load(choice: &FirmwareChoice) -> Result<Firmware, Error> {
    let path = match choice {
        FirmwareChoice::Builtin => {
            let rom = Arc::from(hako_firmware::rom());
            return Ok(Firmware { rom, vga_rom: None, builtin: true, note: None });
        }
        FirmwareChoice::SeaBios => seabios().ok_or_else(|| {
            Error::Host(format!(
                "SeaBIOS was not found in {}; install the package seabios, or use --firmware builtin or a path",
                DIRECTORIES.join(", ")
            ))
        })?,
        FirmwareChoice::Path(path) => path.clone(),
    };
    let rom = disk::whole(&Source::File(path.clone()))?;
    if rom.len() > MAX_ROM {
        return Err(Error::Image(format!(
            "{} has {} bytes; a firmware ROM has at most 16 MiB",
            path.display(),
            rom.len()
        )));
    }
    // The reset vector is 16 bytes below the ROM's end, so a ROM of odd size is a mistake, not a ROM.
    if !rom.len().is_multiple_of(4096) {
        return Err(Error::Image(format!(
            "{} has {} bytes; a firmware ROM is made of whole 4 KiB pages and ends at the reset vector",
            path.display(),
            rom.len()
        )));
    }
    let beside = path.parent().map(|d| d.join(VGA_ROM)).filter(|p| p.is_file());
    let (vga_rom, note) = match beside.or_else(vga_rom) {
        Some(path) => (Some(disk::whole(&Source::File(path))?), None),
        None => (
            None,
            Some(format!(
                "{VGA_ROM} was not found: the firmware has no INT 10h; install the package seabios"
            )),
        ),
    };
    Ok(Firmware { rom, vga_rom, builtin: false, note })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_rom_file_is_named() {
        let e = load(&FirmwareChoice::Path("/nowhere/rom.bin".into())).err().unwrap();
        assert!(e.to_string().contains("/nowhere/rom.bin"));
    }

    #[test]
    fn a_rom_is_made_of_whole_pages() {
        let f = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(f.path(), [0; 5000]).unwrap();
        let e = load(&FirmwareChoice::Path(f.path().into())).err().unwrap();
        assert_eq!(e.status(), 4);
        assert!(e.to_string().contains("5000"));
    }
}
