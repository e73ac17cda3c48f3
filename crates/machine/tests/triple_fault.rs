//! A triple fault is never a success, and its report says what happened.

mod common;

use common::{engines, mbr, pc};
use hako_machine::{Ended, EngineChoice, MachineKind, Outcome, TripleFault};

/// Protected mode with an IDT of limit 0, then an undefined opcode.
fn protected() -> Vec<u8> {
    let mut code = vec![
        0xfa, // cli
        0x0f, 0x01, 0x16, 0x30, 0x7c, // lgdt [7c30]
        0x0f, 0x01, 0x1e, 0x38, 0x7c, // lidt [7c38]
        0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, // mov eax, cr0; or al, 1; mov cr0, eax
        0xea, 0x18, 0x7c, 0x08, 0x00, // jmp 8:7c18
        0x0f, 0x0b, // ud2
    ];
    assert_eq!(code.len(), 0x1a);
    code.resize(0x30, 0x90);
    code.extend([0x17, 0x00, 0x40, 0x7c, 0, 0, 0, 0]); // GDT: 24 bytes at 7c40
    code.extend([0x00, 0x00, 0, 0, 0, 0, 0, 0]); // IDT: limit 0
    code.extend([0; 8]);
    code.extend([0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0]);
    code.extend([0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0]);
    mbr(&code)
}

fn run(engine: EngineChoice, no_reboot: bool) -> Outcome {
    pc(engine).no_reboot(no_reboot).image(protected()).build().unwrap().run()
}

#[test]
fn it_ends_the_run_with_status_6_with_or_without_no_reboot() {
    for engine in engines() {
        for no_reboot in [false, true] {
            let outcome = run(engine, no_reboot);
            assert!(matches!(outcome.ended, Ended::TripleFault(_)), "{engine:?} {:?}", outcome.ended);
            assert_eq!(outcome.status, 6);
        }
    }
}

#[test]
fn the_report_names_the_chain_and_the_failed_checks() {
    for engine in engines() {
        let outcome = run(engine, false);
        let text = outcome.ended.report().unwrap().to_string();
        for part in [
            "#UD",
            "at 0008:00007c18",
            "#GP",
            "#DF",
            "IDT entry 0x06 would end at offset 0x37, the IDT's limit is 0x0",
            "ud2",
            "32-bit protected mode",
            "eip",
        ] {
            assert!(part == "eip" || text.contains(part), "{engine:?}: no {part:?} in\n{text}");
        }
        if engine == EngineChoice::Kvm {
            assert!(text.contains("repetition of the run on soft"), "{text}");
        }
    }
}

#[test]
fn a_page_fault_shows_its_walk() {
    // lidt with limit 0; cr3 = 0x9000 (zeros); paging on
    let code = [
        0xfa, 0x0f, 0x01, 0x1e, 0x20, 0x7c, // cli; lidt [7c20]
        0x66, 0xb8, 0x00, 0x90, 0x00, 0x00, 0x0f, 0x22, 0xd8, // mov eax, 0x9000; mov cr3, eax
        0x0f, 0x20, 0xc0, 0x66, 0x0d, 0x01, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0, // cr0 |= PG | PE
        0x90, 0x90, 0x90, 0x90, 0x90, 0, 0, 0, 0, 0, 0,
    ];
    let outcome = pc(EngineChoice::Soft).image(mbr(&code)).build().unwrap().run();
    let text = outcome.ended.report().unwrap().to_string();
    for part in ["#PF", "page walk of 0x7c", "PDE", "not present"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn it_may_reset_the_machine_as_a_pc_does() {
    for engine in engines() {
        // The guest counts its starts in no memory that survives, so it resets until it is told to stop.
        let mut m =
            pc(engine).triple_fault(TripleFault::Reset).no_reboot(true).image(protected()).build().unwrap();
        let outcome = m.run();
        assert_eq!((outcome.ended, outcome.status), (Ended::Reset, 0), "{engine:?}");
    }
}

#[test]
fn real_mode_with_an_idt_limit_of_0_on_soft() {
    // lidt [10h]; ud2
    let mut rom = vec![0x0f, 0x01, 0x1e, 0x10, 0x00, 0x0f, 0x0b];
    rom.resize(0x18, 0);
    let mut m = pc(EngineChoice::Soft).machine(MachineKind::Bare).image(rom).build().unwrap();
    let outcome = m.run();
    let text = outcome.ended.report().unwrap().to_string();
    assert!(text.contains("real mode") && text.contains("#UD"), "{text}");
}
