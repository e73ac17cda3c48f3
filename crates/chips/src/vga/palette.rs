//! The colours that a video BIOS loads into the DAC.

use alloc::vec::Vec;

/// The 64 colours of the EGA, four times: two bits each of red, green and blue, the strong ones in bits 2 to 0 and the
/// weak ones in bits 5 to 3.
pub(super) fn ega_64() -> Vec<[u8; 3]> {
    let component = |i: u8, bit: u8| (i >> bit & 1) * 0x2a + (i >> (bit + 3) & 1) * 0x15;
    (0..=255u8).map(|i| [component(i, 2), component(i, 1), component(i, 0)]).collect()
}

/// A colour of the CGA: blue, green, red and intensity in bits 0 to 3.
fn cga(i: u8) -> [u8; 3] {
    let weak = (i >> 3 & 1) * 0x15;
    // Dark yellow is brown: half the green.
    let green = if i == 6 { 0x15 } else { (i >> 1 & 1) * 0x2a + weak };
    [(i >> 2 & 1) * 0x2a + weak, green, (i & 1) * 0x2a + weak]
}

/// What the modes of 200 lines have instead: the CGA's colours with the intensity in bit 4.
pub(super) fn cga_64() -> Vec<[u8; 3]> {
    (0..=255u8).map(|i| cga(i & 7 | (i >> 4 & 1) << 3)).collect()
}

/// The 256 colours of mode 13h: the CGA's 16, 16 greys, then 24 hues in three intensities of three saturations.
pub(super) fn vga_256() -> Vec<[u8; 3]> {
    const GREYS: [u8; 16] = [0, 5, 8, 11, 14, 17, 20, 24, 28, 32, 36, 40, 45, 50, 56, 63];
    // Five steps from the least to the most of a component.
    const RAMPS: [[u8; 5]; 9] = [
        [0, 16, 31, 47, 63],
        [31, 39, 47, 55, 63],
        [45, 49, 54, 58, 63],
        [0, 7, 14, 21, 28],
        [14, 17, 21, 24, 28],
        [20, 22, 24, 26, 28],
        [0, 4, 8, 12, 16],
        [8, 10, 12, 14, 16],
        [11, 12, 13, 15, 16],
    ];
    let mut colours = Vec::with_capacity(256);
    colours.extend((0..16).map(cga));
    colours.extend(GREYS.map(|g| [g; 3]));
    for ramp in RAMPS {
        // Around the wheel from blue: in turn red rises, blue falls, green rises, red falls, blue rises, green falls.
        colours.extend((0..24).map(|hue| {
            let (up, down) = (ramp[hue % 4], ramp[4 - hue % 4]);
            let (least, most) = (ramp[0], ramp[4]);
            match hue / 4 {
                0 => [up, least, most],
                1 => [most, least, down],
                2 => [most, up, least],
                3 => [down, most, least],
                4 => [least, most, up],
                _ => [least, down, most],
            }
        }));
    }
    colours.resize(256, [0; 3]);
    colours
}
