//! Kernels started directly: by their content, again after a reset, and with a word when something does not go together.

mod common;

use common::{engines, pc};
use hako_guests::Guest;
use hako_machine::{Builder, Ended, EngineChoice, Machine, ModuleSpec};

/// A Multiboot kernel with address fields: `code` at 1 MiB + 0x20.
fn kernel(code: &[u8]) -> Vec<u8> {
    const FLAGS: u32 = 1 << 16;
    const BASE: u32 = 0x10_0000;
    let sum = 0u32.wrapping_sub(0x1bad_b002 + FLAGS);
    let header = [0x1bad_b002, FLAGS, sum, BASE, BASE, 0, 0, BASE + 0x20];
    let mut image: Vec<u8> = header.iter().flat_map(|w| w.to_le_bytes()).collect();
    image.extend(code);
    image
}

fn refused(builder: Builder) -> (u8, String) {
    let why = builder.build().err().expect("an error");
    (why.status(), why.to_string())
}

fn soft() -> Builder {
    pc(EngineChoice::Soft)
}

#[test]
fn the_built_in_kernels_find_what_they_look_for_on_every_engine() {
    for engine in engines() {
        for name in ["multiboot", "multiboot2", "pvh"] {
            let [guest, hello] = [name, "hello"].map(|name| Guest::named(name).unwrap().image);
            let mut config = pc(engine).memory(16 << 20).image(guest).append("one two").config().clone();
            let (name, args) = ("builtin:hello".into(), "first".into());
            config.modules.push(ModuleSpec { name, source: hello.into(), args });
            let mut m = Builder::from_config(config).build().unwrap();
            assert!(m.notes().iter().any(|note| note.contains("entry 0x10")), "{:?}", m.notes());
            let outcome = m.run();
            assert_eq!(outcome.ended, Ended::DebugExit(0x10), "{}", String::from_utf8_lossy(m.serial()));
        }
    }
}

#[test]
fn a_reset_starts_the_kernel_again() {
    // The CMOS keeps over a reset: its byte 0x40 counts. Second time: exit. mov al,0x40; out 0x70,al; in al,0x71;
    // cmp al,0x5a; je exit; mov al,0x40; out 0x70,al; mov al,0x5a; out 0x71,al; mov al,0xfe; out 0x64,al; hlt; jmp $-1;
    // exit: mov al,7; out 0xf4,al
    let code = [
        0xb0, 0x40, 0xe6, 0x70, 0xe4, 0x71, 0x3c, 0x5a, 0x74, 0x0f, 0xb0, 0x40, 0xe6, 0x70, 0xb0, 0x5a, 0xe6,
        0x71, 0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd, 0xb0, 0x07, 0xe6, 0xf4,
    ];
    for engine in engines() {
        let outcome = pc(engine).image(kernel(&code)).build().unwrap().run();
        assert_eq!((outcome.ended, outcome.resets), (Ended::DebugExit(7), 1));
    }
}

#[test]
fn a_kernel_finds_the_vectors_and_data_that_a_bios_leaves() {
    // mov eax,[0x413] (KiB of memory); out 0xf4,al, low byte of 639
    let code = [0xa1, 0x13, 0x04, 0x00, 0x00, 0xe6, 0xf4];
    let outcome = soft().image(kernel(&code)).build().unwrap().run();
    assert_eq!(outcome.ended, Ended::DebugExit(0x7f));
}

#[test]
fn another_image_may_follow_a_kernel_on_the_same_machine() {
    let mut m: Machine = soft().image(kernel(&[0xb0, 1, 0xe6, 0xf4])).build().unwrap();
    assert_eq!(m.run().ended, Ended::DebugExit(1));
    m.reset_to(common::print_a()).unwrap();
    assert_eq!(m.run().ended, Ended::HaltedForGood);
    m.reset_to(kernel(&[0xb0, 2, 0xe6, 0xf4])).unwrap();
    assert_eq!(m.run().ended, Ended::DebugExit(2));
}

#[test]
fn what_only_kernels_take_needs_a_kernel() {
    let (status, why) = refused(soft().image(common::print_a()).append("x"));
    assert!(status == 2 && why.contains("--append") && why.contains("no kernel"), "{why}");
    let (status, why) = refused(soft().disk(common::print_a()).initrd(vec![1]));
    assert!(status == 2 && why.contains("--initrd"), "{why}");
}

#[test]
fn a_kernel_that_does_not_fit_says_so_before_anything_runs() {
    let (status, why) = refused(soft().memory(1 << 20).image(kernel(&[0xf4])));
    assert!(status == 4 && why.contains("--memory"), "{why}");
}
