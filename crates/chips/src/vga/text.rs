//! The screen of the text modes.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use hako_mem::{Gpa, GuestMemory};

use super::charset::to_char;
use super::{Vga, beam, crtc};

/// A character with its attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Code page 437.
    pub character: u8,
    /// Foreground in bits 3:0, background in 6:4, blinking or bright background in bit 7.
    pub attribute: u8,
}

/// What a text mode shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextScreen {
    /// Characters in a row.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
    /// Row after row, `columns * rows` of them.
    pub cells: Vec<Cell>,
    /// Column and row of the cursor, if it is on and on the screen.
    pub cursor: Option<(usize, usize)>,
}

impl TextScreen {
    /// A row in Unicode, without the blanks at its end.
    pub fn line(&self, row: usize) -> String {
        let cells = self.cells.get(row * self.columns..).unwrap_or(&[]);
        let line: String = cells.iter().take(self.columns).map(|c| to_char(c.character)).collect();
        line.trim_end().into()
    }

    /// All rows.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.rows).map(|row| self.line(row))
    }
}

/// The rows, without the empty ones at the end.
impl fmt::Display for TextScreen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines().collect();
        let used = lines.iter().rposition(|l| !l.is_empty()).map_or(0, |last| last + 1);
        lines[..used].iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Vga {
    /// Whether the graphics controller is in a text mode.
    pub fn is_text(&self) -> bool {
        self.s.graphics[6] & 1 == 0
    }

    /// First address and size of the window onto video memory.
    pub(super) fn window(&self) -> (u64, u64) {
        match self.s.graphics[6] >> 2 & 3 {
            0 => (0xa_0000, 0x2_0000),
            1 => (0xa_0000, 0x1_0000),
            2 => (0xb_0000, 0x8000),
            _ => (0xb_8000, 0x8000),
        }
    }

    /// Fills `out` from `offset` of the window on, which wraps; zeros where there is no memory.
    pub(super) fn fetch(&self, mem: &GuestMemory, offset: u64, out: &mut [u8]) {
        let (base, size) = self.window();
        let mut done = 0;
        while done < out.len() {
            let at = (offset + done as u64) % size;
            let n = (out.len() - done).min((size - at) as usize);
            let piece = &mut out[done..done + n];
            if mem.read(Gpa(base + at), piece).is_err() {
                piece.fill(0);
            }
            done += n;
        }
    }

    /// Scan lines of a character.
    pub(super) fn character_height(&self) -> u64 {
        u64::from(self.s.crtc[crtc::MAX_SCAN_LINE] & 0x1f) + 1
    }

    /// A register pair of the CRTC, the high byte first.
    pub(super) fn crtc_pair(&self, high: usize) -> u64 {
        u16::from_be_bytes([self.s.crtc[high], self.s.crtc[high + 1]]).into()
    }

    /// The text on the screen; in a graphics mode, what video memory would be as text.
    pub fn text_screen(&self, mem: &GuestMemory) -> TextScreen {
        let c = &self.s.crtc;
        let columns = usize::from(c[crtc::HORIZONTAL_END]) + 1;
        let scanned = if c[crtc::MAX_SCAN_LINE] & 0x80 != 0 { 2 } else { 1 };
        let rows = (beam::displayed_lines(c) / scanned / self.character_height()) as usize;
        let start = self.crtc_pair(crtc::START_HIGH);
        let pitch = u64::from(c[crtc::OFFSET]) * 2;
        let mut bytes = alloc::vec![0; columns * 2];
        let mut cells = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            self.fetch(mem, (start + pitch * row as u64) * 2, &mut bytes);
            cells.extend(bytes.chunks_exact(2).map(|b| Cell { character: b[0], attribute: b[1] }));
        }
        let cursor = self.crtc_pair(crtc::CURSOR_HIGH).checked_sub(start).filter(|_| pitch != 0);
        let cursor = cursor
            .map(|at| ((at % pitch) as usize, (at / pitch) as usize))
            .filter(|(x, y)| *x < columns && *y < rows && c[crtc::CURSOR_START] & 0x20 == 0);
        TextScreen { columns, rows, cells, cursor }
    }
}
