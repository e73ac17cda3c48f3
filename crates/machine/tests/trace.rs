//! The trace of a run.

mod common;

use common::{mbr, pc};
use hako_machine::EngineChoice;
use hako_machine::trace::TraceSpec;

fn traced(what: &str, code: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let spec = TraceSpec { what: what.parse().unwrap(), file: Some(file.path().into()) };
    let mut m = pc(EngineChoice::Soft).trace(spec).image(mbr(code)).build().unwrap();
    m.run();
    drop(m);
    std::fs::read_to_string(file.path()).unwrap()
}

#[test]
fn instructions_are_shown_once_each_in_order() {
    // cli first: an interrupt before an instruction shows it again after the handler.
    let text = traced("instr", &[0xfa, 0xb0, 0x41, 0xe6, 0x80, 0x90, 0xf4]);
    let own: Vec<&str> = text.lines().filter_map(|l| l.split("instr 0000:00007c").nth(1)).collect();
    let after_cli = own.iter().rposition(|l| l.contains("cli")).unwrap();
    assert_eq!(own[after_cli..], ["00 cli", "01 mov al,41h", "03 out 80h,al", "05 nop", "06 hlt"], "{text}");
}

#[test]
fn ports_and_services_have_names() {
    let text = traced("io,int", &[0xba, 0xf8, 0x03, 0xb0, 0x41, 0xee, 0xb4, 0x0e, 0xcd, 0x10, 0xfa, 0xf4]);
    assert!(text.contains("com1.data        <- 0x41 'A'"), "{text}");
    assert!(text.contains("service Video ax=0e41"), "{text}");
}

#[test]
fn exceptions_are_shown_with_the_failed_check() {
    // mov word [18h], 7c10; mov word [1ah], 0; ud2; at 7c10: cli; hlt
    let mut code = vec![0xc7, 0x06, 0x18, 0, 0x10, 0x7c, 0xc7, 0x06, 0x1a, 0, 0, 0, 0x0f, 0x0b];
    code.resize(16, 0x90);
    code.extend([0xfa, 0xf4]);
    let text = traced("int", &code);
    assert!(text.contains("#UD  at 0000:00007c0c: the opcode is not defined"), "{text}");
}

#[test]
fn exits_say_why() {
    assert!(traced("exits", &[0xfa, 0xf4]).contains("exit hlt at rip 0x7c01"));
}
