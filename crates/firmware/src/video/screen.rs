//! The screen as the data area describes it: cells, pages, cursors, scrolling, and characters drawn in mode 13h.

use hako_mem::Gpa;

use super::mode::{Mode, indexed};
use crate::bda;
use crate::call::Call;

/// Pixels in a line of mode 13h.
const PITCH: u64 = 320;

/// What the data area says, made safe to compute with.
pub(crate) struct Screen {
    pub mode: u8,
    pub columns: u16,
    pub rows: u16,
    pub page: u8,
    page_size: u64,
    memory: Gpa,
    graphics: bool,
    crtc: u16,
    /// Scan lines of a character.
    height: u16,
    cursors: [[u8; 2]; 8],
}

/// A rectangle of cells, inclusive.
pub(crate) struct Window {
    pub top: u16,
    pub left: u16,
    pub bottom: u16,
    pub right: u16,
}

impl Screen {
    /// Reads the data area.
    pub fn load(call: &mut Call<'_>) -> Screen {
        let mut a = [0u8; 0x3e]; // 49h to 86h
        call.read(bda::VIDEO_MODE.gpa(), &mut a);
        let mode = a[0];
        let known = Mode::of(mode);
        let mut cursors = [[0; 2]; 8];
        for (c, pair) in cursors.iter_mut().zip(a[7..23].chunks_exact(2)) {
            *c = [pair[0], pair[1]];
        }
        Screen {
            mode,
            columns: u16::from_le_bytes([a[1], a[2]]).clamp(1, 132),
            rows: (u16::from(a[0x3b]) + 1).min(100),
            page: a[0x19] & 7,
            page_size: u16::from_le_bytes([a[3], a[4]]).into(),
            memory: known.map_or(Gpa(0xb_8000), |m| m.memory),
            graphics: known.is_some_and(|m| m.graphics),
            crtc: u16::from_le_bytes([a[0x1a], a[0x1b]]),
            height: u16::from_le_bytes([a[0x3c], a[0x3d]]).clamp(1, 32),
            cursors,
        }
    }

    /// Whether characters are drawn with pixels.
    pub fn graphics(&self) -> bool {
        self.graphics
    }

    /// Column and row of a page's cursor.
    pub fn cursor(&self, page: u8) -> (u16, u16) {
        let [column, row] = self.cursors[usize::from(page & 7)];
        (column.into(), row.into())
    }

    /// Moves a page's cursor; the CRTC follows if the page is visible.
    pub fn set_cursor(&mut self, call: &mut Call<'_>, page: u8, column: u16, row: u16) {
        let (page, position) = (page & 7, [column as u8, row as u8]);
        self.cursors[usize::from(page)] = position;
        call.write(Gpa(bda::CURSORS.gpa().0 + u64::from(page) * 2), &position);
        if page == self.page && !self.graphics {
            self.show_cursor(call);
        }
    }

    /// Tells the CRTC where the visible page's cursor is. Only the two CRTC ports there are on a PC are written.
    fn show_cursor(&self, call: &mut Call<'_>) {
        let (column, row) = self.cursor(self.page);
        let start = u64::from(self.page) * self.page_size / 2;
        let [high, low] = ((start as u16).wrapping_add(row * self.columns + column)).to_be_bytes();
        let port = self.crtc_port();
        indexed(call, port, 0x0e, high);
        indexed(call, port, 0x0f, low);
    }

    /// The CRTC's port: where the data area says, if that is one of the two there are.
    pub fn crtc_port(&self) -> u16 {
        if self.crtc == 0x3b4 { 0x3b4 } else { 0x3d4 }
    }

    /// Shows a page.
    pub fn set_page(&mut self, call: &mut Call<'_>, page: u8) {
        if page > 7 || self.graphics {
            return;
        }
        self.page = page;
        let start = u64::from(page) * self.page_size;
        bda::PAGE.set(call, page);
        bda::PAGE_START.set(call, start as u16);
        let [high, low] = ((start / 2) as u16).to_be_bytes();
        let port = self.crtc_port();
        indexed(call, port, 0x0c, high);
        indexed(call, port, 0x0d, low);
        self.show_cursor(call);
    }

    /// The address of a text cell. Cells past the end of text memory come round at its begin.
    fn cell(&self, page: u8, column: u16, row: u16) -> Gpa {
        let index = u64::from(row) * u64::from(self.columns) + u64::from(column);
        let offset = u64::from(page & 7) * self.page_size + index * 2;
        Gpa(self.memory.0 + (offset & 0x7ffe))
    }

    /// Character and attribute at a place.
    pub fn get(&self, call: &mut Call<'_>, page: u8, column: u16, row: u16) -> [u8; 2] {
        let mut cell = [0; 2];
        if !self.graphics {
            call.read(self.cell(page, column, row), &mut cell);
        }
        cell
    }

    /// Writes a character; without an attribute the cell keeps its own (text) or is drawn in light gray (graphics).
    pub fn put(&self, call: &mut Call<'_>, page: u8, column: u16, row: u16, byte: u8, attribute: Option<u8>) {
        if self.graphics {
            return self.draw(call, column, row, byte, attribute.unwrap_or(7));
        }
        let at = self.cell(page, column, row);
        match attribute {
            Some(attribute) => call.write(at, &[byte, attribute]),
            None => call.write(at, &[byte]),
        }
    }

    /// Draws a character of the font that INT 43h points to, background colour 0.
    fn draw(&self, call: &mut Call<'_>, column: u16, row: u16, byte: u8, colour: u8) {
        let pointer: u32 = call.load(Gpa(0x43 * 4));
        let font = u64::from(pointer >> 16) * 16 + u64::from(pointer & 0xffff);
        // The font in the ROM has its second half elsewhere, where INT 1Fh points.
        let font = match byte {
            0x80.. if pointer == u32::from(crate::rom::SEGMENT) << 16 | u32::from(crate::rom::FONT_8X8) => {
                let high: u32 = call.load(Gpa(0x1f * 4));
                u64::from(high >> 16) * 16 + u64::from(high & 0xffff) + u64::from(byte - 0x80) * 8
            }
            _ => font + u64::from(byte) * u64::from(self.height),
        };
        let mut glyph = [0u8; 32];
        let Some(glyph) = glyph.get_mut(..usize::from(self.height)) else { return };
        call.read(Gpa(font), glyph);
        let top = u64::from(row) * u64::from(self.height);
        for (y, bits) in (top..200).zip(glyph.iter()) {
            let line: [u8; 8] = core::array::from_fn(|x| if bits & (0x80 >> x) != 0 { colour } else { 0 });
            call.write(Gpa(self.memory.0 + y * PITCH + u64::from(column) * 8), &line);
        }
    }

    /// AH=06h, 07h: moves a window's lines up or down; 0 lines, or more than it has, blank it.
    pub fn scroll(&self, call: &mut Call<'_>, page: u8, window: &Window, lines: u8, up: bool, attribute: u8) {
        let bottom = window.bottom.min(self.rows - 1);
        let right = window.right.min(self.columns - 1);
        if window.top > bottom || window.left > right {
            return;
        }
        let height = bottom - window.top + 1;
        let by = if lines == 0 { height } else { u16::from(lines).min(height) };
        let width = right - window.left + 1;
        if up && width == self.columns {
            self.move_up(call, page, window.top, height - by, by);
            for row in bottom + 1 - by..=bottom {
                self.blank_row(call, page, 0, width, row, attribute);
            }
            return;
        }
        for i in 0..height {
            let row = if up { window.top + i } else { bottom - i };
            let source = if up { row + by } else { row.wrapping_sub(by) };
            let inside = if up { source <= bottom } else { source >= window.top && source <= bottom };
            if inside {
                self.copy_row(call, page, window.left, width, [source, row]);
            } else {
                self.blank_row(call, page, window.left, width, row, attribute);
            }
        }
    }

    /// Moves whole rows up: they lie in memory one after the other, so that a screen moves in one piece or few.
    fn move_up(&self, call: &mut Call<'_>, page: u8, to: u16, rows: u16, by: u16) {
        let mut block = [0u8; 4096];
        let (first, row_len) = match self.pixel(0, to * self.height) {
            Some(at) => (at, u64::from(self.height) * PITCH),
            None => (self.cell(page, 0, to), u64::from(self.columns) * 2),
        };
        let limit = self.memory.0 + if self.graphics { 64_000 } else { 0x8000 };
        let (mut at, mut left) = (first.0, u64::from(rows) * row_len);
        let distance = u64::from(by) * row_len;
        while left > 0 && at + distance < limit {
            let n = left.min(block.len() as u64).min(limit - at - distance);
            let Some(part) = block.get_mut(..n as usize) else { break };
            call.read(Gpa(at + distance), part);
            call.write(Gpa(at), part);
            (at, left) = (at + n, left - n);
        }
    }

    fn copy_row(&self, call: &mut Call<'_>, page: u8, left: u16, width: u16, [from, to]: [u16; 2]) {
        let mut line = [0u8; PITCH as usize];
        if self.graphics {
            let Some(line) = line.get_mut(..usize::from(width.min(40)) * 8) else { return };
            for y in 0..self.height {
                let at = |row: u16| self.pixel(left * 8, row * self.height + y);
                if let (Some(from), Some(to)) = (at(from), at(to)) {
                    call.read(from, line);
                    call.write(to, line);
                }
            }
        } else if let Some(line) = line.get_mut(..usize::from(width) * 2) {
            call.read(self.cell(page, left, from), line);
            call.write(self.cell(page, left, to), line);
        }
    }

    fn blank_row(&self, call: &mut Call<'_>, page: u8, left: u16, width: u16, row: u16, attribute: u8) {
        let mut line = [attribute; PITCH as usize];
        if self.graphics {
            let Some(line) = line.get(..usize::from(width.min(40)) * 8) else { return };
            for y in 0..self.height {
                if let Some(at) = self.pixel(left * 8, row * self.height + y) {
                    call.write(at, line);
                }
            }
        } else if let Some(line) = line.get_mut(..usize::from(width) * 2) {
            line.iter_mut().step_by(2).for_each(|c| *c = b' ');
            call.write(self.cell(page, left, row), line);
        }
    }

    /// The address of a pixel of mode 13h, if it is on the screen.
    pub fn pixel(&self, x: u16, y: u16) -> Option<Gpa> {
        let (x, y) = (u64::from(x), u64::from(y));
        (self.graphics && x < PITCH && y < 200).then(|| Gpa(self.memory.0 + y * PITCH + x))
    }
}
