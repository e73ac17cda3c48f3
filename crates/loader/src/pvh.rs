//! Xen's PVH entry (xen/include/public/arch-x86/hvm/start_info.h, docs/misc/pvh.pandoc): an ELF note names a 32-bit entry
//! point, EBX points to the start info.

use alloc::format;
use alloc::vec::Vec;

use hako_x86::Gpr;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::bytes::peek;
use crate::elf::Elf;
use crate::plan::{Draft, Plan};
use crate::space::{FOUR_GIB, MEGABYTE};
use crate::{LoadError, Protocol, Request};

/// XEN_ELFNOTE_PHYS32_ENTRY.
const NOTE_ENTRY: u32 = 18;
/// XEN_HVM_START_MAGIC_VALUE.
const MAGIC: u32 = 0x336e_c578;

/// The header of a note.
#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Note {
    name_len: U32,
    desc_len: U32,
    kind: U32,
}

/// struct hvm_start_info, version 1.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct StartInfo {
    magic: U32,
    version: U32,
    flags: U32,
    modules: U32,
    module_list: U64,
    command_line: U64,
    rsdp: U64,
    memory_map: U64,
    memory_map_entries: U32,
    reserved: U32,
}

/// struct hvm_modlist_entry.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct ModuleEntry {
    at: U64,
    size: U64,
    command_line: U64,
    reserved: U64,
}

/// struct hvm_memmap_table_entry.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct MapEntry {
    at: U64,
    size: U64,
    kind: U32,
    reserved: U32,
}

/// The PVH entry point of an ELF file, if it has the note.
pub fn entry(elf: &Elf<'_>) -> Result<Option<u64>, LoadError> {
    for segment in elf.notes() {
        let (mut rest, align) = segment?;
        while let Some(note) = peek::<Note>(rest, 0) {
            let pad = |len: u32| u64::from(len).next_multiple_of(align);
            // The name begins at byte 12, the description where the padding of both ends.
            let name_at = size_of::<Note>() as u64;
            let desc_at = (name_at + u64::from(note.name_len.get())).next_multiple_of(align);
            let part = |at: u64, len: u32| {
                let at = usize::try_from(at).ok()?;
                rest.get(at..at.checked_add(usize::try_from(len).ok()?)?)
            };
            if note.kind.get() == NOTE_ENTRY && part(name_at, note.name_len.get()) == Some(b"Xen\0") {
                let desc = part(desc_at, note.desc_len.get());
                return match desc.map(|d| (d.len(), d)) {
                    Some((4, d)) => Ok(peek::<U32>(d, 0).map(|e| e.get().into())),
                    Some((8, d)) => Ok(peek::<U64>(d, 0).map(|e| e.get())),
                    _ => Err(LoadError::Malformed {
                        what: "the size of the PVH note".into(),
                        value: note.desc_len.get().into(),
                        why: "an entry point has 4 or 8 bytes, and the note ends with its segment",
                    }),
                };
            }
            let next = desc_at + pad(note.desc_len.get());
            rest = usize::try_from(next).ok().and_then(|n| rest.get(n..)).unwrap_or_default();
        }
    }
    Ok(None)
}

/// Gives the kernel, its modules and the start info their places.
pub fn plan<'a>(image: &'a [u8], request: &Request<'a>) -> Result<Plan<'a>, LoadError> {
    let elf = Elf::parse(image)?;
    let entry = entry(&elf)?.ok_or_else(|| LoadError::Unsupported {
        what: "the ELF file has no PVH note".into(),
        remedy: "build the kernel with it (Linux: CONFIG_PVH=y)",
    })?;
    let mut draft = Draft::new(request.memory);
    elf.place(0, &mut draft)?;
    if !elf.holds(entry) || entry >= FOUR_GIB {
        let why = "the PVH entry point is a physical address in a loaded segment, below 4 GiB";
        return Err(LoadError::Malformed { what: "the PVH entry point".into(), value: entry, why });
    }

    let (mut list, mut count) = (Vec::new(), 0u32);
    for m in request.all_modules() {
        let len = m.bytes.len() as u64;
        let what = format!("the module {}", m.name);
        let at = draft.space.highest(what, len, 0x1000, MEGABYTE, FOUR_GIB)?;
        draft.put(at, m.bytes);
        let command_line =
            if m.args.is_empty() { 0 } else { draft.string("a module's command line", m.args)? };
        let entry = ModuleEntry {
            at: at.into(),
            size: len.into(),
            command_line: command_line.into(),
            reserved: 0.into(),
        };
        list.extend_from_slice(entry.as_bytes());
        count += 1;
    }
    let mut map = Vec::new();
    for r in request.memory {
        let kind = (r.kind as u32).into();
        let entry = MapEntry { at: r.start.0.into(), size: r.len.into(), kind, reserved: 0.into() };
        map.extend_from_slice(entry.as_bytes());
    }
    let list = if count == 0 { 0 } else { draft.table("the list of modules", 8, list)? };
    let info = StartInfo {
        magic: MAGIC.into(),
        version: 1.into(),
        flags: 0.into(),
        modules: count.into(),
        module_list: list.into(),
        command_line: draft.string("the command line", request.append)?.into(),
        rsdp: request.rsdp.map_or(0, |at| at.0).into(),
        memory_map: draft.table("the memory map", 8, map)?.into(),
        memory_map_entries: (request.memory.len() as u32).into(),
        reserved: 0.into(),
    };
    let info = draft.table("the start info", 8, info.as_bytes().to_vec())?;
    let mut cpu = draft.protected(entry)?;
    cpu.gpr[Gpr::Rbx as usize] = info;
    Ok(draft.finish(Protocol::Pvh, format!("PVH, entry {entry:#x}"), cpu))
}
