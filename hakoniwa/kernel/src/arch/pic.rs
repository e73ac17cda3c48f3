//! The two 8259s: sixteen lines at vectors 0x20 to 0x2f, masked until a task binds one.

use super::cpu::{port_read, port_write};

/// The vector of line 0.
pub const BASE: u64 = 0x20;

const CHIPS: [u16; 2] = [0x20, 0xa0];

/// Moves the lines away from the exceptions and masks them all.
pub fn init() {
    for (chip, (base, cascade)) in CHIPS.into_iter().zip([(0x20, 4), (0x28, 2)]) {
        for (port, value) in [(chip, 0x11), (chip + 1, base), (chip + 1, cascade), (chip + 1, 1)] {
            port_write(port, 1, value);
        }
    }
    // Line 2 is the second chip.
    port_write(0x21, 1, 0xfb);
    port_write(0xa1, 1, 0xff);
}

/// Masks or unmasks a line.
pub fn mask(line: u32, masked: bool) {
    let port = if line < 8 { 0x21 } else { 0xa1 };
    let bit = 1 << (line & 7);
    let old = port_read(port, 1);
    port_write(port, 1, if masked { old | bit } else { old & !bit });
}

/// Acknowledges an interrupt; false if it was spurious (the last line of a chip without its in-service bit).
pub fn acknowledge(line: u32) -> bool {
    let chip = CHIPS[usize::from(line >= 8)];
    if line & 7 == 7 {
        port_write(chip, 1, 0x0b);
        if port_read(chip, 1) & 0x80 == 0 {
            if line >= 8 {
                port_write(CHIPS[0], 1, 0x62);
            }
            return false;
        }
    }
    port_write(chip, 1, 0x60 | line & 7);
    if line >= 8 {
        port_write(CHIPS[0], 1, 0x62);
    }
    true
}
