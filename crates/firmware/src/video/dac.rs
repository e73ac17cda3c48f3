//! The colour tables that a mode set loads into the DAC, made by rule rather than stored.

use crate::call::Call;

/// Loads the EGA's 64 colours (text) or the 256 colours of mode 13h.
pub(crate) fn load_default(call: &mut Call<'_>, graphics: bool) {
    call.outb(0x3c8, 0);
    let mut table = [0u8; 768];
    let used = if graphics {
        colours_256(&mut table);
        768
    } else {
        for (i, rgb) in table.chunks_exact_mut(3).take(64).enumerate() {
            rgb.copy_from_slice(&ega(i as u8));
        }
        192
    };
    call.platform.port_out_bytes(0x3c9, table.get(..used).unwrap_or(&table));
}

/// An EGA colour number: bits 0 to 2 are blue, green, red at two thirds, bits 3 to 5 the same at one third.
const fn ega(n: u8) -> [u8; 3] {
    let mut rgb = [0; 3];
    let mut i = 0;
    while i < 3 {
        rgb[2 - i] = (n >> i & 1) * 0x2a + (n >> (i + 3) & 1) * 0x15;
        i += 1;
    }
    rgb
}

/// Mode 13h: 16 colours of the CGA, 16 grays, then 24 hues in 3 saturations at 3 brightnesses, and black.
fn colours_256(table: &mut [u8; 768]) {
    const CGA: [u8; 16] = [0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f];
    const GRAYS: [u8; 16] = [0, 5, 8, 11, 14, 17, 20, 24, 28, 32, 36, 40, 45, 50, 56, 63];
    /// The five levels from the weakest to the strongest part of a hue.
    const LEVELS: [[u8; 5]; 9] = [
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
    let hues = LEVELS.iter().flat_map(|levels| (0..24).map(move |hue| hue_at(hue).map(|part| levels[part])));
    let all = CGA.into_iter().map(ega).chain(GRAYS.map(|g| [g; 3])).chain(hues);
    for (rgb, colour) in table.chunks_exact_mut(3).zip(all) {
        rgb.copy_from_slice(&colour);
    }
}

/// Where red, green and blue stand (0 to 4) at one of 24 hues: from blue over red and green back to blue, one part
/// moving at a time.
fn hue_at(hue: usize) -> [usize; 3] {
    let (leg, step) = (hue / 4, hue % 4);
    match leg {
        0 => [step, 0, 4],
        1 => [4, 0, 4 - step],
        2 => [4, step, 0],
        3 => [4 - step, 4, 0],
        4 => [0, 4, step],
        _ => [0, 4 - step, 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brown_is_a_dark_yellow_and_white_is_full() {
        assert_eq!(ega(0x14), [0x2a, 0x15, 0x00]);
        assert_eq!(ega(0x3f), [0x3f, 0x3f, 0x3f]);
    }

    #[test]
    fn mode_13h_begins_its_hues_with_blue_and_ends_in_black() {
        let mut t = [0; 768];
        colours_256(&mut t);
        assert_eq!(t[32 * 3..33 * 3], [0, 0, 63]);
        assert_eq!(t[40 * 3..41 * 3], [63, 0, 0]);
        assert_eq!(t[248 * 3..], [0; 24]);
    }
}
