use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

const T0: Time = Time::ZERO;

/// The chip with MCR.OUT2 set and these registers written.
fn serial(writes: &[(u8, u8)]) -> Serial {
    let mut serial = Serial::new();
    serial.write(4, 0x08, T0);
    for &(reg, value) in writes {
        serial.write(reg, value, T0);
    }
    serial
}

fn receive(serial: &mut Serial, bytes: &[u8]) {
    for &byte in bytes {
        serial.receive(byte, T0);
    }
}

#[test]
fn after_reset_the_transmitter_is_empty_and_nothing_interrupts() {
    let mut serial = Serial::new();
    assert_eq!((serial.read(5, T0), serial.read(2, T0), serial.read(1, T0)), (0x60, 0x01, 0x00));
}

#[test]
fn thr_bytes_are_the_output() {
    let mut serial = serial(&[(0, b'h'), (0, b'i')]);
    assert_eq!(serial.take_output().collect::<Vec<_>>(), b"hi");
}

#[test]
fn dlab_selects_the_divisor_latch() {
    let mut serial = serial(&[(3, 0x80), (0, 0x34), (1, 0x12)]);
    assert_eq!((serial.read(0, T0), serial.read(1, T0)), (0x34, 0x12));
    serial.write(3, 0x03, T0);
    assert_eq!((serial.read(0, T0), serial.read(1, T0)), (0, 0));
    assert_eq!(serial.take_output().count(), 0);
}

#[test]
fn the_scratch_register_holds_a_byte() {
    assert_eq!(serial(&[(7, 0xa5)]).read(7, T0), 0xa5);
}

#[test]
fn a_16550a_shows_both_fifo_bits_in_iir() {
    assert_eq!(serial(&[(2, 0x01)]).read(2, T0), 0xc1);
    assert_eq!(serial(&[(2, 0xc0)]).read(2, T0), 0x01, "without bit 0 nothing is programmed");
}

#[test]
fn data_ready_until_rbr_is_read() {
    let mut serial = serial(&[]);
    serial.receive(0x41, T0);
    assert_eq!(serial.read(5, T0), 0x61);
    assert_eq!(serial.read(0, T0), 0x41);
    assert_eq!(serial.read(5, T0), 0x60);
}

#[test]
fn a_second_character_overruns_the_buffer() {
    let mut serial = serial(&[]);
    receive(&mut serial, b"ab");
    assert_eq!(serial.read(5, T0), 0x63);
    assert_eq!(serial.read(5, T0), 0x61, "reading LSR clears OE");
    assert_eq!(serial.read(0, T0), b'b');
}

#[test]
fn a_seventeenth_character_is_lost_and_the_fifo_kept() {
    let mut serial = serial(&[(2, 0x01)]);
    receive(&mut serial, b"0123456789abcdefX");
    assert_eq!(serial.read(5, T0), 0x63);
    let read: Vec<_> = (0..16).map(|_| serial.read(0, T0)).collect();
    assert_eq!(read, b"0123456789abcdef");
}

#[test]
fn can_receive_is_the_room_in_the_fifo() {
    let mut serial = serial(&[(2, 0x01), (4, 0x0b)]);
    receive(&mut serial, &[0; 15]);
    assert!(serial.can_receive());
    serial.receive(0, T0);
    assert!(!serial.can_receive());
}

#[test]
fn nothing_can_be_received_before_the_guest_listens() {
    assert!(!serial(&[]).can_receive());
    for write in [(4, 0x01), (4, 0x02), (1, 0x01)] {
        assert!(serial(&[write]).can_receive());
    }
    let mut polling = serial(&[]);
    polling.read(5, T0);
    assert!(polling.can_receive());
    polling.write(2, 0x07, T0);
    assert!(!polling.can_receive(), "what came now would be cleared by the next initialisation step");
}

#[test]
fn taking_rts_away_holds_the_line_until_it_is_back() {
    let mut serial = serial(&[(4, 0x0b)]);
    serial.write(4, 0x09, T0);
    assert!(!serial.can_receive());
    serial.write(4, 0x0b, T0);
    assert!(serial.can_receive());
}

#[test]
fn a_guest_that_never_had_rts_does_not_hold_the_line() {
    assert!(serial(&[(4, 0x09)]).can_receive());
    assert!(
        serial(&[(4, 0x0b), (4, 0x08), (4, 0x09)]).can_receive(),
        "closed and opened again with DTR only"
    );
}

#[test]
fn the_trigger_level_is_1_4_8_or_14() {
    for (fcr, level) in [(0x01, 1), (0x41, 4), (0x81, 8), (0xc1, 14)] {
        let mut serial = serial(&[(2, fcr), (1, 0x01)]);
        for n in 1..=16 {
            serial.receive(n, T0);
            assert_eq!(serial.irq(), usize::from(n) >= level);
        }
        assert_eq!(serial.read(2, T0), 0xc4);
    }
}

#[test]
fn a_character_times_out_after_four_character_times() {
    // 115200 baud, 8N1: four characters take 347.2 us.
    let mut serial = serial(&[(3, 0x83), (0, 1), (1, 0), (3, 0x03), (2, 0xc1), (1, 0x01)]);
    serial.receive(0x55, T0);
    assert_eq!(serial.next_event(), Time(347_222));
    serial.tick(Time(347_221));
    assert!(!serial.irq());
    serial.tick(Time(347_222));
    assert!(serial.irq());
    assert_eq!(serial.read(2, Time(347_222)), 0xcc);
    serial.read(0, Time(347_222));
    assert!(!serial.irq());
}

#[test]
fn fcr_bit_1_clears_the_receiver() {
    let mut serial = serial(&[(2, 0x01)]);
    receive(&mut serial, b"abc");
    serial.write(2, 0x03, T0);
    assert_eq!(serial.read(5, T0), 0x60);
}

#[test]
fn changing_the_fifo_mode_clears_the_fifo() {
    let mut serial = serial(&[(2, 0x01)]);
    receive(&mut serial, b"abc");
    serial.write(2, 0x00, T0);
    assert_eq!(serial.read(5, T0), 0x60);
}

#[test]
fn enabling_the_thr_interrupt_raises_it() {
    let mut serial = serial(&[]);
    assert!(!serial.irq());
    serial.write(1, 0x02, T0);
    assert!(serial.irq());
}

#[test]
fn reading_iir_ends_the_thr_interrupt() {
    let mut serial = serial(&[(1, 0x02)]);
    assert_eq!(serial.read(2, T0), 0x02);
    assert!(!serial.irq());
    assert_eq!(serial.read(2, T0), 0x01);
}

#[test]
fn reading_iir_for_another_source_keeps_the_thr_interrupt() {
    let mut serial = serial(&[(1, 0x03)]);
    serial.receive(1, T0);
    assert_eq!(serial.read(2, T0), 0x04);
    serial.read(0, T0);
    assert_eq!(serial.read(2, T0), 0x02);
}

#[test]
fn the_thr_interrupt_comes_again_after_a_write() {
    let mut serial = serial(&[(1, 0x02)]);
    serial.read(2, T0);
    serial.write(0, b'x', T0);
    assert!(serial.irq());
}

#[test]
fn writing_thr_with_its_interrupt_pending_makes_an_edge() {
    let mut serial = serial(&[(1, 0x02)]);
    serial.write(0, b'x', T0);
    assert!(!serial.irq());
    let at = serial.next_event();
    assert_eq!(at, Time(1000));
    serial.tick(at);
    assert!(serial.irq());
}

#[test]
fn line_errors_come_before_data_before_thr_before_modem() {
    let mut serial = serial(&[(1, 0x0f)]);
    receive(&mut serial, b"ab");
    assert_eq!(serial.read(2, T0), 0x06);
    serial.read(5, T0);
    assert_eq!(serial.read(2, T0), 0x04);
    serial.read(0, T0);
    assert_eq!(serial.read(2, T0), 0x02);
    serial.write(4, 0x18, T0);
    assert_eq!(serial.read(2, T0), 0x00);
    serial.read(6, T0);
    assert_eq!(serial.read(2, T0), 0x01);
}

#[test]
fn out2_gates_the_wire() {
    let mut serial = serial(&[(1, 0x02)]);
    serial.write(4, 0x00, T0);
    assert!(!serial.irq());
    assert_eq!(serial.read(2, T0), 0x02, "IIR shows it all the same");
}

#[test]
fn loopback_receives_what_is_sent() {
    let mut serial = serial(&[(4, 0x18), (0, 0x5a)]);
    assert_eq!(serial.read(0, T0), 0x5a);
    assert_eq!(serial.take_output().count(), 0);
    serial.receive(1, T0);
    assert_eq!(serial.read(5, T0), 0x60, "the line is cut off");
}

#[test]
fn loopback_connects_outputs_to_modem_inputs() {
    for (mcr, msr) in [(0x11, 0x20), (0x12, 0x10), (0x14, 0x40), (0x18, 0x80), (0x1f, 0xf0)] {
        assert_eq!(serial(&[(4, mcr)]).read(6, T0) & 0xf0, msr);
    }
}

#[test]
fn msr_shows_changes_once_and_ri_when_it_ends() {
    let mut serial = serial(&[(4, 0x10)]);
    assert_eq!(serial.read(6, T0), 0x0b);
    serial.write(4, 0x14, T0);
    assert_eq!(serial.read(6, T0), 0x40);
    serial.write(4, 0x10, T0);
    assert_eq!(serial.read(6, T0), 0x04);
    assert_eq!(serial.read(6, T0), 0x00);
}

#[test]
fn a_break_is_a_zero_with_bi_and_fe() {
    let mut serial = serial(&[]);
    serial.receive_break(T0);
    assert_eq!(serial.read(5, T0), 0x79);
    assert_eq!(serial.read(0, T0), 0);
}

#[test]
fn in_the_fifo_errors_show_when_their_character_is_next() {
    let mut serial = serial(&[(2, 0x01)]);
    serial.receive(b'a', T0);
    serial.receive_break(T0);
    assert_eq!(serial.read(5, T0), 0xe1);
    serial.read(0, T0);
    assert_eq!(serial.read(5, T0), 0x79);
}

#[test]
fn a_backend_that_takes_nothing_fills_the_transmitter() {
    let mut serial = serial(&[]);
    for _ in 0..OUTPUT + 5 {
        serial.write(0, b'x', T0);
    }
    assert_eq!(serial.read(5, T0) & 0x60, 0);
    assert_eq!(serial.take_output().count(), OUTPUT);
    assert_eq!(serial.read(5, T0) & 0x60, 0x60);
}

#[test]
fn states_that_cannot_be_are_refused() {
    let mut serial = serial(&[]);
    let good = serial.save();
    for spoil in [
        (|s| s.version = 0) as fn(&mut Saved<SerialState>),
        |s| s.state.receiver.fifo = [Received { byte: 0, errors: 0 }; 2].into(),
        |s| s.state.ier = 0x10,
        |s| s.state.line_errors = 1,
    ] {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(serial.restore(&bad).is_err());
        assert_eq!(serial.save(), good);
    }
}

proptest! {
    #[test]
    fn any_sequence_is_survived_and_can_be_saved(
        ops in prop::collection::vec((0u8..6, any::<u8>(), any::<u8>(), any::<u64>()), 0..200),
    ) {
        let mut serial = Serial::new();
        for (op, reg, value, at) in ops {
            let at = Time(at);
            match op {
                0 => { serial.read(reg % 9, at); }
                1 | 2 => serial.write(reg % 9, value, at),
                3 => serial.receive(value, at),
                4 => serial.tick(at),
                _ => drop(serial.take_output()),
            }
            serial.next_event();
            serial.irq();
            let mut other = Serial::new();
            other.restore(&serial.save()).unwrap();
            prop_assert_eq!(&other, &serial);
        }
    }
}
