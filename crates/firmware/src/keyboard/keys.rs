//! What each key of set 1 gives, as scan code and character: IBM AT Technical Reference, "Keyboard Scan Codes", and the
//! 101-key extension of INT 16h.

/// A key in four states; 0 is no key.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub plain: u16,
    pub shift: u16,
    pub control: u16,
    pub alt: u16,
}

const fn key(plain: u16, shift: u16, control: u16, alt: u16) -> Key {
    Key { plain, shift, control, alt }
}

/// A letter: Ctrl gives 1 to 26, Alt the scan code alone.
const fn letter(scan: u16, c: u8) -> Key {
    let scan = scan << 8;
    key(scan | c as u16, scan | (c - 0x20) as u16, scan | (c & 0x1f) as u16, scan)
}

/// A key with two characters and nothing with Ctrl.
const fn sign(scan: u16, plain: u8, shift: u8, alt: u16) -> Key {
    key(scan << 8 | plain as u16, scan << 8 | shift as u16, 0, alt)
}

const NONE: Key = key(0, 0, 0, 0);

/// Keys 00h to 58h.
pub(super) static KEYS: [Key; 0x59] = [
    NONE,
    key(0x011b, 0x011b, 0x011b, 0x0100), // Esc
    sign(0x02, b'1', b'!', 0x7800),
    key(0x0332, 0x0340, 0x0300, 0x7900), // 2 @
    sign(0x04, b'3', b'#', 0x7a00),
    sign(0x05, b'4', b'$', 0x7b00),
    sign(0x06, b'5', b'%', 0x7c00),
    key(0x0736, 0x075e, 0x071e, 0x7d00), // 6 ^
    sign(0x08, b'7', b'&', 0x7e00),
    sign(0x09, b'8', b'*', 0x7f00),
    sign(0x0a, b'9', b'(', 0x8000),
    sign(0x0b, b'0', b')', 0x8100),
    key(0x0c2d, 0x0c5f, 0x0c1f, 0x8200), // - _
    sign(0x0d, b'=', b'+', 0x8300),
    key(0x0e08, 0x0e08, 0x0e7f, 0x0e00), // Backspace
    key(0x0f09, 0x0f00, 0x9400, 0xa500), // Tab
    letter(0x10, b'q'),
    letter(0x11, b'w'),
    letter(0x12, b'e'),
    letter(0x13, b'r'),
    letter(0x14, b't'),
    letter(0x15, b'y'),
    letter(0x16, b'u'),
    letter(0x17, b'i'),
    letter(0x18, b'o'),
    letter(0x19, b'p'),
    key(0x1a5b, 0x1a7b, 0x1a1b, 0x1a00), // [ {
    key(0x1b5d, 0x1b7d, 0x1b1d, 0x1b00), // ] }
    key(0x1c0d, 0x1c0d, 0x1c0a, 0x1c00), // Enter
    NONE,                                // Ctrl
    letter(0x1e, b'a'),
    letter(0x1f, b's'),
    letter(0x20, b'd'),
    letter(0x21, b'f'),
    letter(0x22, b'g'),
    letter(0x23, b'h'),
    letter(0x24, b'j'),
    letter(0x25, b'k'),
    letter(0x26, b'l'),
    sign(0x27, b';', b':', 0x2700),
    sign(0x28, b'\'', b'"', 0x2800),
    sign(0x29, b'`', b'~', 0x2900),
    NONE,                                // left Shift
    key(0x2b5c, 0x2b7c, 0x2b1c, 0x2b00), // \ |
    letter(0x2c, b'z'),
    letter(0x2d, b'x'),
    letter(0x2e, b'c'),
    letter(0x2f, b'v'),
    letter(0x30, b'b'),
    letter(0x31, b'n'),
    letter(0x32, b'm'),
    sign(0x33, b',', b'<', 0x3300),
    sign(0x34, b'.', b'>', 0x3400),
    sign(0x35, b'/', b'?', 0x3500),
    NONE,                                // right Shift
    key(0x372a, 0x372a, 0x9600, 0x3700), // * on the keypad
    NONE,                                // Alt
    key(0x3920, 0x3920, 0x3920, 0x3920), // space
    NONE,                                // Caps Lock
    key(0x3b00, 0x5400, 0x5e00, 0x6800), // F1
    key(0x3c00, 0x5500, 0x5f00, 0x6900),
    key(0x3d00, 0x5600, 0x6000, 0x6a00),
    key(0x3e00, 0x5700, 0x6100, 0x6b00),
    key(0x3f00, 0x5800, 0x6200, 0x6c00),
    key(0x4000, 0x5900, 0x6300, 0x6d00),
    key(0x4100, 0x5a00, 0x6400, 0x6e00),
    key(0x4200, 0x5b00, 0x6500, 0x6f00),
    key(0x4300, 0x5c00, 0x6600, 0x7000),
    key(0x4400, 0x5d00, 0x6700, 0x7100), // F10
    NONE,                                // Num Lock
    NONE,                                // Scroll Lock
    key(0x4700, 0x4737, 0x7700, 0),      // Home 7
    key(0x4800, 0x4838, 0x8d00, 0),      // up 8
    key(0x4900, 0x4939, 0x8400, 0),      // Page Up 9
    key(0x4a2d, 0x4a2d, 0x8e00, 0x4a00), // - on the keypad
    key(0x4b00, 0x4b34, 0x7300, 0),      // left 4
    key(0x4cf0, 0x4c35, 0x8f00, 0),      // 5
    key(0x4d00, 0x4d36, 0x7400, 0),      // right 6
    key(0x4e2b, 0x4e2b, 0x9000, 0x4e00), // + on the keypad
    key(0x4f00, 0x4f31, 0x7500, 0),      // End 1
    key(0x5000, 0x5032, 0x9100, 0),      // down 2
    key(0x5100, 0x5133, 0x7600, 0),      // Page Down 3
    key(0x5200, 0x5230, 0x9200, 0),      // Insert 0
    key(0x5300, 0x532e, 0x9300, 0),      // Delete .
    NONE,                                // SysReq
    NONE,
    key(0x565c, 0x567c, 0, 0),           // the 102nd key
    key(0x8500, 0x8700, 0x8900, 0x8b00), // F11
    key(0x8600, 0x8800, 0x8a00, 0x8c00), // F12
];

/// A key that comes with the prefix E0h: the gray ones of the 101-key keyboard.
pub(super) fn extended(code: u8) -> Key {
    match code {
        0x1c => key(0xe00d, 0xe00d, 0xe00a, 0xa600), // Enter on the keypad
        0x35 => key(0xe02f, 0xe02f, 0x9500, 0xa400), // / on the keypad
        0x37 => key(0, 0, 0x7200, 0),                // Print Screen
        0x47 => key(0x47e0, 0x47e0, 0x77e0, 0x9700), // Home
        0x48 => key(0x48e0, 0x48e0, 0x8de0, 0x9800), // up
        0x49 => key(0x49e0, 0x49e0, 0x84e0, 0x9900), // Page Up
        0x4b => key(0x4be0, 0x4be0, 0x73e0, 0x9b00), // left
        0x4d => key(0x4de0, 0x4de0, 0x74e0, 0x9d00), // right
        0x4f => key(0x4fe0, 0x4fe0, 0x75e0, 0x9f00), // End
        0x50 => key(0x50e0, 0x50e0, 0x91e0, 0xa000), // down
        0x51 => key(0x51e0, 0x51e0, 0x76e0, 0xa100), // Page Down
        0x52 => key(0x52e0, 0x52e0, 0x92e0, 0xa200), // Insert
        0x53 => key(0x53e0, 0x53e0, 0x93e0, 0xa300), // Delete
        _ => NONE,
    }
}
