//! Descriptor-table entries that an exception went through, as text.

use hako_mem::GuestMemory;
use hako_x86::{CpuState, Cr0, Descriptor, Efer, Selector};

use super::code::read_linear;

fn word(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// Access rights in words.
pub(super) fn rights(a: u32) -> String {
    let code = a & 8 != 0;
    let kind = match (a & 0x10 != 0, code) {
        (true, true) if a & 1 << 13 != 0 => "64-bit code",
        (true, true) if a & 1 << 14 != 0 => "32-bit code",
        (true, true) => "16-bit code",
        (true, false) if a & 2 != 0 => "writable data",
        (true, false) => "read-only data",
        (false, _) => system(a & 0xf),
    };
    let present = if a & 0x80 == 0 { ", not present" } else { "" };
    format!("{kind}, dpl {}{present}", a >> 5 & 3)
}

fn system(ty: u32) -> &'static str {
    match ty {
        1 | 3 => "16-bit TSS",
        2 => "LDT",
        4 => "16-bit call gate",
        5 => "task gate",
        6 => "16-bit interrupt gate",
        7 => "16-bit trap gate",
        9 | 0xb => "TSS",
        0xc => "call gate",
        0xe => "interrupt gate",
        0xf => "trap gate",
        _ => "reserved type",
    }
}

/// What the IDT says about a vector, and the GDT about the segment that it leads to.
pub(super) fn vector(state: &CpuState, memory: &GuestMemory, vector: u8) -> Vec<String> {
    let n = u64::from(vector);
    let protected = state.cr0 & Cr0::PE.bits() != 0;
    let long = state.efer & Efer::LMA.bits() != 0;
    let size: u64 = if long {
        16
    } else if protected {
        8
    } else {
        4
    };
    let at = state.idtr.base.wrapping_add(n * size);
    let last = n * size + size - 1;
    let limit = u64::from(state.idtr.limit);
    if last > limit {
        return vec![format!(
            "IDT entry {vector:#04x} would end at offset {last:#x}, the IDT's limit is {limit:#x}"
        )];
    }
    let bytes = read_linear(state, memory, at, size as usize);
    if bytes.len() < size as usize {
        return vec![format!("IDT entry {vector:#04x} at {at:#x} cannot be read")];
    }
    if !protected {
        let entry = bytes.iter().rev().fold(0u32, |v, b| v << 8 | u32::from(*b));
        return vec![format!(
            "vector {vector:#04x} at {at:#x} is {:04x}:{:04x}",
            entry >> 16,
            entry & 0xffff
        )];
    }
    let Some(low) = bytes.get(..8).and_then(word) else { return Vec::new() };
    let high = bytes.get(8..).and_then(word).unwrap_or(0);
    let gate = if long { Descriptor(low).gate().extended(high) } else { Descriptor(low).gate() };
    let (selector, offset) = (gate.selector.0, gate.offset);
    let attr = Descriptor(low).attr().bits();
    let mut lines = vec![format!(
        "IDT entry {vector:#04x} at {at:#x}: {low:016x}  {} to {selector:04x}:{offset:08x}",
        rights(attr & 0xff)
    )];
    lines.extend(selected(state, memory, selector));
    lines
}

/// What a selector selects.
pub(super) fn selected(state: &CpuState, memory: &GuestMemory, selector: u16) -> Vec<String> {
    let s = Selector(selector);
    if s.is_null() {
        return vec![format!("selector {selector:04x} is null")];
    }
    let (name, base, limit) = if s.in_ldt() {
        ("LDT", state.ldtr.base, u64::from(state.ldtr.limit))
    } else {
        ("GDT", state.gdtr.base, u64::from(state.gdtr.limit))
    };
    let offset = u64::from(s.offset());
    if offset + 7 > limit {
        return vec![format!("selector {selector:04x} lies beyond the {name}'s limit {limit:#x}")];
    }
    let at = base.wrapping_add(offset);
    match word(&read_linear(state, memory, at, 8)) {
        Some(raw) => {
            let d = Descriptor(raw);
            vec![format!(
                "{name} entry {selector:04x} at {at:#x}: {raw:016x}  {}, base {:08x} limit {:08x}",
                rights(d.attr().bits()),
                d.base(),
                d.limit()
            )]
        }
        None => vec![format!("{name} entry {selector:04x} at {at:#x} cannot be read")],
    }
}
