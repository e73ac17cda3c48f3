//! Kernels of any content: whatever is accepted lies in RAM, overlaps nothing, and its headers' promises hold.

use hako_loader::{MemoryRange, Module, Protocol, RangeKind, Request, plan};
use hako_mem::{Gpa, GuestMemory};

use crate::input::Input;

const RAM: u64 = 4 << 20;

/// Plays a script: which headers, where, and bytes over them.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let protocol = input.pick(&[
        None,
        Some(Protocol::Pvh),
        Some(Protocol::Linux64),
        Some(Protocol::Linux32),
        Some(Protocol::Linux16),
        Some(Protocol::Multiboot),
        Some(Protocol::Multiboot2),
    ]);
    let image = image(&mut input);
    let range = |start, end, kind| MemoryRange { start: Gpa(start), len: end - start, kind };
    let memory = [
        range(0, 0x9_fc00, RangeKind::Usable),
        range(0x9_fc00, 0x10_0000, RangeKind::Reserved),
        range(0x10_0000, RAM, RangeKind::Usable),
    ];
    let modules = [Module { name: "m", args: "x", bytes: &[7; 600] }];
    let request = Request {
        name: "k",
        append: "a b",
        initrd: Some(&[9; 5000]),
        modules: if protocol.is_none() { &[] } else { &modules },
        memory: &memory,
        rsdp: Some(Gpa(0xf_0000)),
        protocol,
    };
    let _ = hako_loader::may_be_kernel(&image);
    match plan(&image, &request) {
        Ok(plan) => {
            let loaded = plan.write(&GuestMemory::flat(RAM)).expect("a plan stays in RAM");
            let mut end = 0;
            for used in &loaded.used {
                assert!(used.start.0 >= end, "{} overlaps what is before it", used.what);
                end = used.start.0 + used.len;
            }
            assert!(end <= RAM);
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}

/// Headers of a kind that are nearly right, and bytes of the input's over them.
fn image(input: &mut Input<'_>) -> Vec<u8> {
    let mut image = vec![0; 0x1000 + 16 * usize::from(input.u8())];
    let put = |image: &mut Vec<u8>, at: usize, bytes: &[u8]| {
        if let Some(room) = image.get_mut(at..at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    };
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    match input.u8() % 4 {
        0 => {
            put(&mut image, 0x1f1, &[1]);
            put(&mut image, 0x202, b"HdrS\x0f\x02");
            put(&mut image, 0x211, &[1]);
            put(&mut image, 0x22c, &[0xff, 0xff, 0xff, 0x7f, 0, 0, 0x10, 0, 1, 0, 3, 0]);
            put(&mut image, 0x25a, &[0x10]);
        }
        1 => {
            let sum = 0u32.wrapping_sub(0x1bad_b002 + (1 << 16));
            put(&mut image, 0, &words(&[0x1bad_b002, 1 << 16, sum, 0x10_0000, 0x10_0000, 0, 0, 0x10_0020]));
        }
        2 => {
            let sum = 0u32.wrapping_sub(0xe852_50d6 + 64);
            put(
                &mut image,
                0,
                &words(&[0xe852_50d6, 0, 64, sum, 10, 24, 0x10_0000, 0x30_0000, 0x1000, 1, 2, 24]),
            );
            put(&mut image, 48, &words(&[0x10_0000, u32::MAX, 0, 0, 0, 8]));
        }
        _ => {
            put(&mut image, 0, b"\x7fELF\x01\x01\x01");
            put(&mut image, 16, &words(&[0x3_0002, 1, 0x10_0000, 52, 0, 0, 0x20_0034, 3]));
            put(&mut image, 52, &words(&[1, 0x200, 0x10_0000, 0x10_0000, 0x80, 0x100, 5, 4]));
            put(&mut image, 84, &words(&[4, 0x300, 0, 0, 20, 20, 4, 4]));
            put(&mut image, 0x300, &words(&[4, 4, 18, 0x006e_6558, 0x10_0000]));
        }
    }
    while !input.is_empty() {
        let at = usize::from(input.u16()) % image.len();
        put(&mut image, at, &[input.u8()]);
    }
    image
}
