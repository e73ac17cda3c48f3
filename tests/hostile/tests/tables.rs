//! Descriptors, gates, tasks and page tables that nobody would make, and jumps to where nothing is.

use hako_fuzz::modes::{self, GDT, IDT, Mode, PAGE_TABLES, TSS};
use hako_fuzz::stream::Random;
use hako_hostile_tests::{Guest, engines, run_all};

/// A spare entry of the GDT, and the one behind it.
const SPARE: u16 = 0x60;

/// What can be done with a selector in AX.
fn uses() -> Vec<(&'static str, Vec<u8>)> {
    let far = [&0x1_0000u32.to_le_bytes()[..], &SPARE.to_le_bytes()].concat();
    vec![
        ("mov ds", vec![0x8e, 0xd8, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("mov ss", vec![0x8e, 0xd0, 0x50]),
        ("lldt", vec![0x0f, 0x00, 0xd0]),
        ("ltr", vec![0x0f, 0x00, 0xd8]),
        (
            "lar, lsl, verr, verw",
            vec![0x0f, 0x02, 0xc8, 0x0f, 0x03, 0xc8, 0x0f, 0x00, 0xe0, 0x0f, 0x00, 0xe8],
        ),
        ("jmp far", [&[0xea][..], &far].concat()),
        ("call far", [&[0x9a][..], &far].concat()),
        // push ax; push 10000h; retf
        ("retf", vec![0x50, 0x68, 0, 0, 1, 0, 0xcb]),
        // pushf; push ax; push 10000h; iret
        ("iret", vec![0x9c, 0x50, 0x68, 0, 0, 1, 0, 0xcf]),
    ]
}

#[test]
fn every_type_of_descriptor_is_used_in_every_way() {
    let mut guests = Vec::new();
    for mode in [Mode::Protected32, Mode::Long] {
        for access in 0..=255u8 {
            for (name, code) in uses() {
                // Base and limit that a data segment could have, granularity and size by the access byte's bits.
                let entry = [0xff, 0x0f, 0, 0, 1, access, (access & 3) << 6 | 0x0f, 0];
                let code = [&[0x66, 0xb8, SPARE as u8, 0][..], &code, &[0xfa, 0xf4]].concat();
                let g = Guest::new(format!("{name}, access {access:#x}, {mode:?}"), mode, code);
                guests.push(g.patch(GDT + u64::from(SPARE), entry).patch(GDT + u64::from(SPARE) + 8, [0; 8]));
            }
        }
    }
    // A tenth of them, a different one for each use.
    let some: Vec<Guest> = guests.into_iter().step_by(if long() { 1 } else { 10 }).collect();
    engines::each(&some, 40, run_all);
}

fn long() -> bool {
    std::env::var_os("HAKO_LONG").is_some_and(|v| v != "0")
}

#[test]
fn every_type_of_gate_is_called() {
    let mut guests = Vec::new();
    for mode in [Mode::Protected32, Mode::Long] {
        for access in 0..=255u8 {
            for selector in [0u16, 0x18, 0x28, 0x50, 0x3b, 0xfff8] {
                let at = IDT + 0x20 * if mode == Mode::Long { 16 } else { 8 } - 0x10;
                let [low, high] = selector.to_le_bytes();
                let entry = [0, 0xb0, low, high, access & 7, access, 0, 0];
                // int 1eh or 1fh, whichever the entry is
                let code = [0xcd, 0x1f, 0xcd, 0x1e, 0xfa, 0xf4];
                let g = Guest::new(format!("gate {access:#x} to {selector:#x}, {mode:?}"), mode, code);
                guests.push(g.patch(at, entry).patch(at + 8, [0; 8]));
            }
        }
    }
    let some: Vec<Guest> = guests.into_iter().step_by(if long() { 1 } else { 7 }).collect();
    engines::each(&some, 40, run_all);
}

#[test]
fn task_switches_into_garbage_end() {
    let mut random = Random::new(3);
    let mut guests = Vec::new();
    for n in 0..200 {
        let mut tss: Vec<u8> = (0..0x70).map(|_| random.next_u64() as u8).collect();
        if n % 2 == 0 {
            // Plausible but for one field.
            tss = vec![0; 0x70];
            for (at, value) in [(0x1c, 0x1000u32), (0x20, 0x1_0000), (0x24, 2), (0x38, 0x9000), (0x4c, 0x18)]
            {
                tss[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            for segment in [0x48, 0x50, 0x54, 0x58, 0x5c] {
                tss[segment] = 0x20;
            }
            let field = 4 * random.below(0x1a);
            tss[field..field + 4].copy_from_slice(&(random.next_u64() as u32).to_le_bytes());
        }
        let access = [0x89, 0x81, 0x8b, 0x83][random.below(4)];
        let limit = [0xffu8, 0x67, 0x66, 0x2b, 0x10][random.below(5)];
        // The new task's TSS is at the data, in the spare entry.
        let entry = [limit, 0, 0, 0x80, 1, access, 0, 0];
        let far = [0xea, 0, 0, 0, 0, SPARE as u8, 0, 0xfa, 0xf4];
        let guest = Guest::new(format!("task {n}"), Mode::Protected32, far)
            .patch(GDT + u64::from(SPARE), entry)
            .patch(modes::DATA, tss);
        guests.push(guest);
        // And back, by IRET with NT set.
        let nested = [0x9c, 0x58, 0x80, 0xcc, 0x40, 0x50, 0x9d, 0xcf];
        guests.push(
            Guest::new(format!("NT {n}"), Mode::Protected32, nested)
                .patch(TSS, [SPARE as u8, 0])
                .patch(GDT + u64::from(SPARE), entry),
        );
    }
    engines::each(&guests, 57, run_all);
}

#[test]
fn page_tables_that_change_under_the_cpu_end() {
    let mut random = Random::new(4);
    let guests: Vec<Guest> = (0..150)
        .map(|n| {
            let mut code = Vec::new();
            for _ in 0..25 {
                let table = PAGE_TABLES + 0x1000 * random.below(4) as u64;
                let entry = table + 8 * [0, 1, 2, random.below(512)][random.below(4)] as u64;
                let value = match random.below(4) {
                    0 => random.next_u64(),
                    1 => random.next_u64() & 0xfff,
                    2 => 0xfee0_0083,
                    _ => random.next_u64() & 0x1f_ffff | 7,
                };
                code.extend([0x48, 0xb8]); // mov rax, value; mov [entry], rax
                code.extend(value.to_le_bytes());
                code.extend([0x48, 0x89, 0x04, 0x25]);
                code.extend((entry as u32).to_le_bytes());
                match random.below(3) {
                    0 => code.extend([0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8]), // mov rax, cr3; mov cr3, rax
                    1 => code.extend([0x0f, 0x01, 0x3c, 0x25, 0, 0, 0, 0]), // invlpg [0]
                    _ => {}
                }
                code.extend([0x8a, 0x04, 0x25]); // mov al, [somewhere]
                code.extend((random.below(1 << 22) as u32).to_le_bytes());
            }
            code.extend([0xfa, 0xf4]);
            Guest::new(format!("page tables {n}"), Mode::Long, code)
        })
        .collect();
    engines::each(&guests, 30, run_all);
}

#[test]
fn jumps_to_where_nothing_is_end() {
    let targets = [
        0xa_0000u64,
        0xb_8000,
        0xc_0000,
        0xf_fff0,
        0x10_fff0,
        0x40_0000,
        0x1000_0000,
        0xc000_0000,
        0xe000_0000,
        0xfec0_0000,
        0xfee0_0000,
        0xffff_fff0,
        0xffff_ffff,
        0x1_0000_0000,
        0x7fff_ffff_ffff,
        0x8000_0000_0000,
        0xffff_8000_0000_0000,
        u64::MAX,
    ];
    let mut guests = Vec::new();
    for target in targets {
        for mode in [Mode::Protected32, Mode::Long] {
            for call in [0xe0, 0xd0] {
                let mut code = if mode == Mode::Long {
                    [&[0x48, 0xb8][..], &target.to_le_bytes()].concat()
                } else {
                    [&[0xb8][..], &(target as u32).to_le_bytes()].concat()
                };
                code.extend([0xff, call]); // jmp or call (e)ax
                guests.push(Guest::new(format!("{target:#x}, {mode:?}"), mode, code));
            }
        }
        let segment = ((target >> 4) as u16).to_le_bytes();
        for offset in [0u8, 0xff] {
            let code = [0xea, offset, offset, segment[0], segment[1]];
            guests.push(Guest::new(format!("{segment:x?}:{offset:x}, real"), Mode::Real, code));
        }
    }
    engines::each(&guests, 13, run_all);
}
