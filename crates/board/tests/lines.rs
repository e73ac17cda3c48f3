//! What the CPU is told of its interrupt line.

use std::sync::Arc;

use hako_board::{Board, Disks, Layout, Pc, PcConfig};
use hako_engine::{Attention, Time};
use hako_mem::Slab;
use hako_x86::Width;

fn pc() -> Board {
    let layout = Layout::new(1 << 20, 0);
    let memory = layout.memory(Arc::new(Slab::heap(layout.slab_len())), &[]).unwrap();
    let config = PcConfig::new(layout);
    Board::Pc(Box::new(Pc::new(config, memory, Disks::default())))
}

#[test]
fn an_end_of_interrupt_that_uncovers_another_request_is_told() {
    let mut board = pc();
    let out = |board: &mut Board, port, value| board.port_out(Time::ZERO, port, Width::B1, &[value]);
    for (port, value) in [(0x20, 0x11), (0x21, 0x08), (0x21, 0x04), (0x21, 0x01), (0x21, 0x00)] {
        let _ = out(&mut board, port, value);
    }
    // IRQ 4: the transmitter of COM1 is empty. IRQ 0: the counter's output rises with its mode.
    let _ = out(&mut board, 0x3fc, 0x08);
    let _ = out(&mut board, 0x3f9, 0x02);
    let _ = out(&mut board, 0x43, 0x34);
    assert!(board.lines(0).intr);
    assert_eq!(board.acknowledge(Time::ZERO, 0), 0x08);
    assert!(!board.lines(0).intr, "IRQ 4 waits for the end of IRQ 0");
    let attention = out(&mut board, 0x20, 0x20);
    assert!(attention.contains(Attention::LINES));
    assert!(board.lines(0).intr);
    assert_eq!(board.acknowledge(Time::ZERO, 0), 0x0c);
}
