//! The CPU as kernels expect it, and the descriptor tables behind it.

use hako_x86::{CpuState, Cr0, Cr4, DescTable, Descriptor, Efer, Gpr, RFlags, SegAttr, SegReg, Segment};

/// The selector of the code segment: __BOOT_CS of the Linux boot protocol.
const CODE: u16 = 0x10;
/// The selector of the data segment: __BOOT_DS.
const DATA: u16 = 0x18;
/// Bytes of a boot GDT.
const GDT_LEN: usize = 32;

const CODE32: SegAttr = SegAttr::from_bits_retain(0xc09b);
const CODE64: SegAttr = SegAttr::from_bits_retain(0xa09b);
const DATA32: SegAttr = SegAttr::from_bits_retain(0xc093);

/// A flat segment over all addresses.
const fn flat(selector: u16, attr: SegAttr) -> Segment {
    Segment { selector, attr, limit: u32::MAX, base: 0 }
}

/// A boot GDT: two empty descriptors, code, data.
fn gdt(code: SegAttr) -> [u8; GDT_LEN] {
    let mut bytes = [0; GDT_LEN];
    for (selector, attr) in [(CODE, code), (DATA, DATA32)] {
        let descriptor = Descriptor::new(0, u32::MAX, attr).0.to_le_bytes();
        if let Some(room) = bytes.get_mut(usize::from(selector)..usize::from(selector) + 8) {
            room.copy_from_slice(&descriptor);
        }
    }
    bytes
}

/// Protected mode without interrupts and paging: flat code and data, everything else empty.
fn flat_state(entry: u64, code: SegAttr) -> CpuState {
    let mut state = CpuState::reset();
    state.gpr = [0; 16];
    state.rip = entry;
    state.rflags = RFlags::FIXED;
    state.seg = [flat(DATA, DATA32); 6];
    state.seg[SegReg::Cs as usize] = flat(CODE, code);
    state.tr.limit = 0x67;
    state.gdtr = DescTable { base: 0, limit: GDT_LEN as u16 - 1 };
    // Exceptions before the kernel has an IDT of its own are a triple fault, not a jump into the BIOS's vectors.
    state.idtr = DescTable { base: 0, limit: 0 };
    state.cr0 = (Cr0::PE | Cr0::ET).bits();
    state
}

/// 32-bit protected mode; the state, but for the GDT's place, and the GDT.
pub fn protected(entry: u64) -> (CpuState, [u8; GDT_LEN]) {
    (flat_state(entry, CODE32), gdt(CODE32))
}

/// 64-bit mode with page tables at `tables`; the state, but for the GDT's place, and the GDT.
pub fn long(entry: u64, tables: u64) -> (CpuState, [u8; GDT_LEN]) {
    let mut state = flat_state(entry, CODE64);
    state.cr0 |= Cr0::PG.bits();
    state.cr3 = tables;
    state.cr4 = Cr4::PAE.bits();
    state.efer = (Efer::LME | Efer::LMA).bits();
    (state, gdt(CODE64))
}

/// Real mode: CS:IP, the other segments, SP. Interrupts are off and the IVT is the BIOS's.
pub fn real(cs: u16, segment: u16, sp: u16) -> CpuState {
    let mut state = CpuState::reset();
    state.gpr = [0; 16];
    state.gpr[Gpr::Rsp as usize] = sp.into();
    state.rip = 0;
    state.rflags = RFlags::FIXED;
    let code = state.seg[SegReg::Cs as usize].attr;
    state.seg = [Segment::real(segment); 6];
    state.seg[SegReg::Cs as usize] = Segment { attr: code, ..Segment::real(cs) };
    state.idtr = DescTable { base: 0, limit: 0x3ff };
    state
}

/// Bytes of [`identity_tables`].
pub const TABLES_LEN: u64 = 6 * 0x1000;

/// Page tables at `at` that map the first 4 GiB to themselves with pages of 2 MiB: PML4, PDPT, four page directories.
pub fn identity_tables(at: u64) -> alloc::vec::Vec<u8> {
    const PRESENT_WRITABLE: u64 = 3;
    const LARGE: u64 = 0x80;
    let mut entries = alloc::vec![0u64; (TABLES_LEN / 8) as usize];
    for (i, entry) in entries.iter_mut().enumerate() {
        *entry = match (i / 512, i % 512) {
            (0, 0) => (at + 0x1000) | PRESENT_WRITABLE,
            (1, n @ 0..4) => (at + 0x2000 + n as u64 * 0x1000) | PRESENT_WRITABLE,
            (2.., _) => ((i as u64 - 1024) << 21) | LARGE | PRESENT_WRITABLE,
            _ => 0,
        };
    }
    entries.iter().flat_map(|e| e.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_map_the_last_page_below_4_gib_to_itself() {
        let tables = identity_tables(0x1_0000);
        let entry = |at: usize| u64::from_le_bytes(tables[at..at + 8].try_into().unwrap());
        assert_eq!(entry(0), 0x1_1003);
        assert_eq!(entry(0x1000 + 3 * 8), 0x1_5003);
        assert_eq!(entry(0x5000 + 511 * 8), 0xffe0_0083);
        assert_eq!(entry(0x1000 + 4 * 8), 0);
    }

    #[test]
    fn the_gdt_holds_what_the_segment_registers_hold() {
        let (state, gdt) = protected(0x10_0000);
        for s in [SegReg::Cs, SegReg::Ds, SegReg::Ss] {
            let seg = state.segment(s);
            let at = usize::from(seg.selector);
            let descriptor = Descriptor(u64::from_le_bytes(gdt[at..at + 8].try_into().unwrap()));
            assert_eq!(descriptor.segment(seg.selector), *seg);
        }
    }
}
