//! Talking to the vm server: its messages, and functions that send them.

use crate::calls::{call, name_word};
use hakoniwa_abi::label::USER;
use hakoniwa_abi::{Error, Message, Received, TaskId};

/// Starts a program: name, priority, rights, quota, argument. Answer: task.
pub const SPAWN: u64 = USER;
/// Waits for the end of a started task: task. Answer: exit code.
pub const WAIT: u64 = USER + 1;
/// Ends a started task: task.
pub const KILL: u64 = USER + 2;
/// Lends a page of a file, read-only: name, page. Answer: length of the file, with the page.
pub const FILE: u64 = USER + 3;
/// Answers at once.
pub const PING: u64 = USER + 4;
/// Introduces the sender to a running task by its name: from then on the sender may send to it, and it to the sender. Both
/// must have been started by the same task. Answer: task.
pub const MEET: u64 = USER + 5;
/// The label of an answer to a request that failed: error.
pub const FAILED: u64 = USER + 0xff;

fn request(vm: TaskId, message: Message) -> Result<Received, Error> {
    let answer = call(vm, message)?;
    if answer.message.label == FAILED {
        return Err(Error::from_status(answer.message.words[0]).err().unwrap_or(Error::BadCall));
    }
    Ok(answer)
}

/// Starts a program of the boot archive.
pub fn spawn(
    vm: TaskId,
    name: &str,
    priority: u64,
    rights: u64,
    quota: u64,
    argument: u64,
) -> Result<TaskId, Error> {
    let message = Message::new(SPAWN, &[name_word(name), priority, rights, quota, argument]);
    request(vm, message).map(|r| TaskId(r.message.words[0] as u32))
}

/// Waits for a task's exit code.
pub fn wait(vm: TaskId, id: TaskId) -> Result<u64, Error> {
    request(vm, Message::new(WAIT, &[id.0.into()])).map(|r| r.message.words[0])
}

/// Ends a task.
pub fn kill(vm: TaskId, id: TaskId) -> Result<(), Error> {
    request(vm, Message::new(KILL, &[id.0.into()])).map(drop)
}

/// Borrows a page of a file; it appears in the caller's window. Returns the file's length.
pub fn file(vm: TaskId, name: &str, page: u64) -> Result<u64, Error> {
    request(vm, Message::new(FILE, &[name_word(name), page])).map(|r| r.message.words[0])
}

/// Makes a round trip.
pub fn ping(vm: TaskId, word: u64) -> Result<u64, Error> {
    request(vm, Message::new(PING, &[word])).map(|r| r.message.words[0])
}

/// Gets to know a task by its name; the two may send to each other afterwards.
pub fn meet(vm: TaskId, name: &str) -> Result<TaskId, Error> {
    request(vm, Message::new(MEET, &[name_word(name)])).map(|r| TaskId(r.message.words[0] as u32))
}
