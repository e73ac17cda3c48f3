//! Multiboot 1 (Multiboot Specification version 0.6.96).

use alloc::format;
use alloc::vec::Vec;

use hako_x86::Gpr;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::image::{Addresses, entry_below_4_gib};
use super::{LOADER_NAME, TEXT_SCREEN, basic_memory, sections};
use crate::bytes::peek;
use crate::elf::Elf;
use crate::plan::{Draft, Plan};
use crate::request::words;
use crate::space::{FOUR_GIB, MEGABYTE};
use crate::{LoadError, Protocol, Request};

/// The header lies in the first 8 KiB.
const SEARCH: usize = 8192;
const HEADER_MAGIC: u32 = 0x1bad_b002;
/// EAX at the entry.
const LOADER_MAGIC: u32 = 0x2bad_b002;
/// Header flag: the address fields hold.
const ADDRESSES: u32 = 1 << 16;
/// Header flags that a loader must understand: all of the low 16. Known are page-aligned modules, memory sizes, and the
/// wish for a video mode, which is no condition.
const UNKNOWN_REQUIREMENTS: u32 = 0xfff8;

/// The header.
#[derive(FromBytes, Immutable, KnownLayout, Clone, Copy)]
#[repr(C)]
struct Header {
    magic: U32,
    flags: U32,
    checksum: U32,
    header_addr: U32,
    load_addr: U32,
    load_end_addr: U32,
    bss_end_addr: U32,
    entry_addr: U32,
}

/// What the kernel is told, flags 0, 2, 3, 5, 6, 9 and 12 of it.
#[derive(IntoBytes, Immutable, Default)]
#[repr(C, packed)]
struct Info {
    flags: U32,
    mem_lower: U32,
    mem_upper: U32,
    boot_device: U32,
    cmdline: U32,
    mods_count: U32,
    mods_addr: U32,
    elf: [U32; 4],
    mmap_length: U32,
    mmap_addr: U32,
    drives: [U32; 2],
    config_table: U32,
    boot_loader_name: U32,
    apm_table: U32,
    vbe: [U32; 4],
    framebuffer_addr: U64,
    framebuffer_pitch: U32,
    framebuffer_width: U32,
    framebuffer_height: U32,
    framebuffer_bpp: u8,
    framebuffer_type: u8,
    color_info: [u8; 6],
}

/// Info flags.
mod has {
    pub const MEMORY: u32 = 1 << 0;
    pub const CMDLINE: u32 = 1 << 2;
    pub const MODULES: u32 = 1 << 3;
    pub const ELF: u32 = 1 << 5;
    pub const MMAP: u32 = 1 << 6;
    pub const LOADER_NAME: u32 = 1 << 9;
    pub const FRAMEBUFFER: u32 = 1 << 12;
}

/// The header and its offset.
fn find(image: &[u8]) -> Option<(u64, Header)> {
    let end = image.len().min(SEARCH);
    // A header may end with the file, without the address fields that it does not use.
    let mut padded = image.get(..end)?.to_vec();
    padded.resize(end + size_of::<Header>(), 0);
    (0..end).step_by(4).find_map(|at| {
        let magic: U32 = peek(image, at)?;
        if magic.get() != HEADER_MAGIC || at + 12 > end {
            return None;
        }
        let h: Header =
            if at + size_of::<Header>() <= image.len() { peek(image, at)? } else { peek(&padded, at)? };
        let sum = h.magic.get().wrapping_add(h.flags.get()).wrapping_add(h.checksum.get());
        (sum == 0).then_some((at as u64, h))
    })
}

/// Whether there is a header.
pub fn is_there(image: &[u8]) -> bool {
    find(image).is_some()
}

/// Whether there is a header that says where the file goes in memory.
pub fn has_addresses(image: &[u8]) -> bool {
    find(image).is_some_and(|(_, h)| h.flags.get() & ADDRESSES != 0)
}

/// Gives the kernel, its modules and what it is told their places.
pub fn plan<'a>(image: &'a [u8], request: &Request<'a>) -> Result<Plan<'a>, LoadError> {
    let (found, header) = find(image).ok_or_else(|| LoadError::Unsupported {
        what: "there is no Multiboot header in the first 8 KiB".into(),
        remedy: "link its section first",
    })?;
    let flags = header.flags.get();
    if flags & UNKNOWN_REQUIREMENTS != 0 {
        return Err(LoadError::Unsupported {
            what: format!(
                "its Multiboot header requires what the specification does not know: flags {flags:#x}"
            ),
            remedy: "set none of the flags 3 to 15",
        });
    }
    let mut draft = Draft::new(request.memory);
    let mut info = Info::default();
    let mut told =
        has::MEMORY | has::CMDLINE | has::MODULES | has::MMAP | has::LOADER_NAME | has::FRAMEBUFFER;
    let (entry, elf) = if flags & ADDRESSES != 0 {
        let addresses = Addresses {
            found,
            header: header.header_addr.get(),
            load: header.load_addr.get(),
            load_end: header.load_end_addr.get(),
            bss_end: header.bss_end_addr.get(),
        };
        addresses.place(image, 0, &mut draft)?;
        (header.entry_addr.get().into(), None)
    } else {
        let elf = Elf::parse(image)?;
        elf.place(0, &mut draft)?;
        (entry_below_4_gib(elf.entry()?)?, Some(elf))
    };
    let list = place_modules(request, &mut draft)?;
    info.mods_count = ((list.len() / 16) as u32).into();
    info.mods_addr = low(draft.table("the list of modules", 4, list)?);
    if let Some((table, headers)) = elf.as_ref().and_then(|elf| sections::load(image, elf, &mut draft)) {
        let at = draft.table("the section headers", 8, headers)?;
        info.elf = [
            u32::from(table.count).into(),
            u32::from(table.size).into(),
            low(at),
            u32::from(table.names).into(),
        ];
        told |= has::ELF;
    }
    let (lower, upper) = basic_memory(request.memory);
    (info.mem_lower, info.mem_upper) = (lower.into(), upper.into());
    info.cmdline = low(draft.string("the command line", &words(request.name, request.append))?);
    info.boot_loader_name = low(draft.string("the loader's name", LOADER_NAME)?);
    let map = memory_map(request);
    info.mmap_length = (map.len() as u32).into();
    info.mmap_addr = low(draft.table("the memory map", 4, map)?);
    let (at, pitch, width, height, bpp, kind) = TEXT_SCREEN;
    info.framebuffer_addr = at.into();
    info.framebuffer_pitch = pitch.into();
    info.framebuffer_width = width.into();
    info.framebuffer_height = height.into();
    (info.framebuffer_bpp, info.framebuffer_type) = (bpp, kind);
    info.flags = told.into();
    let info = draft.table("the Multiboot information", 8, info.as_bytes().to_vec())?;
    let mut cpu = draft.protected(entry)?;
    cpu.gpr[Gpr::Rax as usize] = LOADER_MAGIC.into();
    cpu.gpr[Gpr::Rbx as usize] = info;
    let how = if elf.is_some() { "ELF" } else { "by the header's addresses" };
    Ok(draft.finish(Protocol::Multiboot, format!("Multiboot, {how}, entry {entry:#x}"), cpu))
}

/// An address that the space has given from below 4 GiB.
fn low(at: u64) -> U32 {
    (at as u32).into()
}

/// The modules behind the kernel, each on pages of its own, and the list of them.
fn place_modules<'a>(request: &Request<'a>, draft: &mut Draft<'a>) -> Result<Vec<u8>, LoadError> {
    let mut list = Vec::new();
    for m in request.all_modules() {
        let len = m.bytes.len() as u64;
        let what = format!("the module {}", m.name);
        let at = draft.space.lowest(what, len, 0x1000, MEGABYTE, FOUR_GIB)?;
        draft.put(at, m.bytes);
        let string = draft.string("a module's string", &words(m.name, m.args))?;
        for word in [low(at), low(at + len), low(string), U32::new(0)] {
            list.extend_from_slice(word.as_bytes());
        }
    }
    Ok(list)
}

/// The memory map: each entry begins with the size of its rest.
fn memory_map(request: &Request<'_>) -> Vec<u8> {
    let mut map = Vec::new();
    for r in request.memory {
        map.extend_from_slice(&20u32.to_le_bytes());
        map.extend_from_slice(&r.start.0.to_le_bytes());
        map.extend_from_slice(&r.len.to_le_bytes());
        map.extend_from_slice(&(r.kind as u32).to_le_bytes());
    }
    map
}
