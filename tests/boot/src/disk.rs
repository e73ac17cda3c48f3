//! Hard disks with a master boot record.

/// Bytes of a sector.
pub const SECTOR: usize = 512;
/// The first sector of the only partition: one track of 63 sectors stays free, as DOS left it.
pub const FIRST: u32 = 63;
/// Heads of the geometry that partition entries speak of.
pub const HEADS: u32 = 16;
/// Sectors per track of that geometry.
pub const PER_TRACK: u32 = 63;

/// Where the partition table is in sector 0, and the boot signature after its four entries.
const TABLE: usize = 446;
const SIGNATURE: usize = 510;

/// An empty disk of so many sectors with `code` in its boot sector and one active FAT16 partition (type 6) from
/// [`FIRST`] to its end.
pub fn with_mbr(code: &[u8], sectors: u32) -> Vec<u8> {
    let mut disk = vec![0; sectors as usize * SECTOR];
    let code = &code[..code.len().min(TABLE)];
    disk[..code.len()].copy_from_slice(code);
    let entry = &mut disk[TABLE..TABLE + 16];
    entry[0] = 0x80;
    entry[1..4].copy_from_slice(&chs(FIRST));
    entry[4] = 0x06;
    entry[5..8].copy_from_slice(&chs(sectors - 1));
    entry[8..12].copy_from_slice(&FIRST.to_le_bytes());
    entry[12..16].copy_from_slice(&(sectors - FIRST).to_le_bytes());
    disk[SIGNATURE..SECTOR].copy_from_slice(&[0x55, 0xaa]);
    disk
}

/// Head, sector and cylinder as a partition entry packs them: the cylinder's high bits are above the sector.
fn chs(lba: u32) -> [u8; 3] {
    let (track, sector) = (lba / PER_TRACK, lba % PER_TRACK + 1);
    let (cylinder, head) = (track / HEADS, track % HEADS);
    [head as u8, sector as u8 | (cylinder >> 2 & 0xc0) as u8, cylinder as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sector_after_a_track_is_head_1_sector_1() {
        assert_eq!(chs(63), [1, 1, 0]);
        assert_eq!(chs(63 * 16 * 300), [0, 1 | 0x40, 44]);
    }

    #[test]
    fn the_partition_ends_with_the_disk() {
        let d = with_mbr(&[0xfa], 1000);
        assert_eq!(d.len(), 1000 * SECTOR);
        assert_eq!(d[454..462], [63, 0, 0, 0, 0xa9, 3, 0, 0]);
        assert_eq!(d[510..512], [0x55, 0xaa]);
    }
}
