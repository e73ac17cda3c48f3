//! The glyphs in the ROM, for graphics modes and for programs that ask for a font's address.

/// Characters 00h to 7Fh, 8x8.
pub(crate) static LOW: [u8; 1024] = [0; 1024];
/// Characters 80h to FFh, 8x8.
pub(crate) static HIGH: [u8; 1024] = [0; 1024];
/// All characters, 8x16.
pub(crate) static TALL: [u8; 4096] = [0; 4096];
