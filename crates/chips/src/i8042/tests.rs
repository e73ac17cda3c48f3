use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// Reads all bytes that come within a second, from time zero on.
fn bytes(chip: &mut I8042) -> Vec<u8> {
    let mut now = Time::ZERO;
    let mut bytes = Vec::new();
    loop {
        if chip.read(1, now) & 1 != 0 {
            bytes.push(chip.read(0, now));
        }
        match chip.next_event() {
            at if at > Time(1_000_000_000) => return bytes,
            at => now = at,
        }
    }
}

fn send(chip: &mut I8042, writes: &[(u8, u8)]) {
    for &(reg, value) in writes {
        chip.write(reg, value, Time::ZERO);
    }
}

/// What comes after these writes of (register, value).
fn answers(writes: &[(u8, u8)]) -> Vec<u8> {
    let mut chip = I8042::new();
    send(&mut chip, writes);
    bytes(&mut chip)
}

#[test]
fn controller_commands_have_their_answers() {
    for (command, answer) in
        [(0xaa, 0x55), (0xab, 0x00), (0xa9, 0x00), (0xa4, 0xf1), (0xc0, 0x80), (0x20, 0x40)]
    {
        assert_eq!(answers(&[(1, command)]), [answer], "{command:#x}");
    }
}

#[test]
fn the_answer_is_there_at_once() {
    let mut chip = I8042::new();
    chip.write(1, 0xaa, Time::ZERO);
    assert_eq!(chip.read(1, Time::ZERO), 0x1d);
    assert_eq!(chip.read(0, Time::ZERO), 0x55);
    assert_eq!(chip.read(1, Time::ZERO), 0x1c);
}

#[test]
fn commands_60_and_20_write_and_read_the_command_byte() {
    assert_eq!(answers(&[(1, 0x60), (0, 0x47), (1, 0x20)]), [0x47]);
    assert_eq!(answers(&[(1, 0x7f), (0, 0xa5), (1, 0x3f)]), [0xa5]);
}

#[test]
fn ad_ae_a7_a8_are_the_disable_bits_of_the_command_byte() {
    for (command, config) in [(0xad, 0x50), (0xae, 0x40), (0xa7, 0x60), (0xa8, 0x40)] {
        assert_eq!(answers(&[(1, command), (1, 0x20)]), [config]);
    }
}

#[test]
fn the_system_flag_comes_with_the_self_test() {
    let mut chip = I8042::new();
    assert_eq!(chip.read(1, Time::ZERO) & 0x04, 0);
    chip.write(1, 0xaa, Time::ZERO);
    assert_eq!(chip.read(1, Time::ZERO) & 0x04, 0x04);
}

#[test]
fn status_bit_3_tells_commands_from_data() {
    let mut chip = I8042::new();
    chip.write(1, 0xae, Time::ZERO);
    assert_eq!(chip.read(1, Time::ZERO) & 0x08, 0x08);
    chip.write(0, 0xee, Time::ZERO);
    assert_eq!(chip.read(1, Time::ZERO) & 0x08, 0);
}

#[test]
fn a20_by_output_port_and_by_dd_df() {
    let mut chip = I8042::new();
    assert!(chip.a20());
    send(&mut chip, &[(1, 0xd1), (0, 0xdd)]);
    assert!(!chip.a20());
    send(&mut chip, &[(1, 0xdf)]);
    assert!(chip.a20());
    send(&mut chip, &[(1, 0xdd)]);
    assert!(!chip.a20());
    assert_eq!(answers(&[(1, 0xdd), (1, 0xd0)]), [0xc1]);
    assert_eq!(answers(&[(1, 0xd0)]), [0xc3]);
}

#[test]
fn pulsing_bit_0_resets() {
    for command in 0xf0..=0xff {
        let mut chip = I8042::new();
        chip.write(1, command, Time::ZERO);
        assert_eq!(chip.take_wish().is_some(), command & 1 == 0);
        assert_eq!(chip.take_wish(), None);
    }
}

#[test]
fn clearing_bit_0_of_the_output_port_resets() {
    let mut chip = I8042::new();
    send(&mut chip, &[(1, 0xd1), (0, 0xfe)]);
    assert_eq!(chip.take_wish(), Some(Wish::Reset));
}

#[test]
fn d2_and_d3_fill_the_output_buffer_as_keyboard_and_mouse() {
    let mut chip = I8042::new();
    send(&mut chip, &[(1, 0xd3), (0, 0x5a)]);
    assert_eq!(chip.read(1, Time::ZERO) & 0x21, 0x21);
    assert_eq!(answers(&[(1, 0xd2), (0, 0x83)]), [0x83], "not translated");
}

#[test]
fn interrupts_follow_the_output_buffer_if_enabled() {
    let mut chip = I8042::new();
    send(&mut chip, &[(0, 0xee)]);
    assert!(!chip.irq1());
    send(&mut chip, &[(1, 0x60), (0, 0x43)]);
    assert!(chip.irq1() && !chip.irq12());
    chip.read(0, Time::ZERO);
    assert!(!chip.irq1());
    send(&mut chip, &[(1, 0xd4), (0, 0xf4)]);
    chip.tick(Time::ZERO + BYTE_TIME);
    assert!(chip.irq12() && !chip.irq1());
}

#[test]
fn between_two_bytes_the_interrupt_falls() {
    let mut chip = I8042::new();
    send(&mut chip, &[(1, 0x60), (0, 0x41), (0, 0xf2)]);
    chip.read(0, Time::ZERO);
    assert!(!chip.irq1());
    assert_eq!(chip.next_event(), Time::ZERO + BYTE_TIME);
    chip.tick(chip.next_event());
    assert!(chip.irq1());
}

#[test]
fn keyboard_commands_have_their_answers() {
    let untranslated = |bytes: &[u8]| {
        let mut writes = [(1, 0x60), (0, 0x00)].to_vec();
        writes.extend(bytes.iter().map(|&byte| (0, byte)));
        answers(&writes)
    };
    assert_eq!(untranslated(&[0xee]), [0xee]);
    assert_eq!(untranslated(&[0xed, 0x07]), [0xfa, 0xfa]);
    assert_eq!(untranslated(&[0xf2]), [0xfa, 0xab, 0x83]);
    assert_eq!(untranslated(&[0xf3, 0x20]), [0xfa, 0xfa]);
    assert_eq!(untranslated(&[0xf0, 0x00]), [0xfa, 0xfa, 0x02]);
    assert_eq!(untranslated(&[0xf0, 0x03, 0xf0, 0x00]), [0xfa, 0xfa, 0xfa, 0xfa, 0x03]);
    assert_eq!(untranslated(&[0xf0, 0x04]), [0xfa, 0xfe]);
    assert_eq!(untranslated(&[0xff]), [0xfa, 0xaa]);
    assert_eq!(untranslated(&[0x12]), [0xfe]);
    assert_eq!(untranslated(&[0xfb, 0x1c, 0x1b]), [0xfa, 0xfa, 0xfa]);
}

#[test]
fn a_command_in_place_of_an_argument_is_a_command() {
    assert_eq!(answers(&[(0, 0xed), (0, 0xee)]), [0xfa, 0xee]);
}

#[test]
fn resend_repeats_the_last_byte() {
    let mut chip = I8042::new();
    send(&mut chip, &[(0, 0xee)]);
    bytes(&mut chip);
    send(&mut chip, &[(0, 0xfe)]);
    assert_eq!(bytes(&mut chip), [0xee]);
}

#[test]
fn the_identity_is_translated_to_ab_41() {
    assert_eq!(answers(&[(0, 0xf2)]), [0xfa, 0xab, 0x41]);
}

#[test]
fn set_leds_lights_the_lights() {
    let mut chip = I8042::new();
    send(&mut chip, &[(0, 0xed), (0, 0x05)]);
    assert_eq!(chip.leds(), 5);
}

#[test]
fn keys_arrive_in_set_1_with_translation_and_in_set_2_without() {
    let mut chip = I8042::new();
    chip.type_keys(keys::text("A").unwrap(), Time::ZERO);
    assert_eq!(bytes(&mut chip), [0x2a, 0x1e, 0x9e, 0xaa]);
    let mut chip = I8042::new();
    send(&mut chip, &[(1, 0x60), (0, 0x00)]);
    chip.type_keys(keys::chord(&[Key::Up]), Time::ZERO);
    assert_eq!(bytes(&mut chip), [0xe0, 0x75, 0xe0, 0xf0, 0x75]);
}

#[test]
fn a_disabled_keyboard_sends_nothing_until_it_is_enabled() {
    let mut chip = I8042::new();
    send(&mut chip, &[(1, 0xad)]);
    chip.key(KeyEvent { key: Key::A, down: true }, Time::ZERO);
    assert_eq!(bytes(&mut chip), []);
    send(&mut chip, &[(1, 0xae)]);
    assert_eq!(bytes(&mut chip), [0x1e]);
}

#[test]
fn f5_stops_scanning_and_f4_starts_it() {
    let mut chip = I8042::new();
    send(&mut chip, &[(0, 0xf5)]);
    chip.key(KeyEvent { key: Key::A, down: true }, Time::ZERO);
    assert_eq!(bytes(&mut chip), [0xfa]);
    send(&mut chip, &[(0, 0xf4)]);
    chip.key(KeyEvent { key: Key::B, down: true }, Time::ZERO);
    assert_eq!(bytes(&mut chip), [0xfa, 0x30]);
}

#[test]
fn typed_keys_wait_until_they_are_scanned() {
    let mut chip = I8042::new();
    send(&mut chip, &[(0, 0xf5)]);
    chip.type_keys(keys::text("b").unwrap(), Time::ZERO);
    assert_eq!(bytes(&mut chip), [0xfa]);
    send(&mut chip, &[(0, 0xf4)]);
    assert_eq!(bytes(&mut chip), [0xfa, 0x30, 0xb0]);
    assert!(chip.typing_done());
}

#[test]
fn a_full_keyboard_sends_an_overrun_code() {
    let mut chip = I8042::new();
    send(&mut chip, &[(1, 0x60), (0, 0x10)]);
    for _ in 0..20 {
        chip.key(KeyEvent { key: Key::A, down: true }, Time::ZERO);
    }
    send(&mut chip, &[(1, 0xae)]);
    let mut wanted = [0x1c; 16];
    wanted[15] = 0;
    assert_eq!(bytes(&mut chip), wanted);
}

#[test]
fn a_long_text_is_typed_without_loss() {
    let mut chip = I8042::new();
    chip.type_keys(keys::text(&"x".repeat(60)).unwrap(), Time::ZERO);
    assert_eq!(bytes(&mut chip), [0x2d, 0xad].repeat(60));
}

#[test]
fn mouse_commands_have_their_answers() {
    let mouse = |bytes: &[u8]| {
        let writes: Vec<_> = bytes.iter().flat_map(|&byte| [(1, 0xd4), (0, byte)]).collect();
        answers(&writes)
    };
    assert_eq!(mouse(&[0xff]), [0xfa, 0xaa, 0x00]);
    assert_eq!(mouse(&[0xf2]), [0xfa, 0x00]);
    assert_eq!(mouse(&[0xe9]), [0xfa, 0x00, 0x02, 0x64]);
    assert_eq!(mouse(&[0xf4, 0xe7, 0xe8, 0x03, 0xf3, 0x28, 0xe9])[6..], [0xfa, 0x30, 0x03, 0x28]);
    assert_eq!(mouse(&[0xeb]), [0xfa, 0x08, 0x00, 0x00]);
    assert_eq!(mouse(&[0xee, 0x55, 0xec]), [0xfa, 0x55, 0xfa]);
    assert_eq!(mouse(&[0x00]), [0xfe]);
}

#[test]
fn states_that_cannot_be_are_refused() {
    let mut chip = I8042::new();
    let good = chip.save();
    for spoil in [
        (|s| s.version = 9) as fn(&mut Saved<I8042State>),
        |s| s.state.keyboard.set = 0,
        |s| s.state.awaiting = Some(0xaa),
        |s| s.state.mouse.resolution = 4,
        |s| s.state.replies = [Output { byte: 0, mouse: false }; 17].into(),
    ] {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(chip.restore(&bad).is_err());
        assert_eq!(chip.save(), good);
    }
}

proptest! {
    #[test]
    fn any_sequence_is_survived_and_can_be_saved(
        ops in prop::collection::vec((0u8..6, any::<u8>(), any::<u8>(), prop_oneof![any::<u64>(), 0..10_000_000u64]), 0..200),
    ) {
        let mut chip = I8042::new();
        for (op, reg, value, at) in ops {
            let at = Time(at);
            match op {
                0 => { chip.read(reg % 3, at); }
                1..=3 => chip.write(reg % 3, value, at),
                4 => {
                    let (key, _) = keys::KEYS[usize::from(value) % keys::KEYS.len()];
                    chip.key(KeyEvent { key, down: reg & 1 != 0 }, at);
                }
                _ => chip.tick(at),
            }
            chip.next_event();
            let mut other = I8042::new();
            other.restore(&chip.save()).unwrap();
            prop_assert_eq!(&other, &chip);
        }
    }
}
