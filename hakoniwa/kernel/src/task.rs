//! A task: registers, address space, rights, and what it waits for.

use crate::context::Context;
use crate::hv::Guest;
use hakoniwa_abi::message::Grant;
use hakoniwa_abi::{Message, TaskId};

/// What a task is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The slot is free.
    Free,
    /// Created, not started.
    Created,
    /// Runs or wants to.
    Ready,
    /// Waits for a message, of one task or of any.
    Receiving(Option<TaskId>),
    /// Has a message for a task that is not receiving.
    Sending(TaskId),
    /// Its message was taken; waits for the reply.
    Waiting(TaskId),
    /// A guest that waits for an interrupt.
    Halted,
    /// Ended; its creator knows or has no way to.
    Dead,
}

/// Why a task has a message under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// It made a call: the reply goes to its registers.
    Call,
    /// It faulted: the reply lets it go on or ends it.
    Fault,
    /// It is a guest that left: the reply says how it goes on.
    Guest,
    /// It ended: nobody replies.
    Exit,
}

/// A place in the table of tasks.
#[derive(Clone, Debug)]
pub struct Task {
    /// Registers while it does not run. First, so that entry code finds them.
    pub context: Context,
    /// Its name in calls.
    pub id: TaskId,
    /// Its name in the log.
    pub name: [u8; 8],
    /// What it does.
    pub state: State,
    /// The message under way.
    pub outgoing: Message,
    /// The page that goes with it.
    pub grant: Option<Grant>,
    /// Why.
    pub reason: Reason,
    /// Who wants to send to it, a bit for each slot.
    pub senders: u64,
    /// The sender served last.
    pub last_sender: usize,
    /// Notifications not yet received.
    pub notifications: u64,
    /// Whom it may send to, a bit for each slot.
    pub peers: u64,
    /// What else it may do.
    pub rights: u64,
    /// Who handles its faults.
    pub pager: TaskId,
    /// Who created it.
    pub parent: TaskId,
    /// Its priority.
    pub priority: usize,
    /// Pages it may use.
    pub quota: u32,
    /// Pages it uses.
    pub used: u32,
    /// The top of its page tables.
    pub root: u64,
    /// What it has beyond other tasks if it is a guest; `root` is then its guest-physical map.
    pub guest: Option<Guest>,
    /// The page with its vector registers.
    pub vectors: u64,
    /// Where the next granted page appears; 0: nowhere.
    pub window: u64,
    /// When its timer goes off; 0: never.
    pub timer: u64,
    /// And how often after that; 0: once.
    pub period: u64,
    /// The unfinished line of its log.
    pub line: [u8; 120],
    /// Its length.
    pub line_length: usize,
}

impl Task {
    /// An empty slot.
    pub const EMPTY: Task = Task {
        context: Context::ZERO,
        id: TaskId(0),
        name: [0; 8],
        state: State::Free,
        outgoing: Message { label: 0, words: [0; 7] },
        grant: None,
        reason: Reason::Call,
        senders: 0,
        last_sender: 0,
        notifications: 0,
        peers: 0,
        rights: 0,
        pager: TaskId(0),
        parent: TaskId(0),
        priority: 0,
        quota: 0,
        used: 0,
        root: 0,
        guest: None,
        vectors: 0,
        window: 0,
        timer: 0,
        period: 0,
        line: [0; 120],
        line_length: 0,
    };

    /// Its name without the padding.
    pub fn name(&self) -> &[u8] {
        let end = self.name.iter().position(|b| *b == 0).unwrap_or(self.name.len());
        self.name.get(..end).unwrap_or_default()
    }
}
