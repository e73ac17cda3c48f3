//! Arguments that cannot be meant, and the demonstrations.

use crate::guest::{HALT, sector};
use crate::hako::{Folder, engines, hako};

#[test]
fn a_bare_machine_refuses_what_it_has_not() {
    let folder = Folder::new();
    let rom = folder.file("rom", &[0xf4]);
    let table: [&[&str]; 21] = [
        &["--firmware", "builtin"],
        &["--append", "x"],
        &["--initrd", &rom],
        &["--module", &rom],
        &["--protocol", "pvh"],
        &["--cpus", "2"],
        &["--no-acpi"],
        &["--testdev"],
        &["--rng"],
        &["--console", "none"],
        &["--balloon", "0"],
        &["--disk", &rom],
        &["--floppy", &rom],
        &["--cdrom", &rom],
        &["--boot", "disk"],
        &["--serial", "none", "--serial", "stdio"],
        &["--debugcon", "stdio"],
        &["--debug-exit", "0xf4"],
        &["--debug-exit", "none"],
        &["--screen"],
        &["--screenshot", "/no/such/folder/shot.png"],
    ];
    for engine in engines() {
        let bare = ["run", "--machine", "bare", "--engine", engine, &rom];
        hako(&bare).expect(0);
        for args in table {
            hako(&[&bare, args].concat()).expect(2).says(args[0]).says("--machine pc");
        }
    }
    hako(&["run", "--machine", "bare", "--cpu", "max", "--engine", "kvm", &rom]).expect(2).says("--cpu");
    hako(&["run", "--machine", "bare", "--cpu", "max", "--engine", "soft", &rom]).expect(0);
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(HALT));
    let serials = ["--serial", "none"].repeat(5);
    hako(&[&["run", &image], &serials[..]].concat()).expect(2).says("COM4");
    hako(&["run", "--memory", "64M", "--balloon", "64M", &image]).expect(2).says("balloon");
    hako(&["run", "--engine", "kvm", "--trace", "int", &image]).expect(2).says("--engine soft");
    for (option, value) in [("--append", "x"), ("--initrd", &image[..]), ("--protocol", "pvh")] {
        hako(&["run", option, value, &image]).expect(2).says(option);
    }
    hako(&["demo", "pvh", "--boot", "disk"]).expect(2).says("--boot");
}

#[test]
fn arguments_out_of_range_are_usage_errors() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(HALT));
    let table: [&[&str]; 18] = [
        &["--memory", "0"],
        &["--memory", "1K"],
        &["--memory", "100T"],
        &["--memory", "5000G"],
        &["--memory", "much"],
        &["--timeout", "soon"],
        &["--timeout", "-1s"],
        &["--timeout", "0s"],
        &["--boot", "tape"],
        &["--engine", "steam"],
        &["--machine", "mac"],
        &["--clock", "broken"],
        &["--serial", "file:"],
        &["--debugcon", "x"],
        &["--debug-exit", "0x10000"],
        &["--disk", "x,if=scsi"],
        &["--triple-fault", "ignore"],
        &["--nonsense"],
    ];
    for args in table {
        let done = hako(&[&["run", &image], args].concat());
        assert_eq!(done.status, 2, "{args:?}: {}", done.err);
        assert!(!done.err.is_empty() && done.out.is_empty(), "{args:?}");
    }
    hako(&["run", "--engine", "kvm", "--clock", "virtual", &image]).expect(2);
    hako(&[]).expect(2);
    hako(&["frobnicate"]).expect(2).says("frobnicate");
    hako(&["run", &image, &image]).expect(2);
}

#[test]
fn help_and_version_are_answers() {
    for args in [&["--help"][..], &["run", "--help"], &["test", "--help"], &["demo", "--help"]] {
        let done = hako(args).expect(0);
        assert!(done.text().contains("Examples:") && done.err.is_empty(), "{args:?}");
    }
    assert!(hako(&["--version"]).expect(0).text().starts_with("hako "));
    assert!(hako(&["doctor"]).expect(0).text().contains("soft"));
}

#[test]
fn a_large_memory_is_given_without_being_touched() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(HALT));
    for memory in ["1M", "3G", "8G"] {
        hako(&["run", "--engine", "soft", "--memory", memory, &image]).expect(0);
    }
}

#[test]
fn demonstrations_need_no_file() {
    for engine in engines() {
        let done = hako(&["demo", "hello", "--engine", engine]).expect(0);
        assert_eq!(done.text(), "Hello KVM!");
    }
    assert!(hako(&["demo", "mbr", "--engine", "soft", "--screen"]).expect(0).text().contains('A'));
    hako(&["demo", "triple-fault", "--engine", "soft"]).expect(6).says("triple fault");
    assert!(hako(&["demo"]).expect(0).text().contains("hello"));
    hako(&["demo", "nothing-like-this"]).expect(2).says("hako demo");
}

#[test]
fn results_that_standard_output_cannot_take_are_the_hosts_fault() {
    for command in ["demo", "doctor"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_hako"))
            .arg(command)
            .stdout(full)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(4), "{command}: {said}");
        assert!(said.contains("cannot write to standard output") && !said.contains("bug"), "{said}");
    }
}
