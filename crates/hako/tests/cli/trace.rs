//! `--trace`: each kind, to standard error or a file, with names instead of numbers.

use crate::guest::{COM1, HALT, say, sector};
use crate::hako::{Folder, engines, hako};

/// Says a word, reads an address that is no memory, calls INT 10h, halts.
fn guest() -> Vec<u8> {
    #[rustfmt::skip]
    let then = [
        0xb8, 0x00, 0xa0, 0x8e, 0xc0,        // mov ax, 0xa000; mov es, ax
        0x26, 0xc6, 0x06, 0x00, 0x00, 0x01,  // mov byte es:[0], 1
        0xb8, 0x41, 0x0e, 0xcd, 0x10,        // mov ax, 0x0e41; int 0x10
        0xfa, 0xf4,                          // cli; hlt
    ];
    sector(&say(COM1, "hi", &then))
}

#[test]
fn each_kind_tells_what_it_is_about() {
    let folder = Folder::new();
    let image = folder.file("image", &guest());
    let table: [(&str, &[&str]); 4] = [
        ("io", &["io   out 0x03f8 com1.data", "'h'", "pic1.command"]),
        ("int", &["service Video", "vector 0x08"]),
        ("instr", &["mov", "lodsb", "out", "hlt"]),
        ("exits", &["exit hlt", "a chip's wish"]),
    ];
    for (kind, wanted) in table {
        let done = hako(&["run", "--engine", "soft", "--trace", kind, &image]).expect(0);
        for text in wanted {
            assert!(done.err.contains(text), "{text:?} is missing from --trace {kind}:\n{}", done.err);
        }
        assert!(!done.err.contains("Some("), "{kind}: no Rust in {}", done.err);
        assert_eq!(done.text(), "hi", "{kind}: standard output is the guest's");
    }
}

#[test]
fn a_file_takes_the_trace() {
    let folder = Folder::new();
    let image = folder.file("image", &guest());
    for engine in engines() {
        let to = format!("io,exits:{}", folder.arg("trace"));
        let done = hako(&["run", "--engine", engine, "--trace", &to, &image]).expect(0);
        assert_eq!(done.err, "");
        let trace = String::from_utf8(folder.read("trace")).unwrap();
        assert!(trace.contains("com1.data") && trace.contains("exit"), "{engine}: {trace}");
    }
}

#[test]
fn a_trace_of_instructions_is_the_same_every_time() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(&say(COM1, "hi", HALT)));
    let run = || hako(&["run", "--engine", "soft", "--trace", "instr,io", &image]).expect(0).err;
    assert_eq!(run(), run());
}

#[test]
fn an_unknown_kind_is_a_usage_error() {
    hako(&["run", "--trace", "io,everything", "x"]).expect(2).says("everything");
}
