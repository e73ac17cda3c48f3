//! INT 16h (keyboard) and the buffer in the data area between it and INT 09h.

mod keys;
mod scan;

use hako_mem::Gpa;
use hako_x86::RFlags;

use crate::Service;
use crate::bda;
use crate::call::Call;

pub(crate) use scan::{key, paused};

/// Power-on: the 8042's command byte says IRQ 1, self-test passed, mouse off, codes translated to set 1.
pub(crate) fn start(call: &mut Call<'_>) {
    call.outb(0x64, 0x60);
    call.outb(0x60, 0x65);
}

/// The physical address of an offset in segment 40h.
fn at(offset: u16) -> Gpa {
    Gpa(0x400 + u64::from(offset))
}

/// The place after `offset` in the buffer, which is a ring.
fn next(call: &mut Call<'_>, offset: u16) -> u16 {
    let next = offset.wrapping_add(2);
    if next >= bda::KEY_BUFFER_END.get(call) { bda::KEY_BUFFER.get(call) } else { next }
}

/// The next key (scan code and character), without taking it.
fn peek(call: &mut Call<'_>) -> Option<u16> {
    let head = bda::KEY_HEAD.get(call);
    (head != bda::KEY_TAIL.get(call)).then(|| call.load(at(head)))
}

/// Takes the next key away.
fn take(call: &mut Call<'_>) {
    let head = bda::KEY_HEAD.get(call);
    let head = next(call, head);
    bda::KEY_HEAD.set(call, head);
}

/// Adds a key; `false` if the buffer is full.
fn push(call: &mut Call<'_>, key: u16) -> bool {
    let tail = bda::KEY_TAIL.get(call);
    let after = next(call, tail);
    if after == bda::KEY_HEAD.get(call) {
        return false;
    }
    call.store(at(tail), key);
    bda::KEY_TAIL.set(call, after);
    true
}

/// Empties the buffer.
fn clear(call: &mut Call<'_>) {
    let start = bda::KEY_BUFFER.get(call);
    bda::KEY_HEAD.set(call, start);
    bda::KEY_TAIL.set(call, start);
}

/// A key as the functions for 83 keys return it; `None` for keys that only a 101-key keyboard has.
fn for_83_keys(key: u16) -> Option<u16> {
    let [scan, character] = key.to_be_bytes();
    match (scan, character) {
        (0xe0, b'/') => Some(0x352f),
        (0xe0, c) => Some(0x1c00 | u16::from(c)), // Enter on the keypad, with Ctrl too
        (1.., 0xe0) => Some(u16::from(scan) << 8),
        (1.., 0xf0) => None,
        (0x85.., _) => None,
        _ => Some(key),
    }
}

/// The next key for AH=00h and 01h; those that it may not see are dropped.
fn peek_83(call: &mut Call<'_>) -> Option<u16> {
    // The buffer holds at most 32 Ki keys, whatever its pointers say.
    for _ in 0..0x8000 {
        let key = peek(call)?;
        match for_83_keys(key) {
            Some(key) => return Some(key),
            None => take(call),
        }
    }
    None
}

/// INT 16h.
pub(crate) fn keyboard(call: &mut Call<'_>) {
    match call.ah() {
        ah @ (0x00 | 0x10) => {
            let key = if ah == 0 { peek_83(call) } else { peek(call) };
            match key {
                Some(key) => {
                    take(call);
                    call.set_ax(key);
                }
                None => call.wait(Service::Keyboard),
            }
        }
        ah @ (0x01 | 0x11) => {
            let key = if ah == 1 { peek_83(call) } else { peek(call) };
            if let Some(key) = key {
                call.set_ax(key);
            }
            call.set_flags(RFlags::ZF, key.is_none());
        }
        0x02 => {
            let flags = bda::SHIFT_FLAGS.get(call);
            call.set_al(flags as u8);
        }
        0x05 => {
            let key = call.cx();
            let full = !push(call, key);
            call.set_al(full.into());
        }
        0x09 => call.set_al(0x20),   // functions 10h to 12h
        0x0a => call.set_bx(0x41ab), // the ID of a 101-key keyboard behind a translating controller
        0x12 => {
            let [low, high] = bda::SHIFT_FLAGS.get(call).to_le_bytes();
            let state = bda::KEY_STATE.get(call);
            // Bit 2 and 3 of the enhanced state are the right Ctrl and Alt; SysReq moves up to bit 7.
            let ah = high & 0x73 | (high & 0x04) << 5 | state & 0x0c;
            call.set_ax(u16::from_be_bytes([ah, low]));
        }
        _ => {} // 03h, typematic rate: the host's keyboard has its own
    }
}
