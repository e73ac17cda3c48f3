//! Messages: eight words, one cache line, carried in registers; at most one page goes with them.

use crate::{Access, Error, PAGE, TaskId};

/// A message as sent: a label that says what it is and seven words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C, align(64))]
pub struct Message {
    /// What it is.
    pub label: u64,
    /// What it says.
    pub words: [u64; 7],
}

impl Message {
    /// A message with a label and its first words; the others are zero.
    pub fn new(label: u64, first: &[u64]) -> Message {
        let mut words = [0; 7];
        for (word, value) in words.iter_mut().zip(first) {
            *word = *value;
        }
        Message { label, words }
    }
}

/// A message as received.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Received {
    /// Who sent it; the kernel vouches for this.
    pub sender: TaskId,
    /// What it says.
    pub message: Message,
    /// The page that came with it.
    pub grant: Option<Grant>,
}

/// A page that goes with a message: where it is (in the sender when sending, in the receiver's window when received)
/// and the rights that the receiver gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The page's address.
    pub address: u64,
    /// The rights.
    pub access: Access,
}

impl Grant {
    /// Its form in a register; zero is no grant.
    pub const fn to_word(grant: Option<Grant>) -> u64 {
        match grant {
            Some(grant) => grant.address & !(PAGE - 1) | grant.access.0,
            None => 0,
        }
    }

    /// Reads a register: `Err` if it is neither zero nor a page with rights that may be granted.
    pub const fn from_word(word: u64) -> Result<Option<Grant>, Error> {
        if word == 0 {
            return Ok(None);
        }
        match Access::from_bits(word & (PAGE - 1)) {
            Some(access) if !access.executable() => Ok(Some(Grant { address: word & !(PAGE - 1), access })),
            _ => Err(Error::BadArgument),
        }
    }
}

/// Labels that the kernel sends or understands. Labels below 0x100 are the kernel's: no task can send them.
pub mod label {
    /// From the kernel: bits of notifications in word 0.
    pub const NOTIFICATION: u64 = 1;
    /// From a task that touched a page it may not: address, instruction, access (bit 0 present, 1 write, 2 user, 4
    /// fetch). A reply with [`RESUME`] lets it try again, any other ends it.
    pub const PAGE_FAULT: u64 = 2;
    /// From a task with an exception: vector, instruction, error code. Replies as for [`PAGE_FAULT`].
    pub const EXCEPTION: u64 = 3;
    /// From a task that ended, to its creator: exit code. No reply; the creator destroys it.
    pub const EXITED: u64 = 4;
    /// The reply that lets a faulting task go on.
    pub const RESUME: u64 = 5;
    /// The first label that tasks may use as they like.
    pub const USER: u64 = 0x100;
}

/// Exit codes that the kernel gives.
pub mod exit {
    /// Ended because of a fault that its pager did not mend.
    pub const FAULT: u64 = 0xffff_ffff_0000_0001;
}

/// Bits of notifications: 0 to 31 are the tasks' own.
pub mod notify {
    /// The bits that tasks may send.
    pub const USER: u64 = 0xffff_ffff;
    /// The first of 16 bits for interrupt lines.
    pub const IRQ: u32 = 32;
    /// The timer went off.
    pub const TIMER: u64 = 1 << 63;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_cache_line() {
        assert_eq!(size_of::<Message>(), 64);
    }

    #[test]
    fn a_grant_is_a_page_with_rights_and_never_executable() {
        let grant = Grant { address: 0x40_0000, access: Access::WRITE };
        assert_eq!(Grant::from_word(Grant::to_word(Some(grant))), Ok(Some(grant)));
        assert_eq!(Grant::from_word(0), Ok(None));
        assert_eq!(Grant::from_word(0x40_0000 | Access::EXECUTE.0), Err(Error::BadArgument));
        assert_eq!(Grant::from_word(0x40_0010), Err(Error::BadArgument));
    }
}
