//! The local APIC.

use hako_chips::lapic::{APIC_BASE, Destination, Effects, Lapic, Message, Mode, TSC_DEADLINE};

use super::transplant;
use crate::clock::{Clock, lies_ahead};
use crate::input::Input;

const MODES: [Mode; 7] =
    [Mode::Fixed, Mode::LowestPriority, Mode::Smi, Mode::Nmi, Mode::Init, Mode::StartUp, Mode::ExtInt];

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let id = input.u8();
    let bootstrap = id & 1 == 0;
    let mut chip = Lapic::new(id, bootstrap);
    let mut clock = Clock::default();
    while !input.is_empty() {
        let now = clock.advance(&mut input);
        let effects = match input.u8() % 16 {
            0 => {
                let _ = chip.read(input.u16(), now);
                Effects::default()
            }
            1 => {
                let _ = chip.read(u16::from(input.u8() & 0x3f) << 4, now);
                Effects::default()
            }
            2..=4 => chip.write(u16::from(input.u8() & 0x3f) << 4, input.u32(), now),
            5 => {
                let _ = chip.read_msr(0x800 + u32::from(input.u8()), now);
                Effects::default()
            }
            6 | 7 => chip.write_msr(0x800 + u32::from(input.u8()), input.wild(), now).unwrap_or_default(),
            8 => {
                let modes = [0x000, 0x800, 0x400, 0xc00, 0x900, 0xd00];
                let base = if input.u8() & 1 == 0 { 0xfee0_0000 | input.pick(&modes) } else { input.wild() };
                chip.write_msr(APIC_BASE, base, now).unwrap_or_default()
            }
            9 => chip.write_msr(TSC_DEADLINE, input.wild(), now).unwrap_or_default(),
            10 => {
                let mode = input.pick(&MODES);
                let (vector, level) = (input.u8(), input.u8() & 1 != 0);
                chip.accept(&Message { destination: Destination::All, mode, vector, level });
                Effects::default()
            }
            11 => {
                let _ = (chip.take_signals(), chip.takes_extint(), chip.arbitration());
                chip.set_lint((input.u8() & 3).into(), input.u8() & 1 != 0);
                Effects::default()
            }
            12 => {
                let vector = chip.acknowledge();
                if chip.intr() {
                    // Something of a higher class is left over; it must have been lower than what was given.
                    let next = chip.clone().acknowledge();
                    assert!(next >> 4 > vector >> 4, "{next:#x} was held back by {vector:#x}");
                }
                Effects::default()
            }
            13 => {
                chip.set_task_priority(input.u8() & 15);
                assert!(chip.task_priority() <= 15);
                Effects::default()
            }
            14 => {
                let now = clock.jump(chip.next_event());
                chip.tick(now);
                lies_ahead(chip.next_event(), now);
                Effects::default()
            }
            _ => {
                transplant(&mut chip, Lapic::new(id, bootstrap), |c| c.save(now), Lapic::restore);
                Effects::default()
            }
        };
        if let Some(ipi) = effects.ipi {
            assert!(!ipi.mode.has_vector() || ipi.vector >= 16, "an illegal vector was sent");
            if chip.is_addressed(ipi.destination, true) {
                chip.accept(&ipi);
            }
        }
        // An acknowledge without a request leaves everything as it is.
        if !chip.intr() && chip.is_enabled() {
            let mut same = chip.clone();
            let _ = same.acknowledge();
            assert_eq!(same, chip);
        }
    }
}
