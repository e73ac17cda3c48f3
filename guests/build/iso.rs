//! A CD with one boot program and one file: ISO 9660 (ECMA-119) with an El Torito boot catalogue, version 1.0.

const SECTOR: usize = 2048;

// What is where, in sectors.
const PRIMARY: usize = 16;
const BOOT_RECORD: usize = 17;
const TERMINATOR: usize = 18;
const CATALOGUE: usize = 19;
const PATHS_LITTLE: usize = 20;
const PATHS_BIG: usize = 21;
const ROOT: usize = 22;
const FILE: usize = 23;
const BOOT: usize = 24;

const FILE_NAME: &[u8] = b"HELLO.TXT;1";
const FILE_TEXT: &[u8] = b"Hello from the CD!\n";

/// The image of a CD that boots `program` without emulating another medium.
pub fn bootable(program: &[u8]) -> Vec<u8> {
    let total = BOOT + program.len().div_ceil(SECTOR);
    let mut cd = vec![0; total * SECTOR];
    let mut put = |sector: usize, at: usize, bytes: &[u8]| {
        let start = sector * SECTOR + at;
        cd[start..start + bytes.len()].copy_from_slice(bytes);
    };

    put(PRIMARY, 0, &primary_descriptor(total));
    put(BOOT_RECORD, 0, b"\0CD001\x01EL TORITO SPECIFICATION");
    put(BOOT_RECORD, 0x47, &(CATALOGUE as u32).to_le_bytes());
    put(TERMINATOR, 0, b"\xffCD001\x01");
    put(CATALOGUE, 0, &catalogue(program.len()));
    put(PATHS_LITTLE, 0, &path_table(&(ROOT as u32).to_le_bytes(), &1u16.to_le_bytes()));
    put(PATHS_BIG, 0, &path_table(&(ROOT as u32).to_be_bytes(), &1u16.to_be_bytes()));

    let mut directory = record(ROOT, SECTOR, 2, b"\0");
    directory.extend(record(ROOT, SECTOR, 2, b"\x01"));
    directory.extend(record(FILE, FILE_TEXT.len(), 0, FILE_NAME));
    put(ROOT, 0, &directory);
    put(FILE, 0, FILE_TEXT);
    put(BOOT, 0, program);
    cd
}

/// ECMA-119 8.4.
fn primary_descriptor(total: usize) -> Vec<u8> {
    let mut d = vec![0; SECTOR];
    d[..7].copy_from_slice(b"\x01CD001\x01");
    d[8..72].fill(b' ');
    d[40..44].copy_from_slice(b"HAKO");
    d[80..88].copy_from_slice(&both_u32(total));
    d[120..124].copy_from_slice(&both_u16(1)); // volume set size
    d[124..128].copy_from_slice(&both_u16(1)); // number in the set
    d[128..132].copy_from_slice(&both_u16(SECTOR));
    d[132..140].copy_from_slice(&both_u32(10)); // path table size
    d[140..144].copy_from_slice(&(PATHS_LITTLE as u32).to_le_bytes());
    d[148..152].copy_from_slice(&(PATHS_BIG as u32).to_be_bytes());
    d[156..190].copy_from_slice(&record(ROOT, SECTOR, 2, b"\0"));
    d[190..813].fill(b' ');
    for date in [813, 830, 847, 864] {
        d[date..date + 16].fill(b'0');
    }
    d[881] = 1;
    d
}

/// A directory record (ECMA-119 9.1) with the date 2026-01-01.
fn record(sector: usize, length: usize, flags: u8, name: &[u8]) -> Vec<u8> {
    let size = (33 + name.len()).next_multiple_of(2);
    let mut r = vec![0; size];
    r[0] = size as u8;
    r[2..10].copy_from_slice(&both_u32(sector));
    r[10..18].copy_from_slice(&both_u32(length));
    r[18..21].copy_from_slice(&[126, 1, 1]);
    r[25] = flags;
    r[28..32].copy_from_slice(&both_u16(1));
    r[32] = name.len() as u8;
    r[33..33 + name.len()].copy_from_slice(name);
    r
}

/// The root directory's entry in a path table (ECMA-119 9.4).
fn path_table(sector: &[u8; 4], parent: &[u8; 2]) -> Vec<u8> {
    let mut entry = vec![1, 0];
    entry.extend(sector);
    entry.extend(parent);
    entry.extend([0, 0]);
    entry
}

/// Validation entry and default entry (El Torito 2.1, 2.2): x86, no emulation, loaded whole to 0x7c00.
fn catalogue(program: usize) -> Vec<u8> {
    let mut c = vec![0; 64];
    c[0] = 1;
    c[4..8].copy_from_slice(b"hako");
    c[30..32].copy_from_slice(&[0x55, 0xaa]);
    let sum = c[..32].chunks(2).fold(0u16, |sum, w| sum.wrapping_add(u16::from_le_bytes([w[0], w[1]])));
    c[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    c[32] = 0x88;
    c[38..40].copy_from_slice(&(program.div_ceil(512) as u16).to_le_bytes());
    c[40..44].copy_from_slice(&(BOOT as u32).to_le_bytes());
    c
}

/// A number in both byte orders.
fn both_u32(value: usize) -> [u8; 8] {
    let mut both = [0; 8];
    both[..4].copy_from_slice(&(value as u32).to_le_bytes());
    both[4..].copy_from_slice(&(value as u32).to_be_bytes());
    both
}

fn both_u16(value: usize) -> [u8; 4] {
    let mut both = [0; 4];
    both[..2].copy_from_slice(&(value as u16).to_le_bytes());
    both[2..].copy_from_slice(&(value as u16).to_be_bytes());
    both
}
