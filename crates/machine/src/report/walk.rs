//! The page walk as data: which entries lead from a linear address to a physical one (SDM Vol. 3A chapter 4).

use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, Cr0, Cr4, Efer};

/// One step of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name of the level.
    pub level: &'static str,
    /// Where the entry is.
    pub at: Gpa,
    /// What it holds; `None` if there is no memory.
    pub value: Option<u64>,
}

/// How a walk ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At this physical address.
    Page(Gpa),
    /// At an entry that is not present.
    NotPresent,
    /// At an entry that lies outside memory.
    NoMemory,
}

/// The levels of a paging mode: name, lowest address bit, index bits.
type Level = (&'static str, u32, u32);

const FOUR: [Level; 4] = [("PML4E", 39, 9), ("PDPTE", 30, 9), ("PDE", 21, 9), ("PTE", 12, 9)];
const PAE: [Level; 3] = [("PDPTE", 30, 2), ("PDE", 21, 9), ("PTE", 12, 9)];
const TWO: [Level; 2] = [("PDE", 22, 10), ("PTE", 12, 10)];

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Walks; without paging there are no entries and the address is physical.
pub(super) fn walk(state: &CpuState, memory: &GuestMemory, linear: u64) -> (Vec<Entry>, End) {
    if state.cr0 & Cr0::PG.bits() == 0 {
        return (Vec::new(), End::Page(Gpa(linear & 0xffff_ffff)));
    }
    let pae = state.cr4 & Cr4::PAE.bits() != 0;
    let long = state.efer & Efer::LMA.bits() != 0;
    let levels: &[Level] = if long {
        &FOUR
    } else if pae {
        &PAE
    } else {
        &TWO
    };
    let linear = if long { linear } else { linear & 0xffff_ffff };
    let size = if pae { 8 } else { 4 };
    let mut table = state.cr3 & if pae && !long { 0xffff_ffe0 } else { ADDRESS };
    let mut entries = Vec::new();
    for &(level, shift, bits) in levels {
        let index = linear >> shift & ((1 << bits) - 1);
        let at = Gpa(table.wrapping_add(index * size));
        let value =
            if pae { memory.load::<u64>(at).ok() } else { memory.load::<u32>(at).ok().map(u64::from) };
        entries.push(Entry { level, at, value });
        let Some(value) = value else { return (entries, End::NoMemory) };
        if value & 1 == 0 {
            return (entries, End::NotPresent);
        }
        let large = value & 1 << 7 != 0
            && match shift {
                21 | 30 => pae && (long || shift == 21),
                22 => state.cr4 & Cr4::PSE.bits() != 0,
                _ => false,
            };
        if shift == 12 || large {
            let within = (1u64 << shift) - 1;
            let mut base = value & ADDRESS & !within;
            if large && shift == 22 {
                base |= (value >> 13 & 0xff) << 32; // PSE-36
            }
            return (entries, End::Page(Gpa(base | linear & within)));
        }
        table = value & ADDRESS;
    }
    (entries, End::NoMemory)
}

/// Where a linear address leads.
pub(crate) fn translate(state: &CpuState, memory: &GuestMemory, linear: u64) -> Result<Gpa, End> {
    match walk(state, memory, linear).1 {
        End::Page(gpa) => Ok(gpa),
        end => Err(end),
    }
}

/// A walk as text.
pub(super) fn lines(state: &CpuState, memory: &GuestMemory, linear: u64) -> Vec<String> {
    let (entries, end) = walk(state, memory, linear);
    let mut lines: Vec<String> = entries
        .iter()
        .map(|e| match e.value {
            Some(v) => format!("{:<5} at {:>10}  {v:016x}  {}", e.level, e.at.to_string(), bits(v)),
            None => format!("{:<5} at {:>10}  there is no memory", e.level, e.at.to_string()),
        })
        .collect();
    if !lines.is_empty() {
        lines.push(match end {
            End::Page(gpa) => format!("the address is {gpa} in memory"),
            End::NotPresent => "the last entry is not present".into(),
            End::NoMemory => "the walk leaves memory".into(),
        });
    }
    lines
}

fn bits(v: u64) -> String {
    let names = [
        (0, "present"),
        (1, "writable"),
        (2, "user"),
        (5, "accessed"),
        (6, "dirty"),
        (7, "large"),
        (8, "global"),
        (63, "no-execute"),
    ];
    let set: Vec<&str> = names.iter().filter(|n| v >> n.0 & 1 != 0).map(|n| n.1).collect();
    if v & 1 == 0 { "not present".into() } else { set.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(cr0: u64, cr3: u64, cr4: u64, efer: u64) -> CpuState {
        CpuState { cr0, cr3, cr4, efer, ..CpuState::reset() }
    }

    #[test]
    fn two_levels_of_four_byte_entries() {
        let mem = GuestMemory::flat(0x10000);
        mem.store(Gpa(0x1000 + 4), 0x2003u32).unwrap();
        mem.store(Gpa(0x2000 + 4 * 5), 0x7003u32).unwrap();
        let s = state(0x8000_0001, 0x1000, 0, 0);
        assert_eq!(translate(&s, &mem, 0x40_5123), Ok(Gpa(0x7123)));
        assert_eq!(translate(&s, &mem, 0x40_6123), Err(End::NotPresent));
        assert_eq!(walk(&s, &mem, 0x40_5123).0.len(), 2);
    }

    #[test]
    fn four_levels_and_a_large_page() {
        let mem = GuestMemory::flat(0x10000);
        mem.store(Gpa(0x1000), 0x2003u64).unwrap();
        mem.store(Gpa(0x2000), 0x3003u64).unwrap();
        mem.store(Gpa(0x3000 + 8), 0x20_0083u64).unwrap();
        let s = state(0x8000_0001, 0x1000, 0x20, 0x500);
        assert_eq!(translate(&s, &mem, 0x20_0abc), Ok(Gpa(0x20_0abc)));
        assert_eq!(walk(&s, &mem, 0x20_0abc).0.len(), 3);
    }

    #[test]
    fn a_table_outside_memory_ends_the_walk() {
        let mem = GuestMemory::flat(0x1000);
        let s = state(0x8000_0001, 0xdead_0000, 0, 0);
        assert_eq!(walk(&s, &mem, 0).1, End::NoMemory);
    }
}
