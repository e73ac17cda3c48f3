//! The second half of INT 09h: scan codes become shift states and keys. IBM AT Technical Reference, BIOS listing,
//! "Keyboard Interrupt"; PS/2 Technical Reference for the prefixes E0h and E1h.

use hako_x86::Gpr;

use super::keys::{KEYS, Key, extended};
use super::{clear, push};
use crate::bda;
use crate::call::Call;
use crate::{Outcome, Service, rom};

/// Bits of the shift flags (0040:0017, a word).
mod flag {
    pub const RIGHT_SHIFT: u16 = 0x0001;
    pub const LEFT_SHIFT: u16 = 0x0002;
    pub const CTRL: u16 = 0x0004;
    pub const ALT: u16 = 0x0008;
    pub const SCROLL_LOCK: u16 = 0x0010;
    pub const NUM_LOCK: u16 = 0x0020;
    pub const CAPS_LOCK: u16 = 0x0040;
    pub const INSERT: u16 = 0x0080;
    pub const LEFT_CTRL: u16 = 0x0100;
    pub const LEFT_ALT: u16 = 0x0200;
    pub const SYSREQ_DOWN: u16 = 0x0400;
    pub const PAUSE: u16 = 0x0800;
}

/// Bits of the keyboard state (0040:0096).
mod state {
    pub const E1: u8 = 0x01;
    pub const E0: u8 = 0x02;
    pub const RIGHT_CTRL: u8 = 0x04;
    pub const RIGHT_ALT: u8 = 0x08;
}

/// Keys with a meaning of their own.
mod code {
    pub const CTRL: u8 = 0x1d;
    pub const LEFT_SHIFT: u8 = 0x2a;
    pub const RIGHT_SHIFT: u8 = 0x36;
    pub const STAR: u8 = 0x37;
    pub const ALT: u8 = 0x38;
    pub const CAPS_LOCK: u8 = 0x3a;
    pub const NUM_LOCK: u8 = 0x45;
    pub const SCROLL_LOCK: u8 = 0x46;
    pub const HOME: u8 = 0x47;
    pub const INSERT: u8 = 0x52;
    pub const DELETE: u8 = 0x53;
    pub const SYSREQ: u8 = 0x54;
}

/// The scan code at hand and the states around it.
struct Stroke {
    code: u8,
    released: bool,
    e0: bool,
    flags: u16,
    state: u8,
}

impl Stroke {
    fn down(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    fn set(&mut self, flag: u16, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }
}

/// INT 09h, after the hook has let the scan code in AL through.
pub(crate) fn key(call: &mut Call<'_>) -> Outcome {
    let al = call.al();
    let before = bda::KEY_STATE.get(call);
    match al {
        // Prefixes; then what the keyboard answers to commands: overrun, echo, acknowledge, failures, resend. (AAh, a passed
        // self-test, is also left Shift coming up, and as such does no harm.)
        0xe0 => bda::KEY_STATE.set(call, before | state::E0),
        0xe1 => bda::KEY_STATE.set(call, before | state::E1),
        0x00 | 0xee | 0xfa | 0xfc..=0xff => {}
        _ => {
            let mut stroke = Stroke {
                code: al & 0x7f,
                released: al & 0x80 != 0,
                e0: before & state::E0 != 0,
                flags: bda::SHIFT_FLAGS.get(call),
                state: before & !state::E0,
            };
            let outcome = if before & state::E1 != 0 {
                pause(call, &mut stroke);
                Outcome::Resume
            } else {
                act(call, &mut stroke)
            };
            bda::SHIFT_FLAGS.set(call, stroke.flags);
            bda::KEY_STATE.set(call, stroke.state);
            return outcome;
        }
    }
    Outcome::Resume
}

/// Woken while Pause holds everything up: any key ends it.
pub(crate) fn paused(call: &mut Call<'_>) {
    if bda::SHIFT_FLAGS.get(call) & flag::PAUSE != 0 {
        call.wait(Service::Paused);
    }
}

/// Within Pause's E1 1D 45 E1 9D C5: the 45 counts.
fn pause(call: &mut Call<'_>, stroke: &mut Stroke) {
    if stroke.code == code::CTRL {
        return;
    }
    stroke.state &= !state::E1;
    if stroke.code == code::NUM_LOCK && !stroke.released && !stroke.down(flag::PAUSE) {
        stroke.set(flag::PAUSE, true);
        call.resume_at(rom::PAUSE);
    }
}

fn act(call: &mut Call<'_>, stroke: &mut Stroke) -> Outcome {
    if shift_key(call, stroke) || lock_key(stroke) {
        return Outcome::Resume;
    }
    if stroke.code == code::SYSREQ && !stroke.e0 {
        return sysreq(call, stroke);
    }
    if stroke.released {
        if stroke.code == code::INSERT {
            stroke.set(flag::INSERT << 8, false);
        }
        return Outcome::Resume;
    }
    if stroke.down(flag::PAUSE) {
        stroke.set(flag::PAUSE, false); // and the key is lost
        return Outcome::Resume;
    }
    let (control, alt) = (stroke.down(flag::CTRL), stroke.down(flag::ALT));
    match stroke.code {
        code::DELETE if control && alt => {
            bda::RESET_FLAG.set(call, 0x1234);
            return Outcome::Reset;
        }
        code::SCROLL_LOCK if stroke.e0 => {
            // Ctrl-Break.
            clear(call);
            bda::BREAK.set(call, 0x80);
            push(call, 0);
            call.resume_at(rom::CALL_BREAK);
        }
        code::STAR if stroke.e0 && !control => call.resume_at(rom::CALL_PRINT),
        code::HOME..=code::DELETE if alt && !stroke.e0 && digit(stroke.code).is_some() => {
            let number = bda::ALT_NUMBER.get(call);
            let digit = digit(stroke.code).unwrap_or(0);
            bda::ALT_NUMBER.set(call, number.wrapping_mul(10).wrapping_add(digit));
        }
        _ => {
            if stroke.code == code::INSERT && !stroke.down(flag::INSERT << 8) {
                stroke.flags ^= flag::INSERT;
                stroke.set(flag::INSERT << 8, true);
            }
            let key = translate(stroke);
            if key != 0 {
                push(call, key);
            }
        }
    }
    Outcome::Resume
}

/// The digit on a key of the keypad.
fn digit(code: u8) -> Option<u8> {
    const DIGITS: [u8; 12] = [7, 8, 9, 0xff, 4, 5, 6, 0xff, 1, 2, 3, 0];
    DIGITS.get(usize::from(code.checked_sub(code::HOME)?)).copied().filter(|&d| d < 10)
}

/// Shift, Ctrl and Alt. E0h before a Shift is a prefix that keyboards send around the gray keys: no key of its own.
fn shift_key(call: &mut Call<'_>, stroke: &mut Stroke) -> bool {
    let on = !stroke.released;
    match stroke.code {
        code::LEFT_SHIFT | code::RIGHT_SHIFT if stroke.e0 => {}
        code::LEFT_SHIFT => stroke.set(flag::LEFT_SHIFT, on),
        code::RIGHT_SHIFT => stroke.set(flag::RIGHT_SHIFT, on),
        code::CTRL | code::ALT => {
            let (left, right, either) = if stroke.code == code::CTRL {
                (flag::LEFT_CTRL, state::RIGHT_CTRL, flag::CTRL)
            } else {
                (flag::LEFT_ALT, state::RIGHT_ALT, flag::ALT)
            };
            if !stroke.e0 {
                stroke.set(left, on);
            } else if on {
                stroke.state |= right;
            } else {
                stroke.state &= !right;
            }
            let held = stroke.down(left) || stroke.state & right != 0;
            stroke.set(either, held);
            if stroke.code == code::ALT && !held {
                let number = bda::ALT_NUMBER.get(call);
                if number != 0 {
                    bda::ALT_NUMBER.set(call, 0);
                    push(call, number.into());
                }
            }
        }
        _ => return false,
    }
    true
}

/// Caps, Num and Scroll Lock: toggled once for each time they go down. With Ctrl, Num Lock is Pause's old place and
/// Scroll Lock Break's.
fn lock_key(stroke: &mut Stroke) -> bool {
    let lock = match stroke.code {
        code::CAPS_LOCK => flag::CAPS_LOCK,
        code::NUM_LOCK if !stroke.e0 => flag::NUM_LOCK,
        code::SCROLL_LOCK if !stroke.e0 => flag::SCROLL_LOCK,
        _ => return false,
    };
    let held = lock << 8; // the second byte says which are down
    if !stroke.released && !stroke.down(held) {
        stroke.flags ^= lock;
    }
    stroke.set(held, !stroke.released);
    true
}

/// SysReq: INT 15h/85h with AL = 0 when it goes down, 1 when it comes up.
fn sysreq(call: &mut Call<'_>, stroke: &mut Stroke) -> Outcome {
    if stroke.released != stroke.down(flag::SYSREQ_DOWN) {
        return Outcome::Resume; // repeats
    }
    stroke.set(flag::SYSREQ_DOWN, !stroke.released);
    call.set_word(Gpr::Rax, 0x8500 | u16::from(stroke.released));
    call.resume_at(rom::CALL_SYSTEM);
    Outcome::Resume
}

/// The key's code in the present shift state; 0 is none.
fn translate(stroke: &Stroke) -> u16 {
    let Some(&Key { plain, shift, control, alt }) = KEYS.get(usize::from(stroke.code)) else { return 0 };
    let shifted = stroke.down(flag::LEFT_SHIFT | flag::RIGHT_SHIFT);
    if stroke.e0 {
        let key = extended(stroke.code);
        return pick(stroke, key, shifted);
    }
    let keypad = (code::HOME..=code::DELETE).contains(&stroke.code);
    let letter = (plain as u8).is_ascii_lowercase();
    let swapped = (letter && stroke.down(flag::CAPS_LOCK)) || (keypad && stroke.down(flag::NUM_LOCK));
    pick(stroke, Key { plain, shift, control, alt }, shifted != swapped)
}

fn pick(stroke: &Stroke, key: Key, shifted: bool) -> u16 {
    if stroke.down(flag::ALT) {
        key.alt
    } else if stroke.down(flag::CTRL) {
        key.control
    } else if shifted {
        key.shift
    } else {
        key.plain
    }
}
