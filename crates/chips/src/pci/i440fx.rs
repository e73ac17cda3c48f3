//! The 440FX host bridge (Intel 82441FX data sheet, 290549): who it is, the PAM registers, SMRAM.

use super::config::{ConfigSpace, Field, Identity, Lock};

/// First of the seven programmable attribute map registers.
pub const PAM: u8 = 0x59;
/// System management RAM control.
pub const SMRAM: u8 = 0x72;

/// Registers of the 82441FX that firmware and drivers touch. What has no effect here is kept for reading back.
const FIELDS: &[Field] = &[
    // Memory and bus master are fixed on; SERR# and parity can be set.
    Field::rw(0x04, 2, 0x0006, 0x0140),
    Field::w1c(0x06, 2, 0x0280, 0xf900),
    Field::rw(0x0d, 1, 0, 0xf8),
    Field::rw(0x50, 2, 0, 0xff5f),     // PMCCFG
    Field::rw(0x52, 1, 0, 0xcf),       // deturbo counter
    Field::rw(0x53, 1, 0x80, 0xe7),    // DRAM buffer control
    Field::rw(0x54, 1, 0, 0x0f),       // auxiliary control
    Field::rw(0x55, 2, 0, 0xffff),     // DRAM row type
    Field::rw(0x57, 1, 0x01, 0x7f),    // DRAM control
    Field::rw(0x58, 1, 0x10, 0xff),    // DRAM timing
    Field::rw(PAM, 4, 0, 0x3333_3330), // 0x59 has the upper half only
    Field::rw(PAM + 4, 3, 0, 0x0033_3333),
    Field::rw(0x60, 4, 0x0101_0101, 0xffff_ffff), // DRAM row boundaries
    Field::rw(0x64, 4, 0x0101_0101, 0xffff_ffff),
    Field::rw(0x68, 1, 0, 0xc0), // fixed DRAM hole
    Field::rw(0x70, 1, 0, 0xf8), // multi-transaction timer
    Field::rw(0x71, 1, 0, 0x77), // CPU latency timer
    Field::rw(SMRAM, 1, 0x02, 0x78),
    Field::rw(0x90, 1, 0, 0x03),  // error command
    Field::w1c(0x91, 1, 0, 0x11), // error status
    Field::rw(0x93, 1, 0, 0x0f),  // turbo reset control
];

/// D_LCK: D_OPEN becomes 0, and it, D_LCK and G_SMRAME can't be written any more; D_CLS can.
const SMRAM_LOCK: Lock = Lock { at: SMRAM, bit: 1 << 4, drop: 1 << 6, keep: 1 << 5 };

/// Function 00:00.0, 8086:1237.
pub fn host_bridge() -> ConfigSpace {
    let id = Identity {
        vendor: 0x8086,
        device: 0x1237,
        revision: 0x02,
        class: 0x06_00_00,
        ..Identity::of_virtual_machine()
    };
    ConfigSpace::new(id, FIELDS).with_lock(SMRAM_LOCK)
}

/// How the bridge treats a piece of 0xC0000-0xFFFFF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First address.
    pub start: u32,
    /// Bytes: 16 KiB, and 64 KiB for the BIOS area at 0xF0000.
    pub len: u32,
    /// Reads come from RAM; else from the bus, where the ROM is.
    pub read_ram: bool,
    /// Writes go to RAM; else to the bus, where they are dropped.
    pub write_ram: bool,
}

/// Number of PAM segments.
pub const SEGMENTS: usize = 13;

/// The segments by rising address, from the seven PAM registers (4.1.19): each half has read enable in its bit 0 and
/// write enable in its bit 1; the first register's upper half is the 64 KiB at 0xF0000, the others go up from 0xC0000.
pub fn pam_segments(pam: [u8; 7]) -> [Segment; SEGMENTS] {
    core::array::from_fn(|i| {
        let (register, high) = if i == SEGMENTS - 1 { (0, true) } else { (1 + i / 2, i % 2 == 1) };
        let bits = pam[register] >> if high { 4 } else { 0 };
        Segment {
            start: 0xc_0000 + 0x4000 * i as u32,
            len: if i == SEGMENTS - 1 { 0x1_0000 } else { 0x4000 },
            read_ram: bits & 1 != 0,
            write_ram: bits & 2 != 0,
        }
    })
}

/// The PAM registers of a host bridge.
pub fn pam(bridge: &ConfigSpace) -> [u8; 7] {
    let mut pam = [0; 7];
    bridge.read(PAM, &mut pam);
    pam
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bridge_is_8086_1237_class_060000_revision_2() {
        let b = host_bridge();
        assert_eq!((b.dword(0), b.dword(8), b.word(4), b.word(6)), (0x1237_8086, 0x0600_0002, 6, 0x280));
        assert_eq!(b.dword(0x2c), 0x1100_1af4);
    }

    #[test]
    fn pam_reads_back_with_reserved_bits_zero() {
        let mut b = host_bridge();
        b.write(PAM, &[0xff; 7]);
        assert_eq!(pam(&b), [0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33]);
        assert_eq!(b.byte(0x58), 0x10);
        assert_eq!(b.byte(0x60), 0x01);
    }

    #[test]
    fn after_reset_everything_comes_from_rom() {
        assert!(pam_segments(pam(&host_bridge())).iter().all(|s| !s.read_ram && !s.write_ram));
    }

    #[test]
    fn pam0_is_the_bios_area() {
        let s = pam_segments([0x10, 0, 0, 0, 0, 0, 0]);
        assert_eq!(s[12], Segment { start: 0xf_0000, len: 0x1_0000, read_ram: true, write_ram: false });
        assert!(s[..12].iter().all(|s| !s.read_ram));
    }

    #[test]
    fn pam1_low_is_c0000_and_pam6_high_is_ec000() {
        let s = pam_segments([0, 0x02, 0, 0, 0, 0, 0x30]);
        assert_eq!(s[0], Segment { start: 0xc_0000, len: 0x4000, read_ram: false, write_ram: true });
        assert_eq!(s[11], Segment { start: 0xe_c000, len: 0x4000, read_ram: true, write_ram: true });
        assert!(s[1..11].iter().all(|s| !s.read_ram && !s.write_ram));
    }

    #[test]
    fn segments_cover_the_area_without_a_gap() {
        let s = pam_segments([0; 7]);
        assert!(s.windows(2).all(|w| w[0].start + w[0].len == w[1].start));
        assert_eq!(s[12].start + s[12].len, 0x10_0000);
    }

    #[test]
    fn smram_has_its_base_segment_fixed_at_a0000() {
        let mut b = host_bridge();
        b.write(SMRAM, &[0xef]);
        assert_eq!(b.byte(SMRAM), 0x6a);
    }

    #[test]
    fn locking_smram_closes_it_until_reset() {
        let mut b = host_bridge();
        b.write(SMRAM, &[0x58]);
        assert_eq!(b.byte(SMRAM), 0x1a);
        b.write(SMRAM, &[0x60]);
        assert_eq!(b.byte(SMRAM), 0x3a);
        let mut copy = host_bridge();
        copy.restore(&b.save()).unwrap();
        b.reset();
        assert_eq!(b.byte(SMRAM), 0x02);
    }
}
