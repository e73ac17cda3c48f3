//! bzImage (Documentation/arch/x86/boot.rst of Linux): the setup header, and the three ways in.

mod header;
mod real;
mod zero_page;

use alloc::format;

use hako_x86::Gpr;

use crate::plan::{Draft, Plan};
use crate::space::{FOUR_GIB, MEGABYTE};
use crate::{LoadError, Protocol, Request, state};
use header::Header;

/// Whether the file is a kernel with a setup header.
pub fn is_bzimage(image: &[u8]) -> bool {
    image.get(0x202..0x206) == Some(b"HdrS")
}

/// The best way into the kernel.
pub fn entry(image: &[u8]) -> Result<Protocol, LoadError> {
    let header = Header::parse(image)?;
    Ok(if header.has_64_bit_entry() {
        Protocol::Linux64
    } else if header.loaded_high() {
        Protocol::Linux32
    } else {
        Protocol::Linux16
    })
}

/// The 64-bit entry point lies so far behind the 32-bit one.
const ENTRY_64: u64 = 0x200;

/// Gives the kernel, its initial RAM disk and what it is told their places.
pub fn plan<'a>(image: &'a [u8], request: &Request<'a>, protocol: Protocol) -> Result<Plan<'a>, LoadError> {
    let header = Header::parse(image)?;
    if !request.modules.is_empty() {
        return Err(LoadError::Unsupported {
            what: "a bzImage takes no modules".into(),
            remedy: "give one --initrd in place of --module",
        });
    }
    if request.append.len() as u64 > header.max_command_line() {
        let (len, max) = (request.append.len(), header.max_command_line());
        return Err(LoadError::Unsupported {
            what: format!("the command line has {len} bytes, and this kernel takes at most {max}"),
            remedy: "shorten --append",
        });
    }
    if protocol == Protocol::Linux16 {
        return real::plan(&header, request);
    }
    if !header.loaded_high() {
        return Err(LoadError::Unsupported {
            what: "this is a zImage, which only its 16-bit setup code can start".into(),
            remedy: "leave the choice of the entry point to hako",
        });
    }
    let wide = protocol == Protocol::Linux64;
    if wide && !header.has_64_bit_entry() {
        return Err(LoadError::Unsupported {
            what: "this kernel has no 64-bit entry point".into(),
            remedy: "leave the choice of the entry point to hako",
        });
    }
    let mut draft = Draft::new(request.memory);
    let at = place_kernel(&header, &mut draft)?;
    let command_line = draft.string("the command line", request.append)?;
    let initrd = place_initrd(&header, request, &mut draft)?;
    let page = zero_page::build(&header, request, at, command_line, initrd)?;
    let page_at = draft.table("the zero page", 0x1000, page)?;
    let mut cpu = if wide {
        let tables = draft.space.small("the boot page tables", state::TABLES_LEN, 0x1000)?;
        draft.put(tables, state::identity_tables(tables));
        let (mut cpu, gdt) = state::long(at + ENTRY_64, tables);
        cpu.gdtr.base = draft.table("the boot GDT", 8, gdt.to_vec())?;
        cpu
    } else {
        draft.protected(at)?
    };
    cpu.gpr[Gpr::Rsi as usize] = page_at;
    let about = format!("{protocol}, boot protocol {}, loaded at {at:#x}", header.version_text());
    Ok(draft.finish(protocol, about, cpu))
}

/// The protected-mode part where the kernel likes it best, with room for it to unpack itself.
fn place_kernel<'a>(header: &Header<'a>, draft: &mut Draft<'a>) -> Result<u64, LoadError> {
    let (code, room) = (header.code()?, header.room()?);
    let what = "the kernel with the room to unpack itself";
    let at = match header.preferred() {
        // A kernel that cannot be moved is loaded at 1 MiB and unpacks itself at its preferred address.
        Some(preferred) if !header.relocatable() => {
            let end = preferred.saturating_add(room).max(MEGABYTE + code.len() as u64);
            draft.space.claim(what, MEGABYTE, end - MEGABYTE)?;
            MEGABYTE
        }
        Some(preferred) if draft.space.claim(what, preferred, room).is_ok() => preferred,
        Some(_) => draft.space.lowest(what, room, header.alignment()?, MEGABYTE, FOUR_GIB)?,
        None => {
            draft.space.claim(what, MEGABYTE, room)?;
            MEGABYTE
        }
    };
    draft.put(at, code);
    Ok(at)
}

/// The initial RAM disk, as high as the kernel allows: its address and size.
fn place_initrd<'a>(
    header: &Header<'a>,
    request: &Request<'a>,
    draft: &mut Draft<'a>,
) -> Result<(u64, u64), LoadError> {
    let Some(bytes) = request.initrd else { return Ok((0, 0)) };
    let len = bytes.len() as u64;
    let at = draft.space.highest("the initrd", len, 0x1000, MEGABYTE, header.initrd_end())?;
    draft.put(at, bytes);
    Ok((at, len))
}
