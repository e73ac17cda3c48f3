//! Setting a video mode: the chip's registers, the colours, the memory and the data area (IBM VGA Technical Reference,
//! "Video Subsystem").

use hako_chips::vga::Mode as Registers;
use hako_mem::Gpa;

use crate::bda;
use crate::call::Call;
use crate::rom;

/// What a mode means to programs; the registers are the chip's business.
pub(crate) struct Mode {
    number: u8,
    columns: u16,
    /// Scan lines of a character cell.
    height: u8,
    /// Bytes in a page.
    page: u16,
    cursor: u16,
    pub graphics: bool,
    pub memory: Gpa,
    registers: &'static Registers,
}

/// Text rows, in every mode there is.
const ROWS: u8 = 25;

const TEXT_80: Mode = Mode {
    number: 3,
    columns: 80,
    height: 16,
    page: 0x1000,
    cursor: 0x0607,
    graphics: false,
    memory: Gpa(0xb_8000),
    registers: registers_of(3),
};

const TEXT_40: Mode = Mode { number: 1, columns: 40, page: 0x0800, registers: registers_of(1), ..TEXT_80 };

/// The modes that there are. 0 and 2 differ from 1 and 3 on composite screens only.
static MODES: [Mode; 6] = [
    Mode { number: 0, ..TEXT_40 },
    TEXT_40,
    Mode { number: 2, ..TEXT_80 },
    TEXT_80,
    Mode { number: 7, memory: Gpa(0xb_0000), cursor: 0x0b0c, registers: &MONOCHROME, ..TEXT_80 },
    Mode {
        number: 0x13,
        columns: 40,
        height: 8,
        page: 0,
        cursor: 0,
        graphics: true,
        memory: Gpa(0xa_0000),
        registers: registers_of(0x13),
    },
];

/// The registers of a mode that the chip knows; 80x25 text stands for all others.
const fn registers_of(number: u8) -> &'static Registers {
    match Registers::of_bios(number) {
        Some(registers) => registers,
        None => Registers::TEXT_80X25,
    }
}

/// Mode 7: mode 3 at the monochrome adapter's addresses, with its attributes.
static MONOCHROME: Registers = {
    let mut r = Registers { ..*Registers::TEXT_80X25 };
    r.misc = 0x66;
    r.crtc[0x14] = 0x0f; // underline in the last line
    r.graphics[6] = 0x0a; // memory at B0000h
    r.attribute =
        [0, 8, 8, 8, 8, 8, 8, 8, 0x10, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x0e, 0, 0x0f, 8, 0];
    r
};

impl Mode {
    /// The mode of this number, if there is one.
    pub fn of(number: u8) -> Option<&'static Mode> {
        MODES.iter().find(|m| m.number == number)
    }

    fn mono(&self) -> bool {
        self.registers.misc & 1 == 0
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
        call.outb(0x3c8, 0);
        let colours = mode.registers.palette();
        let used = if mode.graphics { 256 } else { 64 };
        let colours = colours.get(..used).unwrap_or(&colours);
        call.platform.port_out_bytes(0x3c9, colours.as_flattened());
    }
    if al & 0x80 == 0 {
        clear(call, mode);
    }
    data_area(call, mode, al);
}

fn registers(call: &mut Call<'_>, mode: &Mode) {
    let r = mode.registers;
    call.outb(0x3c2, r.misc);
    indexed(call, 0x3c4, 0, 1); // synchronous reset while clocks change
    for (i, &v) in (1..).zip(&r.sequencer[1..]) {
        indexed(call, 0x3c4, i, v);
    }
    indexed(call, 0x3c4, 0, r.sequencer[0]);
    let crtc = mode.crtc_port();
    indexed(call, crtc, 0x11, 0); // registers 0 to 7 may be written
    for (i, &v) in (0..).zip(&r.crtc) {
        indexed(call, crtc, i, v);
    }
    for (i, &v) in (0..).zip(&r.graphics) {
        indexed(call, 0x3ce, i, v);
    }
    super::palette::set_all(call, &r.attribute);
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
    bda::ROWS_LESS_1.set(call, ROWS - 1);
    bda::CHAR_HEIGHT.set(call, mode.height.into());
    let options = bda::VIDEO_OPTIONS.get(call);
    bda::VIDEO_OPTIONS.set(call, options & 0x7f | al & 0x80);
    let font = if mode.graphics { rom::FONT_8X8 } else { rom::FONT_8X16 };
    call.store(Gpa(0x43 * 4), u32::from(rom::SEGMENT) << 16 | u32::from(font));
}
