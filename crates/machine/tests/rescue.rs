//! Instructions that a software KVM refuses are executed by our own CPU.

mod common;

use common::{engines, mbr, pc};
use hako_machine::{Ended, EngineChoice};

/// Protected mode with an IDT; INT 30h there prints A on COM1, then POPCNT's result is the exit code.
fn protected() -> Vec<u8> {
    let mut code = vec![
        0xfa, 0x0f, 0x01, 0x16, 0x60, 0x7c, // cli; lgdt [7c60]
        0x0f, 0x01, 0x1e, 0x68, 0x7c, // lidt [7c68]
        0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, // cr0 |= PE
        0xea, 0x18, 0x7c, 0x08, 0x00, // jmp 8:7c18
        0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0x00,
        0x00, // mov ax, 10; mov ss, ax; mov esp, 7c00
        0xcd, 0x30, // int 30h
        0xb8, 0xff, 0x0f, 0x00, 0x00, // mov eax, 0xfff
        0xf3, 0x0f, 0xb8, 0xc0, // popcnt eax, eax
        0xe6, 0xf4, 0xf4, // out 0xf4, al; hlt
    ];
    code.resize(0x48, 0x90);
    code.extend([0x66, 0xba, 0xf8, 0x03, 0xb0, 0x41, 0xee, 0xcf]); // mov dx, 3f8; mov al, 'A'; out dx, al; iretd
    code.resize(0x60, 0x90);
    code.extend([0x17, 0x00, 0x70, 0x7c, 0, 0, 0, 0]); // GDT at 7c70
    code.extend([0x87, 0x01, 0x00, 0x80, 0, 0, 0, 0]); // IDT at 8000
    code.extend([0; 8]);
    code.extend([0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0]);
    code.extend([0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0]);
    mbr(&code)
}

/// A first sector that builds the gate at 8000h + 30h * 8 and goes on.
fn image() -> Vec<u8> {
    let mut sector = protected();
    // The gate: 0008:00007c48, 32-bit interrupt gate. It is stored by code in front of the rest.
    let code = [
        0xc7, 0x06, 0x80, 0x81, 0x48, 0x7c, // mov word [8180], 7c48
        0xc7, 0x06, 0x82, 0x81, 0x08, 0x00, // mov word [8182], 8
        0xc7, 0x06, 0x84, 0x81, 0x00, 0x8e, // mov word [8184], 8e00
        0xc7, 0x06, 0x86, 0x81, 0x00, 0x00, // mov word [8186], 0
        0xe9, 0x00, 0x00, // jmp to 7c00's old beginning, kept at 7cc0
    ];
    let old: Vec<u8> = sector[..0x18].to_vec();
    sector[0x100..0x118].copy_from_slice(&old);
    sector[0x120..0x120 + code.len()].copy_from_slice(&code);
    let from = 0x120 + code.len() as i32;
    let to = (0x100i32 - from) as i16;
    sector[0x120 + code.len() - 2..0x120 + code.len()].copy_from_slice(&to.to_le_bytes());
    sector[..3].copy_from_slice(&[0xe9, 0x1d, 0x01]); // jmp 7d20
    sector
}

#[test]
fn int_iretd_and_popcnt_in_protected_mode_work_on_every_engine() {
    for engine in engines() {
        let mut m = pc(engine).image(image()).build().unwrap();
        let outcome = m.run();
        assert_eq!(outcome.ended, Ended::DebugExit(12), "{engine:?}\n{:?}", outcome.ended.report());
        assert_eq!(m.serial(), b"A", "{engine:?}");
        if engine == EngineChoice::Soft {
            assert_eq!(outcome.rescued, 0);
        }
    }
}
