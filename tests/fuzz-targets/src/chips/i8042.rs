//! The 8042 with keyboard and mouse.

use hako_chips::i8042::I8042;
use hako_chips::i8042::keys::{KEYS, KeyEvent};

use super::transplant;
use crate::clock::{Clock, lies_ahead};
use crate::input::Input;

fn event(input: &mut Input<'_>) -> KeyEvent {
    let n = input.u8();
    KeyEvent { key: KEYS[usize::from(n & 0x7f) % KEYS.len()].0, down: n & 0x80 != 0 }
}

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut chip = I8042::new();
    let mut clock = Clock::default();
    while !input.is_empty() {
        let now = clock.advance(&mut input);
        match input.u8() % 10 {
            0 | 1 => {
                let _ = chip.read(input.u8(), now);
            }
            2..=4 => chip.write(input.u8(), input.u8(), now),
            5 => chip.key(event(&mut input), now),
            6 => chip.type_keys([event(&mut input), event(&mut input)], now),
            7 => {
                let now = clock.jump(chip.next_event());
                chip.tick(now);
                lies_ahead(chip.next_event(), now);
            }
            8 => {
                let _ = chip.take_wish();
            }
            _ => transplant(&mut chip, I8042::new(), I8042::save, I8042::restore),
        }
    }
}
