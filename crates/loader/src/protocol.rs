//! How an image wants to be booted, by its content.

use core::fmt;

use crate::elf::{Elf, MAGIC};
use crate::{LoadError, linux, multiboot, pvh};

/// How a kernel is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Xen's PVH entry point of an ELF file.
    Pvh,
    /// The 64-bit entry point of a bzImage.
    Linux64,
    /// The 32-bit entry point of a bzImage.
    Linux32,
    /// The real-mode setup code of a bzImage, which needs a BIOS.
    Linux16,
    /// Multiboot 1.
    Multiboot,
    /// Multiboot 2.
    Multiboot2,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Pvh => "PVH",
            Protocol::Linux64 => "bzImage, 64-bit entry",
            Protocol::Linux32 => "bzImage, 32-bit entry",
            Protocol::Linux16 => "bzImage, 16-bit setup",
            Protocol::Multiboot => "Multiboot",
            Protocol::Multiboot2 => "Multiboot 2",
        })
    }
}

/// How many bytes from the beginning [`may_be_kernel`] has to see: Multiboot 2 headers lie within them.
const PREFIX: usize = multiboot::two::SEARCH;

/// Whether the beginning of a file (at least 32 KiB of it, or all) makes a look at the whole worthwhile. Disk images are
/// not read to the end for this.
pub fn may_be_kernel(prefix: &[u8]) -> bool {
    prefix.starts_with(&MAGIC)
        || linux::is_bzimage(prefix)
        || flat_multiboot(prefix.get(..PREFIX).unwrap_or(prefix)).is_some()
}

/// Multiboot kernels that are no ELF files. Boot loaders that are Multiboot kernels themselves are found on disks: what
/// has a boot signature is a disk.
fn flat_multiboot(image: &[u8]) -> Option<Protocol> {
    if image.get(510..512) == Some(&[0x55, 0xaa]) {
        return None;
    }
    if multiboot::one::has_addresses(image) {
        return Some(Protocol::Multiboot);
    }
    multiboot::two::has_addresses(image).then_some(Protocol::Multiboot2)
}

/// How an image wants to be booted; `None` if it is no kernel but perhaps a disk. An ELF file that no protocol fits is
/// an error.
pub fn detect(image: &[u8]) -> Result<Option<Protocol>, LoadError> {
    if linux::is_bzimage(image) {
        return linux::entry(image).map(Some);
    }
    if !image.starts_with(&MAGIC) {
        return Ok(flat_multiboot(image));
    }
    if multiboot::one::is_there(image) {
        return Ok(Some(Protocol::Multiboot));
    }
    let elf = Elf::parse(image)?;
    if pvh::entry(&elf)?.is_some() {
        return Ok(Some(Protocol::Pvh));
    }
    if multiboot::two::is_there(image) {
        return Ok(Some(Protocol::Multiboot2));
    }
    Err(unknown())
}

/// No protocol fits.
pub(crate) fn unknown() -> LoadError {
    LoadError::Unsupported {
        what: "it has neither a PVH note (Xen, type 18), a Multiboot header in its first 8 KiB, a Multiboot 2 header in its \
               first 32 KiB, nor is it a bzImage"
            .into(),
        remedy: "build it with one of these (Linux: CONFIG_PVH=y), or boot it with a boot loader from a disk image",
    }
}
