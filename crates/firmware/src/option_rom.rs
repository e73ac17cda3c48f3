//! The option ROM by which other firmware starts a kernel that the machine holds: an entry of its boot menu (Plug and Play
//! BIOS Specification 1.0A, 3.2 and 3.3; BIOS Boot Specification 1.01, 3).
//!
//! The boot entry asks the firmware for the memory map, so that the kernel's parts lie where the firmware leaves room, and
//! writes to the trap port. The machine loads the kernel and enters it. Where the machine does not, the entry returns, and
//! the firmware tries the next one.

use alloc::vec::Vec;

use hako_mem::{Gpa, GuestMemory, MemoryRange, RangeKind};
use hako_x86::{CpuState, Cr0, Gpr, SegReg};

use crate::TRAP_PORT;
use crate::image::Image;

/// The name by which firmware is offered the ROM through fw_cfg.
pub const KERNEL_ROM_FILE: &str = "genroms/hako-kernel.bin";

const LEN: u16 = 512;
/// The expansion header.
const PNP: u16 = 0x20;
const PNP_LEN: u16 = 32;
/// The product's name.
const NAME: u16 = 0x48;
/// The manufacturer's.
const MAKER: u16 = 0x40;
/// The boot entry.
const ENTRY: u16 = 0x60;

/// Where the memory map is put, ES:0. Nothing is there while firmware boots, and setup code or nothing later.
const BUFFER: u16 = 0x9000;
/// Bytes of an entry of the map.
const RANGE_LEN: u8 = 20;
/// The map has no more bytes.
const MAP_END: u16 = 128 * RANGE_LEN as u16;

/// The boot entry: DI is the length of the memory map at ES:0.
const CODE: [u8; 56] = [
    0xfc, // cld
    0x66,
    0x31,
    0xdb, // xor ebx, ebx
    0x31,
    0xff, // xor di, di
    0x68,
    BUFFER as u8,
    (BUFFER >> 8) as u8, // push BUFFER
    0x07,                // pop es
    0x66,
    0xb8,
    0x20,
    0xe8,
    0,
    0, // next: mov eax, E820h
    0x66,
    0xba,
    b'P',
    b'A',
    b'M',
    b'S', // mov edx, "SMAP"
    0x66,
    0xb9,
    RANGE_LEN,
    0,
    0,
    0, // mov ecx, RANGE_LEN
    0xcd,
    0x15, // int 15h
    0x72,
    0x16, // jc done
    0x66,
    0x3d,
    b'P',
    b'A',
    b'M',
    b'S', // cmp eax, "SMAP"
    0x75,
    0x0e, // jne done
    0x83,
    0xc7,
    RANGE_LEN, // add di, RANGE_LEN
    0x81,
    0xff,
    MAP_END as u8,
    (MAP_END >> 8) as u8, // cmp di, MAP_END
    0x73,
    0x05, // jae done
    0x66,
    0x85,
    0xdb, // test ebx, ebx
    0x75,
    0xd4, // jnz next
    0xe6,
    TRAP_PORT as u8, // done: out TRAP_PORT, al
];
/// RIP behind the OUT: what follows is a far return.
const ASKED: u16 = ENTRY + CODE.len() as u16;

static ROM: [u8; LEN as usize] = {
    const MAKER_NAME: &[u8] = b"hako\0";
    const PRODUCT: &[u8] = b"kernel of the command line\0";
    Image::<_, 0>([0; LEN as usize])
        // The signature, 512 bytes, and the initialization: a far return.
        .put(0, &[0x55, 0xaa, (LEN / 512) as u8, 0xcb])
        .put(0x1a, &PNP.to_le_bytes())
        // Revision 1; 16-byte units of the header; no next header.
        .put(PNP, b"$PnP\x01")
        .put(PNP + 5, &[(PNP_LEN / 16) as u8])
        .put(PNP + 0x0e, &MAKER.to_le_bytes())
        .put(PNP + 0x10, &NAME.to_le_bytes())
        // Indicators: a device to boot from, whose ROM may be shadowed.
        .put(PNP + 0x15, &[0x44])
        .put(PNP + 0x1a, &ENTRY.to_le_bytes())
        .put(MAKER, MAKER_NAME)
        .put(NAME, PRODUCT)
        .put(ENTRY, &CODE)
        .put(ASKED, &[0xcb])
        .summed(PNP + 9, PNP, PNP_LEN)
        .summed(LEN - 1, 0, LEN)
        .0
};

/// The option ROM.
pub fn kernel_rom() -> &'static [u8; LEN as usize] {
    &ROM
}

/// The firmware's memory map, if it is the boot entry that has just written to the trap port: the CPU is in real mode, and
/// the ROM stands before it.
pub fn kernel_asked(state: &CpuState, mem: &GuestMemory) -> Option<Vec<MemoryRange>> {
    const ROMS: core::ops::Range<u64> = 0xc_0000..0xf_0000;
    let cs = state.segment(SegReg::Cs).base;
    let mut rom = [0; LEN as usize];
    let entry = state.cr0 & Cr0::PE.bits() == 0
        && state.rip == u64::from(ASKED)
        && ROMS.contains(&cs)
        && mem.read(Gpa(cs), &mut rom).is_ok()
        && rom == ROM;
    if !entry {
        return None;
    }
    let len = (state.gpr[Gpr::Rdi as usize] as u16).min(MAP_END);
    let mut map = alloc::vec![0; usize::from(len)];
    mem.read(Gpa(state.segment(SegReg::Es).base), &mut map).ok()?;
    Some(map.chunks_exact(RANGE_LEN.into()).filter_map(range).collect())
}

/// An entry of the map: base, length, type. What has an unknown type is reserved.
fn range(entry: &[u8]) -> Option<MemoryRange> {
    let (start, rest) = entry.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let kind = match u32::from_le_bytes(*rest.first_chunk()?) {
        1 => RangeKind::Usable,
        3 => RangeKind::AcpiReclaim,
        4 => RangeKind::AcpiNvs,
        _ => RangeKind::Reserved,
    };
    Some(MemoryRange { start: Gpa(u64::from_le_bytes(*start)), len: u64::from_le_bytes(*len), kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, b| sum.wrapping_add(*b))
    }

    #[test]
    fn the_rom_and_its_header_have_the_sum_0() {
        assert_eq!((&ROM[..3], sum(&ROM)), (&[0x55, 0xaa, 1][..], 0));
        let header = &ROM[usize::from(PNP)..usize::from(PNP + PNP_LEN)];
        assert_eq!((&header[..4], sum(header)), (&b"$PnP"[..], 0));
        assert_eq!(u16::from_le_bytes([header[0x1a], header[0x1b]]), ENTRY);
    }

    #[test]
    fn the_jumps_of_the_entry_meet_their_targets() {
        let target = |at: usize| (at + 2).wrapping_add_signed(isize::from(CODE[at + 1] as i8));
        let done = CODE.len() - 2;
        let jumps: Vec<usize> = (0..done).filter(|&at| matches!(CODE[at], 0x72 | 0x73 | 0x75)).collect();
        assert_eq!(jumps.iter().map(|at| target(*at)).collect::<Vec<_>>(), [done, done, done, 10]);
    }

    /// A CPU behind the OUT of a ROM at CA000h, with a map of two ranges.
    fn asked(memory: &GuestMemory) -> CpuState {
        memory.write(Gpa(0xc_a000), &ROM).unwrap();
        let mut map = Vec::new();
        for (start, len, kind) in [(0u64, 0x9_fc00u64, 1u32), (0x9_fc00, 0x400, 7)] {
            map.extend(start.to_le_bytes().into_iter().chain(len.to_le_bytes()).chain(kind.to_le_bytes()));
        }
        memory.write(Gpa(0x9_0000), &map).unwrap();
        let mut state = CpuState::reset();
        state.seg[SegReg::Cs as usize].base = 0xc_a000;
        state.seg[SegReg::Es as usize].base = 0x9_0000;
        state.rip = ASKED.into();
        state.gpr[Gpr::Rdi as usize] = map.len() as u64;
        state
    }

    #[test]
    fn the_firmwares_map_comes_along() {
        let memory = GuestMemory::flat(1 << 20);
        let state = asked(&memory);
        let range = |start, len, kind| MemoryRange { start: Gpa(start), len, kind };
        let map = [range(0, 0x9_fc00, RangeKind::Usable), range(0x9_fc00, 0x400, RangeKind::Reserved)];
        assert_eq!(kernel_asked(&state, &memory).as_deref(), Some(&map[..]));
    }

    #[test]
    fn no_other_write_to_the_port_asks() {
        let memory = GuestMemory::flat(1 << 20);
        let good = asked(&memory);
        for spoil in [
            |s: &mut CpuState| s.rip -= 2,
            |s: &mut CpuState| s.cr0 |= Cr0::PE.bits(),
            |s: &mut CpuState| s.seg[SegReg::Cs as usize].base = 0x9_0000,
            |s: &mut CpuState| s.seg[SegReg::Cs as usize].base = 0xc_8000,
        ] {
            let mut state = good.clone();
            spoil(&mut state);
            assert_eq!(kernel_asked(&state, &memory), None);
        }
    }
}
