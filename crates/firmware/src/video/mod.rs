//! INT 10h: video. IBM's VGA BIOS interface, modes 0 to 3, 7 and 13h.

mod info;
mod mode;
mod palette;
mod screen;

use hako_x86::{Gpr, SegReg};

use crate::bda;
use crate::call::Call;
use screen::{Screen, Window};

/// Power-on: 80 columns of text.
pub(crate) fn start(call: &mut Call<'_>) {
    mode::set(call, 3);
}

/// INT 10h.
pub(crate) fn video(call: &mut Call<'_>) {
    let (al, bl, bh) = (call.al(), call.bl(), call.bh());
    match call.ah() {
        0x00 => mode::set(call, al),
        0x01 => cursor_shape(call),
        0x02 => {
            let (column, row) = (call.dl().into(), call.dh().into());
            Screen::load(call).set_cursor(call, bh, column, row);
        }
        0x03 => {
            let (column, row) = Screen::load(call).cursor(bh);
            let shape = bda::CURSOR_SHAPE.get(call);
            call.set_cx(shape);
            call.set_dx(row << 8 | column);
        }
        0x05 => Screen::load(call).set_page(call, al),
        up @ (0x06 | 0x07) => {
            let window = Window {
                top: call.ch().into(),
                left: call.cl().into(),
                bottom: call.dh().into(),
                right: call.dl().into(),
            };
            let screen = Screen::load(call);
            screen.scroll(call, screen.page, &window, al, up == 0x06, bh);
        }
        0x08 => {
            let screen = Screen::load(call);
            let (column, row) = screen.cursor(bh);
            let [byte, attribute] = screen.get(call, bh, column, row);
            call.set_ax(u16::from_be_bytes([attribute, byte]));
        }
        0x09 => repeat(call, true),
        0x0a => repeat(call, false),
        0x0b if bh == 0 => palette::set_border(call, bl),
        0x0c => {
            if let Some(at) = Screen::load(call).pixel(call.cx(), call.dx()) {
                call.write(at, &[al]);
            }
        }
        0x0d => {
            let mut colour = [0];
            if let Some(at) = Screen::load(call).pixel(call.cx(), call.dx()) {
                call.read(at, &mut colour);
            }
            call.set_al(colour[0]);
        }
        0x0e => {
            let mut screen = Screen::load(call);
            let page = screen.page;
            let colour = screen.graphics().then_some(bl);
            teletype(call, &mut screen, page, al, colour);
        }
        0x0f => {
            let screen = Screen::load(call);
            let keep = bda::VIDEO_OPTIONS.get(call) & 0x80;
            call.set_ax(screen.columns << 8 | u16::from(screen.mode | keep));
            call.set_bh(screen.page);
        }
        0x10 => palette::palette(call),
        0x11 => info::font(call),
        0x12 => info::select(call),
        0x13 => write_string(call),
        0x1a => info::display_combination(call),
        0x1b => info::state(call),
        0x4f => call.set_ax(0x0100), // no VESA BIOS
        _ => {}
    }
}

/// Writes a character of the firmware's own messages.
pub(crate) fn print(call: &mut Call<'_>, byte: u8) {
    let mut screen = Screen::load(call);
    let page = screen.page;
    teletype(call, &mut screen, page, byte, None);
}

/// AH=01h: CH the first, CL the last line of the cursor. Shapes meant for 8 lines are stretched to the cell's height.
fn cursor_shape(call: &mut Call<'_>) {
    let (ch, cl) = (call.ch(), call.cl());
    bda::CURSOR_SHAPE.set(call, u16::from_be_bytes([ch, cl]));
    let height = bda::CHAR_HEIGHT.get(call);
    let emulate = bda::VIDEO_OPTIONS.get(call) & 1 == 0 && ch & 0x20 == 0 && cl < 8 && ch < 8 && height > 8;
    let (first, last) = if emulate {
        let stretch = |line: u8| ((u16::from(line) + 1) * height / 8).saturating_sub(1) as u8;
        // A cursor at the bottom stays two lines thick.
        if cl == ch + 1 {
            (stretch(cl).saturating_sub(2), stretch(cl).saturating_sub(1))
        } else {
            (stretch(ch), stretch(cl))
        }
    } else {
        (ch, cl)
    };
    let port = Screen::load(call).crtc_port();
    mode::indexed(call, port, 0x0a, first);
    mode::indexed(call, port, 0x0b, last);
}

/// AH=09h, 0Ah: writes AL CX times from the cursor on, which stays.
fn repeat(call: &mut Call<'_>, with_attribute: bool) {
    let screen = Screen::load(call);
    let (byte, page) = (call.al(), call.bh());
    let attribute = (with_attribute || screen.graphics()).then(|| call.bl());
    let (mut column, mut row) = screen.cursor(page);
    for _ in 0..call.cx() {
        if row >= screen.rows {
            break;
        }
        screen.put(call, page, column, row, byte, attribute);
        call.platform.printed(byte);
        column += 1;
        if column >= screen.columns {
            (column, row) = (0, row + 1);
        }
    }
}

/// Writes one character at the cursor of a page and moves on; bell, backspace, line feed and carriage return act.
fn teletype(call: &mut Call<'_>, screen: &mut Screen, page: u8, byte: u8, attribute: Option<u8>) {
    call.platform.printed(byte);
    let (mut column, mut row) = screen.cursor(page);
    match byte {
        0x07 => return,
        0x08 => column = column.saturating_sub(1),
        b'\n' => row += 1,
        b'\r' => column = 0,
        _ => {
            screen.put(call, page, column, row, byte, attribute);
            column += 1;
            if column >= screen.columns {
                (column, row) = (0, row + 1);
            }
        }
    }
    if row >= screen.rows {
        row = screen.rows - 1;
        // The new line takes the attribute at the end of the old one.
        let attribute = if screen.graphics() { 0 } else { screen.get(call, page, column, row)[1] };
        let all = Window { top: 0, left: 0, bottom: row, right: screen.columns - 1 };
        screen.scroll(call, page, &all, 1, true, attribute);
    }
    screen.set_cursor(call, page, column, row);
}

/// AH=13h: CX characters at ES:BP from column DL, row DH on. AL bit 0: the cursor moves; bit 1: each character is
/// followed by its attribute (else BL is everyone's).
fn write_string(call: &mut Call<'_>) {
    let (mode, page) = (call.al(), call.bh());
    let mut screen = Screen::load(call);
    let before = screen.cursor(page);
    let mut attribute = call.bl();
    let mut at = call.word(Gpr::Rbp);
    let (column, row) = (call.dl().into(), call.dh().into());
    if call.cx() > 0 {
        screen.set_cursor(call, page, column, row);
    }
    for _ in 0..call.cx() {
        let mut next = [0u8; 2];
        let len = if mode & 2 != 0 { 2 } else { 1 };
        if let Some(buf) = next.get_mut(..len) {
            call.read_seg(SegReg::Es, at, buf);
        }
        at = at.wrapping_add(len as u16);
        if len == 2 {
            attribute = next[1];
        }
        teletype(call, &mut screen, page, next[0], Some(attribute));
    }
    if mode & 1 == 0 {
        screen.set_cursor(call, page, before.0, before.1);
    }
}
