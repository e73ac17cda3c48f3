//! The screen as an image.

use alloc::vec::Vec;

use hako_mem::GuestMemory;

use super::{Vga, beam, crtc, font};

/// Pixels of red, green and blue bytes, row after row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

impl Image {
    fn black(width: usize, height: usize) -> Image {
        Image { width, height, rgb: alloc::vec![0; width * height * 3] }
    }

    fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        let at = (y * self.width + x) * 3;
        if let Some(pixel) = self.rgb.get_mut(at..at + 3) {
            pixel.copy_from_slice(&colour);
        }
    }

    /// The pixel at a place.
    pub fn pixel(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        let at = (y * self.width + x) * 3;
        self.rgb.get(at..at + 3)?.try_into().ok().filter(|_| x < self.width)
    }
}

impl Vga {
    /// A colour of the DAC in 8 bits per component.
    fn dac_colour(&self, index: u8) -> [u8; 3] {
        self.s.dac[usize::from(index & self.s.dac_mask)].map(|c| c << 2 | c >> 4)
    }

    /// A colour of 4 bits through the attribute controller's palette and colour select.
    fn palette_colour(&self, index: u8) -> [u8; 3] {
        let a = &self.s.attribute;
        let six = a[usize::from(index & 0x0f & a[0x12])];
        let select = a[0x14];
        self.dac_colour(if a[0x10] & 0x80 != 0 {
            (six & 0x0f) | (select & 0x0f) << 4
        } else {
            (six & 0x3f) | (select & 0x0c) << 4
        })
    }

    /// What the monitor shows: the phase in which the cursor and blinking characters are visible.
    pub fn render(&self, mem: &GuestMemory) -> Image {
        if self.is_text() { self.render_text(mem) } else { self.render_graphics(mem) }
    }

    fn render_text(&self, mem: &GuestMemory) -> Image {
        let screen = self.text_screen(mem);
        let cell_width = if self.s.sequencer[1] & 1 != 0 { 8 } else { 9 };
        let cell_height = self.character_height() as usize;
        let mut image = Image::black(screen.columns * cell_width, screen.rows * cell_height);
        let blinking = self.s.attribute[0x10] & 0x08 != 0;
        let (first, last) = (self.s.crtc[crtc::CURSOR_START] & 0x1f, self.s.crtc[crtc::CURSOR_END] & 0x1f);
        for (i, cell) in screen.cells.iter().enumerate() {
            let (column, row) = (i % screen.columns, i / screen.columns);
            let foreground = self.palette_colour(cell.attribute & 0x0f);
            let background = self.palette_colour(cell.attribute >> 4 & if blinking { 7 } else { 15 });
            let glyph = font::glyph(cell.character);
            for y in 0..cell_height {
                let mut line = u16::from(glyph[y * font::HEIGHT / cell_height.max(1)]) << 1;
                // The ninth column of line graphics repeats the eighth.
                if (0xc0..=0xdf).contains(&cell.character) && self.s.attribute[0x10] & 0x04 != 0 {
                    line |= line >> 1 & 1;
                }
                if screen.cursor == Some((column, row)) && (first..=last).contains(&(y as u8)) {
                    line = 0x1ff;
                }
                for x in 0..cell_width {
                    let colour = if line >> (8 - x) & 1 != 0 { foreground } else { background };
                    image.set(column * cell_width + x, row * cell_height + y, colour);
                }
            }
        }
        image
    }

    fn render_graphics(&self, mem: &GuestMemory) -> Image {
        let (c, g) = (&self.s.crtc, &self.s.graphics);
        let chained = self.s.sequencer[4] & 0x08 != 0;
        let cells = usize::from(c[crtc::HORIZONTAL_END]) + 1;
        let scans = self.character_height() as usize * if c[crtc::MAX_SCAN_LINE] & 0x80 != 0 { 2 } else { 1 };
        let height = (beam::displayed_lines(c) as usize / scans.max(1)).max(1);
        let start = self.crtc_pair(crtc::START_HIGH);
        let pitch = u64::from(c[crtc::OFFSET]) * 2;
        // Graphics in text memory with rows in two banks: the CGA's modes.
        let cga = c[crtc::MODE] & 1 == 0 && self.window().0 == 0xb_8000;
        if g[5] & 0x40 != 0 && chained {
            let mut image = Image::black(cells * 4, height);
            let mut row = alloc::vec![0; image.width];
            for y in 0..height {
                self.fetch(mem, start * 4 + pitch * 4 * y as u64, &mut row);
                row.iter().enumerate().for_each(|(x, i)| image.set(x, y, self.dac_colour(*i)));
            }
            image
        } else if cga {
            // The character height there counts the two banks.
            let height = height * self.character_height() as usize;
            let bits = if g[5] & 0x20 != 0 { 2 } else { 1 };
            let bytes = if bits == 2 { cells * 2 } else { cells };
            let mut image = Image::black(bytes * 8 / bits, height);
            let mut row = alloc::vec![0u8; bytes];
            for y in 0..height {
                let bank = (y as u64 & 1) * 0x2000;
                self.fetch(mem, start * 2 + bank + (y as u64 / 2) * bytes as u64, &mut row);
                for x in 0..image.width {
                    let shift = 8 - bits - x * bits % 8;
                    let index = row[x * bits / 8] >> shift & if bits == 2 { 3 } else { 1 };
                    image.set(x, y, self.palette_colour(index));
                }
            }
            image
        } else {
            Image::black(cells * 8, height)
        }
    }
}
