//! INT 10h/11h, 12h, 1Ah, 1Bh: fonts, alternate select, display combination, state.

use hako_mem::Gpa;
use hako_x86::{Gpr, SegReg};

use super::mode::indexed;
use super::screen::Screen;
use crate::bda;
use crate::call::Call;
use crate::rom;

/// The display combination code of a VGA with a colour screen.
const VGA_COLOUR: u8 = 0x08;

/// AH=11h: fonts. The screen draws the ROM's glyphs whatever is loaded; what counts is the height.
pub(super) fn font(call: &mut Call<'_>) {
    match call.al() {
        0x00 | 0x10 => {
            let height = call.bh();
            text_height(call, height);
        }
        0x01 | 0x11 => text_height(call, 14),
        0x02 | 0x12 => text_height(call, 8),
        0x04 | 0x14 => text_height(call, 16),
        0x20 => {
            let pointer = caller_pointer(call);
            call.store(Gpa(0x1f * 4), pointer);
        }
        0x21 => {
            let (pointer, height) = (caller_pointer(call), call.cx());
            graphics_font(call, pointer, height);
        }
        0x22 => graphics_font(call, rom_pointer(rom::FONT_8X16), 14),
        0x23 => graphics_font(call, rom_pointer(rom::FONT_8X8), 8),
        0x24 => graphics_font(call, rom_pointer(rom::FONT_8X16), 16),
        0x30 => information(call),
        _ => {}
    }
}

fn rom_pointer(offset: u16) -> u32 {
    u32::from(rom::SEGMENT) << 16 | u32::from(offset)
}

fn caller_pointer(call: &mut Call<'_>) -> u32 {
    u32::from(call.cpu.segment(SegReg::Es).selector) << 16 | u32::from(call.word(Gpr::Rbp))
}

/// Text with characters of so many lines: 400 lines hold as many rows as fit.
fn text_height(call: &mut Call<'_>, height: u8) {
    let screen = Screen::load(call);
    if screen.graphics() || !(2..=32).contains(&height) {
        return;
    }
    let port = screen.crtc_port();
    call.outb(port, 0x09);
    let old = call.inb(port + 1);
    indexed(call, port, 0x09, old & 0xe0 | (height - 1));
    indexed(call, port, 0x0a, height.saturating_sub(3));
    indexed(call, port, 0x0b, height.saturating_sub(2));
    let rows = (400 / u16::from(height)).min(100);
    bda::ROWS_LESS_1.set(call, (rows - 1) as u8);
    bda::CHAR_HEIGHT.set(call, height.into());
    let bytes = rows * screen.columns * 2;
    bda::PAGE_SIZE.set(call, bytes.next_multiple_of(0x100));
}

/// The font of graphics modes, and the rows that BL (or, with BL=0, DL) says.
fn graphics_font(call: &mut Call<'_>, pointer: u32, height: u16) {
    call.store(Gpa(0x43 * 4), pointer);
    bda::CHAR_HEIGHT.set(call, height);
    let rows = match call.bl() {
        0 => call.dl(),
        1 => 14,
        3 => 43,
        _ => 25,
    };
    bda::ROWS_LESS_1.set(call, rows.saturating_sub(1));
}

/// AL=30h: CX the height of characters, DL the last row, ES:BP the font that BH names.
fn information(call: &mut Call<'_>) {
    let pointer = match call.bh() {
        0 => call.load(Gpa(0x1f * 4)),
        1 => call.load(Gpa(0x43 * 4)),
        3 => rom_pointer(rom::FONT_8X8),
        4 => rom_pointer(rom::FONT_8X8_HIGH),
        _ => rom_pointer(rom::FONT_8X16),
    };
    call.set_segment(SegReg::Es, (pointer >> 16) as u16);
    call.set_word(Gpr::Rbp, pointer as u16);
    let (height, rows) = (bda::CHAR_HEIGHT.get(call), bda::ROWS_LESS_1.get(call));
    call.set_cx(height);
    call.set_dl(rows);
}

/// AH=12h: BL says what. AL=12h means that the function is there.
pub(super) fn select(call: &mut Call<'_>) {
    let al = call.al();
    match call.bl() {
        0x10 => {
            let mono = bda::CRTC_PORT.get(call) == 0x3b4;
            call.set_bx(u16::from(mono) << 8 | 0x0003); // 256 KiB
            call.set_cx(0x0009); // switches: high-resolution colour
            return;
        }
        0x20 => return, // alternate Print Screen: there is one for all sizes
        0x30 => {
            let (options, switches) = (bda::VGA_OPTIONS.get(call), bda::VIDEO_SWITCHES.get(call));
            let (lines, switch) = match al {
                0 => (0x80, 8),
                1 => (0x00, 9),
                2 => (0x10, 9),
                _ => return call.set_al(0),
            };
            bda::VGA_OPTIONS.set(call, options & !0x90 | lines);
            bda::VIDEO_SWITCHES.set(call, switches & 0xf0 | switch);
        }
        0x31 => option(call, &bda::VGA_OPTIONS, 0x08, al == 1),
        0x32 => {
            // Whether the CPU reaches video memory.
            let misc = call.inb(0x3cc);
            call.outb(0x3c2, misc & !2 | if al == 0 { 2 } else { 0 });
        }
        0x33 => option(call, &bda::VGA_OPTIONS, 0x02, al == 0),
        0x34 => option(call, &bda::VIDEO_OPTIONS, 0x01, al == 1),
        0x36 => {
            call.outb(0x3c4, 1);
            let clocking = call.inb(0x3c5);
            indexed(call, 0x3c4, 1, clocking & !0x20 | (al & 1) << 5);
        }
        _ => return call.set_al(0),
    }
    call.set_al(0x12);
}

fn option(call: &mut Call<'_>, field: &bda::Field<u8>, bit: u8, on: bool) {
    let old = field.get(call);
    field.set(call, if on { old | bit } else { old & !bit });
}

/// AH=1Ah: AL=0 asks for the display combination, AL=1 sets it (there is only one).
pub(super) fn display_combination(call: &mut Call<'_>) {
    match call.al() {
        0 => {
            call.set_bx(VGA_COLOUR.into());
            call.set_al(0x1a);
        }
        1 => call.set_al(0x1a),
        _ => {}
    }
}

/// AH=1Bh: 64 bytes of state at ES:DI.
pub(super) fn state(call: &mut Call<'_>) {
    if call.bx() != 0 {
        return;
    }
    let mut out = [0u8; 64];
    out[..4].copy_from_slice(&rom_pointer(rom::VIDEO_ABILITIES).to_le_bytes());
    if let Some(area) = out.get_mut(0x04..0x22) {
        call.read(bda::VIDEO_MODE.gpa(), area);
    }
    let screen = Screen::load(call);
    out[0x22] = screen.rows as u8;
    out[0x23..0x25].copy_from_slice(&bda::CHAR_HEIGHT.get(call).to_le_bytes());
    out[0x25] = VGA_COLOUR;
    let colours: u16 = if screen.graphics() { 256 } else { 16 };
    out[0x27..0x29].copy_from_slice(&colours.to_le_bytes());
    out[0x29] = if screen.graphics() { 1 } else { 8 }; // pages
    out[0x2a] = if screen.graphics() { 0 } else { 2 }; // 200 or 400 lines
    out[0x31] = 3; // 256 KiB
    let di = call.word(Gpr::Rdi);
    call.write_seg(SegReg::Es, di, &out);
    call.set_al(0x1b);
}
