//! The rules of the 82093AA.

use alloc::vec::Vec;

use super::*;
use crate::lapic::Destination;

/// The chip and the messages that it sent.
struct Rig {
    chip: IoApic,
    sent: Vec<Message>,
    /// Whether local APICs accept.
    accept: bool,
}

impl Rig {
    fn new() -> Rig {
        Rig { chip: IoApic::new(), sent: Vec::new(), accept: true }
    }

    fn register(&mut self, index: u8) -> u32 {
        self.write(0, index.into());
        self.chip.read(0x10)
    }

    fn set_register(&mut self, index: u8, value: u32) {
        self.write(0, index.into());
        self.write(0x10, value);
    }

    fn write(&mut self, offset: u16, value: u32) {
        let Rig { chip, sent, accept } = self;
        chip.write(offset, value, &mut |m| {
            sent.push(*m);
            *accept
        });
    }

    fn pin(&mut self, pin: u8, asserted: bool) {
        let Rig { chip, sent, accept } = self;
        chip.set_pin(pin, asserted, &mut |m| {
            sent.push(*m);
            *accept
        });
    }

    fn eoi(&mut self, vector: u8) {
        let Rig { chip, sent, accept } = self;
        chip.eoi(vector, &mut |m| {
            sent.push(*m);
            *accept
        });
    }

    fn sent(&mut self) -> usize {
        core::mem::take(&mut self.sent).len()
    }
}

#[test]
fn the_version_register_says_24_entries_and_an_eoi_register() {
    assert_eq!(Rig::new().register(1), 0x0017_0020);
}

#[test]
fn the_id_has_four_bits_and_the_arbitration_id_follows_it() {
    let mut r = Rig::new();
    r.set_register(0, 0xffff_ffff);
    assert_eq!((r.register(0), r.register(2)), (0x0f00_0000, 0x0f00_0000));
}

#[test]
fn entries_are_masked_after_reset() {
    let mut r = Rig::new();
    for index in (0x10..0x40).step_by(2) {
        assert_eq!((r.register(index), r.register(index + 1)), (0x1_0000, 0));
    }
    r.pin(4, true);
    assert_eq!(r.sent(), 0);
}

#[test]
fn reserved_and_read_only_bits_of_an_entry_cannot_be_written() {
    let mut r = Rig::new();
    r.set_register(0x18, 0xffff_ffff);
    r.set_register(0x19, 0xffff_ffff);
    assert_eq!((r.register(0x18), r.register(0x19)), (0x0001_afff, 0xff00_0000));
}

#[test]
fn registers_beyond_the_table_read_0() {
    let mut r = Rig::new();
    for index in [3, 0x0f, 0x40, 0xff] {
        r.set_register(index, 0xffff_ffff);
        assert_eq!(r.register(index), 0);
    }
}

#[test]
fn an_edge_sends_what_its_entry_says() {
    let mut r = Rig::new();
    r.set_register(0x19, 0x0300_0000);
    r.set_register(0x18, 0x0931);
    r.pin(4, true);
    let message = Message {
        destination: Destination::Logical(3),
        mode: Mode::LowestPriority,
        vector: 0x31,
        level: false,
    };
    assert_eq!(r.sent, [message]);
    r.pin(4, true);
    r.pin(4, false);
    assert_eq!(r.sent(), 1);
    r.pin(4, true);
    assert_eq!(r.sent(), 1);
}

#[test]
fn an_edge_at_a_masked_input_is_lost() {
    let mut r = Rig::new();
    r.set_register(0x18, 0x1_0031);
    r.pin(4, true);
    r.set_register(0x18, 0x0031);
    assert_eq!(r.sent(), 0);
}

#[test]
fn a_level_sends_once_and_again_after_its_end() {
    let mut r = Rig::new();
    r.set_register(0x30, 0xa051);
    r.pin(16, true);
    assert_eq!(r.sent(), 1);
    assert_eq!(r.register(0x30), 0xe051, "remote IRR");
    r.pin(16, true);
    assert_eq!(r.sent(), 0);
    r.eoi(0x51);
    assert_eq!(r.sent(), 1);
    r.pin(16, false);
    r.eoi(0x51);
    assert_eq!((r.sent(), r.register(0x30)), (0, 0xa051));
}

#[test]
fn an_eoi_of_another_vector_ends_nothing() {
    let mut r = Rig::new();
    r.set_register(0x30, 0xa051);
    r.pin(16, true);
    r.eoi(0x52);
    assert_eq!(r.register(0x30), 0xe051);
}

#[test]
fn the_eoi_register_ends_by_vector() {
    let mut r = Rig::new();
    r.set_register(0x30, 0xa051);
    r.pin(16, true);
    r.pin(16, false);
    r.write(0x40, 0x51);
    assert_eq!(r.register(0x30), 0xa051);
}

#[test]
fn a_level_at_a_masked_input_is_seen_when_unmasked() {
    let mut r = Rig::new();
    r.set_register(0x30, 0x1_a051);
    r.pin(16, true);
    assert_eq!(r.sent(), 0);
    r.set_register(0x30, 0xa051);
    assert_eq!(r.sent(), 1);
}

#[test]
fn masking_between_acceptance_and_end_sends_when_unmasked_after_the_end() {
    let mut r = Rig::new();
    r.set_register(0x30, 0xa051);
    r.pin(16, true);
    r.set_register(0x30, 0x1_a051);
    r.eoi(0x51);
    assert_eq!(r.sent(), 1);
    r.set_register(0x30, 0xa051);
    assert_eq!(r.sent(), 1);
}

#[test]
fn making_an_entry_edge_triggered_clears_remote_irr() {
    let mut r = Rig::new();
    r.set_register(0x30, 0xa051);
    r.pin(16, true);
    r.set_register(0x30, 0x1_2051);
    assert_eq!(r.register(0x30), 0x1_2051);
    r.set_register(0x30, 0xa051);
    assert_eq!(r.sent(), 2);
}

#[test]
fn what_nobody_accepts_is_not_waited_for() {
    let mut r = Rig::new();
    r.accept = false;
    r.set_register(0x30, 0xa051);
    r.pin(16, true);
    assert_eq!(r.register(0x30), 0xa051);
}

#[test]
fn nmis_are_edges_even_if_level_triggered_is_said() {
    let mut r = Rig::new();
    r.set_register(0x18, 0x8400);
    r.pin(4, true);
    assert_eq!(r.sent[0].mode, Mode::Nmi);
    assert_eq!(r.register(0x18), 0x8400);
}

#[test]
fn reserved_modes_and_extint_send_nothing() {
    let mut r = Rig::new();
    for mode in [0x300, 0x600, 0x700] {
        r.set_register(0x18, mode | 0x31);
        r.pin(4, true);
        r.pin(4, false);
    }
    assert_eq!(r.sent(), 0);
}

#[test]
fn a_saved_chip_can_be_restored_and_an_impossible_one_cannot() {
    let mut r = Rig::new();
    r.set_register(0x30, 0xa051);
    r.pin(16, true);
    let saved = r.chip.save();
    let mut other = IoApic::new();
    other.restore(&saved).unwrap();
    assert_eq!(other, r.chip);
    let broken: [fn(&mut IoApicState); 5] = [
        |s| s.irr = 1 << 24,
        |s| s.id = 16,
        |s| s.redirtbl[3] = 1 << 20,
        |s| s.redirtbl[3] = 1 << 14,
        |s| s.base_address = 0,
    ];
    for change in broken {
        let mut bad = saved.clone();
        change(&mut bad.state);
        assert!(other.restore(&bad).is_err());
    }
}
