//! The keys of a 104/105-key keyboard with US layout: names, scan codes, and the characters they type.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// The scan codes of a key (IBM PS/2 Hardware Interface Technical Reference, Keyboards): set 2, whether it has the
/// prefix 0xe0 there, and set 3. Set 1 is set 2 as the 8042 translates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Codes {
    pub(super) set2: u8,
    pub(super) extended: bool,
    pub(super) set3: u8,
}

macro_rules! keys {
    ($($key:ident $name:literal $set2:literal $($extended:ident)? $set3:literal;)*) => {
        /// A key, named by what is printed on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum Key { $($key),* }

        /// All keys with their names.
        pub const KEYS: &[(Key, &str)] = &[$((Key::$key, $name)),*];

        impl Key {
            pub(super) fn codes(self) -> Codes {
                match self {
                    $(Key::$key => Codes { set2: $set2, extended: keys!(@ $($extended)?), set3: $set3 },)*
                }
            }
        }
    };
    (@) => { false };
    (@ e0) => { true };
}

keys! {
    Escape "esc" 0x76 0x08;
    F1 "f1" 0x05 0x07; F2 "f2" 0x06 0x0f; F3 "f3" 0x04 0x17; F4 "f4" 0x0c 0x1f;
    F5 "f5" 0x03 0x27; F6 "f6" 0x0b 0x2f; F7 "f7" 0x83 0x37; F8 "f8" 0x0a 0x3f;
    F9 "f9" 0x01 0x47; F10 "f10" 0x09 0x4f; F11 "f11" 0x78 0x56; F12 "f12" 0x07 0x5e;
    PrintScreen "print" 0x7c e0 0x57; ScrollLock "scroll_lock" 0x7e 0x5f; Pause "pause" 0x77 0x62;
    Backquote "`" 0x0e 0x0e;
    Digit1 "1" 0x16 0x16; Digit2 "2" 0x1e 0x1e; Digit3 "3" 0x26 0x26; Digit4 "4" 0x25 0x25; Digit5 "5" 0x2e 0x2e;
    Digit6 "6" 0x36 0x36; Digit7 "7" 0x3d 0x3d; Digit8 "8" 0x3e 0x3e; Digit9 "9" 0x46 0x46; Digit0 "0" 0x45 0x45;
    Minus "-" 0x4e 0x4e; Equal "=" 0x55 0x55; Backspace "backspace" 0x66 0x66;
    Tab "tab" 0x0d 0x0d;
    Q "q" 0x15 0x15; W "w" 0x1d 0x1d; E "e" 0x24 0x24; R "r" 0x2d 0x2d; T "t" 0x2c 0x2c;
    Y "y" 0x35 0x35; U "u" 0x3c 0x3c; I "i" 0x43 0x43; O "o" 0x44 0x44; P "p" 0x4d 0x4d;
    BracketLeft "[" 0x54 0x54; BracketRight "]" 0x5b 0x5b; Backslash "\\" 0x5d 0x5c;
    CapsLock "caps_lock" 0x58 0x14;
    A "a" 0x1c 0x1c; S "s" 0x1b 0x1b; D "d" 0x23 0x23; F "f" 0x2b 0x2b; G "g" 0x34 0x34;
    H "h" 0x33 0x33; J "j" 0x3b 0x3b; K "k" 0x42 0x42; L "l" 0x4b 0x4b;
    Semicolon ";" 0x4c 0x4c; Quote "'" 0x52 0x52; Enter "enter" 0x5a 0x5a;
    ShiftLeft "shift" 0x12 0x12; IntlBackslash "<" 0x61 0x13;
    Z "z" 0x1a 0x1a; X "x" 0x22 0x22; C "c" 0x21 0x21; V "v" 0x2a 0x2a; B "b" 0x32 0x32;
    N "n" 0x31 0x31; M "m" 0x3a 0x3a; Comma "," 0x41 0x41; Period "." 0x49 0x49; Slash "/" 0x4a 0x4a;
    ShiftRight "shift_r" 0x59 0x59;
    ControlLeft "ctrl" 0x14 0x11; MetaLeft "meta" 0x1f e0 0x8b; AltLeft "alt" 0x11 0x19; Space "space" 0x29 0x29;
    AltRight "alt_r" 0x11 e0 0x39; MetaRight "meta_r" 0x27 e0 0x8c; Menu "menu" 0x2f e0 0x8d;
    ControlRight "ctrl_r" 0x14 e0 0x58;
    Insert "insert" 0x70 e0 0x67; Home "home" 0x6c e0 0x6e; PageUp "pgup" 0x7d e0 0x6f;
    Delete "delete" 0x71 e0 0x64; End "end" 0x69 e0 0x65; PageDown "pgdn" 0x7a e0 0x6d;
    Up "up" 0x75 e0 0x63; Left "left" 0x6b e0 0x61; Down "down" 0x72 e0 0x60; Right "right" 0x74 e0 0x6a;
    NumLock "num_lock" 0x77 0x76; KeypadSlash "kp_divide" 0x4a e0 0x77; KeypadStar "kp_multiply" 0x7c 0x7e;
    KeypadMinus "kp_subtract" 0x7b 0x84; KeypadPlus "kp_add" 0x79 0x7c; KeypadEnter "kp_enter" 0x5a e0 0x79;
    Keypad1 "kp_1" 0x69 0x69; Keypad2 "kp_2" 0x72 0x72; Keypad3 "kp_3" 0x7a 0x7a; Keypad4 "kp_4" 0x6b 0x6b;
    Keypad5 "kp_5" 0x73 0x73; Keypad6 "kp_6" 0x74 0x74; Keypad7 "kp_7" 0x6c 0x6c; Keypad8 "kp_8" 0x75 0x75;
    Keypad9 "kp_9" 0x7d 0x7d; Keypad0 "kp_0" 0x70 0x70; KeypadPeriod "kp_decimal" 0x71 0x71;
}

/// Other names that are understood.
const ALIASES: &[(&str, Key)] = &[
    ("escape", Key::Escape),
    ("return", Key::Enter),
    ("ret", Key::Enter),
    ("spc", Key::Space),
    ("del", Key::Delete),
    ("ins", Key::Insert),
    ("pageup", Key::PageUp),
    ("pagedown", Key::PageDown),
    ("capslock", Key::CapsLock),
    ("numlock", Key::NumLock),
    ("control", Key::ControlLeft),
    ("win", Key::MetaLeft),
    ("shift_l", Key::ShiftLeft),
    ("ctrl_l", Key::ControlLeft),
    ("alt_l", Key::AltLeft),
];

/// A key goes down or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEvent {
    /// Which.
    pub key: Key,
    /// Down, else up.
    pub down: bool,
}

impl Key {
    /// The key of that name, whatever its case ("esc", "f1", "a", "kp_1", "ctrl").
    pub fn from_name(name: &str) -> Option<Key> {
        let names = KEYS.iter().map(|&(key, name)| (name, key)).chain(ALIASES.iter().copied());
        names.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, key)| key)
    }

    /// The first of the key's names.
    pub fn name(self) -> &'static str {
        KEYS.iter().find(|(key, _)| *key == self).map_or("", |(_, name)| name)
    }

    /// The key that types an ASCII character, and whether Shift is held.
    pub fn from_char(c: char) -> Option<(Key, bool)> {
        const PLAIN: &str = "`1234567890-=[]\\;',./";
        const SHIFTED: &str = "~!@#$%^&*()_+{}|:\"<>?";
        let named = |c: char| KEYS.iter().find(|(_, name)| name.chars().eq([c])).map(|(key, _)| *key);
        match c {
            '\n' | '\r' => Some((Key::Enter, false)),
            '\t' => Some((Key::Tab, false)),
            ' ' => Some((Key::Space, false)),
            '\x08' | '\x7f' => Some((Key::Backspace, false)),
            '\x1b' => Some((Key::Escape, false)),
            'a'..='z' => Some((named(c)?, false)),
            'A'..='Z' => Some((named(c.to_ascii_lowercase())?, true)),
            _ if PLAIN.contains(c) => Some((named(c)?, false)),
            _ => {
                let at = SHIFTED.chars().position(|shifted| shifted == c)?;
                Some((named(PLAIN.chars().nth(at)?)?, true))
            }
        }
    }
}

/// Presses keys in order and lets them go in reverse order.
pub fn chord(keys: &[Key]) -> Vec<KeyEvent> {
    let down = keys.iter().map(|&key| KeyEvent { key, down: true });
    let up = keys.iter().rev().map(|&key| KeyEvent { key, down: false });
    down.chain(up).collect()
}

/// Presses what a name says: one key, or several joined by '+' or '-' ("ctrl+alt+delete", "ctrl-c"); `None` if a name
/// is unknown.
pub fn named(name: &str) -> Option<Vec<KeyEvent>> {
    if let Some(key) = Key::from_name(name) {
        return Some(chord(&[key]));
    }
    let joint = if name.contains('+') { '+' } else { '-' };
    let keys: Option<Vec<Key>> = name.split(joint).map(Key::from_name).collect();
    Some(chord(&keys?))
}

/// Types a text of ASCII characters on the US layout; the error is the first character that has no key.
pub fn text(text: &str) -> Result<Vec<KeyEvent>, char> {
    let mut events = Vec::new();
    for c in text.chars() {
        let (key, shift) = Key::from_char(c).ok_or(c)?;
        events.extend(if shift { chord(&[Key::ShiftLeft, key]) } else { chord(&[key]) });
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_names_its_key() {
        for &(key, name) in KEYS {
            assert_eq!(Key::from_name(name), Some(key));
            assert_eq!(key.name(), name);
        }
    }

    #[test]
    fn no_two_keys_share_a_code() {
        // Pause sends a sequence of its own, in which Num Lock's code appears.
        let keys: Vec<Key> = KEYS.iter().map(|(key, _)| *key).filter(|&key| key != Key::Pause).collect();
        for (n, a) in keys.iter().enumerate() {
            for b in &keys[n + 1..] {
                let (x, y) = (a.codes(), b.codes());
                assert_ne!((x.set2, x.extended), (y.set2, y.extended), "{a:?} {b:?}");
                assert_ne!(x.set3, y.set3, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn every_printable_ascii_character_has_a_key() {
        for c in ' '..='~' {
            assert!(Key::from_char(c).is_some(), "{c:?}");
        }
        assert_eq!(Key::from_char('ä'), None);
    }

    #[test]
    fn capitals_and_upper_symbols_hold_shift() {
        for (c, key) in
            [('A', Key::A), ('!', Key::Digit1), ('?', Key::Slash), ('"', Key::Quote), ('<', Key::Comma)]
        {
            assert_eq!(Key::from_char(c), Some((key, true)));
        }
    }

    #[test]
    fn chords_are_released_in_reverse() {
        let events = named("ctrl+alt+delete").unwrap();
        let keys: Vec<_> = events.iter().map(|event| (event.key, event.down)).collect();
        use Key::{AltLeft as Alt, ControlLeft as Ctrl, Delete};
        let wanted =
            [(Ctrl, true), (Alt, true), (Delete, true), (Delete, false), (Alt, false), (Ctrl, false)];
        assert_eq!(keys, wanted);
        assert_eq!(named("-"), Some(chord(&[Key::Minus])));
        assert_eq!(named("ctrl+-"), Some(chord(&[Key::ControlLeft, Key::Minus])));
        assert_eq!(named("ctrl-c"), Some(chord(&[Key::ControlLeft, Key::C])));
        assert_eq!(named("hyper+x"), None);
    }
}
