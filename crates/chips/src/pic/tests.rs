use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// The pair as a PC BIOS leaves it: vectors 8 and 0x70, everything unmasked.
fn pc() -> Pics {
    let mut pics = Pics::new();
    for (reg, value) in
        [(0, 0x11), (1, 0x08), (1, 0x04), (1, 0x01), (2, 0x11), (3, 0x70), (3, 0x02), (3, 0x01)]
    {
        pics.write(reg, value);
    }
    pics
}

fn raise(pics: &mut Pics, lines: &[u8]) {
    for &line in lines {
        pics.set_irq(line, true);
    }
}

/// Acknowledges all that is given without any EOI.
fn vectors(pics: &mut Pics) -> Vec<u8> {
    core::iter::from_fn(|| pics.intr().then(|| pics.acknowledge())).take(20).collect()
}

#[test]
fn icw2_gives_the_upper_five_bits_of_the_vector() {
    let mut pics = Pics::new();
    for (reg, value) in [(0, 0x11), (1, 0x2f), (1, 4), (1, 1)] {
        pics.write(reg, value);
    }
    pics.set_irq(3, true);
    assert_eq!(pics.acknowledge(), 0x2b);
}

#[test]
fn without_ic4_the_third_word_ends_the_initialisation() {
    let mut pics = Pics::new();
    for (reg, value) in [(0, 0x10), (1, 0x20), (1, 4), (1, 0xa5)] {
        pics.write(reg, value);
    }
    assert_eq!(pics.read(1), 0xa5);
}

#[test]
fn icw1_clears_the_mask_and_selects_irr() {
    let mut pics = pc();
    pics.write(1, 0xff);
    pics.write(0, 0x0b);
    pics.set_irq(4, true);
    pics.write(0, 0x11);
    assert_eq!((pics.read(1), pics.read(0)), (0, 0));
}

#[test]
fn after_icw1_a_high_line_has_to_rise_anew() {
    let mut pics = pc();
    pics.set_irq(4, true);
    pics.write(0, 0x11);
    for value in [8, 4, 1] {
        pics.write(1, value);
    }
    pics.set_irq(4, true);
    assert!(!pics.intr());
    pics.set_irq(4, false);
    pics.set_irq(4, true);
    assert_eq!(pics.acknowledge(), 0x0c);
}

#[test]
fn ocw1_masks_a_request_and_keeps_it() {
    let mut pics = pc();
    pics.write(1, 0x02);
    pics.set_irq(1, true);
    assert!(!pics.intr());
    pics.write(1, 0x00);
    assert!(pics.intr());
}

#[test]
fn ocw3_selects_irr_or_isr() {
    let mut pics = pc();
    raise(&mut pics, &[1, 6]);
    pics.acknowledge();
    assert_eq!(pics.read(0), 0x40);
    pics.write(0, 0x0b);
    assert_eq!(pics.read(0), 0x02);
    pics.write(0, 0x0a);
    assert_eq!(pics.read(0), 0x40);
}

#[test]
fn fully_nested_a_higher_request_interrupts_a_lower_one() {
    let mut pics = pc();
    pics.set_irq(5, true);
    assert_eq!(pics.acknowledge(), 0x0d);
    raise(&mut pics, &[6, 3]);
    assert_eq!(vectors(&mut pics), [0x0b]);
}

#[test]
fn non_specific_eoi_ends_the_highest_in_service() {
    let mut pics = pc();
    pics.set_irq(5, true);
    pics.acknowledge();
    pics.set_irq(3, true);
    pics.acknowledge();
    pics.write(0, 0x20);
    pics.write(0, 0x0b);
    assert_eq!(pics.read(0), 0x20);
}

#[test]
fn specific_eoi_ends_the_level_it_names() {
    let mut pics = pc();
    pics.set_irq(5, true);
    pics.acknowledge();
    pics.set_irq(3, true);
    pics.acknowledge();
    pics.write(0, 0x65);
    pics.write(0, 0x0b);
    assert_eq!(pics.read(0), 0x08);
}

#[test]
fn rotate_on_non_specific_eoi_makes_the_served_level_the_lowest() {
    let mut pics = pc();
    pics.set_irq(4, true);
    pics.acknowledge();
    pics.write(0, 0xa0);
    pics.set_irq(4, false);
    raise(&mut pics, &[4, 3, 5]);
    assert_eq!(pics.acknowledge(), 0x0d);
}

#[test]
fn set_priority_names_the_lowest_level() {
    let mut pics = pc();
    pics.write(0, 0xc0 | 5);
    raise(&mut pics, &[0, 6, 5]);
    assert_eq!(pics.acknowledge(), 0x0e);
}

#[test]
fn rotate_on_specific_eoi_ends_and_sets_the_lowest() {
    let mut pics = pc();
    pics.set_irq(1, true);
    pics.acknowledge();
    pics.write(0, 0xe0 | 1);
    raise(&mut pics, &[0, 3]);
    assert_eq!(pics.acknowledge(), 0x0b);
}

#[test]
fn automatic_eoi_leaves_nothing_in_service() {
    let mut pics = pc();
    for (reg, value) in [(0, 0x11), (1, 8), (1, 4), (1, 0x03)] {
        pics.write(reg, value);
    }
    raise(&mut pics, &[7, 6]);
    assert_eq!(vectors(&mut pics), [0x0e, 0x0f]);
    pics.write(0, 0x0b);
    assert_eq!(pics.read(0), 0);
}

#[test]
fn rotate_in_automatic_eoi_mode() {
    let mut pics = pc();
    for (reg, value) in [(0, 0x11), (1, 8), (1, 4), (1, 0x03), (0, 0x80)] {
        pics.write(reg, value);
    }
    pics.set_irq(3, true);
    pics.acknowledge();
    pics.set_irq(3, false);
    raise(&mut pics, &[3, 1, 7]);
    assert_eq!(vectors(&mut pics), [0x0f, 0x09, 0x0b]);
}

#[test]
fn special_mask_mode_lets_lower_levels_through() {
    let mut pics = pc();
    pics.set_irq(1, true);
    pics.acknowledge();
    pics.set_irq(6, true);
    pics.write(1, 0x02);
    assert!(!pics.intr());
    pics.write(0, 0x68);
    assert!(pics.intr());
    pics.write(0, 0x48);
    assert!(!pics.intr());
}

#[test]
fn special_mask_mode_keeps_masked_levels_from_non_specific_eoi() {
    let mut pics = pc();
    pics.set_irq(1, true);
    pics.acknowledge();
    pics.write(1, 0x02);
    pics.write(0, 0x68);
    pics.write(0, 0x20);
    pics.write(0, 0x0b);
    assert_eq!(pics.read(0), 0x02);
}

#[test]
fn poll_acknowledges_and_names_the_level() {
    let mut pics = pc();
    pics.set_irq(6, true);
    pics.write(0, 0x0c);
    assert_eq!(pics.read(0), 0x86);
    pics.write(0, 0x0b);
    assert_eq!(pics.read(0), 0x40);
}

#[test]
fn poll_without_a_request_reads_bit_7_clear() {
    let mut pics = pc();
    pics.write(0, 0x0c);
    assert_eq!(pics.read(1), 0);
    assert_eq!(pics.read(1), 0, "one read only; this one is IMR");
}

#[test]
fn the_slaves_vector_comes_through_the_cascade() {
    let mut pics = pc();
    pics.set_irq(14, true);
    assert_eq!(pics.acknowledge(), 0x76);
    pics.write(0, 0x0b);
    pics.write(2, 0x0b);
    assert_eq!((pics.read(0), pics.read(2)), (0x04, 0x40));
}

#[test]
fn the_slave_has_the_priority_of_irq_2() {
    let mut pics = pc();
    raise(&mut pics, &[3, 15, 1]);
    assert_eq!(pics.acknowledge(), 0x09);
    pics.write(0, 0x20);
    assert_eq!(pics.acknowledge(), 0x77);
    pics.write(0, 0x20);
    pics.write(2, 0x20);
    assert_eq!(pics.acknowledge(), 0x0b);
}

#[test]
fn the_next_slave_request_comes_after_both_eois() {
    let mut pics = pc();
    raise(&mut pics, &[14, 8]);
    assert_eq!(pics.acknowledge(), 0x70);
    pics.write(2, 0x20);
    assert!(!pics.intr(), "the master still serves IR2");
    pics.write(0, 0x20);
    assert_eq!(pics.acknowledge(), 0x76);
}

#[test]
fn special_fully_nested_mode_lets_a_higher_slave_request_in() {
    let mut pics = pc();
    for (reg, value) in [(0, 0x11), (1, 8), (1, 4), (1, 0x11)] {
        pics.write(reg, value);
    }
    pics.set_irq(14, true);
    assert_eq!(pics.acknowledge(), 0x76);
    pics.set_irq(8, true);
    assert_eq!(pics.acknowledge(), 0x70);
}

#[test]
fn a_masked_slave_request_is_withdrawn_from_the_master() {
    let mut pics = pc();
    pics.set_irq(14, true);
    pics.write(3, 0x40);
    assert!(!pics.intr());
    pics.write(3, 0x00);
    assert_eq!(pics.acknowledge(), 0x76);
}

#[test]
fn slave_in_automatic_eoi_mode_delivers_every_request() {
    let mut pics = pc();
    for (reg, value) in [(2, 0x11), (3, 0x70), (3, 2), (3, 3)] {
        pics.write(reg, value);
    }
    raise(&mut pics, &[14, 15]);
    assert_eq!(pics.acknowledge(), 0x76);
    pics.write(0, 0x20);
    assert_eq!(pics.acknowledge(), 0x77);
}

#[test]
fn a_request_gone_before_inta_gives_irq_7_with_nothing_in_service() {
    let mut pics = pc();
    pics.write(4, 0x20);
    pics.set_irq(5, true);
    assert!(pics.intr());
    pics.set_irq(5, false);
    assert_eq!(pics.acknowledge(), 0x0f);
    pics.write(0, 0x0b);
    assert_eq!(pics.read(0), 0);
}

#[test]
fn a_slave_request_gone_during_inta_gives_irq_15() {
    let mut pics = pc();
    let mut state = pics.save();
    state.state.master.irr = 4;
    pics.restore(&state).unwrap();
    assert_eq!(pics.acknowledge(), 0x77);
    pics.write(0, 0x0b);
    pics.write(2, 0x0b);
    assert_eq!((pics.read(0), pics.read(2)), (4, 0), "the master needs its EOI, the slave does not");
}

#[test]
fn an_edge_requests_once() {
    let mut pics = pc();
    pics.set_irq(4, true);
    pics.acknowledge();
    pics.write(0, 0x20);
    pics.set_irq(4, true);
    assert!(!pics.intr());
}

#[test]
fn a_level_requests_as_long_as_it_is_high() {
    let mut pics = pc();
    pics.write(4, 0x20);
    pics.set_irq(5, true);
    pics.acknowledge();
    pics.write(0, 0x20);
    assert!(pics.intr());
    pics.set_irq(5, false);
    assert!(!pics.intr());
}

#[test]
fn elcr_keeps_the_system_lines_at_edge() {
    let mut pics = pc();
    pics.write(4, 0xff);
    pics.write(5, 0xff);
    assert_eq!((pics.read(4), pics.read(5)), (0xf8, 0xde));
}

#[test]
fn line_2_cannot_be_driven() {
    let mut pics = pc();
    pics.set_irq(2, true);
    assert!(!pics.intr());
}

#[test]
fn states_that_cannot_be_are_refused() {
    let mut pics = pc();
    let good = pics.save();
    for spoil in [
        (|s| s.version += 1) as fn(&mut Saved<PicsState>),
        |s| s.state.master.irq_base = 9,
        |s| s.state.slave.init_state = 4,
        |s| s.state.slave.priority_add = 8,
        |s| s.state.master.elcr = 1,
        |s| s.state.master.elcr_mask = 0xde,
        |s| s.state.master.auto_eoi = 2,
    ] {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(pics.restore(&bad).is_err());
        assert_eq!(pics.save(), good, "a refused state changes nothing");
    }
}

proptest! {
    #[test]
    fn any_sequence_is_survived_and_can_be_saved(ops in prop::collection::vec((0u8..4, any::<u8>(), any::<u8>()), 0..200)) {
        let mut pics = Pics::new();
        for (op, a, b) in ops {
            match op {
                0 => { pics.read(a % 8); }
                1 => pics.write(a % 8, b),
                2 => pics.set_irq(a % 17, b & 1 != 0),
                _ => { pics.acknowledge(); }
            }
            let mut other = Pics::new();
            other.restore(&pics.save()).unwrap();
            prop_assert_eq!(&other, &pics);
        }
    }
}
