//! Setting a video mode: the values that IBM's VGA BIOS loads (IBM VGA Technical Reference, "Video Subsystem").

use hako_mem::Gpa;

use super::dac;
use crate::bda;
use crate::call::Call;
use crate::rom;

/// What a mode means to the registers and to the data area.
pub(crate) struct Mode {
    number: u8,
    columns: u16,
    rows: u8,
    /// Scan lines of a character cell.
    height: u8,
    /// Bytes in a page.
    page: u16,
    cursor: u16,
    pub graphics: bool,
    pub memory: Gpa,
    /// Miscellaneous output register.
    misc: u8,
    /// Sequencer registers 1 to 4.
    sequencer: [u8; 4],
    /// CRTC registers 0 to 18h.
    crtc: [u8; 25],
    /// Graphics controller registers 0 to 8.
    graphics_controller: [u8; 9],
    /// Attribute controller registers 0 to 14h.
    attributes: [u8; 21],
}

const COLOUR_TEXT: Gpa = Gpa(0xb_8000);
const MONO_TEXT: Gpa = Gpa(0xb_0000);
const GRAPHICS: Gpa = Gpa(0xa_0000);

const EGA_COLOURS: [u8; 21] =
    [0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0, 0x0f, 8, 0];

const TEXT_80: Mode = Mode {
    number: 3,
    columns: 80,
    rows: 25,
    height: 16,
    page: 0x1000,
    cursor: 0x0607,
    graphics: false,
    memory: COLOUR_TEXT,
    misc: 0x67,
    sequencer: [0x00, 0x03, 0x00, 0x02],
    crtc: [
        0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f,
        0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
    ],
    graphics_controller: [0, 0, 0, 0, 0, 0x10, 0x0e, 0x00, 0xff],
    attributes: EGA_COLOURS,
};

const TEXT_40: Mode = Mode {
    number: 1,
    columns: 40,
    page: 0x0800,
    sequencer: [0x08, 0x03, 0x00, 0x02],
    crtc: [
        0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f,
        0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
    ],
    ..TEXT_80
};

/// The modes that there are. 0 and 2 differ from 1 and 3 on composite screens only.
static MODES: [Mode; 6] = [
    Mode { number: 0, ..TEXT_40 },
    TEXT_40,
    Mode { number: 2, ..TEXT_80 },
    TEXT_80,
    Mode {
        number: 7,
        memory: MONO_TEXT,
        cursor: 0x0b0c,
        misc: 0x66,
        crtc: [
            0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e,
            0x8f, 0x28, 0x0f, 0x96, 0xb9, 0xa3, 0xff,
        ],
        graphics_controller: [0, 0, 0, 0, 0, 0x10, 0x0a, 0x00, 0xff],
        attributes: [
            0, 8, 8, 8, 8, 8, 8, 8, 0x10, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x0e, 0, 0x0f, 8, 0,
        ],
        ..TEXT_80
    },
    Mode {
        number: 0x13,
        columns: 40,
        height: 8,
        page: 0,
        cursor: 0,
        graphics: true,
        memory: GRAPHICS,
        misc: 0x63,
        sequencer: [0x01, 0x0f, 0x00, 0x0e],
        crtc: [
            0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f,
            0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff,
        ],
        graphics_controller: [0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff],
        attributes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 0x0f, 0, 0],
        ..TEXT_80
    },
];

impl Mode {
    /// The mode of this number, if there is one.
    pub fn of(number: u8) -> Option<&'static Mode> {
        MODES.iter().find(|m| m.number == number)
    }

    fn mono(&self) -> bool {
        self.misc & 1 == 0
    }

    fn crtc_port(&self) -> u16 {
        if self.mono() { 0x3b4 } else { 0x3d4 }
    }
}

/// Writes an indexed register.
pub(crate) fn indexed(call: &mut Call<'_>, port: u16, index: u8, value: u8) {
    call.outb(port, index);
    call.outb(port + 1, value);
}

/// AH=00h: sets mode AL; with bit 7 the memory keeps its contents. A mode that there is not changes
/// nothing.
pub(crate) fn set(call: &mut Call<'_>, al: u8) {
    let Some(mode) = Mode::of(al & 0x7f) else { return };
    registers(call, mode);
    if bda::VGA_OPTIONS.get(call) & 8 == 0 {
        dac::load_default(call, mode.graphics);
    }
    if al & 0x80 == 0 {
        clear(call, mode);
    }
    data_area(call, mode, al);
}

fn registers(call: &mut Call<'_>, mode: &Mode) {
    call.outb(0x3c2, mode.misc);
    indexed(call, 0x3c4, 0, 1); // synchronous reset while clocks change
    for (i, v) in (1..).zip(mode.sequencer) {
        indexed(call, 0x3c4, i, v);
    }
    indexed(call, 0x3c4, 0, 3);
    let crtc = mode.crtc_port();
    indexed(call, crtc, 0x11, 0); // registers 0 to 7 may be written
    for (i, v) in (0..).zip(mode.crtc) {
        indexed(call, crtc, i, v);
    }
    for (i, v) in (0..).zip(mode.graphics_controller) {
        indexed(call, 0x3ce, i, v);
    }
    super::palette::set_all(call, &mode.attributes);
    call.outb(0x3c6, 0xff); // pixel mask
}

fn clear(call: &mut Call<'_>, mode: &Mode) {
    let (len, cell) = if mode.graphics { (0x1_0000, [0, 0]) } else { (0x8000, [0x20, 0x07]) };
    let mut block = [0u8; 0x1000];
    for pair in block.chunks_exact_mut(2) {
        pair.copy_from_slice(&cell);
    }
    for at in (0..len).step_by(block.len()) {
        call.write(Gpa(mode.memory.0 + at), &block);
    }
}

fn data_area(call: &mut Call<'_>, mode: &Mode, al: u8) {
    // 49h to 66h in one write: mode, columns, page size and start, cursors, shape, page, port, mode and colour register.
    let mut area = [0u8; 30];
    area[0] = mode.number;
    area[1..3].copy_from_slice(&mode.columns.to_le_bytes());
    area[3..5].copy_from_slice(&mode.page.to_le_bytes());
    area[23..25].copy_from_slice(&mode.cursor.to_le_bytes());
    area[26..28].copy_from_slice(&mode.crtc_port().to_le_bytes());
    area[28] = match mode.number {
        0 => 0x2c,
        1 => 0x28,
        2 => 0x2d,
        _ => 0x29,
    };
    area[29] = 0x30;
    call.write(bda::VIDEO_MODE.gpa(), &area);
    bda::ROWS_LESS_1.set(call, mode.rows - 1);
    bda::CHAR_HEIGHT.set(call, mode.height.into());
    let options = bda::VIDEO_OPTIONS.get(call);
    bda::VIDEO_OPTIONS.set(call, options & 0x7f | al & 0x80);
    let font = if mode.graphics { rom::FONT_8X8 } else { rom::FONT_8X16 };
    call.store(Gpa(0x43 * 4), u32::from(rom::SEGMENT) << 16 | u32::from(font));
}
