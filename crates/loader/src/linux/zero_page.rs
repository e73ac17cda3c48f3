//! The zero page (struct boot_params; Documentation/arch/x86/zero-page.rst): the setup header filled in, the memory map,
//! the screen.

use alloc::vec::Vec;

use crate::{LoadError, Request};

use super::header::{Header, START};

/// Where fields of the setup header lie in the zero page, as in the file.
pub mod field {
    pub const VID_MODE: usize = 0x1fa;
    pub const TYPE_OF_LOADER: usize = 0x210;
    pub const LOADFLAGS: usize = 0x211;
    pub const CODE32_START: usize = 0x214;
    pub const RAMDISK_IMAGE: usize = 0x218;
    pub const RAMDISK_SIZE: usize = 0x21c;
    pub const HEAP_END: usize = 0x224;
    pub const CMD_LINE_PTR: usize = 0x228;
}

/// Where the other fields lie.
const RSDP: usize = 0x70;
const E820_ENTRIES: usize = 0x1e8;
const E820_TABLE: usize = 0x2d0;
/// As many entries has the table.
const MAX_E820: usize = 128;

/// A boot loader without a number of its own.
pub const LOADER: u8 = 0xff;

/// The text mode that the BIOS has set, as struct screen_info has it: cursor, page, mode 3, 80 columns, 25 lines, VGA,
/// 16 lines a character.
const SCREEN: [(usize, &[u8]); 4] = [(0x00, &[0, 0]), (0x06, &[3, 80]), (0x0e, &[25, 1]), (0x10, &[16, 0])];

/// Writes bytes at an offset; what does not fit is left out.
pub fn set(page: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(room) = page.get_mut(at..at + bytes.len()) {
        room.copy_from_slice(bytes);
    }
}

/// The page for a kernel at `at` with its command line and initial RAM disk in place.
pub fn build(
    header: &Header<'_>,
    request: &Request<'_>,
    at: u64,
    command_line: u64,
    (initrd, initrd_len): (u64, u64),
) -> Result<Vec<u8>, LoadError> {
    if request.memory.len() > MAX_E820 {
        return Err(LoadError::Unsupported {
            what: alloc::format!(
                "the memory map has {} entries; a zero page takes 128",
                request.memory.len()
            ),
            remedy: "boot the vmlinux inside by PVH",
        });
    }
    let mut page = alloc::vec![0; 0x1000];
    for (at, bytes) in SCREEN {
        set(&mut page, at, bytes);
    }
    set(&mut page, START as usize, header.bytes());
    // All of these lie below 4 GiB: the space was asked for that.
    let mut dword = |at: usize, value: u64| set(&mut page, at, &(value as u32).to_le_bytes());
    dword(field::CODE32_START, at);
    dword(field::RAMDISK_IMAGE, initrd);
    dword(field::RAMDISK_SIZE, initrd_len);
    dword(field::CMD_LINE_PTR, command_line);
    set(&mut page, field::TYPE_OF_LOADER, &[LOADER]);
    set(&mut page, field::VID_MODE, &[0xff, 0xff]);
    set(&mut page, RSDP, &request.rsdp.map_or(0, |at| at.0).to_le_bytes());
    set(&mut page, E820_ENTRIES, &[request.memory.len() as u8]);
    for (i, r) in request.memory.iter().enumerate() {
        let entry = E820_TABLE + i * 20;
        set(&mut page, entry, &r.start.0.to_le_bytes());
        set(&mut page, entry + 8, &r.len.to_le_bytes());
        set(&mut page, entry + 16, &(r.kind as u32).to_le_bytes());
    }
    Ok(page)
}
