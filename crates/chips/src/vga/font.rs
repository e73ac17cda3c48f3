//! Glyphs of 8x16 for the character generator: letters from a drawing of 5x9 dots, lines and blocks computed.

/// Rows of a glyph.
pub(super) const HEIGHT: usize = 16;

/// 0x20 to 0x7f: bands of 16 glyphs side by side, 5 columns and 9 rows each, one column and one row apart.
const DRAWING: &[u8] = include_bytes!("font.txt");
const GLYPH_COLUMNS: usize = 6;
const GLYPH_ROWS: usize = 10;
const LINE: usize = 16 * GLYPH_COLUMNS;

/// Which row of the drawing is shown in each row of a glyph: capitals are 11 rows high, two more are below the line.
const STRETCH: [Option<usize>; HEIGHT] = {
    let rows = [99, 0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 7, 8, 8];
    let mut out = [None; HEIGHT];
    let mut i = 1;
    while i < HEIGHT {
        out[i] = Some(rows[i]);
        i += 1;
    }
    out
};

/// How the lines of a box-drawing character leave its middle: left, right, up, down; 0 none, 1 single, 2 double.
type Arms = [u8; 4];

/// 0xb3 to 0xda in the order of code page 437.
const BOXES: [Arms; 40] = [
    [0, 0, 1, 1],
    [1, 0, 1, 1],
    [2, 0, 1, 1],
    [1, 0, 2, 2],
    [1, 0, 0, 2],
    [2, 0, 0, 1],
    [2, 0, 2, 2],
    [0, 0, 2, 2],
    [2, 0, 0, 2],
    [2, 0, 2, 0],
    [1, 0, 2, 0],
    [2, 0, 1, 0],
    [1, 0, 0, 1],
    [0, 1, 1, 0],
    [1, 1, 1, 0],
    [1, 1, 0, 1],
    [0, 1, 1, 1],
    [1, 1, 0, 0],
    [1, 1, 1, 1],
    [0, 2, 1, 1],
    [0, 1, 2, 2],
    [0, 2, 2, 0],
    [0, 2, 0, 2],
    [2, 2, 2, 0],
    [2, 2, 0, 2],
    [0, 2, 2, 2],
    [2, 2, 0, 0],
    [2, 2, 2, 2],
    [2, 2, 1, 0],
    [1, 1, 2, 0],
    [2, 2, 0, 1],
    [1, 1, 0, 2],
    [0, 1, 2, 0],
    [0, 2, 1, 0],
    [0, 2, 0, 1],
    [0, 1, 0, 2],
    [1, 1, 2, 2],
    [2, 2, 1, 1],
    [1, 0, 1, 0],
    [0, 1, 0, 1],
];

/// The glyph of a character of code page 437; bit 7 is the leftmost dot. Characters without a drawing are a frame.
pub(super) fn glyph(character: u8) -> [u8; HEIGHT] {
    match character {
        0x00 | 0x20 | 0xff => [0; HEIGHT],
        0x21..=0x7f => letter(character),
        0xb0..=0xb2 => core::array::from_fn(|y| match (character, y % 2) {
            (0xb0, 0) => 0x22,
            (0xb0, _) => 0x88,
            (0xb1, 0) => 0x55,
            (0xb1, _) => 0xaa,
            (_, 0) => 0xdd,
            (_, _) => 0x77,
        }),
        0xb3..=0xda => lines(BOXES[usize::from(character - 0xb3)]),
        0xdb => [0xff; HEIGHT],
        0xdc => core::array::from_fn(|y| if y >= HEIGHT / 2 { 0xff } else { 0 }),
        0xdd => [0xf0; HEIGHT],
        0xde => [0x0f; HEIGHT],
        0xdf => core::array::from_fn(|y| if y < HEIGHT / 2 { 0xff } else { 0 }),
        0xfe => core::array::from_fn(|y| if (5..11).contains(&y) { 0x7e } else { 0 }),
        _ => core::array::from_fn(|y| match y {
            1 | 11 => 0x7c,
            2..=10 => 0x44,
            _ => 0,
        }),
    }
}

fn letter(character: u8) -> [u8; HEIGHT] {
    let index = usize::from(character.saturating_sub(0x20));
    let (band, column) = (index / 16, index % 16);
    core::array::from_fn(|y| {
        let Some(row) = STRETCH[y] else { return 0 };
        let at = (band * GLYPH_ROWS + row) * LINE + column * GLYPH_COLUMNS;
        let dots = DRAWING.get(at..at + 5).unwrap_or(&[]);
        dots.iter().enumerate().fold(0, |line, (x, dot)| line | u8::from(*dot == b'#') << (6 - x))
    })
}

/// Draws arms from the middle of the cell to its edges. A double line is two single ones a dot apart from the middle.
fn lines([left, right, up, down]: Arms) -> [u8; HEIGHT] {
    const X: usize = 3;
    const Y: usize = 7;
    let spread = |kind: u8| if kind == 2 { 1..=1 } else { 0..=0 };
    let mut out = [0u8; HEIGHT];
    let reach_x = usize::from(up == 2 || down == 2);
    let reach_y = usize::from(left == 2 || right == 2);
    let mut dot = |x: usize, y: usize| out[y.min(HEIGHT - 1)] |= 0x80 >> x.min(7);
    for (kind, columns) in [(left, 0..X + reach_x + 1), (right, X - reach_x..8)] {
        if kind != 0 {
            for (x, d) in columns.flat_map(|x| spread(kind).map(move |d| (x, d))) {
                dot(x, Y - d);
                dot(x, Y + d);
            }
        }
    }
    for (kind, rows) in [(up, 0..Y + reach_y + 1), (down, Y - reach_y..HEIGHT)] {
        if kind != 0 {
            for (y, d) in rows.flat_map(|y| spread(kind).map(move |d| (y, d))) {
                dot(X - d, y);
                dot(X + d, y);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawing_has_six_bands_of_sixteen() {
        assert_eq!(DRAWING.len(), 6 * GLYPH_ROWS * LINE);
    }

    #[test]
    fn letters_differ_and_none_is_empty() {
        for a in 0x21..0x7f {
            assert_ne!(glyph(a), [0; HEIGHT], "{a:#x}");
            assert!((a + 1..=0x7f).all(|b| glyph(a) != glyph(b)), "{a:#x}");
        }
    }

    #[test]
    fn line_graphics_reach_the_edges() {
        assert!(glyph(0xb3).iter().all(|row| row & 0x10 != 0));
        assert_eq!(glyph(0xc4)[7], 0xff);
        assert_eq!(glyph(0xc9)[6] & 1, 1);
        assert_ne!(glyph(0xc5), glyph(0xce));
    }

    #[test]
    fn blocks_fill_their_halves() {
        assert_eq!((glyph(0xdc)[0], glyph(0xdc)[15]), (0, 0xff));
        assert_eq!((glyph(0xdd)[0], glyph(0xde)[0]), (0xf0, 0x0f));
    }
}
