//! GRUB 2 from disk and CD.

use hako_boot_tests::grub::{Setup, cd, hard_disk};
use hako_boot_tests::kernel;
use hako_boot_tests::session::{Session, all_engines, each, engines};
use hako_machine::Ended;

const CONSOLES: &str = "serial --unit=0\nterminal_input serial console\nterminal_output serial console\n";
const MODULES: &[&str] = &["serial", "terminal", "echo", "halt", "reboot", "minicmd", "normal"];

fn script(commands: &str) -> String {
    format!("{CONSOLES}{commands}\n")
}

#[test]
fn its_boot_sector_loads_the_core_image() {
    let disk = hard_disk(&Setup { script: "halt", modules: &["halt"], file: None });
    each(&all_engines(), |machine| {
        let mut guest = Session::start(machine.image(disk.clone()));
        guest.until("GRUB loading");
        guest
    });
}

#[test]
fn from_a_hard_disk_it_prints_on_screen_and_serial_line_and_halts() {
    let script = script("echo hello from grub\nhalt");
    let disk = hard_disk(&Setup { script: &script, modules: MODULES, file: None });
    each(&engines(), |machine| {
        let mut guest = Session::start(machine.image(disk.clone()));
        let ended = guest.end().ended;
        assert!(matches!(ended, Ended::PowerOff | Ended::HaltedForGood), "{ended}\n{}", guest.shown());
        assert!(guest.screen().contains("hello from grub"), "{}", guest.shown());
        let serial = String::from_utf8_lossy(guest.machine.serial()).into_owned();
        assert!(serial.contains("hello from grub"), "{}", guest.shown());
        guest
    });
}

#[test]
fn it_loads_and_boots_a_multiboot_kernel() {
    let kernel = kernel::image();
    let script = "multiboot (memdisk)/kernel\nboot";
    let disk = hard_disk(&Setup { script, modules: &["multiboot", "boot"], file: Some(("kernel", &kernel)) });
    each(&engines(), |machine| {
        let mut guest = Session::start(machine.image(disk.clone()));
        assert_eq!(guest.end().ended, Ended::DebugExit(kernel::EXIT), "{}", guest.shown());
        assert!(guest.sees(kernel::SAYS), "{}", guest.shown());
        guest
    });
}

#[test]
fn its_reboot_boots_it_again() {
    let script = script("echo one more time\nreboot");
    let disk = hard_disk(&Setup { script: &script, modules: MODULES, file: None });
    each(&engines(), |machine| {
        let mut guest = Session::start(machine.image(disk.clone()));
        guest.until_that("the line twice", |guest| {
            String::from_utf8_lossy(guest.machine.serial()).matches("one more time").count() > 1
        });
        guest
    });
}

#[test]
fn its_shell_takes_commands_from_the_keyboard() {
    let disk = hard_disk(&Setup { script: "echo ready", modules: &["echo", "halt", "ls"], file: None });
    each(&engines(), |machine| {
        let mut guest = Session::start(machine.image(disk.clone()));
        guest.until("grub>");
        guest.type_keys("ls\n");
        guest.until("(hd0)");
        guest.type_keys("halt\n");
        let ended = guest.end().ended;
        assert!(matches!(ended, Ended::PowerOff | Ended::HaltedForGood), "{ended}\n{}", guest.shown());
        guest
    });
}

#[test]
fn from_a_cd_it_reads_its_configuration() {
    let cd = cd(&script("echo hello from the cd\nhalt"));
    each(&engines(), |machine| {
        let mut guest = Session::start(machine.image(cd.clone()));
        let ended = guest.end().ended;
        assert!(matches!(ended, Ended::PowerOff | Ended::HaltedForGood), "{ended}\n{}", guest.shown());
        assert!(guest.screen().contains("hello from the cd"), "{}", guest.shown());
        guest
    });
}
