//! One privileged instruction after another, with everything that it can be given.

use hako_fuzz::modes::{self, Mode};
use hako_hostile_tests::{Guest, engines, run_all};

/// Where there is room for longer handlers.
const ROOM: u64 = modes::HANDLERS + 0x800;
const GP: u64 = 13;

/// `mov ecx, n`.
fn ecx(n: u32) -> Vec<u8> {
    [&[0xb9][..], &n.to_le_bytes()].concat()
}

/// Handlers of #GP that go on behind the two bytes of RDMSR or WRMSR.
fn skipping(guest: Guest) -> Guest {
    let long = guest.mode == Mode::Long;
    let jump = (ROOM - (modes::HANDLERS + 8 * GP) - 5) as u32;
    let handler: &[u8] = if long {
        // add qword [rsp + 8], 2; add rsp, 8; iretq
        b"\x48\x83\x44\x24\x08\x02\x48\x83\xc4\x08\x48\xcf"
    } else {
        // add dword [esp + 4], 2; add esp, 4; iretd
        b"\x83\x44\x24\x04\x02\x83\xc4\x04\xcf"
    };
    guest.patch(modes::HANDLERS + 8 * GP, [&[0xe9][..], &jump.to_le_bytes()].concat()).patch(ROOM, handler)
}

#[test]
fn every_class_of_msr_is_read_and_written() {
    let mut guests = Vec::new();
    let classes =
        [0, 0x10, 0x1b, 0x40, 0x174, 0x1d9, 0x200, 0x250, 0x277, 0x2ff, 0x400, 0x480, 0x6e0, 0x800, 0xc80];
    let high = [0x4000_0000, 0x4b56_4d00, 0xc000_0080, 0xc000_0100, 0xc001_0000, 0xc001_1020, 0xffff_fff0];
    for mode in [Mode::Protected32, Mode::Long] {
        for first in classes.into_iter().chain(high) {
            for value in [0u32, 1, 0xffff_ffff, 0xfee0_0900, 0x1234_5678] {
                let mut code = ecx(first);
                code.extend([0xbb, 0x10, 0, 0, 0]); // mov ebx, 16
                let next = code.len();
                code.extend([0x0f, 0x32]); // next: rdmsr
                code.push(0xb8); // mov eax, value
                code.extend(value.to_le_bytes());
                code.extend([0x89, 0xc2, 0x0f, 0x30, 0x0f, 0x32]); // mov edx, eax; wrmsr; rdmsr
                code.extend([0x83, 0xc1, 0x01, 0x83, 0xeb, 0x01]); // add ecx, 1; sub ebx, 1
                let back = next as i32 - code.len() as i32 - 2;
                code.extend([0x75, back as u8, 0xfa, 0xf4]); // jnz next; cli; hlt
                guests.push(skipping(Guest::new(
                    format!("MSRs from {first:#x}, {value:#x}, {mode:?}"),
                    mode,
                    code,
                )));
            }
        }
    }
    engines::each(&guests, 11, run_all);
}

#[test]
fn every_bit_of_every_control_and_debug_register_is_flipped() {
    let mut guests = Vec::new();
    for mode in [Mode::Real, Mode::Protected32, Mode::Long] {
        // MOV from and to CR0 to CR8, DR0 to DR7.
        for (opcode, register) in (0..9).map(|n| (0x20, n)).chain((0..8).map(|n| (0x21, n))) {
            for bit in 0..32 {
                if register == 8 && mode != Mode::Long {
                    continue;
                }
                let rex: &[u8] = if register == 8 { &[0x44] } else { &[] };
                let modrm = 0xc0 | (register & 7) << 3;
                let mut code = [rex, &[0x0f, opcode, modrm]].concat(); // mov eax, register
                if mode == Mode::Real {
                    code.push(0x66);
                }
                code.push(0x35); // xor eax, bit
                code.extend((1u32 << bit).to_le_bytes());
                code.extend([rex, &[0x0f, opcode + 2, modrm]].concat()); // mov register, eax
                // push eax; pop eax; mov [where DS points], eax; call the next; jmp $
                code.extend([0x90, 0x50, 0x58, 0xa2, 0, 0, 0, 0, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0xfa, 0xf4]);
                guests.push(Guest::new(format!("{opcode:#x} {register}, bit {bit}, {mode:?}"), mode, code));
            }
        }
    }
    engines::each(&guests, 37, run_all);
}

#[test]
fn halts_of_every_kind_end() {
    let mut guests = Vec::new();
    for mode in [Mode::Real, Mode::Protected32, Mode::Long] {
        let push_flags: [(&str, &[u8]); 4] = [
            ("IF", b"\xfb"),
            ("no IF", b"\xfa"),
            ("IF, all masked", b"\xb0\xff\xe6\x21\xe6\xa1\xfb"),
            ("shadow", b"\xfb\xfa"),
        ];
        for (name, prefix) in push_flags {
            guests.push(Guest::new(
                format!("HLT, {name}, {mode:?}"),
                mode,
                [prefix, b"\xf4\xeb\xfd"].concat(),
            ));
        }
        // pushf; or word [sp], TF; popf; hlt: single-stepped.
        let trap: &[u8] = match mode {
            Mode::Real => b"\x9c\x58\x80\xcc\x01\x50\x9d\xf4\xeb\xfd",
            _ => b"\x9c\x58\x80\xcc\x01\x50\x9d\xf4\xf4\xeb\xfd",
        };
        guests.push(Guest::new(format!("HLT, TF, {mode:?}"), mode, trap));
    }
    engines::each(&guests, 2, run_all);
}

#[test]
fn repeats_of_2_to_the_64_into_nothing_end_at_the_limit() {
    // Linear 2 MiB and on lead to the local APIC's page, to a hole, to the end of physical memory.
    let targets = [0xfee0_0000u64, 0xe000_0000, 0xf_ffff_ffe0_0000, 0xa_0000, 0xfff0_0000];
    let strings: [(&str, &[u8]); 6] = [
        ("stosb", b"\xf3\xaa"),
        ("stosq", b"\xf3\x48\xab"),
        ("movsq", b"\xf3\x48\xa5"),
        ("lodsd", b"\xf3\xad"),
        ("insd", b"\xf3\x6d"),
        ("outsb", b"\xf3\x6e"),
    ];
    let mut guests = Vec::new();
    for target in targets {
        for (name, code) in strings {
            let mut set_up =
                b"\x48\xc7\xc1\xff\xff\xff\xff\xbf\0\0\x20\0\xbe\0\0\x20\0\x66\xba\xf8\x03".to_vec();
            set_up.extend(code);
            set_up.extend([0xfa, 0xf4]);
            let entry = (target & !0x1f_ffff | 0x83).to_le_bytes();
            guests.push(
                Guest::new(format!("REP {name} at {target:#x}"), Mode::Long, set_up)
                    .patch(modes::PAGE_TABLES + 0x2008, entry),
            );
        }
    }
    engines::each(&guests, 7, run_all);
}

#[test]
fn stacks_at_odd_places_end() {
    let mut guests = Vec::new();
    // mov sp, n; push ax; int 3; pushes and pops over the end; far call; iret.
    for sp in [0u16, 1, 2, 3, 0xffff, 0xfffe, 0x8000] {
        let [low, high] = sp.to_le_bytes();
        let code = [0xbc, low, high, 0x50, 0x60, 0xcc, 0x61, 0x58, 0x9a, 0, 0, 0, 0xf0, 0xcf];
        guests.push(Guest::new(format!("SP = {sp:#x}"), Mode::Real, code));
    }
    for esp in [0u32, 1, 4, 0xffff_ffff, 0x8000_0000, 0xa_0001, 0xfee0_0010, 0x40_0002] {
        for mode in [Mode::Protected32, Mode::Long] {
            let mut code = vec![0xbc];
            code.extend(esp.to_le_bytes());
            code.extend([0x50, 0x0f, 0x0b]); // push; ud2
            guests.push(Guest::new(format!("ESP = {esp:#x}, {mode:?}"), mode, code));
        }
    }
    engines::each(&guests, 3, run_all);
}

#[test]
fn exceptions_without_end_reach_the_limit() {
    let mut guests = Vec::new();
    let faults: [(&str, &[u8]); 6] = [
        ("ud2", b"\x0f\x0b"),
        ("int3", b"\xcc\xeb\xfd"),
        ("div", b"\x31\xc9\xf7\xf1"),
        ("int 13", b"\xcd\x0d\xeb\xfc"),
        ("TF", b"\x9c\x58\x80\xcc\x01\x50\x9d\xeb\xfe"),
        ("hlt in a loop", b"\xfb\xf4\xeb\xfc"),
    ];
    // The handler returns, faults itself, calls itself, or is not code at all.
    let handlers: [[u8; 8]; 5] = [
        [0x48, 0xcf, 0, 0, 0, 0, 0, 0],
        [0xcf, 0, 0, 0, 0, 0, 0, 0],
        [0x0f, 0x0b, 0, 0, 0, 0, 0, 0],
        [0xcc, 0xeb, 0xfd, 0, 0, 0, 0, 0],
        [0xff; 8],
    ];
    for mode in [Mode::Protected32, Mode::Long] {
        for (name, code) in faults {
            for h in handlers {
                guests.push(Guest::new(format!("{name}, {h:x?}, {mode:?}"), mode, code).handlers(h));
            }
        }
    }
    engines::each(&guests, 7, run_all);
}
