//! PVH (xen/include/public/arch-x86/hvm/start_info.h, docs/misc/pvh.pandoc).

mod common;

use common::*;
use hako_loader::{LoadError, Module, Protocol, Request, detect, plan};
use hako_mem::Gpa;
use hako_x86::{Gpr, RFlags, SegReg};

const ENTRY: u64 = 0x10_0010;

/// A kernel of 0x20 bytes and 0x100 more of zeros at 1 MiB, linked high; its note behind them.
fn kernel(wide: bool) -> Vec<u8> {
    let mut content = vec![0xf4; 0x20];
    content.extend(pvh_note(&(ENTRY as u32).to_le_bytes()));
    let high = if wide { 0xffff_ffff_8010_0000 } else { 0xc010_0000 };
    let segments = [(LOAD, 0x1000, high, 0x10_0000, 0x20, 0x120), (NOTE, 0x1020, 0, 0, 20, 20)];
    elf(wide, high, &segments, &content)
}

fn boot(wide: bool, request: &Request<'_>) -> Machine {
    start(&kernel(wide), request).unwrap()
}

fn info(m: &Machine) -> u64 {
    m.loaded.state.reg(Gpr::Rbx)
}

#[test]
fn an_elf_file_with_the_note_is_pvh() {
    for wide in [false, true] {
        assert_eq!(detect(&kernel(wide)), Ok(Some(Protocol::Pvh)));
    }
}

#[test]
fn the_cpu_is_in_flat_protected_mode_with_everything_else_off() {
    let state = boot(true, &Request::default()).loaded.state;
    assert_eq!((state.rip, state.cr0, state.cr4, state.efer), (ENTRY, 0x11, 0, 0));
    assert_eq!(state.rflags, RFlags::FIXED);
    let (cs, ds) = (state.segment(SegReg::Cs), state.segment(SegReg::Ds));
    assert_eq!((cs.base, cs.limit, cs.attr.bits() & 0xfff), (0, u32::MAX, 0x09b));
    assert_eq!((ds.base, ds.limit, ds.attr.bits() & 0xfff), (0, u32::MAX, 0x093));
    assert_eq!((state.tr.base, state.tr.limit, state.tr.attr.bits() & 0x8f), (0, 0x67, 0x8b));
}

#[test]
fn segments_go_to_their_physical_addresses_with_zeros_behind() {
    let (memory, map) = (memory(), map());
    memory.fill(Gpa(0x10_0000), 0x200, 0xee).unwrap();
    let request = Request { memory: &map, ..Request::default() };
    hako_loader::load(&kernel(true), &request, &memory).unwrap();
    assert_eq!(memory.load::<u8>(Gpa(0x10_001f)), Ok(0xf4));
    assert_eq!(memory.load::<u8>(Gpa(0x10_0020)), Ok(0));
    assert_eq!(memory.load::<u8>(Gpa(0x10_011f)), Ok(0));
    assert_eq!(memory.load::<u8>(Gpa(0x10_0120)), Ok(0xee));
}

#[test]
fn the_start_info_is_version_1_with_map_command_line_and_root_pointer() {
    let m = boot(true, &Request { append: "root=/dev/vda", rsdp: Some(Gpa(RSDP)), ..Request::default() });
    let at = info(&m);
    assert_eq!((m.u32(at), m.u32(at + 4), m.u32(at + 8), m.u32(at + 12)), (0x336e_c578, 1, 0, 0));
    assert_eq!(m.u64(at + 16), 0, "no modules");
    assert_eq!(m.text(m.u64(at + 24)), "root=/dev/vda");
    assert_eq!(m.u64(at + 32), RSDP);
    assert_eq!((m.u32(at + 48), m.u32(at + 52)), (4, 0));
    let map = m.u64(at + 40);
    assert_eq!((m.u64(map), m.u64(map + 8), m.u32(map + 16)), (0, 0x9_fc00, 1));
    assert_eq!((m.u64(map + 24), m.u32(map + 40)), (0x9_fc00, 2));
}

#[test]
fn the_initial_ram_disk_is_the_first_module() {
    let modules = [Module { name: "m", args: "a b", bytes: b"module" }];
    let m = boot(true, &Request { initrd: Some(b"disk"), modules: &modules, ..Request::default() });
    let at = info(&m);
    assert_eq!(m.u32(at + 12), 2);
    let list = m.u64(at + 16);
    assert_eq!(m.bytes(m.u64(list), 4), b"disk");
    assert_eq!((m.u64(list + 8), m.u64(list + 16)), (4, 0));
    assert_eq!(m.bytes(m.u64(list + 32), 6), b"module");
    assert_eq!(m.text(m.u64(list + 48)), "a b");
    assert!(m.u64(list).is_multiple_of(0x1000) && m.u64(list + 32).is_multiple_of(0x1000));
}

#[test]
fn nothing_given_away_overlaps() {
    let modules = [Module { name: "m", args: "x", bytes: &[1; 5000] }; 3];
    let m = boot(
        false,
        &Request { append: "a", initrd: Some(&[2; 9000]), modules: &modules, ..Request::default() },
    );
    for pair in m.loaded.used.windows(2) {
        assert!(pair[0].start.0 + pair[0].len <= pair[1].start.0, "{pair:?}");
    }
}

/// The error of a file that differs from a good one in some bytes.
fn broken(at: usize, bytes: &[u8]) -> LoadError {
    let mut file = kernel(true);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    start(&file, &Request::default()).err().expect("an error")
}

/// Fields of the first program header.
const FILE_OFFSET: usize = 64 + 8;
const PHYSICAL: usize = 64 + 24;
const FILE_SIZE: usize = 64 + 32;
const MEMORY_SIZE: usize = 64 + 40;

#[test]
fn files_that_lie_are_told_what_and_where() {
    let cases: [(usize, &[u8], &str); 9] = [
        (FILE_OFFSET, &[0, 0, 1], "segment 0 of the kernel should be 32 bytes at file offset 0x10000"),
        (FILE_SIZE, &[0xff, 0xff], "the file size of segment 0"),
        (MEMORY_SIZE, &[0xff; 8], "runs past the end of the address space"),
        (MEMORY_SIZE, &[0, 0, 0, 2], "--memory"),
        (PHYSICAL, &[0, 0, 0xa], "is not RAM of this machine"),
        (64, &[0], "no segment to load"),
        (56, &[0xff, 0xff], "the number of program headers"),
        (18, &[40], "not for x86"),
        (16, &[1], "object file"),
    ];
    for (at, bytes, says) in cases {
        let why = broken(at, bytes).to_string();
        assert!(why.contains(says), "{says}: {why}");
    }
}

#[test]
fn overlapping_segments_are_both_named() {
    let segments = [
        (LOAD, 0x1000, 0, 0x10_0000, 16, 0x2000),
        (LOAD, 0x1000, 0, 0x10_1000, 16, 16),
        (NOTE, 0x1020, 0, 0, 20, 20),
    ];
    let mut content = vec![0; 0x20];
    content.extend(pvh_note(&(ENTRY as u32).to_le_bytes()));
    let why = start(&elf(true, 0, &segments, &content), &Request::default()).err().unwrap().to_string();
    assert!(why.contains("segment 1 of the kernel") && why.contains("segment 0 of the kernel"), "{why}");
}

#[test]
fn an_entry_point_outside_the_kernel_is_refused() {
    let mut file = kernel(true);
    let at = file.len() - 4;
    file[at..].copy_from_slice(&0x20_0000u32.to_le_bytes());
    assert!(matches!(start(&file, &Request::default()), Err(LoadError::Malformed { value: 0x20_0000, .. })));
}

#[test]
fn an_elf_file_without_note_or_header_says_what_it_lacks() {
    let file = elf(true, 0x10_0000, &[(LOAD, 0x1000, 0x10_0000, 0x10_0000, 16, 16)], &[0; 16]);
    let why = detect(&file).unwrap_err().to_string();
    assert!(why.contains("PVH note") && why.contains("CONFIG_PVH"), "{why}");
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    let (file, map) = (kernel(true), map());
    let request = Request { memory: &map, ..Request::default() };
    for len in (0..0x80).chain(0x1000..file.len()) {
        assert!(plan(&file[..len], &request).is_err(), "{len:#x}");
    }
}

#[test]
fn a_ram_disk_that_does_not_fit_is_named() {
    let disk = vec![0; RAM as usize];
    let why = start(&kernel(true), &Request { initrd: Some(&disk), ..Request::default() }).err().unwrap();
    assert!(matches!(why, LoadError::NoRoom { .. }) && why.to_string().contains("initrd"), "{why}");
}

#[test]
fn strings_with_a_zero_byte_are_refused() {
    assert!(start(&kernel(true), &Request { append: "a\0b", ..Request::default() }).is_err());
}
