//! Files made to measure, and a machine's memory to load them into.

#![allow(dead_code)] // each test file uses its part

use hako_loader::{LoadError, Loaded, MemoryRange, RangeKind, Request, load};
use hako_mem::{Gpa, GuestMemory};

pub const RAM: u64 = 32 << 20;
pub const RSDP: u64 = 0xf_0020;

/// A PC's memory map over [`RAM`].
pub fn map() -> Vec<MemoryRange> {
    let range = |start, end, kind| MemoryRange { start: Gpa(start), len: end - start, kind };
    vec![
        range(0, 0x9_fc00, RangeKind::Usable),
        range(0x9_fc00, 0xa_0000, RangeKind::Reserved),
        range(0xf_0000, 0x10_0000, RangeKind::Reserved),
        range(0x10_0000, RAM, RangeKind::Usable),
    ]
}

/// The memory itself, with something of ACPI's in it.
pub fn memory() -> GuestMemory {
    let memory = GuestMemory::flat(RAM);
    memory.write(Gpa(RSDP), b"RSD PTR \x00HAKO  \x02").unwrap();
    memory
}

/// An image in memory.
pub struct Machine {
    pub memory: GuestMemory,
    pub loaded: Loaded,
}

pub fn start(image: &[u8], request: &Request<'_>) -> Result<Machine, LoadError> {
    let (memory, map) = (memory(), map());
    let loaded = load(image, &Request { memory: &map, ..*request }, &memory)?;
    Ok(Machine { memory, loaded })
}

impl Machine {
    pub fn u32(&self, at: u64) -> u32 {
        self.memory.load(Gpa(at)).unwrap()
    }

    pub fn u64(&self, at: u64) -> u64 {
        self.memory.load(Gpa(at)).unwrap()
    }

    pub fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read(Gpa(at), &mut bytes).unwrap();
        bytes
    }

    /// The string at an address.
    pub fn text(&self, at: u64) -> String {
        let bytes: Vec<u8> =
            (at..).map(|at| self.memory.load::<u8>(Gpa(at)).unwrap()).take_while(|b| *b != 0).collect();
        String::from_utf8(bytes).unwrap()
    }
}

/// A program header: type, file offset, virtual and physical address, size in file and memory.
pub type Segment = (u32, u64, u64, u64, u64, u64);

pub const LOAD: u32 = 1;
pub const NOTE: u32 = 4;

/// An ELF file of 64 or 32 bits with these segments, and `content` from offset 0x1000 on.
pub fn elf(wide: bool, entry: u64, segments: &[Segment], content: &[u8]) -> Vec<u8> {
    let word = |v: u64| if wide { v.to_le_bytes().to_vec() } else { (v as u32).to_le_bytes().to_vec() };
    let (header, size): (u64, u16) = if wide { (64, 56) } else { (52, 32) };
    let mut file = b"\x7fELF".to_vec();
    file.extend([if wide { 2 } else { 1 }, 1, 1]);
    file.resize(16, 0);
    file.extend(2u16.to_le_bytes());
    file.extend(if wide { 62u16 } else { 3 }.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend(word(entry));
    file.extend(word(header));
    file.extend(word(0));
    file.extend(0u32.to_le_bytes());
    for half in [header as u16, size, segments.len() as u16, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for &(kind, offset, vaddr, paddr, filesz, memsz) in segments {
        file.extend(kind.to_le_bytes());
        if wide {
            file.extend(5u32.to_le_bytes());
        }
        for v in [offset, vaddr, paddr, filesz, memsz] {
            file.extend(word(v));
        }
        if !wide {
            file.extend(5u32.to_le_bytes());
        }
        file.extend(word(4));
    }
    file.resize(0x1000, 0);
    file.extend(content);
    file
}

/// Little-endian words in a row.
pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// A note with the PVH entry point.
pub fn pvh_note(entry: &[u8]) -> Vec<u8> {
    let mut note = words(&[4, entry.len() as u32, 18]);
    note.extend(b"Xen\0");
    note.extend(entry);
    note
}
