//! Multiboot Specification 0.6.96 and Multiboot2 Specification 2.0.

mod common;

use common::*;
use hako_loader::{LoadError, Module, Protocol, Request, detect, may_be_kernel};
use hako_mem::Gpa;
use hako_x86::Gpr;

const BASE: u32 = 0x10_0000;
const MAGIC: u32 = 0x1bad_b002;
const MAGIC2: u32 = 0xe852_50d6;

fn header(flags: u32, addresses: &[u32]) -> Vec<u8> {
    let mut all = vec![MAGIC, flags, 0u32.wrapping_sub(MAGIC).wrapping_sub(flags)];
    all.extend(addresses);
    words(&all)
}

/// A kernel that is no ELF file: header at offset 4, loaded whole at 1 MiB with 0x100 bytes of zeros behind.
fn flat() -> Vec<u8> {
    let mut file = vec![0x90; 4];
    file.extend(header(1 << 16, &[BASE + 4, BASE, 0, BASE + 0x200, BASE + 0x40]));
    file.resize(0x100, 0xf4);
    file
}

fn elf_kernel(header: &[u8], wide: bool) -> Vec<u8> {
    let mut content = header.to_vec();
    content.resize(0x100, 0xf4);
    elf(wide, 0xc010_0080, &[(LOAD, 0x1000, 0xc010_0000, u64::from(BASE), 0x100, 0x200)], &content)
}

/// A Multiboot 2 header with these tags: type, flags, body.
fn header2(tags: &[(u16, u16, &[u32])]) -> Vec<u8> {
    let mut body = Vec::new();
    for &(kind, flags, values) in tags.iter().chain(&[(0, 0, &[][..])]) {
        body.extend(kind.to_le_bytes());
        body.extend(flags.to_le_bytes());
        body.extend((values.len() as u32 * 4 + 8).to_le_bytes());
        body.extend(words(values));
        body.resize(body.len().next_multiple_of(8), 0);
    }
    let len = body.len() as u32 + 16;
    let sum = 0u32.wrapping_sub(MAGIC2).wrapping_sub(len);
    [words(&[MAGIC2, 0, len, sum]), body].concat()
}

/// The body of a tag of the Multiboot 2 information.
fn tag(m: &Machine, kind: u32) -> Option<Vec<u8>> {
    let info = m.loaded.state.reg(Gpr::Rbx);
    let (mut at, end) = (info + 8, info + u64::from(m.u32(info)));
    while at < end {
        let size = m.u32(at + 4);
        if m.u32(at) == kind {
            return Some(m.bytes(at + 8, size as usize - 8));
        }
        at = (at + u64::from(size)).next_multiple_of(8);
    }
    None
}

#[test]
fn headers_decide() {
    assert_eq!(detect(&flat()), Ok(Some(Protocol::Multiboot)));
    assert_eq!(detect(&elf_kernel(&header(0, &[]), false)), Ok(Some(Protocol::Multiboot)));
    assert_eq!(detect(&elf_kernel(&header2(&[]), true)), Ok(Some(Protocol::Multiboot2)));
    let both = [header(0, &[]), vec![0; 4], header2(&[])].concat();
    assert_eq!(detect(&elf_kernel(&both, false)), Ok(Some(Protocol::Multiboot)), "version 1 first");
    assert!(may_be_kernel(&flat()));
}

#[test]
fn what_has_a_boot_signature_is_a_disk_though_its_boot_loader_be_a_kernel() {
    let mut disk = vec![0; 0x1000];
    disk[0x200..0x300].copy_from_slice(&flat());
    assert_eq!(detect(&disk), Ok(Some(Protocol::Multiboot)));
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(detect(&disk), Ok(None));
    assert!(!may_be_kernel(&disk));
}

#[test]
fn a_header_needs_its_checksum_its_alignment_and_a_place_in_8_kib() {
    let mut file = flat();
    file[12] ^= 1;
    assert_eq!(detect(&file), Ok(None), "checksum");
    assert_eq!(detect(&flat()[1..]), Ok(None), "alignment");
    let far = [vec![0; 8192], flat()].concat();
    assert_eq!(detect(&far), Ok(None), "place");
}

#[test]
fn addresses_say_what_goes_where() {
    let m = start(&flat(), &Request::default()).unwrap();
    let state = &m.loaded.state;
    assert_eq!((state.rip, state.reg(Gpr::Rax)), (u64::from(BASE) + 0x40, 0x2bad_b002));
    assert_eq!((m.u32(BASE.into()), m.bytes(u64::from(BASE) + 0xff, 2)), (0x9090_9090, vec![0xf4, 0]));
}

#[test]
fn elf_entry_points_are_found_by_their_segment() {
    for wide in [false, true] {
        let m = start(&elf_kernel(&header(0, &[]), wide), &Request::default()).unwrap();
        assert_eq!(m.loaded.state.rip, u64::from(BASE) + 0x80);
        assert_eq!(m.loaded.state.cr0, 0x11);
    }
}

#[test]
fn the_information_has_what_its_flags_say() {
    let modules = [Module { name: "fs.img", args: "ro", bytes: b"files" }];
    let request = Request { name: "kernel.elf", append: "debug", modules: &modules, ..Request::default() };
    let m = start(&flat(), &request).unwrap();
    let info = m.loaded.state.reg(Gpr::Rbx);
    assert_eq!(m.u32(info), 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9 | 1 << 12);
    assert_eq!((m.u32(info + 4), m.u32(info + 8)), (639, (RAM >> 10) as u32 - 1024));
    assert_eq!(m.text(m.u32(info + 16).into()), "kernel.elf debug");
    assert_eq!(m.u32(info + 20), 1);
    let list = u64::from(m.u32(info + 24));
    let (from, to) = (m.u32(list), m.u32(list + 4));
    assert_eq!((from % 0x1000, m.bytes(from.into(), (to - from) as usize)), (0, b"files".to_vec()));
    assert_eq!(m.text(m.u32(list + 8).into()), "fs.img ro");
    let map = u64::from(m.u32(info + 48));
    assert_eq!(
        (m.u32(info + 44), m.u32(map), m.u64(map + 4), m.u64(map + 12), m.u32(map + 20)),
        (96, 20, 0, 0x9_fc00, 1)
    );
    assert!(m.text(m.u32(info + 64).into()).starts_with("hako "));
    assert_eq!((m.u64(info + 88), m.u32(info + 100), m.bytes(info + 109, 1)), (0xb_8000, 80, vec![2]));
}

#[test]
fn unknown_requirements_are_refused() {
    let why = start(&elf_kernel(&header(1 << 5, &[]), false), &Request::default()).err().unwrap();
    assert!(matches!(why, LoadError::Unsupported { .. }));
    let optional = elf_kernel(&header(1 << 17 | 7, &[0; 9]), false);
    assert!(start(&optional, &Request::default()).is_ok(), "the high half is optional, video is a wish");
}

#[test]
fn addresses_that_lie_are_errors() {
    let cases: [(&[u32], &str); 5] = [
        (&[BASE, BASE + 4, 0, 0, BASE], "load_addr"),
        (&[BASE + 0x1000, BASE, 0, 0, BASE], "load_addr"),
        (&[BASE + 4, BASE, BASE - 1, 0, BASE], "load_end_addr"),
        (&[BASE + 4, BASE, BASE + 0x1000, 0, BASE], "should be 4096 bytes"),
        (&[BASE + 4, BASE, 0, BASE + 8, BASE], "bss_end_addr"),
    ];
    for (addresses, says) in cases {
        let mut file = vec![0x90; 4];
        file.extend(header(1 << 16, addresses));
        file.resize(0x100, 0);
        let why = start(&file, &Request::default()).err().expect(says).to_string();
        assert!(why.contains(says), "{says}: {why}");
    }
}

#[test]
fn a_multiboot_2_kernel_is_told_by_tags() {
    let modules = [Module { name: "fs.img", args: "ro", bytes: b"files" }];
    let request = Request { append: "debug", modules: &modules, rsdp: Some(Gpa(RSDP)), ..Request::default() };
    let m = start(&elf_kernel(&header2(&[]), true), &request).unwrap();
    assert_eq!(m.loaded.state.reg(Gpr::Rax), 0x36d7_6289);
    assert!(m.loaded.state.reg(Gpr::Rbx).is_multiple_of(8));
    assert_eq!(tag(&m, 1).unwrap(), b"debug\0");
    let module = tag(&m, 3).unwrap();
    assert_eq!(&module[8..], b"ro\0");
    let at = u32::from_le_bytes(module[..4].try_into().unwrap());
    assert_eq!(m.bytes(at.into(), 5), b"files");
    assert_eq!(tag(&m, 4).unwrap()[..4], 639u32.to_le_bytes());
    let map = tag(&m, 6).unwrap();
    assert_eq!((&map[..8], map.len()), (&words(&[24, 0])[..], 8 + 4 * 24));
    assert_eq!(&tag(&m, 14).unwrap()[..8], b"RSD PTR ");
    assert_eq!(tag(&m, 15).unwrap().len(), 36);
    assert_eq!(tag(&m, 0).unwrap(), b"");
}

#[test]
fn information_that_is_required_and_missing_is_refused() {
    let efi_table = 12;
    let file = |flags| elf_kernel(&header2(&[(1, flags, &[4, 6, efi_table])]), false);
    let why = start(&file(0), &Request::default()).err().unwrap().to_string();
    assert!(why.contains("type 12"), "{why}");
    assert!(start(&file(1), &Request::default()).is_ok(), "optional");
}

#[test]
fn efi_is_refused_unless_optional() {
    let file = |flags| elf_kernel(&header2(&[(7, flags, &[])]), false);
    assert!(start(&file(0), &Request::default()).err().unwrap().to_string().contains("EFI"));
    assert!(start(&file(1), &Request::default()).is_ok());
}

#[test]
fn tags_may_give_addresses_and_the_entry_point() {
    let tags = |at| header2(&[(2, 0, &[at, u32::MAX, 0, 0]), (3, 0, &[BASE + 0x60])]);
    let mut file = tags(BASE);
    file.resize(0x100, 0xf4);
    assert_eq!(detect(&file), Ok(Some(Protocol::Multiboot2)));
    let m = start(&file, &Request::default()).unwrap();
    assert_eq!((m.loaded.state.rip, m.u32(BASE.into())), (u64::from(BASE) + 0x60, MAGIC2));
}

#[test]
fn a_relocatable_kernel_goes_where_it_prefers_and_is_told() {
    for (preference, at) in [(0, u64::from(BASE)), (1, 0x20_0000), (2, 0x7f_f000)] {
        let min = if preference == 0 { BASE } else { 0x20_0000 };
        let file = elf_kernel(&header2(&[(10, 0, &[min, 0x7f_ffff, 0x1000, preference])]), false);
        let m = start(&file, &Request::default()).unwrap();
        assert_eq!(m.loaded.state.rip, at + 0x80, "preference {preference}");
        assert_eq!(tag(&m, 21).unwrap(), (at as u32).to_le_bytes());
    }
}

#[test]
fn tags_that_lie_are_errors() {
    let mut file = elf_kernel(&header2(&[(3, 0, &[BASE])]), false);
    file[0x1000 + 16 + 4..0x1000 + 16 + 8].copy_from_slice(&[0xff; 4]);
    assert!(matches!(start(&file, &Request::default()), Err(LoadError::Malformed { .. })));
    let short = elf_kernel(&header2(&[(2, 0, &[BASE])]), false);
    assert!(start(&short, &Request::default()).err().unwrap().to_string().contains("too short"));
}
