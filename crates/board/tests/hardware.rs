//! What software finds out about the board: tables in the F segment, or fw_cfg's files.

use std::sync::Arc;

use hako_board::{Board, Disks, Layout, Pc, PcConfig};
use hako_engine::Time;
use hako_firmware::{ROM_LEN, rom};
use hako_mem::{Gpa, Slab};
use hako_x86::Width;

fn pc(change: impl FnOnce(&mut PcConfig)) -> Pc {
    let layout = Layout::new(2 << 20, ROM_LEN);
    let memory = layout.memory(Arc::new(Slab::heap(layout.slab_len())), &rom()).unwrap();
    let mut config = PcConfig { post: true, ..PcConfig::new(layout) };
    change(&mut config);
    Pc::new(config, memory, Disks::default())
}

/// Where a signature is at a multiple of 16 in the BIOS area, as operating systems search it.
fn search(pc: &Pc, signature: &[u8]) -> Option<u64> {
    let mut area = vec![0; 0x1_0000];
    pc.memory().read(Gpa(0xf_0000), &mut area).unwrap();
    let at = area.chunks(16).position(|paragraph| paragraph.starts_with(signature))?;
    Some(0xf_0000 + 16 * at as u64)
}

#[test]
fn the_tables_lie_where_the_firmware_leaves_room() {
    assert!(rom()[..0xc000].iter().all(|byte| *byte == rom()[0]));
    let pc = pc(|_| ());
    let mut code = vec![0; 0x4000];
    pc.memory().read(Gpa(0xf_c000), &mut code).unwrap();
    assert_eq!(code, rom()[0xc000..]);
}

#[test]
fn an_x87_error_is_irq_13_and_port_f0_lets_the_cpu_go_on() {
    let mut b = Board::Pc(Box::new(pc(|_| ())));
    let irr = |b: &mut Board| {
        let mut value = [0];
        let _ = b.port_out(Time::ZERO, 0xa0, Width::B1, &[0x0a]);
        let _ = b.port_in(Time::ZERO, 0xa0, Width::B1, &mut value);
        value[0] >> 5 & 1
    };
    for (port, value) in [(0xa0, 0x11), (0xa1, 0x70), (0xa1, 2), (0xa1, 1)] {
        let _ = b.port_out(Time::ZERO, port, Width::B1, &[value]);
    }
    assert_eq!((irr(&mut b), b.ignne()), (0, false));
    assert!(!b.ferr(0, true).is_empty());
    assert_eq!((irr(&mut b), b.ignne()), (1, false));
    let _ = b.port_out(Time::ZERO, 0xf0, Width::B1, &[0]);
    assert!(b.ignne());
    let _ = b.ferr(0, false);
    assert!(!b.ignne());
}

#[test]
fn both_root_pointers_are_found_by_search() {
    let pc = pc(|_| ());
    assert_eq!(pc.rsdp().map(|at| at.0), search(&pc, b"RSD PTR "));
    assert!(pc.rsdp().is_some() && search(&pc, b"_MP_").is_some());
}

#[test]
fn without_acpi_the_mp_table_is_alone() {
    let pc = pc(|c| c.acpi = false);
    assert_eq!((pc.rsdp(), search(&pc, b"RSD PTR ")), (None, None));
    assert!(search(&pc, b"_MP_").is_some());
}

#[test]
fn other_firmware_gets_files_and_places_them_itself() {
    let pc = pc(|c| {
        c.post = false;
        c.cpus = 4;
    });
    assert_eq!((pc.rsdp(), search(&pc, b"_MP_")), (None, None));
    let mut b = Board::Pc(Box::new(pc));
    let read = |b: &mut Board, key: u16, len: usize| {
        let mut data = vec![0; len];
        let _ = b.port_out(Time::ZERO, 0x510, Width::B2, &key.to_le_bytes());
        let _ = b.port_in(Time::ZERO, 0x511, Width::B1, &mut data);
        data
    };
    assert_eq!((read(&mut b, 5, 2), read(&mut b, 15, 2)), (vec![4, 0], vec![4, 0]));
    let directory = String::from_utf8_lossy(&read(&mut b, 0x19, 64 * 16)).into_owned();
    for name in ["etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader", "etc/system-states", "etc/e820"] {
        assert!(directory.contains(name), "{name}");
    }
    let _ = b.port_out(Time::ZERO, 0x70, Width::B1, &[0x5f]);
    let mut cpus = [0];
    let _ = b.port_in(Time::ZERO, 0x71, Width::B1, &mut cpus);
    assert_eq!(cpus, [3]);
}
