//! A saved PC goes on as the one it was saved from.

use std::sync::Arc;

use hako_board::{Board, Disks, Layout, Pc, PcConfig};
use hako_engine::Time;
use hako_mem::Slab;
use hako_x86::Width;

fn pc() -> Pc {
    let layout = Layout::new(1 << 20, 0);
    let memory = layout.memory(Arc::new(Slab::heap(layout.slab_len())), &[]).unwrap();
    let config = PcConfig::new(layout);
    Pc::new(config, memory, Disks::default())
}

#[test]
fn every_port_reads_the_same_after_a_restore() {
    let mut board = Board::Pc(Box::new(pc()));
    // A storm over all ports that do not end the run.
    let mut seed = 1u32;
    for i in 0..20_000u64 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let port = (seed >> 8) as u16 & 0x7ff;
        if !matches!(port, 0x64 | 0x92 | 0x604..=0x605) {
            let _ = board.port_out(Time(i * 1000), port, Width::B1, &[(seed >> 24) as u8]);
        }
        let _ = board.tick(Time(i * 1000));
    }
    let now = Time(20_000_000);
    let Board::Pc(saved_from) = &mut board else { unreachable!() };
    let saved = saved_from.save(now);
    let mut other = pc();
    other.restore(&saved).unwrap();
    assert_eq!(other.save(now), saved);
    let mut other = Board::Pc(Box::new(other));
    assert_eq!(other.next_event(), board.next_event());
    assert_eq!(other.lines(0), board.lines(0));
    for port in 0..0x800u16 {
        let (mut a, mut b) = ([0], [0]);
        let _ = board.port_in(now, port, Width::B1, &mut a);
        let _ = other.port_in(now, port, Width::B1, &mut b);
        assert_eq!(a, b, "port {port:#x}");
    }
}

#[test]
fn another_version_is_refused() {
    let mut pc = pc();
    let mut saved = pc.save(Time::ZERO);
    saved.version += 1;
    assert!(pc.restore(&saved).is_err());
}
