//! Talking to the console server: its messages, and functions that send them.

use crate::calls::{call, name_word};
use hakoniwa_abi::label::USER;
use hakoniwa_abi::{Error, Message, TaskId};

/// Makes a guest one that may get the input: name. Answer: its digit, 0 if there is none left.
pub const REGISTER: u64 = USER + 0x10;
/// Fetches input of a guest: digit. Answer: how many bytes, then the bytes.
pub const READ: u64 = USER + 0x11;
/// The notification that there is input to fetch.
pub const COME: u64 = 1;
/// The most bytes in one answer.
pub const READ_MOST: usize = 48;
/// How many guests there is a digit for.
pub const PLACES: u8 = 9;

/// Registers a guest.
pub fn register(console: TaskId, name: &str) -> Result<u8, Error> {
    let answer = call(console, Message::new(REGISTER, &[name_word(name)]))?;
    Ok(answer.message.words[0] as u8)
}

/// Fetches input of a guest, and says how many bytes of `to` it is.
pub fn read(console: TaskId, digit: u8, to: &mut [u8; READ_MOST]) -> Result<usize, Error> {
    let answer = call(console, Message::new(READ, &[digit.into()]))?;
    let [count, words @ ..] = answer.message.words;
    for (chunk, word) in to.chunks_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
    }
    Ok((count as usize).min(READ_MOST))
}
