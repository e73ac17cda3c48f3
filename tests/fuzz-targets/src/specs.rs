//! Test files: any text is read or refused with a message that names the place.

use hako_testing::Spec;

use crate::input::Input;

/// Words of the language, to get past the parser of TOML.
const WORDS: [&str; 48] = [
    "image",
    "engines",
    "firmware",
    "machine",
    "memory",
    "limit",
    "about",
    "expect.screen",
    "expect.serial",
    "expect.debugcon",
    "send.keys",
    "send.serial",
    "wait",
    "exit",
    "status",
    "registers",
    "final",
    "step",
    "exempt",
    "engine",
    "when",
    "reason",
    "regex",
    "disk",
    "floppy",
    "cdrom",
    "boot",
    "sectors",
    "ports",
    "rax",
    "eip",
    "\"soft\"",
    "\"kvm\"",
    "\"builtin:hello\"",
    "\"64M\"",
    "\"10s\"",
    "\"/a(/\"",
    "\"<enter>\"",
    "\"halt\"",
    "\"hang\"",
    "\"triple-fault\"",
    "0x10",
    "-1",
    "true",
    "99999999999999999999",
    "1e309",
    "\"\\u0000\"",
    "{}",
];
const MARKS: [&str; 14] = [
    " = ",
    "\n",
    "\n[[step]]\n",
    "\n[final]\n",
    "[",
    "]",
    ", ",
    ".",
    "{ ",
    " }",
    "\"",
    "'''",
    "\n[[exempt]]\n",
    "# ",
];

/// Plays a script: words, marks, and bytes as they are.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut text = String::new();
    while !input.is_empty() {
        match input.u8() % 8 {
            0..=3 => text.push_str(input.pick(&WORDS)),
            4..=6 => text.push_str(input.pick(&MARKS)),
            _ => {
                let len = usize::from(input.u8() % 16);
                text.push_str(&String::from_utf8_lossy(input.take(len)));
            }
        }
    }
    for text in [&*text, &*String::from_utf8_lossy(bytes)] {
        if let Err(why) = Spec::parse(text, "place") {
            assert!(why.to_string().contains("place"), "a message without a place: {why}");
        }
    }
}
