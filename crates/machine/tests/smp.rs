//! Several CPUs: the bootstrap processor starts the others by INIT and SIPI.

mod common;

use std::time::Duration;

use common::{engines, mbr, pc};
use hako_guests::Guest;
use hako_machine::trace::TraceSpec;
use hako_machine::{Builder, Ended, EngineChoice, Outcome};

/// Where in [`CODE`] the number of the other CPUs is.
const OTHERS: usize = 115;

/// In flat protected mode INIT and two SIPIs (vector 8) go to all but self through the ICR of the local APIC; then the
/// byte at 9000h is waited for, and written to the debug-exit port. The others print an a on COM1, increment that byte
/// (locked) and halt.
#[rustfmt::skip]
const CODE: [u8; 182] = [
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0xbe, 0x7e, 0x7c, 0xbf, 0x00, 0x80, 0xb9, 0x13, 0x00, 0xfc, 0xf3, 0xa4, 0xc6,
    0x06, 0x00, 0x90, 0x00, 0x0f, 0x01, 0x16, 0xb0, 0x7c, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0xea, 0x2a, 0x7c,
    0x08, 0x00, 0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0xbb, 0x00, 0x00, 0xe0, 0xfe, 0xc7, 0x83, 0xf0, 0x00, 0x00, 0x00, 0xff,
    0x01, 0x00, 0x00, 0xc7, 0x83, 0x00, 0x03, 0x00, 0x00, 0x00, 0x45, 0x0c, 0x00, 0xb9, 0x20, 0x4e, 0x00, 0x00, 0x49, 0x75,
    0xfd, 0xc7, 0x83, 0x00, 0x03, 0x00, 0x00, 0x08, 0x46, 0x0c, 0x00, 0xb9, 0x20, 0x4e, 0x00, 0x00, 0x49, 0x75, 0xfd, 0xc7,
    0x83, 0x00, 0x03, 0x00, 0x00, 0x08, 0x46, 0x0c, 0x00, 0x80, 0x3d, 0x00, 0x90, 0x00, 0x00, 0x03, 0x75, 0xf7, 0xa0, 0x00,
    0x90, 0x00, 0x00, 0xe6, 0xf4, 0xf4, 0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0xba, 0xf8, 0x03, 0xb0, 0x61, 0xee, 0xf0, 0xfe, 0x06,
    0x00, 0x90, 0xf4, 0xeb, 0xfd, 0x8d, 0xb4, 0x00, 0x00, 0x8d, 0x74, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00, 0x17, 0x00, 0x98, 0x7c,
    0x00, 0x00,
];

fn image(cpus: u8) -> Vec<u8> {
    let mut code = CODE;
    code[OTHERS] = cpus - 1;
    mbr(&code)
}

#[test]
fn init_and_sipi_start_the_others_on_soft() {
    for cpus in [2, 4, 8] {
        let run = || {
            let mut m = pc(EngineChoice::Soft).cpus(cpus).image(image(cpus)).build().unwrap();
            let outcome = m.run();
            assert_eq!(outcome.ended, Ended::DebugExit(u32::from(cpus) - 1), "{cpus}");
            assert_eq!(m.serial(), vec![b'a'; usize::from(cpus) - 1]);
            assert_eq!(m.states().unwrap().len(), usize::from(cpus));
            (outcome.count, outcome.time)
        };
        assert_eq!(run(), run(), "two equal runs");
    }
}

#[test]
fn init_and_sipi_start_the_others_on_every_engine() {
    for engine in engines() {
        let mut m = pc(engine).cpus(2).image(image(2)).build().unwrap();
        let outcome = m.run();
        assert_eq!(outcome.ended, Ended::DebugExit(1), "{engine:?}");
        assert_eq!(m.serial(), b"a", "{engine:?}");
        let states = m.states().unwrap();
        assert!(states[1].rip < 0x20 && states[0].rip > 0x7c00, "{engine:?}: an end that can be looked at");
    }
}

#[test]
fn a_machine_is_as_new_after_a_reset() {
    let mut m = pc(EngineChoice::Soft).cpus(4).image(image(4)).build().unwrap();
    let first = m.run();
    m.reset_to(image(4)).unwrap();
    assert_eq!(m.run(), first);
}

/// What the machine came out of its CPUs for.
fn exits(builder: Builder) -> (Outcome, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let spec = TraceSpec { what: "exits".parse().unwrap(), file: Some(file.path().into()) };
    let mut m = builder.trace(spec).build().unwrap();
    let outcome = m.run();
    drop(m);
    (outcome, std::fs::read_to_string(file.path()).unwrap())
}

#[test]
fn an_event_that_concerns_one_cpu_stops_no_other() {
    // The serial port and the disk have events of their own, and the disk's pin is said by the machine's thread.
    let guest = Guest::named("virtio-blk").unwrap();
    let disk = || {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        file
    };
    for engine in engines().into_iter().filter(|e| *e == EngineChoice::Kvm) {
        let (first, second) = (disk(), disk());
        let kernel = |file: &tempfile::NamedTempFile| {
            pc(engine).memory(16 << 20).image(guest.image).disk(file.path().to_path_buf())
        };
        let (outcome, alone) = exits(kernel(&first));
        assert_eq!(outcome.ended, Ended::DebugExit(0x10));
        assert!(alone.contains("exit deadline"), "{alone}");
        let (outcome, together) = exits(kernel(&second).cpus(2));
        assert_eq!(outcome.ended, Ended::DebugExit(0x10));
        let stopped = |l: &&str| l.contains("exit deadline") || l.contains("exit kicked");
        assert_eq!(together.lines().filter(stopped).collect::<Vec<_>>(), [""; 0]);
    }
}

#[test]
fn a_machine_whose_cpus_all_halt_for_good_ends() {
    // cli; hlt
    for engine in engines() {
        let mut m = pc(engine).cpus(2).image(mbr(&[0xfa, 0xf4])).build().unwrap();
        assert_eq!(m.run().ended, Ended::HaltedForGood, "{engine:?}");
    }
}

#[test]
fn input_reaches_a_machine_with_several_cpus() {
    // in al, 3fdh; test al, 1; jz; in al, 3f8h; out f4h, al
    let code = [0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb, 0xb2, 0xf8, 0xec, 0xe6, 0xf4, 0xf4];
    for engine in engines() {
        let mut m = pc(engine).cpus(2).image(mbr(&code)).build().unwrap();
        m.send_serial(b"7");
        assert_eq!(m.run().ended, Ended::DebugExit(u32::from(b'7')), "{engine:?}");
    }
}

#[test]
fn a_time_limit_ends_cpus_that_never_leave() {
    for engine in engines() {
        let limit = Duration::from_millis(if engine == EngineChoice::Kvm { 300 } else { 20 });
        // jmp $
        let mut m = pc(engine).cpus(2).image(mbr(&[0xeb, 0xfe])).timeout(limit).build().unwrap();
        assert_eq!(m.run().ended, Ended::Timeout, "{engine:?}");
    }
}
