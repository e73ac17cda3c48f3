//! Standard input and output, and the guest's channels.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Stdio};

use crate::guest::{COM1, DEBUGCON, HALT, LOOP, SAYING, echo, say, sector};
use crate::hako::{Folder, command, engines, hako, hako_fed, wait};

/// Says `serial` on COM1 and then `debug` on the debug console, and halts.
fn both(serial: &str, debug: &str) -> Vec<u8> {
    // The first text lies behind the second program, which has its own relative jumps but an absolute text.
    let second = say(DEBUGCON, debug, HALT);
    let mut code = say(COM1, serial, &[]);
    let text = code.split_off(usize::from(SAYING));
    let mut moved = second.clone();
    let at = 0x7c00 + SAYING + (second.len() - debug.len() - 1) as u16;
    moved[6..8].copy_from_slice(&at.to_le_bytes());
    let first_at = 0x7c00 + SAYING + second.len() as u16;
    code[6..8].copy_from_slice(&first_at.to_le_bytes());
    [code, moved, text].concat()
}

#[test]
fn the_channels_go_where_they_are_sent() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(&both("serial\n", "debug\n")));
    let (a, b) = (format!("file:{}", folder.arg("a")), format!("file:{}", folder.arg("b")));
    // Options, standard output, file a, file b.
    let table: [(&[&str], &str, &str, &str); 6] = [
        (&[], "serial\n", "", ""),
        (&["--serial", "none"], "", "", ""),
        (&["--debugcon", "stdio"], "serial\ndebug\n", "", ""),
        (&["--serial", "none", "--debugcon", "stdio"], "debug\n", "", ""),
        (&["--serial", &a, "--debugcon", &b], "", "serial\n", "debug\n"),
        (&["--serial", &a, "--debugcon", &a], "", "serial\ndebug\n", ""),
    ];
    for (options, out, in_a, in_b) in table {
        for engine in engines() {
            for name in ["a", "b"] {
                folder.file(name, b"");
            }
            let done = hako(&[&["run", "--engine", engine, &image], options].concat()).expect(0);
            assert_eq!(done.text(), out, "{options:?} on {engine}");
            assert_eq!(folder.read("a"), in_a.as_bytes(), "{options:?} on {engine}");
            assert_eq!(folder.read("b"), in_b.as_bytes(), "{options:?} on {engine}");
            assert_eq!(done.err, "", "{options:?} on {engine}");
        }
    }
}

/// COM2's data register.
const COM2: u16 = 0x2f8;

#[test]
fn the_second_serial_option_is_com2() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(&say(COM2, "second\n", HALT)));
    let file = format!("file:{}", folder.arg("com2"));
    for engine in engines() {
        let run = |serials: &[&str]| {
            hako(&[&["run", "--engine", engine, &image], serials].concat()).expect(0).text()
        };
        assert_eq!(run(&[]), "", "there is no COM2 unless it is asked for");
        assert_eq!(run(&["--serial", "none", "--serial", "stdio"]), "second\n");
        assert_eq!(run(&["--serial", "stdio", "--serial", &file]), "");
        assert_eq!(folder.read("com2"), b"second\n");
    }
}

#[test]
fn standard_input_goes_to_the_first_serial_port_on_stdio() {
    let folder = Folder::new();
    // l: mov dx, 2fd; in al, dx; test al, 1; jz l; mov dx, 2f8; in al, dx; out dx, al; cmp al, 4; jne l
    let echo = [
        0xba, 0xfd, 0x02, 0xec, 0xa8, 0x01, 0x74, 0xf8, 0xba, 0xf8, 0x02, 0xec, 0xee, 0x3c, 0x04, 0x75, 0xef,
    ];
    let image = folder.file("image", &sector(&[&echo, HALT].concat()));
    let run = |serials: &[&str]| {
        hako_fed(&[&["run", "--engine", "soft", "--timeout", "5s", &image], serials].concat(), b"two\x04")
    };
    assert_eq!(run(&["--serial", "none", "--serial", "stdio"]).expect(0).text(), "two\x04");
    run(&["--serial", "stdio", "--serial", "stdio"]).expect(124);
}

/// 64 KiB of everything but the byte that ends the echo, and that byte.
fn long_input() -> Vec<u8> {
    let mut input: Vec<u8> =
        (0..0x1_0000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect();
    input.push(4);
    input
}

#[test]
fn piped_input_arrives_complete_at_com1() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(&echo(0)));
    let input = long_input();
    let done = hako_fed(&["run", "--engine", "soft", "--timeout", "100s", &image], &input).expect(0);
    assert!(done.out == input[..0x1_0000], "{} of 65536 bytes", done.out.len());
}

#[test]
fn a_file_as_input_arrives_complete_and_repeatably() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(&echo(0)));
    folder.file("input", &long_input());
    let run = || {
        let child = command()
            .args(["run", "--engine", "soft", "-v", &image])
            .stdin(File::open(folder.path("input")).unwrap())
            .spawn()
            .unwrap();
        wait(child).expect(0)
    };
    let first = run();
    assert_eq!(first.out.len(), 0x1_0000);
    assert_eq!(run().err, first.err, "the same count of instructions");
}

#[test]
fn input_reaches_a_guest_on_kvm() {
    if engines().contains(&"kvm") {
        let folder = Folder::new();
        let image = folder.file("image", &sector(&echo(0)));
        let done = hako_fed(&["run", "--engine", "kvm", "--timeout", "60s", &image], b"hello\x04").expect(0);
        assert_eq!(done.text(), "hello");
    }
}

#[test]
fn the_end_of_input_is_no_event() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(&echo(0)));
    let done = hako_fed(&["run", "--engine", "soft", "--timeout", "100ms", &image], b"").expect(124);
    assert!(done.out.is_empty());
}

#[test]
fn the_guests_bytes_are_not_changed() {
    let folder = Folder::new();
    // mov dx, 0x3f8; xor al, al; 1: out dx, al; inc al; jnz 1
    let all = [&[0xba, 0xf8, 0x03, 0x30, 0xc0, 0xee, 0xfe, 0xc0, 0x75, 0xfb][..], HALT].concat();
    let image = folder.file("image", &sector(&all));
    let done = hako(&["run", "--engine", "soft", &image]).expect(0);
    assert_eq!(done.out, (0..=255).collect::<Vec<u8>>());
}

#[test]
fn a_host_that_takes_no_output_ends_the_run() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(&say(COM1, "much to say\n", LOOP)));
    hako(&["run", "--engine", "soft", "--serial", "file:/dev/full", "--timeout", "10s", &image])
        .expect(4)
        .says("No space left");
}

/// Starts a guest that says `ready` and loops, and waits for the word.
fn ready(engine: &str, image: &str) -> Child {
    let mut child = command().args(["run", "--engine", engine, image]).stdin(Stdio::piped()).spawn().unwrap();
    let mut word = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    assert_eq!(&word, b"ready");
    child
}

#[test]
fn signals_end_the_run_with_128_and_their_number() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(&say(COM1, "ready", LOOP)));
    for engine in engines() {
        for (signal, status) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
            let child = ready(engine, &image);
            // SAFETY: sends a signal to our own child, which has not been waited for.
            assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
            wait(child).expect(status);
        }
    }
}

#[test]
fn a_signal_still_shows_the_screen_and_the_files() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(&say(COM1, "ready", LOOP)));
    let mut child = command()
        .args(["run", "--engine", "soft", "--screen", "--screenshot", &folder.arg("s.png"), &image])
        .spawn()
        .unwrap();
    let mut word = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    // SAFETY: sends a signal to our own child, which has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    wait(child).expect(143);
    assert!(folder.read("s.png").starts_with(b"\x89PNG"));
}
