//! Configuration mechanism #1 with the PC's functions and one with BARs.

use hako_chips::pci::{Bar, BarKind, Bdf, ConfigSpace, Identity, PciHost, i440fx, piix};

use super::transplant;
use crate::input::Input;

/// A function with a BAR of each kind.
fn barred() -> ConfigSpace {
    let identity = Identity {
        vendor: 0x8086,
        device: 1,
        revision: 0,
        class: 0xff_0000,
        subsystem_vendor: 0,
        subsystem: 0,
        multifunction: true,
        interrupt_pin: 1,
    };
    ConfigSpace::new(identity, &[])
        .with_bar(Bar::new(0, BarKind::Io, 0x40))
        .with_bar(Bar::new(1, BarKind::Memory32 { prefetchable: false }, 0x1000))
        .with_bar(Bar::new(2, BarKind::Memory64 { prefetchable: true }, 1 << 33))
        .with_bar(Bar::rom(0x8000))
}

fn host() -> PciHost {
    let mut host = PciHost::new();
    host.add(Bdf::new(0, 0, 0), i440fx::host_bridge());
    host.add(Bdf::new(0, 1, 0), piix::isa_bridge());
    host.add(Bdf::new(0, 1, 1), piix::ide());
    host.add(Bdf::new(0, 1, 3), piix::power_management());
    host.add(Bdf::new(0, 0, 1), barred());
    host
}

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut chip = host();
    while !input.is_empty() {
        let mut data = [0; 4];
        let width = input.pick(&[1, 2, 4]);
        match input.u8() % 8 {
            0 => chip.read(input.u8(), &mut data[..width]),
            1 => {
                let _ = chip.write(input.u8(), &input.u32().to_le_bytes()[..width]);
            }
            // A register of a function that is there.
            2 | 3 => select(&mut chip, &mut input),
            4 => {
                let _ = chip.write(4 + input.u8() % 4, &input.u32().to_le_bytes()[..width]);
            }
            5 => chip.read(4 + input.u8() % 4, &mut data[..width]),
            6 => chip.reset(),
            _ => transplant(&mut chip, host(), PciHost::save, PciHost::restore),
        }
        check(&chip);
    }
}

/// CONFIG_ADDRESS of a function of slot 0 or 1.
fn select(chip: &mut PciHost, input: &mut Input<'_>) {
    let (function, register) = (u32::from(input.u8()), u32::from(input.u8()));
    let address = 0x8000_0000 | (function & 0xf) << 8 | register;
    let _ = chip.write(0, &address.to_le_bytes());
}

/// What a guest cannot change: who a function is, and that its BARs lie in their address spaces.
fn check(chip: &PciHost) {
    for (at, function) in chip.functions() {
        assert_eq!(function.word(0), 0x8086, "{at} has lost its identity");
        for bar in function.bars() {
            let fits = bar.address.checked_add(bar.size - 1).is_some();
            assert!(!bar.enabled || fits, "{at} answers past the end of the address space");
            assert_eq!(bar.address % bar.size, 0, "{at} has a BAR that is not aligned");
        }
    }
}
