//! The south bridge: PIIX3's ISA bridge and IDE (Intel 82371SB data sheet, 290550), PIIX4's power management (290562).

use super::config::{ConfigSpace, Field, Identity};

/// First of the four PIRQ route control registers of the ISA bridge.
pub const PIRQ_ROUTE: u8 = 0x60;
/// Power management base address of the PM function.
pub const PM_BASE: u8 = 0x40;
/// Miscellaneous power management: bit 0 enables the ports at [`PM_BASE`].
pub const PM_REG_MISC: u8 = 0x80;
/// Device activity B of the PM function: bit 25 lets writes to the APM port raise SMIs.
pub const DEVICE_ACTIVITY_B: u8 = 0x58;
/// IDE timing of the two channels; bit 15 of each enables its ports.
pub const IDE_TIMING: u8 = 0x40;

const INTEL: u16 = 0x8086;

const ISA_FIELDS: &[Field] = &[
    Field::rw(0x04, 2, 0x0007, 0x0108),
    Field::w1c(0x06, 2, 0x0200, 0x7800),
    Field::rw(0x4c, 1, 0x4d, 0xff),   // ISA recovery
    Field::rw(0x4e, 2, 0x03, 0x01ff), // X-bus chip select
    Field::rw(0x60, 4, 0x8080_8080, 0x8f8f_8f8f),
    Field::rw(0x69, 1, 0x02, 0xfe), // top of memory
    Field::rw(0x6a, 2, 0, 0x8094),  // miscellaneous status
    Field::rw(0x70, 2, 0x8080, 0xefef),
    Field::rw(0x76, 2, 0x0c0c, 0x8f8f),
    Field::rw(0x78, 2, 0x0002, 0xfffe),
    Field::rw(0x80, 1, 0, 0x7f), // APIC base
    Field::rw(0x82, 1, 0, 0x0f), // deterministic latency
    Field::rw(0xa0, 1, 0x08, 0x1f),
    Field::rw(0xa2, 2, 0, 0xff),
    Field::rw(0xa4, 4, 0, 0xffff_ffff),
    Field::rw(0xa8, 1, 0x0f, 0xff),
    Field::rw(0xaa, 2, 0, 0xff),
    Field::rw(0xac, 1, 0, 0xff),
    Field::rw(0xae, 1, 0, 0xff),
];

const IDE_FIELDS: &[Field] = &[
    Field::rw(0x04, 2, 0, 0x0001),
    Field::w1c(0x06, 2, 0x0280, 0x3800),
    Field::rw(IDE_TIMING, 4, 0, 0xf3ff_f3ff),
    Field::rw(0x44, 1, 0, 0xff),
];

const PM_FIELDS: &[Field] = &[
    Field::rw(0x04, 2, 0, 0x0001),
    Field::w1c(0x06, 2, 0x0280, 0x3800),
    Field::rw(PM_BASE, 4, 0x0000_0001, 0x0000_ffc0),
    Field::rw(0x44, 4, 0, 0xffff_ffff), // count A
    Field::rw(0x48, 4, 0, 0xffff_ffff), // count B
    Field::rw(0x4c, 4, 0, 0xffff_ffff), // general purpose input control
    Field::rw(0x50, 4, 0, 0x00ff_ffff), // device resource D
    Field::rw(0x54, 4, 0, 0xffff_ffff), // device activity A
    // There is no SMM: APMC_EN is set as if firmware had set its handler up, so that firmware does not wait for one.
    Field::rw(DEVICE_ACTIVITY_B, 4, 1 << 25, 0x03ff_ffff),
    Field::rw(0x5c, 4, 0, 0xffff_ffff), // device resources A to J
    Field::rw(0x60, 4, 0, 0xffff_ffff),
    Field::rw(0x64, 4, 0, 0xffff_ffff),
    Field::rw(0x68, 4, 0, 0xffff_ffff),
    Field::rw(0x6c, 4, 0, 0xffff_ffff),
    Field::rw(0x70, 4, 0, 0xffff_ffff),
    Field::rw(0x74, 4, 0, 0xffff_ffff),
    Field::rw(0x78, 4, 0, 0xffff_ffff),
    Field::rw(0x7c, 4, 0, 0xffff_ffff),
    Field::rw(PM_REG_MISC, 1, 0, 0x01),
    Field::rw(0x90, 4, 0x0000_0001, 0x0000_fff0), // SMBus base
    Field::rw(0xd2, 1, 0, 0x0f),
    Field::rw(0xd3, 3, 0, 0x00ff_ffff),
];

/// Function 0 of the south bridge, 8086:7000.
pub fn isa_bridge() -> ConfigSpace {
    let id = Identity {
        vendor: INTEL,
        device: 0x7000,
        class: 0x06_01_00,
        multifunction: true,
        ..Identity::of_virtual_machine()
    };
    ConfigSpace::new(id, ISA_FIELDS)
}

/// Function 1, 8086:7010: two channels at the ports and interrupts of the AT, without a bus master.
pub fn ide() -> ConfigSpace {
    let id = Identity { vendor: INTEL, device: 0x7010, class: 0x01_01_00, ..Identity::of_virtual_machine() };
    ConfigSpace::new(id, IDE_FIELDS)
}

/// Function 3, 8086:7113 of the PIIX4.
pub fn power_management() -> ConfigSpace {
    let id = Identity {
        vendor: INTEL,
        device: 0x7113,
        revision: 0x03,
        class: 0x06_80_00,
        interrupt_pin: 1,
        ..Identity::of_virtual_machine()
    };
    ConfigSpace::new(id, PM_FIELDS)
}

/// The port at which the PM function's 64 registers are, if they are enabled.
pub fn pm_base(function: &ConfigSpace) -> Option<u16> {
    let base = function.word(PM_BASE) & 0xffc0;
    (function.byte(PM_REG_MISC) & 1 != 0 && base != 0).then_some(base)
}

/// The ISA interrupt to which a PIRQ route control register leads its pin (82371SB 2.2.9).
pub fn pirq_irq(route: u8) -> Option<u8> {
    const ROUTABLE: u16 = 0b1101_1110_1111_1000;
    let irq = route & 0x0f;
    (route & 0x80 == 0 && ROUTABLE >> irq & 1 != 0).then_some(irq)
}

/// The PIRQ (0 to 3 for A to D) of an interrupt pin (1 to 4 for INTA# to INTD#) of a slot: the pins of neighbouring
/// slots are rotated by one, device 1's INTA# is PIRQA.
pub fn pirq(device: u8, pin: u8) -> u8 {
    device.wrapping_add(pin).wrapping_sub(2) & 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_isa_bridge_is_multifunction() {
        let f = isa_bridge();
        assert_eq!((f.dword(0), f.dword(8), f.byte(0x0e)), (0x7000_8086, 0x0601_0000, 0x80));
    }

    #[test]
    fn pirqs_are_not_routed_after_reset() {
        let f = isa_bridge();
        assert_eq!(f.dword(PIRQ_ROUTE), 0x8080_8080);
        assert_eq!(pirq_irq(f.byte(PIRQ_ROUTE)), None);
    }

    #[test]
    fn a_route_has_an_irq_and_a_disable_bit() {
        let mut f = isa_bridge();
        f.write(PIRQ_ROUTE + 1, &[0x7b]);
        assert_eq!(f.byte(PIRQ_ROUTE + 1), 0x0b);
        assert_eq!(pirq_irq(0x0b), Some(11));
        assert_eq!(pirq_irq(0x8b), None);
    }

    #[test]
    fn reserved_irqs_are_no_routes() {
        let routes: alloc::vec::Vec<u8> = (0..16).filter(|r| pirq_irq(*r).is_some()).collect();
        assert_eq!(routes, [3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15]);
    }

    #[test]
    fn pins_rotate_from_slot_to_slot() {
        assert_eq!((pirq(1, 1), pirq(2, 1), pirq(3, 1), pirq(4, 1), pirq(5, 1)), (0, 1, 2, 3, 0));
        assert_eq!(pirq(1, 4), 3);
        assert_eq!(pirq(0, 0), 2);
    }

    #[test]
    fn ide_is_in_compatibility_mode_without_bus_master() {
        let mut f = ide();
        assert_eq!((f.dword(0), f.dword(8)), (0x7010_8086, 0x0101_0000));
        f.write(0x20, &[0xff; 4]);
        assert_eq!(f.dword(0x20), 0);
        f.write(IDE_TIMING, &[0, 0x80]);
        assert_eq!(f.word(IDE_TIMING), 0x8000);
    }

    #[test]
    fn the_pm_function_claims_that_smm_is_set_up() {
        let f = power_management();
        assert_eq!((f.dword(0), f.dword(8)), (0x7113_8086, 0x0680_0003));
        assert_ne!(f.dword(DEVICE_ACTIVITY_B) & 1 << 25, 0);
    }

    #[test]
    fn the_pm_ports_need_base_and_enable() {
        let mut f = power_management();
        f.write(PM_BASE, &0x601u32.to_le_bytes());
        assert_eq!((f.dword(PM_BASE), pm_base(&f)), (0x601, None));
        f.write(PM_REG_MISC, &[1]);
        assert_eq!(pm_base(&f), Some(0x600));
    }
}
