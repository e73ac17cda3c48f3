//! bzImage (Documentation/arch/x86/boot.rst of Linux).

mod common;

use common::*;
use hako_loader::{LoadError, Module, Protocol, Request, detect};
use hako_mem::Gpa;
use hako_x86::{Gpr, SegReg};

const SETUP_SECTORS: u8 = 4;
const CODE: usize = (SETUP_SECTORS as usize + 1) * 512;
const ALIGNMENT: u32 = 0x20_0000;
const PREFERRED: u64 = 0x100_0000;
const INIT_SIZE: u32 = 0x30_0000;

/// A relocatable 64-bit kernel of protocol 2.15 with 0x1000 bytes of code.
fn kernel() -> Vec<u8> {
    let mut file = vec![0; CODE];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[SETUP_SECTORS]);
    put(0x1f4, &(0x1000u32 / 16).to_le_bytes());
    put(0x1fe, &[0x55, 0xaa, 0xeb, 0x6a]);
    put(0x202, b"HdrS\x0f\x02");
    put(0x211, &[1]);
    put(0x22c, &0x7fff_ffffu32.to_le_bytes());
    put(0x230, &ALIGNMENT.to_le_bytes());
    put(0x234, &[1]);
    put(0x236, &[3, 0]);
    put(0x238, &2047u32.to_le_bytes());
    put(0x258, &PREFERRED.to_le_bytes());
    put(0x260, &INIT_SIZE.to_le_bytes());
    file.extend([0xcc; 0x1000]);
    file
}

fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = kernel();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

fn boot(file: &[u8], request: &Request<'_>) -> Machine {
    start(file, request).unwrap()
}

#[test]
fn the_entry_point_follows_from_the_header() {
    assert_eq!(detect(&kernel()), Ok(Some(Protocol::Linux64)));
    assert_eq!(detect(&with(0x236, &[2, 0])), Ok(Some(Protocol::Linux32)), "no 64-bit entry");
    assert_eq!(detect(&with(0x206, &[0x0b, 2])), Ok(Some(Protocol::Linux32)), "xloadflags came with 2.12");
    assert_eq!(detect(&with(0x211, &[0])), Ok(Some(Protocol::Linux16)), "a zImage");
}

#[test]
fn the_64_bit_entry_has_paging_its_selectors_and_rsi() {
    let m = boot(&kernel(), &Request::default());
    let state = &m.loaded.state;
    assert_eq!((state.rip, state.efer, state.cr4), (PREFERRED + 0x200, 0x500, 0x20));
    assert_eq!(state.cr0, 0x8000_0011);
    assert_eq!((state.segment(SegReg::Cs).selector, state.segment(SegReg::Ds).selector), (0x10, 0x18));
    assert_eq!(state.segment(SegReg::Cs).attr.bits(), 0xa09b);
    let gdt = state.gdtr.base;
    assert_eq!((m.u64(gdt + 0x10), m.u64(gdt + 0x18)), (0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff));
    // The tables map every address below 4 GiB to itself.
    for address in [0u64, PREFERRED, 0xffff_ffff] {
        let pdpt = m.u64(state.cr3) & !0xfff;
        let directory = m.u64(pdpt + (address >> 30) * 8) & !0xfff;
        let entry = m.u64(directory + (address >> 21 & 511) * 8);
        assert_eq!((entry & 0x81, entry & !0xfff), (0x81, address & !0x1f_ffff));
    }
    assert_eq!(m.bytes(state.reg(Gpr::Rsi) + 0x202, 4), b"HdrS");
}

#[test]
fn the_32_bit_entry_is_the_first_byte() {
    let m = boot(&kernel(), &Request { protocol: Some(Protocol::Linux32), ..Request::default() });
    let state = &m.loaded.state;
    assert_eq!((state.rip, state.cr0, state.reg(Gpr::Rbx), state.reg(Gpr::Rbp)), (PREFERRED, 0x11, 0, 0));
    assert_eq!(m.bytes(state.rip, 4), [0xcc; 4]);
}

#[test]
fn the_zero_page_has_header_map_command_line_and_ram_disk() {
    let request = Request {
        append: "console=ttyS0",
        initrd: Some(b"disk"),
        rsdp: Some(Gpa(RSDP)),
        ..Request::default()
    };
    let m = boot(&kernel(), &request);
    let page = m.loaded.state.reg(Gpr::Rsi);
    assert_eq!(m.bytes(page + 0x210, 1), [0xff], "a loader without a number");
    assert_eq!(m.text(m.u32(page + 0x228).into()), "console=ttyS0");
    assert_eq!(m.u32(page + 0x21c), 4);
    assert_eq!(m.bytes(m.u32(page + 0x218).into(), 4), b"disk");
    assert_eq!(m.u64(page + 0x70), RSDP);
    assert_eq!(m.bytes(page + 0x1e8, 1), [4]);
    let last = page + 0x2d0 + 3 * 20;
    assert_eq!((m.u64(last), m.u64(last + 8), m.u32(last + 16)), (0x10_0000, RAM - 0x10_0000, 1));
}

#[test]
fn the_ram_disk_lies_as_high_as_the_kernel_allows() {
    let limit = PREFERRED + u64::from(INIT_SIZE) + 0x10_0000;
    for (max, end) in [(0x7fff_ffff, RAM), (limit as u32 - 1, limit)] {
        let file = with(0x22c, &u32::to_le_bytes(max));
        let m = boot(&file, &Request { initrd: Some(&[1; 0x1000]), ..Request::default() });
        assert_eq!(u64::from(m.u32(m.loaded.state.reg(Gpr::Rsi) + 0x218)), end - 0x1000);
    }
}

#[test]
fn a_kernel_that_can_be_moved_goes_where_there_is_room() {
    let m = boot(&with(0x258, &0x1000_0000u64.to_le_bytes()), &Request::default());
    assert_eq!(
        m.loaded.state.rip,
        u64::from(ALIGNMENT) + 0x200,
        "the lowest multiple of its alignment above 1 MiB"
    );
}

#[test]
fn a_kernel_that_cannot_be_moved_is_loaded_at_1_mib() {
    let m = boot(&with(0x234, &[0]), &Request::default());
    assert_eq!(m.loaded.state.rip, 0x10_0200);
    let file = with(0x258, &0x1000_0000u64.to_le_bytes());
    let mut file = file.clone();
    file[0x234] = 0;
    assert!(matches!(start(&file, &Request::default()), Err(LoadError::NotRam { .. })));
}

#[test]
fn the_16_bit_setup_lies_at_0x90000_with_heap_and_command_line() {
    let request = Request { protocol: Some(Protocol::Linux16), append: "quiet", ..Request::default() };
    let m = boot(&kernel(), &request);
    let state = &m.loaded.state;
    assert_eq!((state.cr0 & 1, state.rip, state.segment(SegReg::Cs).base), (0, 0, 0x9_0200));
    assert_eq!((state.segment(SegReg::Ss).base, state.reg(Gpr::Rsp)), (0x9_0000, 0xe000));
    assert_eq!(m.bytes(0x9_0211, 1), [0x81], "loaded high, heap told");
    assert_eq!(m.bytes(0x9_0224, 2), 0xde00u16.to_le_bytes());
    assert_eq!(m.text(m.u32(0x9_0228).into()), "quiet");
    assert_eq!(m.bytes(0x10_0000, 4), [0xcc; 4]);
}

#[test]
fn old_setup_code_finds_the_command_line_by_its_magic() {
    let mut file = with(0x206, &[0x01, 2]);
    file[0x211] = 0;
    let m = boot(&file, &Request { append: "auto", ..Request::default() });
    assert_eq!(m.bytes(0x9_0020, 4), [0x3f, 0xa3, 0x00, 0x98]);
    assert_eq!(m.text(0x9_9800), "auto");
    assert_eq!(m.bytes(0x1_0000, 4), [0xcc; 4]);
}

#[test]
fn files_that_lie_are_errors_that_say_so() {
    let cases: [(Vec<u8>, &str); 6] = [
        (with(0x1f4, &[0, 0, 0, 1]), "the kernel behind its setup code should be"),
        (with(0x1f1, &[200]), "the setup code should be"),
        (with(0x206, &[0xff, 1]), "boot protocol"),
        (with(0x260, &[0, 0, 0, 0xff]), "the kernel with the room to unpack itself"),
        (kernel()[..CODE].to_vec(), "the kernel behind its setup code"),
        (kernel()[..0x1f8].to_vec(), "neither"),
    ];
    for (file, says) in cases {
        let why = start(&file, &Request::default()).err().expect(says).to_string();
        assert!(why.contains(says), "{says}: {why}");
    }
    let mut file = with(0x258, &0x1000_0000u64.to_le_bytes());
    file[0x230] = 3;
    assert!(start(&file, &Request::default()).err().unwrap().to_string().contains("alignment"));
}

#[test]
fn a_command_line_that_is_too_long_is_refused() {
    let long = "x".repeat(2048);
    let why = start(&kernel(), &Request { append: &long, ..Request::default() }).err().unwrap().to_string();
    assert!(why.contains("2047"), "{why}");
}

#[test]
fn modules_are_not_linuxs() {
    let modules = [Module { name: "m", args: "", bytes: b"m" }];
    let why =
        start(&kernel(), &Request { modules: &modules, ..Request::default() }).err().unwrap().to_string();
    assert!(why.contains("--initrd"), "{why}");
}
