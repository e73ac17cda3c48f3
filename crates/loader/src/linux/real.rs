//! The 16-bit way: the setup code in low memory asks the BIOS and goes on to protected mode by itself.

use alloc::format;

use super::header::Header;
use super::place_initrd;
use super::zero_page::{LOADER, field, set};
use crate::plan::{Draft, Plan};
use crate::space::MEGABYTE;
use crate::{LoadError, Protocol, Request, state};

/// The segment of the setup code.
const SEGMENT: u16 = 0x9000;
/// Its address.
const BASE: u64 = (SEGMENT as u64) << 4;
/// Where a zImage is loaded.
const LOW_KERNEL: u64 = 0x1_0000;
/// The most setup code: heap and stack lie behind it.
const MAX_SETUP: usize = 0x8000;
/// loadflags: the heap's end is told.
const CAN_USE_HEAP: u8 = 0x80;
/// The first protocol version that uses a heap.
const V2_01: u16 = 0x201;
/// Where protocols before 2.02 look for the command line, relative to the setup code: a magic, and its offset.
const OLD_COMMAND_LINE: (usize, [u8; 2]) = (0x20, [0x3f, 0xa3]);

/// Gives setup code, kernel, command line and initial RAM disk their places.
pub fn plan<'a>(header: &Header<'a>, request: &Request<'a>) -> Result<Plan<'a>, LoadError> {
    let mut draft = Draft::new(request.memory);
    let setup = header.setup()?;
    if setup.len() > MAX_SETUP {
        return Err(LoadError::Malformed {
            what: "the size of the setup code".into(),
            value: setup.len() as u64,
            why: "it has at most 32 KiB; the file is damaged",
        });
    }
    let high = header.loaded_high();
    // As the boot protocol's sample loader divides the segment: setup, heap and stack, command line.
    let heap_end: u16 = if high && header.has_command_line_pointer() { 0xe000 } else { 0x9800 };
    let mut command_line = request.append.as_bytes().to_vec();
    command_line.push(0);
    let len = u64::from(heap_end) + command_line.len() as u64;
    draft.space.claim("the setup code with heap and command line", BASE, len)?;
    let code = header.code()?;
    let at = if high { MEGABYTE } else { LOW_KERNEL };
    draft.space.claim("the kernel", at, header.room()?)?;
    draft.put(at, code);
    let (initrd, initrd_len) = place_initrd(header, request, &mut draft)?;

    let mut setup = setup.to_vec();
    set(&mut setup, field::TYPE_OF_LOADER, &[LOADER]);
    set(&mut setup, field::VID_MODE, &[0xff, 0xff]);
    set(&mut setup, field::RAMDISK_IMAGE, &(initrd as u32).to_le_bytes());
    set(&mut setup, field::RAMDISK_SIZE, &(initrd_len as u32).to_le_bytes());
    if header.at_least(V2_01) {
        let flags = setup.get(field::LOADFLAGS).copied().unwrap_or(0) | CAN_USE_HEAP;
        set(&mut setup, field::LOADFLAGS, &[flags]);
        set(&mut setup, field::HEAP_END, &(heap_end - 0x200).to_le_bytes());
    }
    if header.has_command_line_pointer() {
        let pointer = BASE as u32 + u32::from(heap_end);
        set(&mut setup, field::CMD_LINE_PTR, &pointer.to_le_bytes());
    } else {
        let (offset, magic) = OLD_COMMAND_LINE;
        set(&mut setup, offset, &magic);
        set(&mut setup, offset + 2, &heap_end.to_le_bytes());
    }
    draft.put(BASE, setup);
    draft.put(BASE + u64::from(heap_end), command_line);
    let about = format!("{}, boot protocol {}, loaded at {at:#x}", Protocol::Linux16, header.version_text());
    // The setup code begins behind the boot sector.
    Ok(draft.finish(Protocol::Linux16, about, state::real(SEGMENT + 0x20, SEGMENT, heap_end)))
}
