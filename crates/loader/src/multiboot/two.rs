//! Multiboot 2 (Multiboot2 Specification version 2.0): the header and its tags.

use alloc::format;

use hako_x86::Gpr;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::image::{Addresses, entry_below_4_gib};
use super::info;
use crate::bytes::peek;
use crate::elf::Elf;
use crate::plan::{Draft, Plan};
use crate::space::Space;
use crate::{LoadError, Protocol, Request};

/// The header lies in the first 32 KiB.
pub const SEARCH: usize = 32768;
const HEADER_MAGIC: u32 = 0xe852_50d6;
/// EAX at the entry.
const LOADER_MAGIC: u32 = 0x36d7_6289;
/// Tag flag: the kernel can do without.
const OPTIONAL: u16 = 1;

/// Types of header tags.
mod tag {
    pub const END: u16 = 0;
    pub const INFORMATION: u16 = 1;
    pub const ADDRESS: u16 = 2;
    pub const ENTRY: u16 = 3;
    pub const CONSOLE: u16 = 4;
    pub const FRAMEBUFFER: u16 = 5;
    pub const MODULE_ALIGN: u16 = 6;
    pub const EFI_BOOT_SERVICES: u16 = 7;
    pub const EFI_ENTRY_32: u16 = 8;
    pub const EFI_ENTRY_64: u16 = 9;
    pub const RELOCATABLE: u16 = 10;
}

#[derive(FromBytes, Immutable, KnownLayout, Clone, Copy)]
#[repr(C)]
struct Header {
    magic: U32,
    architecture: U32,
    length: U32,
    checksum: U32,
}

#[derive(FromBytes, Immutable, KnownLayout, Clone, Copy)]
#[repr(C)]
struct Tag {
    kind: U16,
    flags: U16,
    size: U32,
}

/// Where a relocatable kernel may go.
#[derive(Clone, Copy, Debug)]
struct Relocatable {
    min: u64,
    max: u64,
    align: u64,
    preference: u32,
}

/// What the header's tags say.
#[derive(Clone, Copy, Debug, Default)]
struct Wishes {
    addresses: Option<Addresses>,
    entry: Option<u32>,
    relocatable: Option<Relocatable>,
}

/// The header and its offset.
fn find(image: &[u8]) -> Option<(usize, Header)> {
    let end = image.len().min(SEARCH);
    (0..end).step_by(8).find_map(|at| {
        let h: Header = peek(image, at)?;
        if h.magic.get() != HEADER_MAGIC {
            return None;
        }
        let sum = [h.magic, h.architecture, h.length, h.checksum].map(|w| w.get());
        (sum.iter().fold(0u32, |s, w| s.wrapping_add(*w)) == 0).then_some((at, h))
    })
}

/// Whether there is a header.
pub fn is_there(image: &[u8]) -> bool {
    find(image).is_some()
}

/// Whether there is a header that says where the file goes in memory.
pub fn has_addresses(image: &[u8]) -> bool {
    let Some((at, header)) = find(image) else { return false };
    wishes(image, at, header).is_ok_and(|w| w.addresses.is_some())
}

fn unsupported<T>(what: alloc::string::String, remedy: &'static str) -> Result<T, LoadError> {
    Err(LoadError::Unsupported { what, remedy })
}

/// Reads the tags.
fn wishes(image: &[u8], found: usize, header: Header) -> Result<Wishes, LoadError> {
    if header.architecture.get() != 0 {
        let what = format!("its Multiboot 2 header is for architecture {}", header.architecture.get());
        return unsupported(what, "build it for i386 protected mode (0)");
    }
    let end = found.saturating_add(header.length.get() as usize).min(SEARCH).min(image.len());
    let mut wishes = Wishes::default();
    let mut at = found + size_of::<Header>();
    while let Some(tag) = peek::<Tag>(image, at).filter(|_| at + size_of::<Tag>() <= end) {
        let size = tag.size.get() as usize;
        let body = image.get(at + size_of::<Tag>()..at.saturating_add(size).min(end)).unwrap_or_default();
        if size < size_of::<Tag>() || at.saturating_add(size) > end {
            return Err(LoadError::Malformed {
                what: format!("the size of the Multiboot 2 header tag at file offset {at:#x}"),
                value: size as u64,
                why: "tags have at least 8 bytes and lie within the header's length",
            });
        }
        if tag.kind.get() == tag::END {
            return Ok(wishes);
        }
        read_tag(tag, body, found as u64, &mut wishes)?;
        at = (at + size).next_multiple_of(8);
    }
    unsupported("its Multiboot 2 header has no end tag".into(), "add one: type 0, flags 0, size 8")
}

/// Word number `n` of a tag's body.
fn word(body: &[u8], n: usize) -> Result<u32, LoadError> {
    peek::<U32>(body, n * 4).map(|w| w.get()).ok_or_else(|| LoadError::Malformed {
        what: "the size of a Multiboot 2 header tag".into(),
        value: body.len() as u64 + 8,
        why: "the tag is too short for its type",
    })
}

fn read_tag(tag: Tag, body: &[u8], found: u64, wishes: &mut Wishes) -> Result<(), LoadError> {
    let required = tag.flags.get() & OPTIONAL == 0;
    match tag.kind.get() {
        tag::INFORMATION => {
            let wanted =
                body.chunks_exact(4).map(|w| w.iter().rev().fold(0u32, |v, b| v << 8 | u32::from(*b)));
            if let Some(kind) = wanted.into_iter().find(|kind| required && !info::GIVEN.contains(kind)) {
                let what = format!(
                    "the kernel requires boot information of type {kind}, which a PC with a BIOS lacks"
                );
                return unsupported(what, "mark the information request tag optional (flag bit 0)");
            }
        }
        tag::ADDRESS => {
            wishes.addresses = Some(Addresses {
                found,
                header: word(body, 0)?,
                load: word(body, 1)?,
                load_end: word(body, 2)?,
                bss_end: word(body, 3)?,
            });
        }
        tag::ENTRY => wishes.entry = Some(word(body, 0)?),
        tag::RELOCATABLE => {
            let (min, max, align) = (word(body, 0)?, word(body, 1)?, word(body, 2)?);
            if !align.max(1).is_power_of_two() {
                return Err(LoadError::Malformed {
                    what: "the alignment of the relocatable tag".into(),
                    value: align.into(),
                    why: "it should be a power of two",
                });
            }
            let align = u64::from(align.max(1));
            let preference = word(body, 3)?;
            wishes.relocatable = Some(Relocatable { min: min.into(), max: max.into(), align, preference });
        }
        // What a BIOS machine always is: a text console, modules on pages; entry points for EFI are not used.
        tag::CONSOLE | tag::FRAMEBUFFER | tag::MODULE_ALIGN | tag::EFI_ENTRY_32 | tag::EFI_ENTRY_64 => {}
        tag::EFI_BOOT_SERVICES if required => {
            let remedy = "mark the tag optional (flag bit 0), or boot it with an EFI firmware";
            return unsupported(
                "the kernel requires EFI boot services, and there is no EFI here".into(),
                remedy,
            );
        }
        kind if required && kind != tag::EFI_BOOT_SERVICES => {
            let what = format!("the kernel requires the unknown Multiboot 2 header tag {kind}");
            return unsupported(what, "mark it optional (flag bit 0)");
        }
        _ => {}
    }
    Ok(())
}

/// How far up a kernel with this first address and size goes.
fn shift(wishes: &Wishes, first: u64, len: u64, memory: &[crate::MemoryRange]) -> Result<u64, LoadError> {
    let Some(r) = wishes.relocatable else { return Ok(0) };
    let mut space = Space::new(memory);
    let below = r.max.saturating_add(1);
    let what = "the relocatable kernel";
    let fits = first >= r.min && first.saturating_add(len) <= below && first.is_multiple_of(r.align);
    let at = match r.preference {
        2 => space.highest(what, len, r.align, r.min, below)?,
        0 if fits && space.claim(what, first, len).is_ok() => first,
        _ => space.lowest(what, len, r.align, r.min.max(crate::space::MEGABYTE), below)?,
    };
    Ok(at.wrapping_sub(first))
}

/// Gives the kernel, its modules and what it is told their places.
pub fn plan<'a>(image: &'a [u8], request: &Request<'a>) -> Result<Plan<'a>, LoadError> {
    let Some((found, header)) = find(image) else {
        let what = "there is no Multiboot 2 header in the first 32 KiB".into();
        return unsupported(what, "link its section first, aligned to 8 bytes");
    };
    let wishes = wishes(image, found, header)?;
    let mut draft = Draft::new(request.memory);
    let (entry, first, elf) = match wishes.addresses {
        Some(addresses) => {
            let shift = shift(&wishes, addresses.first()?, addresses.memory_len(image)?, request.memory)?;
            let Some(entry) = wishes.entry else {
                let what = "its Multiboot 2 header has an address tag but no entry address tag".into();
                return unsupported(what, "add the entry address tag (type 3)");
            };
            let first = addresses.place(image, shift, &mut draft)?;
            (u64::from(entry).wrapping_add(shift), first, None)
        }
        None => {
            let elf = Elf::parse(image)?;
            let (first, last) = elf.span()?;
            let shift = shift(&wishes, first, (last - first).saturating_add(1), request.memory)?;
            elf.place(shift, &mut draft)?;
            let entry = match wishes.entry {
                Some(entry) => entry.into(),
                None => elf.entry()?,
            };
            (entry.wrapping_add(shift), first.wrapping_add(shift), Some(elf))
        }
    };
    let entry = entry_below_4_gib(entry)?;
    let base = wishes.relocatable.map(|_| first as u32);
    let info = info::place(image, elf.as_ref(), base, request, &mut draft)?;
    let mut cpu = draft.protected(entry)?;
    cpu.gpr[Gpr::Rax as usize] = LOADER_MAGIC.into();
    cpu.gpr[Gpr::Rbx as usize] = info;
    let how = if elf.is_some() { "ELF" } else { "by the header's addresses" };
    Ok(draft.finish(Protocol::Multiboot2, format!("Multiboot 2, {how}, entry {entry:#x}"), cpu))
}
