//! Exit statuses: the guest's own are odd, hako's are even.

use crate::guest::{HALT, LOOP, exit, sector};
use crate::hako::{Folder, engines, hako};

#[test]
fn what_ends_a_guest_decides_the_status() {
    // mov dx, port; mov ax, value; out dx, ax
    let out16 = |port: u16, value: u16| {
        let ([p, q], [v, w]) = (port.to_le_bytes(), value.to_le_bytes());
        [&[0xba, p, q, 0xb8, v, w, 0xef][..], HALT].concat()
    };
    let word = [&[0xb8, 0x10, 0x55, 0xe7, 0xf4][..], HALT].concat(); // mov ax, 0x5510; out 0xf4, ax
    let dword = [&[0x66, 0xb8, 0x20, 0, 0, 0x80, 0x66, 0xe7, 0xf4][..], HALT].concat();
    // lidt [zeros]; int 0
    let triple = [0x0f, 0x01, 0x1e, 0x40, 0x7c, 0xcd, 0x00];
    let cf9 = [0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xeb, 0xfe];
    let table: [(&str, Vec<u8>, &[&str], i32); 18] = [
        ("debug exit 0", exit(0), &[], 1),
        ("debug exit 0x10", exit(0x10), &[], 33),
        ("debug exit 0x80", exit(0x80), &[], 1),
        ("debug exit 0xff", exit(0xff), &[], 255),
        ("a word", word, &[], 33),
        ("a double word", dword, &[], 65),
        ("another port", out16(0x501, 3), &["--debug-exit", "0x501"], 7),
        ("no port", exit(3), &["--debug-exit", "none"], 0),
        ("the default port when another is given", exit(3), &["--debug-exit", "0x501"], 0),
        ("halt", HALT.to_vec(), &[], 0),
        ("power-off", out16(0x604, 0x2000), &[], 0),
        ("reset by 0xcf9", cf9.to_vec(), &["--no-reboot"], 0),
        (
            "reset by the keyboard controller",
            [0xb0, 0xfe, 0xe6, 0x64, 0xeb, 0xfe].to_vec(),
            &["--no-reboot"],
            0,
        ),
        ("resets for ever", cf9.to_vec(), &["--timeout", "200ms"], 124),
        ("triple fault", triple.to_vec(), &[], 6),
        ("triple fault, no reboot", triple.to_vec(), &["--no-reboot"], 6),
        ("triple fault as reset", triple.to_vec(), &["--triple-fault", "reset", "--no-reboot"], 0),
        ("loop", LOOP.to_vec(), &["--timeout", "50ms"], 124),
    ];
    let folder = Folder::new();
    for (name, code, options, status) in &table {
        let image = folder.file("image", &sector(code));
        for engine in engines() {
            // A KVM without hardware ignores the IDT's limit in real mode: that guest never faults there.
            if name.starts_with("triple") && *engine == "kvm" {
                continue;
            }
            let args = [&["run", "--engine", engine, &image][..], options].concat();
            let done = hako(&args);
            assert_eq!(done.status, *status, "{name} on {engine}: {}", done.err);
            assert!(done.out.is_empty(), "{name} on {engine}: {}", done.text());
        }
    }
}

#[test]
fn any_halt_ends_a_bare_machine() {
    let folder = Folder::new();
    let rom = folder.file("rom", &[0xfb, 0xb0, b'x', 0xe6, 0x01, 0xf4]);
    for engine in engines() {
        let done = hako(&["run", "--engine", engine, "--machine", "bare", &rom]).expect(0);
        assert_eq!(done.out, b"x", "{engine}");
    }
}

#[test]
fn a_halt_with_interrupts_on_waits_for_the_timer() {
    // sti; hlt; cli; mov al, 5; out 0xf4, al
    let folder = Folder::new();
    let image = folder.file("image", &sector(&[&[0xfb, 0xf4, 0xfa][..], &exit(5)].concat()));
    for engine in engines() {
        hako(&["run", "--engine", engine, "--timeout", "20s", &image]).expect(11);
    }
}

#[test]
fn a_triple_fault_is_explained() {
    let folder = Folder::new();
    let code = [0x0f, 0x01, 0x1e, 0x40, 0x7c, 0xcd, 0x00];
    let image = folder.file("image", &sector(&code));
    let done = hako(&["run", "--engine", "soft", &image]).expect(6);
    for part in
        ["triple fault", "exceptions", "#GP", "#DF", "IDT limit", "registers", "rip", "flags", "cr2", "int 0"]
    {
        assert!(done.err.to_lowercase().contains(&part.to_lowercase()), "{part} is missing in {}", done.err);
    }
}

#[test]
fn the_timeout_is_guest_time_under_the_virtual_clock() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(LOOP));
    let args = ["run", "--engine", "soft", "--clock", "virtual", "--timeout", "10ms", "-v", &image];
    hako(&args).expect(124).says("1000000 instructions").says("10ms");
    hako(&["run", "--engine", "soft", "--clock", "host", "--timeout", "10ms", &image]).expect(124);
}

#[test]
fn a_virtual_clock_repeats_a_run_to_the_instruction() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(&[&[0xfb, 0xf4, 0xf4, 0xf4][..], &exit(1)].concat()));
    let run = || hako(&["run", "--engine", "soft", "--firmware", "seabios", "-v", &image]).expect(3).err;
    let first = run();
    assert!(first.contains("instructions"), "{first}");
    assert_eq!(run(), first);
}

#[test]
fn what_kvm_refuses_is_executed_and_told() {
    // mov bx, 0x0f0f; popcnt ax, bx; out 0xf4, al
    let folder = Folder::new();
    let image = folder.file("image", &sector(&[0xbb, 0x0f, 0x0f, 0xf3, 0x0f, 0xb8, 0xc3, 0xe6, 0xf4]));
    let emulated = hako(&["doctor"]).text().contains("emulates ring 0");
    for engine in engines() {
        let done = hako(&["run", "--engine", engine, "-v", &image]).expect(17);
        if *engine == "kvm" && emulated {
            done.says("1 instructions that KVM refused");
        }
    }
}

#[test]
fn verbose_tells_the_engine_and_why() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(HALT));
    hako(&["run", "-v", &image]).expect(0).says("hako: engine ").says("halted for good, status 0");
    let quiet = hako(&["run", &image]).expect(0);
    assert_eq!(quiet.err, "");
}
