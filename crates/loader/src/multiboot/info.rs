//! What a Multiboot 2 kernel is told: tags, each on 8 bytes (specification, section 3.6).

use alloc::format;
use alloc::vec::Vec;

use hako_mem::Gpa;

use super::{LOADER_NAME, TEXT_SCREEN, basic_memory, sections};
use crate::elf::Elf;
use crate::plan::Draft;
use crate::space::{FOUR_GIB, MEGABYTE};
use crate::{LoadError, Request};

const END: u32 = 0;
const COMMAND_LINE: u32 = 1;
const NAME: u32 = 2;
const MODULE: u32 = 3;
const BASIC_MEMORY: u32 = 4;
const MEMORY_MAP: u32 = 6;
const FRAMEBUFFER: u32 = 8;
const ELF_SECTIONS: u32 = 9;
const RSDP_OLD: u32 = 14;
const RSDP_NEW: u32 = 15;
const LOAD_BASE: u32 = 21;

/// What a kernel may require.
pub const GIVEN: [u32; 11] = [
    COMMAND_LINE,
    NAME,
    MODULE,
    BASIC_MEMORY,
    MEMORY_MAP,
    FRAMEBUFFER,
    ELF_SECTIONS,
    RSDP_OLD,
    RSDP_NEW,
    LOAD_BASE,
    END,
];

/// The root pointers of ACPI 1.0 and 2.0.
const RSDP: [(u32, u64); 2] = [(RSDP_OLD, 20), (RSDP_NEW, 36)];

/// Tags in a row.
struct Tags(Vec<u8>);

impl Tags {
    /// Adds a tag; the offset of its body.
    fn add(&mut self, kind: u32, parts: &[&[u8]]) -> usize {
        let len: usize = parts.iter().map(|p| p.len()).sum();
        self.0.extend_from_slice(&kind.to_le_bytes());
        self.0.extend_from_slice(&(len as u32 + 8).to_le_bytes());
        let body = self.0.len();
        parts.iter().for_each(|p| self.0.extend_from_slice(p));
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        body
    }

    /// Adds a tag of words and a string.
    fn add_string(&mut self, kind: u32, words: &[u32], text: &str) {
        let words: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.add(kind, &[&words, text.as_bytes(), &[0]]);
    }
}

/// Puts modules and everything told into memory; where the information is.
pub fn place<'a>(
    image: &'a [u8],
    elf: Option<&Elf<'_>>,
    base: Option<u32>,
    request: &Request<'a>,
    draft: &mut Draft<'a>,
) -> Result<u64, LoadError> {
    // Total size and a reserved word come first; the size is filled in at the end.
    let mut tags = Tags(alloc::vec![0; 8]);
    tags.add_string(COMMAND_LINE, &[], request.append);
    tags.add_string(NAME, &[], LOADER_NAME);
    for m in request.all_modules() {
        let len = m.bytes.len() as u64;
        let at = draft.space.lowest(format!("the module {}", m.name), len, 0x1000, MEGABYTE, FOUR_GIB)?;
        draft.put(at, m.bytes);
        let string = if m.args.is_empty() { m.name } else { m.args };
        tags.add_string(MODULE, &[at as u32, (at + len) as u32], string);
    }
    let (lower, upper) = basic_memory(request.memory);
    tags.add(BASIC_MEMORY, &[&lower.to_le_bytes(), &upper.to_le_bytes()]);
    tags.add(MEMORY_MAP, &[&24u32.to_le_bytes(), &0u32.to_le_bytes(), &memory_map(request)]);
    let (at, pitch, width, height, bpp, kind) = TEXT_SCREEN;
    let screen = [&at.to_le_bytes()[..], &pitch.to_le_bytes(), &width.to_le_bytes(), &height.to_le_bytes()];
    tags.add(FRAMEBUFFER, &[&screen.concat(), &[bpp, kind, 0, 0]]);
    if let Some((table, headers)) = elf.and_then(|elf| sections::load(image, elf, draft)) {
        let words = [table.count, table.size, table.names].map(|n| u32::from(n).to_le_bytes());
        tags.add(ELF_SECTIONS, &[words.as_flattened(), &headers]);
    }
    if let Some(base) = base {
        tags.add(LOAD_BASE, &[&base.to_le_bytes()]);
    }
    let pointers = request.rsdp.map(|from| {
        let add = |(kind, len): (u32, u64)| (tags.add(kind, &[&[0; 36][..len as usize]]) as u64, len, from);
        RSDP.map(add)
    });
    tags.add(END, &[]);
    let mut bytes = tags.0;
    let size = bytes.len() as u32;
    bytes.splice(..4, size.to_le_bytes());
    let at = draft.table("the Multiboot 2 information", 8, bytes)?;
    for (body, len, from) in pointers.into_iter().flatten() {
        draft.copy(at + body, len, Gpa(from.0));
    }
    Ok(at)
}

fn memory_map(request: &Request<'_>) -> Vec<u8> {
    let mut map = Vec::new();
    for r in request.memory {
        map.extend_from_slice(&r.start.0.to_le_bytes());
        map.extend_from_slice(&r.len.to_le_bytes());
        map.extend_from_slice(&(r.kind as u32).to_le_bytes());
        map.extend_from_slice(&0u32.to_le_bytes());
    }
    map
}
