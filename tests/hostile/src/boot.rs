//! The disk of a guest: a boot sector that loads the world and enters its mode.

use hako_fuzz::modes::{CODE, DATA, GDT, IDT, Mode, PAGE_TABLES, STACK, selector};
use hako_mem::{Gpa, GuestMemory};

/// Where firmware puts the boot sector.
const SECTOR: u16 = 0x7c00;
/// What is loaded: from here to the end of the world.
const START: u64 = 0x1000;
/// In so many pieces, because a call loads less than 64 KiB.
const PIECES: u16 = 4;
const PIECE_SECTORS: u16 = 62;
/// The loader's tables lie behind its code.
const DAPS: u16 = 0x180;
const GDTR: u16 = 0x1e0;
const IDTR: u16 = 0x1e8;

/// The disk that boots `world` and jumps to [`CODE`] in `mode`.
pub fn disk(mode: Mode, world: &GuestMemory) -> Vec<u8> {
    let sector = sector(mode);
    let mut disk = sector.clone();
    let mut rest = vec![0; usize::from(PIECES * PIECE_SECTORS) * 512];
    assert!(world.read(Gpa(START), &mut rest).is_ok(), "the world is larger than what is loaded");
    // The loader must not load anything over itself.
    let at = usize::from(SECTOR) - START as usize;
    rest[at..at + 512].copy_from_slice(&sector);
    disk.extend(rest);
    disk
}

fn sector(mode: Mode) -> Vec<u8> {
    let mut s = vec![
        0x31, 0xc0, // xor ax, ax
        0x8e, 0xd8, 0x8e, 0xd0, // mov ds, ax; mov ss, ax
        0xbc, 0x00, 0x10, // mov sp, 1000h: below what is loaded
        0xbe, // mov si, the packets
    ];
    s.extend((SECTOR + DAPS).to_le_bytes());
    s.extend([0xb9, PIECES as u8, 0x00]); // mov cx, pieces
    s.extend([
        0x51, // next: push cx
        0xb4, 0x42, 0xcd, 0x13, // mov ah, 42h; int 13h
        0x59, // pop cx
        0x72, 0xfe, // jc $
        0x83, 0xc6, 0x10, // add si, 16
        0xe2, 0xf3, // loop next
        0xfa, // cli
    ]);
    let at = u32::from(SECTOR) + s.len() as u32;
    s.extend(enter(mode, at));
    assert!(s.len() <= usize::from(DAPS), "the loader runs into its tables");
    s.resize(usize::from(DAPS), 0);
    for n in 0..PIECES {
        let segment = (START >> 4) as u16 + n * PIECE_SECTORS * 32;
        let lba = u64::from(1 + n * PIECE_SECTORS);
        for word in [0x10, PIECE_SECTORS, 0, segment] {
            s.extend(word.to_le_bytes());
        }
        s.extend(lba.to_le_bytes());
    }
    s.resize(usize::from(GDTR), 0);
    for (base, limit) in [(GDT, 0x67u16), (IDT, if mode.is_long() { 0x1ff } else { 0xff })] {
        s.extend(limit.to_le_bytes());
        s.extend((base as u32).to_le_bytes());
        s.extend([0, 0]);
    }
    s.resize(510, 0);
    s.extend([0x55, 0xaa]);
    s
}

/// From real mode into `mode`, to [`CODE`]; this code begins at `at`.
fn enter(mode: Mode, at: u32) -> Vec<u8> {
    let mut s = Vec::new();
    if mode == Mode::Real {
        s.extend([0xb8]); // mov ax, the data segment
        s.extend(((DATA >> 4) as u16).to_le_bytes());
        s.extend([0x8e, 0xd8, 0x8e, 0xc0, 0xea, 0, 0]); // mov ds, ax; mov es, ax; jmp the code segment:0
        s.extend(((CODE >> 4) as u16).to_le_bytes());
        return s;
    }
    s.extend([0x0f, 0x01, 0x16]); // lgdt
    s.extend((SECTOR + GDTR).to_le_bytes());
    s.extend([0x0f, 0x01, 0x1e]); // lidt
    s.extend((SECTOR + IDTR).to_le_bytes());
    if mode == Mode::Long {
        s.extend([0x66, 0xb8]); // mov eax, the page tables
        s.extend((PAGE_TABLES as u32).to_le_bytes());
        s.extend([0x0f, 0x22, 0xd8]); // mov cr3, eax
        s.extend([0x66, 0xb8, 0x20, 0, 0, 0, 0x0f, 0x22, 0xe0]); // mov eax, PAE; mov cr4, eax
        s.extend([0x66, 0xb9, 0x80, 0, 0, 0xc0, 0x0f, 0x32]); // mov ecx, EFER; rdmsr
        s.extend([0x80, 0xcc, 0x01, 0x0f, 0x30]); // or ah, LME >> 8; wrmsr
        s.extend([0x66, 0xb8, 0x11, 0, 0, 0x80]); // mov eax, PG | ET | PE
    } else {
        s.extend([0x66, 0xb8, 0x11, 0, 0, 0]); // mov eax, ET | PE
    }
    s.extend([0x0f, 0x22, 0xc0, 0x66, 0xea]); // mov cr0, eax; jmp far
    let code = if mode == Mode::Long { selector::CODE64 } else { selector::CODE32 };
    // Behind the jump is code that means the same with 32 and 64 bits.
    let next = at + s.len() as u32 + 6;
    s.extend(next.to_le_bytes());
    s.extend(code.to_le_bytes());
    s.extend([0x66, 0xb8]); // mov ax, the data segment
    s.extend(selector::DATA32.to_le_bytes());
    s.extend([0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0x8e, 0xe0, 0x8e, 0xe8]);
    s.push(0xbc); // mov esp, the stack
    s.extend((STACK as u32 - 0x800).to_le_bytes());
    s.extend([0x66, 0xb8]); // mov ax, the task
    s.extend(selector::TSS.to_le_bytes());
    s.extend([0x0f, 0x00, 0xd8, 0xb8]); // ltr ax; mov eax, the code
    s.extend((CODE as u32).to_le_bytes());
    s.extend([0xff, 0xe0]); // jmp eax
    s
}
