//! Interrupts through the APICs of a PC: who is interrupted, and who is told.

use std::sync::Arc;

use hako_board::{Board, Disks, Layout, Pc, PcConfig};
use hako_engine::{Attention, Lines, Time};
use hako_mem::{Gpa, Slab};
use hako_x86::Width;

const LAPIC: u64 = 0xfee0_0000;
const IOAPIC: u64 = 0xfec0_0000;
const NOW: Time = Time::ZERO;

fn pc(cpus: u8) -> Board {
    let layout = Layout::new(1 << 20, 0);
    let memory = layout.memory(Arc::new(Slab::heap(layout.slab_len())), &[]).unwrap();
    let config = PcConfig { cpus, ..PcConfig::new(layout) };
    Board::Pc(Box::new(Pc::new(config, memory, Disks::default())))
}

fn write(board: &mut Board, cpu: u8, address: u64, value: u32) -> Attention {
    board.mmio_write(NOW, cpu, Gpa(address), &value.to_le_bytes())
}

fn read(board: &mut Board, now: Time, cpu: u8, address: u64) -> u32 {
    let mut data = [0; 4];
    let _ = board.mmio_read(now, cpu, Gpa(address), &mut data);
    u32::from_le_bytes(data)
}

fn out(board: &mut Board, port: u16, value: u8) -> Attention {
    board.port_out(NOW, port, Width::B1, &[value])
}

/// So many CPUs with their local APICs enabled, flat logical IDs, and the 8259A pair masked.
fn apics(cpus: u8) -> Board {
    let mut board = pc(cpus);
    for cpu in 0..cpus {
        let _ = write(&mut board, cpu, LAPIC + 0xf0, 0x1ff);
        let _ = write(&mut board, cpu, LAPIC + 0xd0, 1 << (24 + cpu));
    }
    for (port, value) in [(0x21, 0xff), (0xa1, 0xff)] {
        let _ = out(&mut board, port, value);
    }
    board
}

fn redirect(board: &mut Board, pin: u32, high: u32, low: u32) {
    for (index, value) in [(0x11 + 2 * pin, high), (0x10 + 2 * pin, low)] {
        let _ = write(board, 0, IOAPIC, index);
        let _ = write(board, 0, IOAPIC + 0x10, value);
    }
}

/// COM1's interrupt, up.
fn raise_com1(board: &mut Board) -> Attention {
    let _ = out(board, 0x3fc, 0x08);
    out(board, 0x3f9, 0x02)
}

#[test]
fn each_cpu_has_registers_of_its_own() {
    let mut board = apics(4);
    for cpu in 0..4 {
        assert_eq!(read(&mut board, NOW, cpu, LAPIC + 0x20), u32::from(cpu) << 24);
    }
}

#[test]
fn the_first_cpu_is_the_bootstrap_processor() {
    let mut board = pc(2);
    assert_eq!(board.msr_read(NOW, 0, 0x1b), Some(0xfee0_0900));
    assert_eq!(board.msr_read(NOW, 1, 0x1b), Some(0xfee0_0800));
}

#[test]
fn before_anybody_sets_the_apic_up_the_8259_pair_is_heard() {
    let mut board = pc(1);
    for (port, value) in [(0x20, 0x11), (0x21, 0x08), (0x21, 0x04), (0x21, 0x01), (0x21, 0x00)] {
        let _ = out(&mut board, port, value);
    }
    assert!(raise_com1(&mut board).contains(Attention::LINES));
    assert!(board.lines(0).intr);
    assert_eq!(board.acknowledge(NOW, 0), 0x0c);
}

#[test]
fn with_lint0_masked_it_is_not() {
    let mut board = pc(1);
    let _ = write(&mut board, 0, LAPIC + 0x350, 0x1_0700);
    for (port, value) in [(0x20, 0x11), (0x21, 0x08), (0x21, 0x04), (0x21, 0x01), (0x21, 0x00)] {
        let _ = out(&mut board, port, value);
    }
    let _ = raise_com1(&mut board);
    assert!(!board.lines(0).intr);
    // Without the APIC the pin is INTR.
    let told = board.msr_write(NOW, 0, 0x1b, 0xfee0_0100).unwrap();
    assert!(told.contains(Attention::LINES) && board.lines(0).intr);
}

#[test]
fn an_isa_interrupt_comes_in_at_its_own_number() {
    let mut board = apics(1);
    redirect(&mut board, 4, 0, 0x44);
    assert!(raise_com1(&mut board).contains(Attention::LINES));
    assert!(board.lines(0).intr);
    assert_eq!(board.acknowledge(NOW, 0), 0x44);
}

#[test]
fn the_interval_timer_comes_in_at_2() {
    let mut board = apics(1);
    redirect(&mut board, 0, 0, 0x40);
    redirect(&mut board, 2, 0, 0x42);
    let _ = out(&mut board, 0x43, 0x34);
    assert_eq!(board.acknowledge(NOW, 0), 0x42);
    assert!(!board.lines(0).intr);
}

#[test]
fn an_interrupt_for_another_cpu_is_an_event_and_a_signal() {
    let mut board = apics(2);
    redirect(&mut board, 4, 0x0100_0000, 0x44);
    board.take_signals();
    let _ = (board.lines(0), board.lines(1));
    let attention = raise_com1(&mut board);
    assert!(attention.contains(Attention::EVENTS));
    assert_eq!(board.take_signals(), 0b10);
    assert!(!board.lines(0).intr && board.lines(1).intr);
    assert_eq!(board.acknowledge(NOW, 1), 0x44);
}

#[test]
fn an_ipi_is_told_to_its_target_alone() {
    let mut board = apics(2);
    let _ = (board.lines(0), board.lines(1));
    let _ = write(&mut board, 0, LAPIC + 0x310, 1 << 24);
    let attention = write(&mut board, 0, LAPIC + 0x300, 0x4051);
    assert_eq!(attention, Attention::EVENTS);
    assert_eq!(board.take_signals(), 0b10);
    assert!(board.lines(1).intr && !board.lines(0).intr);
}

#[test]
fn a_self_ipi_is_no_event() {
    let mut board = apics(2);
    let attention = write(&mut board, 1, LAPIC + 0x300, 0x4_4051);
    assert_eq!(attention, Attention::LINES);
    assert_eq!(board.acknowledge(NOW, 1), 0x51);
}

#[test]
fn init_and_startup_are_edges_seen_once() {
    let mut board = apics(2);
    let _ = write(&mut board, 0, LAPIC + 0x300, 0xc_4500);
    assert!(board.peek_lines(1).init);
    let lines = board.lines(1);
    assert!(lines.init && lines.sipi.is_none());
    let attention = write(&mut board, 0, LAPIC + 0x300, 0xc_469a);
    assert_eq!(attention, Attention::EVENTS);
    assert_eq!(board.lines(1).sipi, Some(0x9a));
    assert_eq!(board.lines(1), Lines { a20: true, ..Lines::default() });
    assert_eq!(board.lines(0), Lines { a20: true, ..Lines::default() });
}

#[test]
fn an_nmi_ipi_is_an_nmi_edge() {
    let mut board = apics(2);
    let _ = write(&mut board, 0, LAPIC + 0x310, 1 << 24);
    let _ = write(&mut board, 0, LAPIC + 0x300, 0x4400);
    assert!(board.lines(1).nmi);
    assert!(!board.lines(1).nmi);
}

#[test]
fn lowest_priority_goes_to_the_cpu_of_lowest_task_priority() {
    let mut board = apics(2);
    redirect(&mut board, 4, 0x0300_0000, 0x0944);
    let _ = board.set_task_priority(NOW, 0, 2);
    let _ = raise_com1(&mut board);
    assert!(!board.lines(0).intr && board.lines(1).intr);
}

#[test]
fn a_raised_task_priority_holds_interrupts_back_and_a_lowered_one_lets_them_in() {
    let mut board = apics(1);
    redirect(&mut board, 4, 0, 0x44);
    assert!(board.set_task_priority(NOW, 0, 4).is_some());
    let _ = raise_com1(&mut board);
    assert!(!board.lines(0).intr);
    assert_eq!(board.task_priority(NOW, 0), Some(4));
    assert_eq!(board.set_task_priority(NOW, 0, 3), Some(Attention::LINES));
}

#[test]
fn a_level_triggered_input_asks_again_after_the_end_of_interrupt() {
    let mut board = apics(1);
    redirect(&mut board, 4, 0, 0x8044);
    let _ = raise_com1(&mut board);
    assert_eq!(board.acknowledge(NOW, 0), 0x44);
    assert!(!board.lines(0).intr);
    assert!(write(&mut board, 0, LAPIC + 0xb0, 0).contains(Attention::LINES));
    assert_eq!(board.acknowledge(NOW, 0), 0x44);
    let _ = out(&mut board, 0x3f9, 0);
    let _ = write(&mut board, 0, LAPIC + 0xb0, 0);
    assert!(!board.lines(0).intr);
}

#[test]
fn the_timer_is_the_boards_next_event() {
    let mut board = apics(2);
    let _ = write(&mut board, 1, LAPIC + 0x320, 0x60);
    let _ = write(&mut board, 1, LAPIC + 0x3e0, 0xb);
    let _ = write(&mut board, 1, LAPIC + 0x380, 5000);
    assert_eq!((board.next_event(), board.next_wake()), (Time(5000), Time(5000)));
    assert!(board.tick(Time(5000)).contains(Attention::EVENTS));
    assert_eq!((board.take_signals(), board.next_event()), (0b10, Time::NEVER));
    assert_eq!(board.acknowledge(Time(5000), 1), 0x60);
}

#[test]
fn x2apic_mode_takes_the_memory_away_and_gives_msrs() {
    let mut board = apics(2);
    assert_eq!(board.msr_read(NOW, 1, 0x802), None);
    let _ = board.msr_write(NOW, 1, 0x1b, 0xfee0_0c00).unwrap();
    assert_eq!(board.msr_read(NOW, 1, 0x802), Some(1));
    assert_eq!(read(&mut board, NOW, 1, LAPIC + 0x20), !0);
    assert_eq!(read(&mut board, NOW, 0, LAPIC + 0x20), 0);
}

#[test]
fn moved_registers_are_found_at_their_new_place() {
    let mut board = apics(1);
    let _ = board.msr_write(NOW, 0, 0x1b, 0xfe00_0900).unwrap();
    assert_eq!(read(&mut board, NOW, 0, 0xfe00_00f0), 0x1ff);
    assert_eq!(read(&mut board, NOW, 0, LAPIC + 0xf0), !0);
}

#[test]
fn msrs_of_nobody_are_gp() {
    let mut board = apics(1);
    assert_eq!(board.msr_read(NOW, 0, 0x1000), None);
    assert_eq!(board.msr_write(NOW, 0, 0x8ff, 0), None);
}

#[test]
fn the_legacy_replacement_of_the_event_timers_silences_the_interval_timer() {
    const HPET: u64 = 0xfed0_0000;
    let mut board = apics(1);
    redirect(&mut board, 2, 0, 0x42);
    let _ = write(&mut board, 0, HPET + 0x100, 0x4);
    let _ = board.mmio_write(NOW, 0, Gpa(HPET + 0x108), &1000u64.to_le_bytes());
    let _ = write(&mut board, 0, HPET + 0x10, 3);
    let _ = out(&mut board, 0x43, 0x34);
    assert!(!board.lines(0).intr);
    assert_eq!(board.next_event(), Time(10_000));
    let _ = board.tick(Time(10_000));
    assert_eq!(board.acknowledge(Time(10_000), 0), 0x42);
}

#[test]
fn the_apics_are_part_of_the_saved_state() {
    let mut board = apics(2);
    redirect(&mut board, 4, 0x0100_0000, 0x8044);
    let _ = raise_com1(&mut board);
    let _ = write(&mut board, 0, LAPIC + 0x320, 0x60);
    let _ = write(&mut board, 0, LAPIC + 0x380, 5000);
    let mut other = pc(2);
    let (Board::Pc(from), Board::Pc(to)) = (&mut board, &mut other) else { unreachable!() };
    let saved = from.save(Time(100));
    to.restore(&saved).unwrap();
    assert_eq!(to.save(Time(100)), saved);
    assert_eq!(other.next_event(), board.next_event());
    assert_eq!(other.acknowledge(Time(100), 1), 0x44);
    let (Board::Pc(from), Board::Pc(to)) = (&mut board, &mut pc(1)) else { unreachable!() };
    assert!(to.restore(&from.save(Time(100))).is_err(), "another number of CPUs");
}
