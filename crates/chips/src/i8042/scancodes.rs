//! Scan codes: what a key sends in each set, and the 8042's translation of set 2 to set 1.

use alloc::vec::Vec;

use super::keys::{Key, KeyEvent};

/// Set 1 codes of the set 2 codes 0x00 to 0x7f, as the 8042's ROM translates them (IBM PS/2 Hardware Interface
/// Technical Reference, Keyboard and Auxiliary Device Controller).
const TRANSLATED: [u8; 128] = [
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, //
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, //
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d, //
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, //
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, //
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, //
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, //
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
];

/// Prefix of a key's release in sets 2 and 3.
pub(super) const BREAK: u8 = 0xf0;

/// A set 2 code without its break prefix as set 1 make code. 0x83 (F7) and 0x84 are the two codes above 0x7f that are
/// translated; all others, the keyboard's answers among them, pass.
pub(super) fn translate(code: u8) -> u8 {
    match code {
        0x83 => 0x41,
        0x84 => 0x54,
        _ => TRANSLATED.get(usize::from(code)).copied().unwrap_or(code),
    }
}

/// The bytes that a key sends in scan code set 1, 2 or 3.
pub(super) fn codes(event: KeyEvent, set: u8) -> Vec<u8> {
    let codes = event.key.codes();
    if set == 3 {
        return if event.down { [codes.set3].to_vec() } else { [BREAK, codes.set3].to_vec() };
    }
    let set2: &[u8] = match (event.key, event.down) {
        // Pause sends everything when pressed and nothing when released.
        (Key::Pause, true) => &[0xe1, 0x14, 0x77, 0xe1, BREAK, 0x14, BREAK, 0x77],
        (Key::Pause, false) => &[],
        // Print Screen pretends to hold Shift.
        (Key::PrintScreen, true) => &[0xe0, 0x12, 0xe0, 0x7c],
        (Key::PrintScreen, false) => &[0xe0, BREAK, 0x7c, 0xe0, BREAK, 0x12],
        (_, true) if codes.extended => &[0xe0, codes.set2],
        (_, false) if codes.extended => &[0xe0, BREAK, codes.set2],
        (_, true) => &[codes.set2],
        (_, false) => &[BREAK, codes.set2],
    };
    if set == 2 {
        return set2.to_vec();
    }
    let mut released = 0;
    let mut set1 = Vec::with_capacity(set2.len());
    for &byte in set2 {
        if byte == BREAK {
            released = 0x80;
        } else {
            set1.push(translate(byte) | released);
            released = 0;
        }
    }
    set1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i8042::keys::KEYS;

    fn press(key: Key, set: u8) -> Vec<u8> {
        codes(KeyEvent { key, down: true }, set)
    }

    fn release(key: Key, set: u8) -> Vec<u8> {
        codes(KeyEvent { key, down: false }, set)
    }

    #[test]
    fn set_1_numbers_the_keys_of_the_first_pc_in_rows() {
        use Key::*;
        let rows = [
            (
                0x01,
                &[Escape, Digit1, Digit2, Digit3, Digit4, Digit5, Digit6, Digit7, Digit8, Digit9, Digit0][..],
            ),
            (
                0x0c,
                &[
                    Minus,
                    Equal,
                    Backspace,
                    Tab,
                    Q,
                    W,
                    E,
                    R,
                    T,
                    Y,
                    U,
                    I,
                    O,
                    P,
                    BracketLeft,
                    BracketRight,
                    Enter,
                ],
            ),
            (
                0x1d,
                &[ControlLeft, A, S, D, F, G, H, J, K, L, Semicolon, Quote, Backquote, ShiftLeft, Backslash],
            ),
            (
                0x2c,
                &[
                    Z, X, C, V, B, N, M, Comma, Period, Slash, ShiftRight, KeypadStar, AltLeft, Space,
                    CapsLock,
                ],
            ),
            (
                0x3b,
                &[F1, F2, F3, F4, F5, F6, F7, F8, F9, F10, NumLock, ScrollLock, Keypad7, Keypad8, Keypad9],
            ),
            (0x4a, &[KeypadMinus, Keypad4, Keypad5, Keypad6, KeypadPlus, Keypad1, Keypad2, Keypad3, Keypad0]),
            (0x53, &[KeypadPeriod]),
            (0x56, &[IntlBackslash, F11, F12]),
        ];
        for (first, keys) in rows {
            for (code, &key) in (first..).zip(keys) {
                assert_eq!(press(key, 1), [code], "{key:?}");
                assert_eq!(release(key, 1), [code | 0x80], "{key:?}");
            }
        }
    }

    #[test]
    fn extended_keys_share_the_code_of_their_twin_behind_e0() {
        use Key::*;
        for (key, twin) in [
            (Home, Keypad7),
            (Up, Keypad8),
            (Left, Keypad4),
            (Delete, KeypadPeriod),
            (KeypadEnter, Enter),
            (KeypadSlash, Slash),
            (ControlRight, ControlLeft),
            (AltRight, AltLeft),
        ] {
            assert_eq!(press(key, 1), [0xe0, press(twin, 1)[0]]);
            assert_eq!(release(key, 2), [0xe0, 0xf0, press(twin, 2)[0]]);
        }
    }

    #[test]
    fn pause_and_print_screen_have_sequences_of_their_own() {
        assert_eq!(press(Key::Pause, 1), [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
        assert_eq!(release(Key::Pause, 1), []);
        assert_eq!(press(Key::PrintScreen, 1), [0xe0, 0x2a, 0xe0, 0x37]);
        assert_eq!(release(Key::PrintScreen, 1), [0xe0, 0xb7, 0xe0, 0xaa]);
    }

    #[test]
    fn set_3_has_one_code_for_each_key() {
        for &(key, _) in KEYS {
            assert_eq!(press(key, 3).len(), 1);
            assert_eq!(release(key, 3), [0xf0, press(key, 3)[0]]);
        }
    }

    #[test]
    fn translation_loses_no_code() {
        let mut seen = [false; 256];
        for code in TRANSLATED {
            assert!(!core::mem::replace(&mut seen[usize::from(code)], true), "{code:#x} twice");
        }
    }
}
