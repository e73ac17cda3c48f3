//! Tests written in Rust, as users write them.

use std::time::Duration;

use hako_guests::Guest;
use hako_testing::{Pattern, Test, spec::Exit};

fn image(name: &str) -> &'static [u8] {
    Guest::named(name).map(|guest| guest.image).unwrap_or_default()
}

#[test]
fn a_boot_sector_prints_a_letter_and_halts() {
    Test::boot(image("print-a")).expect_screen("A").ends(Exit::Halt).check();
}

#[test]
fn a_guest_is_talked_to() {
    Test::boot(image("keyboard"))
        .expect_serial("type> ")
        .send_keys("hako<enter>")
        .expect_serial(Pattern::regex(r"typed: h\w+\n").unwrap())
        .status(33)
        .check();
}

#[test]
fn a_failure_says_what_was_expected_what_came_and_where_the_cpu_was() {
    let failure = Test::boot(image("print-a")).expect_screen("B").run().unwrap_err().to_string();
    assert!(failure.contains("step 1 of 1: expected on the screen: \"B\""), "{failure}");
    assert!(failure.contains("│A"), "{failure}");
    assert!(failure.contains("halted for good"), "{failure}");
    assert!(failure.contains("7c09"), "behind the HLT: {failure}");
}

#[test]
fn a_hang_is_reported_at_once_and_can_be_expected() {
    let mut mbr = vec![0; 512];
    mbr[..2].copy_from_slice(&[0xeb, 0xfe]);
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    Test::boot(mbr.clone()).ends(Exit::Hang).check();
    let failure = Test::boot(mbr).expect_screen("never").run().unwrap_err();
    assert!(failure.time.as_secs() < 1 && failure.end.contains("hang"), "{failure}");
}

#[test]
fn a_guest_that_never_ends_can_be_expected() {
    // Counts for ever: inc eax; mov [1000h], eax; jmp
    let mut mbr = vec![0; 512];
    mbr[..8].copy_from_slice(&[0x66, 0x40, 0x66, 0xa3, 0x00, 0x10, 0xeb, 0xf8]);
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    Test::boot(mbr).limit(Duration::from_millis(5)).ends(Exit::Timeout).check();
}

#[test]
fn a_triple_fault_is_reported_with_its_cause() {
    let failure = Test::boot(image("triple-protected")).expect_serial("never").run().unwrap_err().to_string();
    assert!(failure.contains("triple fault") && failure.contains("#GP"), "{failure}");
}
