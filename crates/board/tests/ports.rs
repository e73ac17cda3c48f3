//! Serial ports beyond the first, the test device, ACPI mode and the power button.

use std::sync::Arc;

use hako_board::{Board, Disks, Layout, Pc, PcConfig};
use hako_engine::{Attention, Time};
use hako_mem::{Gpa, Slab};
use hako_x86::Width;

const T: Time = Time::ZERO;

fn board(change: impl FnOnce(&mut PcConfig)) -> Board {
    let layout = Layout::new(1 << 20, 0);
    let memory = layout.memory(Arc::new(Slab::heap(layout.slab_len())), &[]).unwrap();
    let mut config = PcConfig::new(layout);
    change(&mut config);
    let mut board = Board::Pc(Box::new(Pc::new(config, memory, Disks::default())));
    // The interrupt controllers, all lines open.
    for (port, value) in [
        (0x20, 0x11),
        (0x21, 8),
        (0x21, 4),
        (0x21, 1),
        (0x21, 0),
        (0xa0, 0x11),
        (0xa1, 0x70),
        (0xa1, 2),
        (0xa1, 1),
        (0xa1, 0),
    ] {
        out(&mut board, port, value);
    }
    board
}

fn out(board: &mut Board, port: u16, value: u8) -> Attention {
    board.port_out(T, port, Width::B1, &[value])
}

fn input(board: &mut Board, port: u16) -> u8 {
    let mut data = [0];
    let _ = board.port_in(T, port, Width::B1, &mut data);
    data[0]
}

#[test]
fn com2_to_com4_exist_where_they_are_configured() {
    let mut b = board(|c| c.coms = [true, true, false, false]);
    assert_eq!(input(&mut b, 0x2fd), 0x60);
    assert_eq!((input(&mut b, 0x3ed), input(&mut b, 0x2ed)), (0xff, 0xff));
}

#[test]
fn each_serial_port_has_an_output_of_its_own() {
    let mut b = board(|c| c.coms = [true; 4]);
    for (port, byte) in [(0x3f8, b'1'), (0x2f8, b'2'), (0x3e8, b'3'), (0x2e8, b'4')] {
        out(&mut b, port, byte);
    }
    let said: Vec<Vec<u8>> = (0..4).map(|n| b.output().com(n).clone()).collect();
    assert_eq!(said, [b"1", b"2", b"3", b"4"]);
}

#[test]
fn com2_and_com4_interrupt_at_irq_3() {
    let mut b = board(|c| c.coms = [true; 4]);
    // All but the timer.
    out(&mut b, 0x21, 1);
    // OUT2, and interrupts for received bytes.
    out(&mut b, 0x2ec, 8);
    out(&mut b, 0x2e9, 1);
    assert!(!b.com_input(T, 4, b'x') && b.com_input(T, 3, b'x'));
    let at = b.next_event();
    let _ = b.tick(at);
    assert!(b.lines(0).intr);
    assert_eq!(b.acknowledge(at, 0), 8 + 3);
    assert_eq!(input(&mut b, 0x2e8), b'x');
}

#[test]
fn the_test_device_drives_interrupt_lines() {
    let mut b = board(|c| c.testdev = true);
    assert!(!b.lines(0).intr);
    let _ = b.port_out(T, 0x200e, Width::B4, &[1, 0, 0, 0]);
    assert!(b.lines(0).intr);
    assert_eq!(b.acknowledge(T, 0), 0x76);
    out(&mut b, 0x200e, 0);
}

#[test]
fn the_test_device_keeps_a_dword_and_memory() {
    let mut b = board(|c| c.testdev = true);
    let _ = b.port_out(T, 0xe0, Width::B4, &[1, 2, 3, 4]);
    out(&mut b, 0xe6, 9);
    let mut dword = [0; 4];
    let _ = b.port_in(T, 0xe0, Width::B4, &mut dword);
    assert_eq!(dword, [1, 2, 9, 4]);
    let _ = b.mmio_write(T, 0, Gpa(0xff00_fffc), &[5; 4]);
    let mut data = [0; 8];
    let _ = b.mmio_read(T, 0, Gpa(0xff00_fff8), &mut data);
    assert_eq!(data, [0, 0, 0, 0, 5, 5, 5, 5]);
}

#[test]
fn without_it_nothing_is_there() {
    let mut b = board(|_| ());
    out(&mut b, 0xe0, 1);
    out(&mut b, 0x200e, 1);
    assert_eq!(input(&mut b, 0xe0), 0xff);
    assert!(!b.lines(0).intr);
}

#[test]
fn the_smi_command_port_switches_acpi_mode() {
    let mut b = board(|_| ());
    assert_eq!(input(&mut b, 0x604) & 1, 0);
    out(&mut b, 0xb2, 0xf1);
    assert_eq!(input(&mut b, 0x604) & 1, 1);
    out(&mut b, 0xb2, 0xf0);
    assert_eq!(input(&mut b, 0x604) & 1, 0);
}

#[test]
fn the_power_button_is_an_sci_in_acpi_mode() {
    let mut b = board(|_| ());
    out(&mut b, 0xb2, 0xf1);
    out(&mut b, 0x603, 1);
    let Board::Pc(pc) = &mut b else { unreachable!() };
    assert!(pc.press_power_button(T).contains(Attention::LINES));
    assert_eq!(b.acknowledge(T, 0), 0x71);
}
