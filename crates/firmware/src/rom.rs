//! The ROM image for F0000h to FFFFFh.

/// The port that the stubs write to. A write from anywhere else than the stubs is ignored. Nothing on a PC answers here.
pub const TRAP_PORT: u16 = 0xb8;

/// Where the stubs' slots begin in segment F000h.
pub const SLOTS: u16 = 0xe100;

/// The distance from one slot to the next.
pub const SLOT_SIZE: u16 = 16;

static ROM: [u8; 0x1_0000] = build();

/// The 64 KiB that the board shows, read-only, at F0000h and at FFFF0000h.
pub fn rom() -> &'static [u8; 0x1_0000] {
    &ROM
}

const fn build() -> [u8; 0x1_0000] {
    [0; 0x1_0000]
}
