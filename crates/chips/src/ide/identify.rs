//! The 256 words of IDENTIFY DEVICE and IDENTIFY PACKET DEVICE (ATA/ATAPI-6, 8.15 and 8.16).

use alloc::vec::Vec;

use super::drive::{Drive, DriveKind};
use super::geometry::Geometry;

/// Most sectors of a block of READ/WRITE MULTIPLE.
pub(super) const MAX_MULTIPLE: u8 = 16;

const WORDS: usize = 256;
/// Power management, write cache, NOP.
const DISK_COMMANDS: u16 = 1 << 3 | 1 << 5 | 1 << 14;
/// The write cache's bit in words 82 and 85.
const WRITE_CACHE: u16 = 1 << 5;
/// 48-bit addresses, FLUSH CACHE, FLUSH CACHE EXT; bit 14 says that the word is valid.
const DISK_COMMANDS_2: u16 = 1 << 10 | 1 << 12 | 1 << 13 | VALID;
/// PACKET, DEVICE RESET, NOP.
const CD_COMMANDS: u16 = 1 << 4 | 1 << 9 | 1 << 14;
const VALID: u16 = 1 << 14;
/// ATA/ATAPI-4, 5 and 6.
const STANDARDS: u16 = 0x0070;
/// LBA and IORDY; no DMA.
const CAPABILITIES: u16 = 1 << 9 | 1 << 11;
/// Nanoseconds of the shortest PIO cycle.
const PIO_CYCLE: u16 = 120;

/// Puts a string into words: two characters each, the first in the upper half, padded with blanks.
fn text(words: &mut [u16], text: &str) {
    let mut bytes = text.bytes().chain(core::iter::repeat(b' '));
    for word in words {
        *word = u16::from_be_bytes([bytes.next().unwrap_or(b' '), bytes.next().unwrap_or(b' ')]);
    }
}

/// What disks and packet devices have in common.
fn common(index: u8, model: &str) -> [u16; WORDS] {
    let mut w = [0; WORDS];
    text(&mut w[10..20], if index == 0 { "HK00000000" } else { "HK00000001" });
    text(&mut w[23..27], "1.0");
    text(&mut w[27..47], model);
    w[48] = 1; // 32-bit accesses work
    w[49] = CAPABILITIES;
    w[51] = 0x0200; // PIO mode 2 without IORDY
    w[53] = 0x0003; // words 54-58 and 64-70 are valid
    w[64] = 0x0003; // PIO modes 3 and 4
    (w[67], w[68]) = (PIO_CYCLE, PIO_CYCLE);
    w[80] = STANDARDS;
    w
}

/// Splits a number into words, the low one first.
fn split<const N: usize>(value: u64) -> [u16; N] {
    core::array::from_fn(|i| (value >> (16 * i)) as u16)
}

impl Drive {
    fn disk_words(&self) -> [u16; WORDS] {
        let default = Geometry::of_size(self.sectors());
        let now = self.state.geometry;
        let mut w = common(self.index, "HAKO HARDDISK");
        w[0] = 0x0040; // fixed
        (w[1], w[3], w[6]) = (default.cylinders, default.heads.into(), default.sectors.into());
        w[47] = 0x8000 | u16::from(MAX_MULTIPLE);
        w[50] = VALID;
        (w[54], w[55], w[56]) = (now.cylinders, now.heads.into(), now.sectors.into());
        w[57..59].copy_from_slice(&split::<2>(u64::from(now.capacity()).min(self.sectors())));
        w[59] = if self.state.multiple == 0 { 0 } else { 0x0100 | u16::from(self.state.multiple) };
        w[60..62].copy_from_slice(&split::<2>(self.sectors().min(0x0fff_ffff)));
        (w[82], w[83], w[84]) = (DISK_COMMANDS, DISK_COMMANDS_2, VALID);
        w[85] = if self.state.write_cache { DISK_COMMANDS } else { DISK_COMMANDS & !WRITE_CACHE };
        (w[86], w[87]) = (DISK_COMMANDS_2 & !VALID, VALID);
        w[100..104].copy_from_slice(&split::<4>(self.sectors().min((1 << 48) - 1)));
        w
    }

    fn cd_words(&self) -> [u16; WORDS] {
        let mut w = common(self.index, "HAKO CD-ROM");
        w[0] = 0x85c0; // packet device, CD-ROM, removable, DRQ within 50 us, packets of 12 bytes
        (w[82], w[83], w[84]) = (CD_COMMANDS, VALID, VALID);
        (w[85], w[87]) = (CD_COMMANDS, VALID);
        w
    }

    /// The answer to the IDENTIFY command of the drive's kind.
    pub(super) fn identity(&self) -> Vec<u8> {
        let words = if self.kind == DriveKind::CdRom { self.cd_words() } else { self.disk_words() };
        let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes[510] = 0xa5; // the checksum follows: all bytes add up to 0
        let sum = bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
        bytes[511] = sum.wrapping_neg();
        bytes
    }
}
