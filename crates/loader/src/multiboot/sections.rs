//! ELF sections for the kernel: the headers, and those sections that are not part of a loaded segment (symbols, strings).

use alloc::vec::Vec;

use crate::bytes::slice;
use crate::elf::{Elf, Sections};
use crate::plan::Draft;
use crate::space::{FOUR_GIB, MEGABYTE};

/// SHT_NOBITS: nothing in the file.
const NOBITS: u32 = 8;
/// More sections than this are not copied one by one.
const MAX: u16 = 1024;

/// The section headers for the kernel, with the addresses of all sections that are in memory. Nothing for files whose
/// headers are not sound: they are no part of what is run.
pub fn load<'a>(image: &'a [u8], elf: &Elf<'_>, draft: &mut Draft<'a>) -> Option<(Sections, Vec<u8>)> {
    let table = elf.sections.filter(|t| t.count <= MAX)?;
    // Offsets in a header: type, address, file offset, size; and the bytes of the last three.
    let (expect, addr, offset, size, width) =
        if elf.wide { (64, 16, 24, 32, 8) } else { (40, 12, 16, 20, 4) };
    if table.size != expect {
        return None;
    }
    let len = u64::from(table.count) * u64::from(table.size);
    let mut headers = slice(image, "the section headers", table.offset, len).ok()?.to_vec();
    for header in headers.chunks_exact_mut(usize::from(table.size)) {
        let field = |at: usize, width: usize| {
            let bytes = header.get(at..at + width).unwrap_or_default();
            bytes.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b))
        };
        let (kind, here, from, len) =
            (field(4, 4), field(addr, width), field(offset, width), field(size, width));
        if here != 0 || len == 0 || kind == 0 || kind == u64::from(NOBITS) {
            continue;
        }
        let Ok(bytes) = slice(image, "a section", from, len) else { continue };
        // Symbols are a convenience: without room for them their address stays 0.
        let Ok(at) = draft.space.highest("a section", len, 16, MEGABYTE, FOUR_GIB) else { continue };
        draft.put(at, bytes);
        if let Some(room) = header.get_mut(addr..addr + width) {
            room.copy_from_slice(at.to_le_bytes().get(..width)?);
        }
    }
    Some((table, headers))
}
