//! syslinux from disk and floppy, isolinux from CD, and a kernel of ours loaded by a COM32 module.

use hako_boot_tests::session::{Session, all_engines, each, engines};
use hako_boot_tests::syslinux::{cd, floppy, hard_disk, module};
use hako_boot_tests::{kernel, syslinux};
use hako_machine::Ended;

const PROMPT: &[u8] = b"SERIAL 0\nSAY hello from syslinux\nPROMPT 1\nDEFAULT none\n";

/// Boots to the prompt, by screen and serial line.
fn prompts(medium: &[u8]) {
    each(&engines(), |machine| {
        let mut guest = Session::start(machine.image(medium));
        guest.until("boot:");
        assert!(guest.screen().contains("hello from syslinux"), "{}", guest.shown());
        let serial = String::from_utf8_lossy(guest.machine.serial()).into_owned();
        assert!(serial.contains("LINUX 6"), "{}", guest.shown());
        guest
    });
}

#[test]
fn its_boot_sectors_load_the_second_stage() {
    for medium in [floppy(&[]), hard_disk(&[])] {
        each(&all_engines(), |machine| {
            let mut guest = Session::start(machine.image(&medium[..]));
            guest.until("SYSLINUX 6");
            guest
        });
    }
}

#[test]
fn it_prompts_from_a_hard_disk() {
    prompts(&hard_disk(&[("syslinux.cfg", PROMPT)]));
}

#[test]
fn it_prompts_from_a_floppy() {
    prompts(&floppy(&[("syslinux.cfg", PROMPT)]));
}

#[test]
fn isolinux_prompts_from_a_cd() {
    prompts(&cd(&[("isolinux.cfg", PROMPT)]));
}

/// A floppy that boots the kernel where `kernel` is typed.
fn with_kernel(label: &str) -> Vec<u8> {
    let config =
        format!("SERIAL 0\nPROMPT 1\nDEFAULT none\nLABEL {label}\nKERNEL mboot.c32\nAPPEND kernel\n");
    let [mboot, lib] = ["mboot.c32", "libcom32.c32"].map(module);
    let kernel = kernel::image();
    floppy(&[
        ("syslinux.cfg", config.as_bytes()),
        ("mboot.c32", &mboot),
        ("libcom32.c32", &lib),
        ("kernel", &kernel),
    ])
}

fn boots_the_kernel(medium: &[u8], type_it: impl Fn(&mut Session)) {
    each(&engines(), |machine| {
        let mut guest = Session::start(machine.image(medium));
        guest.until("boot:");
        type_it(&mut guest);
        assert_eq!(guest.end().ended, Ended::DebugExit(kernel::EXIT), "{}", guest.shown());
        assert!(guest.sees(kernel::SAYS), "{}", guest.shown());
        guest
    });
}

#[test]
fn it_boots_what_is_typed_on_the_keyboard() {
    boots_the_kernel(&with_kernel("mine"), |guest| guest.type_keys("mine\n"));
}

#[test]
fn it_boots_what_is_typed_on_the_serial_line() {
    boots_the_kernel(&with_kernel("mine"), |guest| guest.type_serial("mine\r"));
}

#[test]
fn a_menu_of_its_own_modules_runs() {
    let config = b"UI menu.c32\nMENU TITLE A box of boots\nLABEL one\nMENU LABEL The first\nKERNEL x\n";
    let files = ["menu.c32", "libutil.c32", "libcom32.c32"].map(|name| (name, module(name)));
    let mut all: Vec<syslinux::File<'_>> = vec![("syslinux.cfg", config)];
    all.extend(files.iter().map(|(name, content)| (*name, &content[..])));
    let disk = hard_disk(&all);
    each(&engines(), |machine| {
        let mut guest = Session::start(machine.image(disk.clone()));
        guest.until("The first");
        assert!(guest.screen().contains("A box of boots"), "{}", guest.shown());
        guest
    });
}
