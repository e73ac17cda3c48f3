//! The smallest kernel that a multiboot loader boots: it looks at the loader's magic, says so on COM1 and leaves.

/// What it says.
pub const SAYS: &str = "hello from the kernel";
/// What it writes to the debug-exit port.
pub const EXIT: u32 = 0x15;

/// Where it is loaded.
const BASE: u32 = 0x10_0000;
/// The bytes of the header, after which execution begins.
const HEADER: u32 = 32;
const MAGIC: u32 = 0x1bad_b002;
/// The header says where to load (Multiboot Specification 0.6.96, 3.1.3).
const ADDRESSES: u32 = 1 << 16;

/// The code; the text follows it.
#[rustfmt::skip]
const CODE: [u8; 32] = [
    0x3d, 0x02, 0xb0, 0xad, 0x2b,                 //    cmp eax, 0x2badb002
    0x75, 0x15,                                   //    jne 3
    0xbe, 0x40, 0x00, 0x10, 0x00,                 //    mov esi, 0x100040
    0x66, 0xba, 0xf8, 0x03,                       //    mov dx, 0x3f8
    0xac,                                         // 1: lodsb
    0x84, 0xc0,                                   //    test al, al
    0x74, 0x03,                                   //    jz 2
    0xee,                                         //    out dx, al
    0xeb, 0xf8,                                   //    jmp 1
    0xb0, EXIT as u8,                             // 2: mov al, 0x15
    0xe6, 0xf4,                                   //    out 0xf4, al
    0xfa,                                         // 3: cli
    0xf4,                                         //    hlt
    0xeb, 0xfc,                                   //    jmp 3
];

/// The kernel's file.
pub fn image() -> Vec<u8> {
    let checksum = MAGIC.wrapping_add(ADDRESSES).wrapping_neg();
    let header = [MAGIC, ADDRESSES, checksum, BASE, BASE, 0, 0, BASE + HEADER];
    let mut image: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    image.extend(CODE);
    image.extend(SAYS.as_bytes());
    image.extend(b"\n\0");
    image
}
