//! Ports and device memory, asked for everything, in every width, as often as possible.

use hako_fuzz::modes::{self, Mode};
use hako_fuzz::stream::Random;
use hako_hostile_tests::{Guest, engines, run_all};

/// `mov dx, port; mov al, value; out dx, al` in any mode but real.
fn out(code: &mut Vec<u8>, port: u16, value: u8) {
    let [low, high] = port.to_le_bytes();
    code.extend([0x66, 0xba, low, high, 0xb0, value, 0xee]);
}

fn mov_dx(code: &mut Vec<u8>, port: u16) {
    let [low, high] = port.to_le_bytes();
    code.extend([0x66, 0xba, low, high]);
}

/// CLI, HLT.
const END: [u8; 2] = [0xfa, 0xf4];

#[test]
fn every_port_is_read_and_written_in_every_width() {
    let mut guests = Vec::new();
    for first in (0..=0xffffu16).step_by(0x100).filter(|p| *p < 0x1000 || p % 0x1000 == 0) {
        for value in [0u32, 0xffff_ffff, 0x5a5a_5a5a, 0x0606_0606] {
            let mut code = vec![0xbb];
            code.extend(value.to_le_bytes()); // mov ebx, value
            mov_dx(&mut code, first);
            let next = code.len();
            code.extend([0xec, 0x66, 0xed, 0xed]); // next: in al, dx; in ax, dx; in eax, dx
            code.extend([0x89, 0xd8, 0xee, 0x66, 0xef, 0xef]); // mov eax, ebx; out dx, al; ax; eax
            code.extend([0x66, 0x42, 0x84, 0xd2]); // inc dx; test dl, dl
            let back = next as i32 - code.len() as i32 - 2;
            code.extend([0x75, back as u8]); // jnz next
            code.extend(END);
            guests.push(Guest::new(format!("ports {first:#x}.., {value:#x}"), Mode::Protected32, code));
        }
    }
    engines::each(&guests, 9, run_all);
}

#[test]
fn string_io_of_four_thousand_million_items_reaches_the_limit() {
    let ports = [0x20u16, 0x40, 0x60, 0x71, 0xe9, 0x1f0, 0x170, 0x3f5, 0x3f8, 0x402, 0x511, 0xcfc, 0x1234];
    let strings: [&[u8]; 5] = [b"\xf3\x6c", b"\xf3\x66\x6d", b"\xf3\x6d", b"\xf3\x6e", b"\xf3\x6f"];
    let mut guests = Vec::new();
    for port in ports {
        for string in strings {
            for down in [false, true] {
                let mut code = vec![if down { 0xfd } else { 0xfc }];
                mov_dx(&mut code, port);
                code.extend(b"\xb9\xff\xff\xff\xff\xbf\0\0\x01\x00\xbe\0\0\x01\0");
                code.extend(string);
                code.extend(END);
                guests.push(Guest::new(
                    format!("{string:x?} at {port:#x}, down: {down}"),
                    Mode::Protected32,
                    code,
                ));
            }
        }
    }
    engines::each(&guests, 23, run_all);
}

#[test]
fn ide_command_storms_end() {
    let mut random = Random::new(1);
    let guests: Vec<Guest> = (0..120)
        .map(|n| {
            let mut code = Vec::new();
            for _ in 0..40 {
                let base = [0x1f0, 0x170][random.below(2)];
                match random.below(8) {
                    0 => out(&mut code, base + 0x206, random.next_u64() as u8),
                    1 => {
                        // A piece of data, one way or the other.
                        mov_dx(&mut code, base);
                        code.extend([0xb9, random.next_u64() as u8, 2, 0, 0]);
                        code.extend(
                            [[0xf3, 0x66, 0x6d], [0xf3, 0x66, 0x6f], [0xf3, 0x6c, 0x90]][random.below(3)],
                        );
                    }
                    2 => {
                        let command =
                            [0x20, 0x30, 0xa0, 0xa1, 0xc4, 0xc5, 0xec, 0xe7, 0x24, 0x34, 0x08, 0x90];
                        out(&mut code, base + 7, command[random.below(command.len())]);
                    }
                    _ => out(&mut code, base + 1 + random.below(7) as u16, random.next_u64() as u8),
                }
            }
            code.extend(END);
            Guest::new(
                format!("IDE storm {n}"),
                Mode::Protected32,
                [&b"\xbf\0\x80\x01\0\xbe\0\x80\x01\0"[..], &code].concat(),
            )
        })
        .collect();
    engines::each(&guests, 20, run_all);
}

#[test]
fn floppy_dma_pointed_anywhere_harms_nothing() {
    let mut guests = Vec::new();
    for (page, address) in
        [(0xffu8, 0xffffu16), (0xff, 0), (0x0f, 0xfff0), (0x0a, 0), (0x0c, 0), (0x40, 0), (0, 0)]
    {
        for mode in [0x46u8, 0x4a, 0x42, 0x66, 0x56, 0xc6, 0x06] {
            for command in [0xe6u8, 0xc5, 0x4d, 0x4a] {
                let mut code = Vec::new();
                let [low, high] = address.to_le_bytes();
                for (port, value) in [
                    (0x0au16, 6u8),
                    (0x0c, 0),
                    (0x04, low),
                    (0x04, high),
                    (0x05, 0xff),
                    (0x05, 0xff),
                    (0x81, page),
                    (0x0b, mode),
                    (0x0a, 2),
                    (0x3f2, 0),
                    (0x3f2, 0x1c),
                    (0x3f7, 0),
                    // SENSE INTERRUPT four times would be polite; SPECIFY, RECALIBRATE.
                    (0x3f5, 3),
                    (0x3f5, 0xdf),
                    (0x3f5, 2),
                    (0x3f5, 7),
                    (0x3f5, 0),
                    (0x3f5, command),
                    (0x3f5, 0),
                    (0x3f5, 0),
                    (0x3f5, 0),
                    (0x3f5, 1),
                    (0x3f5, 2),
                    (0x3f5, 18),
                    (0x3f5, 0x1b),
                    (0x3f5, 0xff),
                ] {
                    out(&mut code, port, value);
                }
                // Whatever the result is: read it.
                mov_dx(&mut code, 0x3f5);
                code.extend(b"\xb9\x20\0\0\0\xbf\0\x80\x01\0\xf3\x6c");
                code.extend(END);
                let name = format!("DMA at {page:#x}:{address:#x}, mode {mode:#x}, command {command:#x}");
                guests.push(Guest::new(name, Mode::Protected32, code));
            }
        }
    }
    engines::each(&guests, 40, run_all);
}

#[test]
fn pam_and_configuration_writes_end() {
    let mut random = Random::new(2);
    let guests: Vec<Guest> = (0..100)
        .map(|n| {
            let mut code = Vec::new();
            for _ in 0..30 {
                let register = if random.below(2) == 0 {
                    0x58 + random.below(8) as u32
                } else {
                    random.below(256) as u32
                };
                let function = [0u32, 0x08, 0x09, 0x0b, 0xff][random.below(5)];
                code.push(0xb8); // mov eax, address
                code.extend((0x8000_0000 | function << 8 | register & 0xfc).to_le_bytes());
                mov_dx(&mut code, 0xcf8);
                code.push(0xef);
                out(&mut code, 0xcfc + (register & 3) as u16, random.next_u64() as u8);
                // Touch what has moved: read, write, and run it (a RET, if it is RAM).
                let at = 0xc_0000 + random.below(0x4_0000) as u32;
                code.extend([0xc6, 0x05]); // mov byte [at], c3h
                code.extend(at.to_le_bytes());
                code.extend([0xc3, 0xa1]); // mov eax, [at]
                code.extend(at.to_le_bytes());
                if random.below(4) == 0 {
                    code.push(0xb8);
                    code.extend(at.to_le_bytes());
                    code.extend([0xff, 0xd0]); // call eax
                }
            }
            code.extend(END);
            Guest::new(format!("PAM {n}"), Mode::Protected32, code)
        })
        .collect();
    engines::each(&guests, 17, run_all);
}

#[test]
fn fw_cfg_gives_any_number_of_bytes_of_any_item() {
    let keys = [0u16, 1, 3, 5, 0xd, 0x19, 0x20, 0x21, 0x3f, 0x8000, 0x8002, 0x4019, 0xffff];
    let guests: Vec<Guest> = keys
        .into_iter()
        .map(|key| {
            let mut code = Vec::new();
            mov_dx(&mut code, 0x510);
            let [low, high] = key.to_le_bytes();
            code.extend([0x66, 0xb8, low, high, 0x66, 0xef, 0x66, 0x42]); // mov ax, key; out dx, ax; inc dx
            code.extend(b"\xbf\0\x80\x01\0\xb9\0\0\x02\0\xf3\x6c\xec\x66\xed\xed\xee\x66\xef\xef");
            code.extend(END);
            Guest::new(format!("fw_cfg {key:#x}"), Mode::Protected32, code)
        })
        .collect();
    engines::each(&guests, 4, run_all);
}

#[test]
fn the_trap_port_answers_nobody_but_the_stubs() {
    let mut guests = Vec::new();
    for mode in [Mode::Protected32, Mode::Long] {
        for al in 0..=0x20u8 {
            let mut code = b"\xb4\x0e\xbb\x07\0\0\0".to_vec(); // mov ah, 0eh; mov ebx, 7
            out(&mut code, 0xb8, al);
            code.extend([0x66, 0xe7, 0xb8, 0xe7, 0xb8]); // out 0b8h, ax; out 0b8h, eax
            code.extend(END);
            guests.push(Guest::new(format!("trap {al:#x}, {mode:?}"), mode, code));
        }
    }
    for al in 0..=0x20u8 {
        let code = vec![0xb0, al, 0xe6, 0xb8, 0xe7, 0xb8, 0xfa, 0xf4];
        guests.push(Guest::new(format!("trap {al:#x}, real"), Mode::Real, code));
    }
    engines::each(&guests, 19, run_all);
}

#[test]
fn what_the_trap_port_does_not_answer_changes_no_register() {
    engines::each(&[Mode::Protected32, Mode::Long], 1, |engine, modes| {
        for mode in modes {
            let code = b"\xb8\x41\x0e\0\0\xe6\xb8\x3d\x41\x0e\0\0\x75\xfe\xb0\x21\xe6\xf4";
            let guest = Guest::new("trap", *mode, *code).patch(modes::DATA, [0]);
            let mut m = hako_hostile_tests::machine(engine).image(guest.disk()).build().unwrap();
            let outcome = m.run();
            assert_eq!(outcome.ended, hako_machine::Ended::DebugExit(0x21), "{mode:?} on {engine:?}");
            assert!(!m.printed().ends_with(b"A"), "INT 10h was answered");
        }
    });
}
