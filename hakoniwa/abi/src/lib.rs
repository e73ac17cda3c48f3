//! What the kernel and its tasks agree on: identities, errors, messages, the one table of system calls, the layout of
//! a task's address space, and the format of the boot archive.

#![no_std]
#![forbid(unsafe_code)]

pub mod archive;
pub mod call;
pub mod elf;
pub mod guest;
pub mod message;

pub use call::{Call, Info};
pub use message::{Message, Received, label};

/// Bytes in a page.
pub const PAGE: u64 = 4096;

/// Bytes in a large page, as guests' memory may be mapped by.
pub const LARGE: u64 = 512 * PAGE;

/// The most tasks that exist at once; slot 0 is the kernel's.
pub const TASKS: usize = 64;

/// Priorities, 0 the lowest.
pub const PRIORITIES: usize = 8;

/// Names a task. The slot is reused after the task's end, the generation above it is not: an old name never means a
/// new task. Zero is the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[repr(transparent)]
pub struct TaskId(pub u32);

impl TaskId {
    /// The sender of notifications and of what a dead task left behind.
    pub const KERNEL: TaskId = TaskId(0);

    /// The name of the task in `slot` at its `generation`.
    pub const fn new(slot: usize, generation: u32) -> TaskId {
        TaskId((slot as u32 & 0xff) | generation << 8)
    }

    /// The place in the table of tasks.
    pub const fn slot(self) -> usize {
        (self.0 & 0xff) as usize
    }
}

/// Why the kernel refused a call. Zero in the status register is success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Error {
    /// No call has this number.
    BadCall = 1,
    /// No task has this name (any more).
    BadTask = 2,
    /// The caller has no right to this.
    Denied = 3,
    /// An argument is outside what the call takes.
    BadArgument = 4,
    /// The machine has no free page left.
    NoMemory = 5,
    /// The caller's quota of pages is used up.
    Quota = 6,
    /// No page is mapped there, or not with these rights.
    NotMapped = 7,
    /// A page is mapped there already.
    Mapped = 8,
    /// The task does not wait for a reply of the caller.
    NotWaiting = 9,
    /// The peer ended before it answered.
    Dead = 10,
    /// Nothing to receive, and the caller did not want to wait.
    Empty = 11,
    /// The task is not in a state that allows this.
    BadState = 12,
    /// Every slot for a task is taken.
    NoSlot = 13,
    /// The processor or firmware lacks what this needs; the kernel's log says what.
    Unsupported = 14,
}

impl Error {
    /// All of them, by number.
    pub const ALL: [Error; 14] = [
        Error::BadCall,
        Error::BadTask,
        Error::Denied,
        Error::BadArgument,
        Error::NoMemory,
        Error::Quota,
        Error::NotMapped,
        Error::Mapped,
        Error::NotWaiting,
        Error::Dead,
        Error::Empty,
        Error::BadState,
        Error::NoSlot,
        Error::Unsupported,
    ];

    /// What a status register says.
    pub fn from_status(status: u64) -> Result<(), Error> {
        match status.checked_sub(1) {
            None => Ok(()),
            Some(index) => {
                let error = usize::try_from(index).ok().and_then(|i| Error::ALL.get(i));
                Err(error.copied().unwrap_or(Error::BadCall))
            }
        }
    }
}

/// Rights to a page. Writing and executing exclude each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Access(pub u64);

impl Access {
    /// May be read.
    pub const READ: Access = Access(1);
    /// May be read and written.
    pub const WRITE: Access = Access(3);
    /// May be read and executed.
    pub const EXECUTE: Access = Access(5);
    /// The guest's memory: read, written, executed. Only for guest tasks.
    pub const GUEST: Access = Access(7);

    /// Rights from the low bits of a word, if they make sense: readable, and nothing beyond the three bits.
    pub const fn from_bits(bits: u64) -> Option<Access> {
        if bits & 1 == 1 && bits <= 7 { Some(Access(bits)) } else { None }
    }

    /// Whether it allows writing.
    pub const fn writable(self) -> bool {
        self.0 & 2 != 0
    }

    /// Whether it allows executing.
    pub const fn executable(self) -> bool {
        self.0 & 4 != 0
    }

    /// Whether every right of `other` is in it.
    pub const fn covers(self, other: Access) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a task may do beyond talking to its peers. A child's are never more than its creator's.
pub mod rights {
    /// Create tasks.
    pub const CREATE: u64 = 1;
    /// Read and write I/O ports.
    pub const PORTS: u64 = 2;
    /// Receive interrupts.
    pub const IRQS: u64 = 4;
    /// Create guest tasks.
    pub const HV: u64 = 8;
    /// All of them.
    pub const ALL: u64 = 15;
}

/// Where things are in a task's address space.
pub mod layout {
    /// The lowest address that can be mapped: null pointers with an offset fault.
    pub const LOWEST: u64 = 0x1_0000;
    /// One past the last address that can be mapped: the page below the canonical hole stays free, so that no return
    /// address is ever non-canonical.
    pub const END: u64 = 0x7fff_ffff_f000;
    /// Where programs are linked.
    pub const IMAGE: u64 = 0x40_0000;
    /// The boot archive, in the tasks that get it.
    pub const ARCHIVE: u64 = 0x10_0000_0000;
    /// The heap grows upwards from here.
    pub const HEAP: u64 = 0x20_0000_0000;
    /// The most a heap grows.
    pub const HEAP_SIZE: u64 = 0x10_0000_0000;
    /// Free for windows and buffers that a task places itself.
    pub const WINDOWS: u64 = 0x40_0000_0000;
    /// One past the stack. The page below the stack is never mapped.
    pub const STACK_TOP: u64 = 0x7f_0000_0000;
    /// Bytes of stack.
    pub const STACK_SIZE: u64 = 64 * 1024;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_slot_under_any_generation() {
        assert_eq!(TaskId::new(63, 0xff_ffff).slot(), 63);
        assert_ne!(TaskId::new(5, 1), TaskId::new(5, 2));
    }

    #[test]
    fn every_error_survives_the_status_register() {
        for error in Error::ALL {
            assert_eq!(Error::from_status(error as u64), Err(error));
        }
        assert_eq!(Error::from_status(0), Ok(()));
        assert_eq!(Error::from_status(u64::MAX), Err(Error::BadCall));
    }

    #[test]
    fn rights_without_reading_are_no_rights() {
        assert_eq!(Access::from_bits(2), None);
        assert_eq!(Access::from_bits(8 | 1), None);
        assert_eq!(Access::from_bits(3), Some(Access::WRITE));
    }
}
