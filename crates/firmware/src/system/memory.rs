//! INT 15h/87h, 88h, E801h, E820h, E881h: extended memory. ACPI specification 2.0, 14.1, for the memory map.

use alloc::vec::Vec;

use hako_mem::Gpa;
use hako_x86::{Gpr, RFlags, SegReg};

use super::{set_a20, succeed, unsupported};
use crate::bda::EBDA;
use crate::call::Call;
use crate::{MemoryRange, Platform, RangeKind};

/// Where the EBDA begins: low memory ends there.
const LOW_END: u64 = (EBDA as u64) << 4;
/// Where memory that programs can have ends.
const CONVENTIONAL_END: u64 = 0xa_0000;
const MIB: u64 = 1 << 20;
/// "SMAP".
const SMAP: u32 = 0x534d_4150;

/// AH=87h: moves CX words between the addresses of two descriptors of the table at ES:SI.
pub(super) fn block_move(call: &mut Call<'_>) {
    let words = call.cx();
    if words > 0x8000 {
        call.set_ah(0x02); // interrupt error: the limits cannot hold so much
        call.set_carry(true);
        return;
    }
    let si = call.word(Gpr::Rsi);
    let mut table = [0u8; 0x20];
    call.read_seg(SegReg::Es, si, &mut table);
    let address = |d: &[u8]| Gpa(u32::from_le_bytes([d[2], d[3], d[4], d[7]]).into());
    let (from, to) = (address(&table[0x10..0x18]), address(&table[0x18..0x20]));
    // The BIOS opens the A20 gate while it moves, and puts it back.
    let open = call.platform.a20();
    if !open {
        set_a20(call, true);
    }
    let mut block = [0u8; 4096];
    let mut done = 0u64;
    let len = u64::from(words) * 2;
    while done < len {
        let n = (len - done).min(block.len() as u64);
        let Some(part) = block.get_mut(..n as usize) else { break };
        call.read(Gpa(from.0.wrapping_add(done)), part);
        call.write(Gpa(to.0.wrapping_add(done)), part);
        done += n;
    }
    if !open {
        set_a20(call, false);
    }
    succeed(call);
    call.set_flags(RFlags::ZF, true);
}

/// Bytes of RAM without a hole from `start` on, below `end`.
fn run(platform: &dyn Platform, start: u64, end: u64) -> u64 {
    let mut at = start;
    for r in platform.memory_map().iter().filter(|r| r.kind == RangeKind::Usable) {
        let r_end = r.start.0.saturating_add(r.len);
        if r.start.0 <= at && r_end > at {
            at = r_end;
        }
    }
    at.min(end).saturating_sub(start)
}

/// AH=88h: KiB from 1 MiB on, at most 63 MiB.
pub(super) fn extended_kb(call: &mut Call<'_>) {
    let kb = run(call.platform, MIB, 64 * MIB) / 1024;
    call.set_ax(kb as u16);
    call.set_carry(false);
}

/// AX=E801h, E881h: KiB between 1 and 16 MiB in AX and CX, 64 KiB blocks from there on in BX and DX.
pub(super) fn sizes(call: &mut Call<'_>, wide: bool) {
    let low = (run(call.platform, MIB, 16 * MIB) / 1024) as u32;
    let high = (run(call.platform, 16 * MIB, 1 << 32) >> 16) as u32;
    if wide {
        call.set_eax(low);
        call.set_ecx(low);
        call.set_ebx(high);
        call.set_edx(high);
    } else {
        call.set_ax(low as u16);
        call.set_cx(low as u16);
        call.set_bx(high as u16);
        call.set_dx(high as u16);
    }
    call.set_carry(false);
}

/// The memory map as a program finds it: the board's with the EBDA taken out of low memory and the ROM added.
pub fn memory_map(board: &[MemoryRange]) -> Vec<MemoryRange> {
    let mut out = Vec::with_capacity(8);
    let mut put = |start: u64, end: u64, kind: RangeKind| {
        if end > start {
            out.push(MemoryRange { start: Gpa(start), len: end - start, kind });
        }
    };
    let mut rom = Some((0xf_0000, MIB));
    for r in board {
        let (start, end) = (r.start.0, r.start.0.saturating_add(r.len));
        if end > 0xf_0000
            && let Some((rom_start, rom_end)) = rom.take()
            && start >= rom_end
        {
            put(rom_start, rom_end, RangeKind::Reserved);
        }
        if r.kind == RangeKind::Usable && start < CONVENTIONAL_END && end > LOW_END {
            put(start, LOW_END, r.kind);
            put(LOW_END.max(start), end.min(CONVENTIONAL_END), RangeKind::Reserved);
            put(CONVENTIONAL_END.max(start), end, r.kind);
        } else {
            put(start, end, r.kind);
        }
    }
    if let Some((start, end)) = rom {
        put(start, end, RangeKind::Reserved);
    }
    out
}

/// AX=E820h: range number EBX to ES:DI, 20 bytes, or 24 where the caller has room for the attributes.
pub(super) fn map(call: &mut Call<'_>) {
    if call.edx() != SMAP || call.ecx() < 20 {
        return unsupported(call);
    }
    let ranges = memory_map(call.platform.memory_map());
    let index = call.ebx() as usize;
    let Some(range) = ranges.get(index) else { return unsupported(call) };
    let mut entry = [0u8; 24];
    entry[..8].copy_from_slice(&range.start.0.to_le_bytes());
    entry[8..16].copy_from_slice(&range.len.to_le_bytes());
    entry[16..20].copy_from_slice(&(range.kind as u32).to_le_bytes());
    entry[20] = 1; // not to be ignored
    let len = if call.ecx() >= 24 { 24 } else { 20 };
    let di = call.word(Gpr::Rdi);
    call.write_seg(SegReg::Es, di, entry.get(..len).unwrap_or(&entry));
    let next = index + 1;
    call.set_eax(SMAP);
    call.set_ebx(if next < ranges.len() { next as u32 } else { 0 });
    call.set_ecx(len as u32);
    call.set_carry(false);
}
