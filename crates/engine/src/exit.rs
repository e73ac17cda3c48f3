//! Why an engine came back.

use alloc::string::String;

/// What stopped the CPU, with the rip of the instruction that caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The reason.
    pub kind: ExitKind,
    /// RIP (offset in CS) of the instruction that caused the exit, where the engine knows it.
    pub rip: Option<u64>,
}

/// The reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// HLT was executed; the state's activity is `Halted` and RFLAGS.IF says whether an interrupt can wake it.
    Halt,
    /// A triple fault; the state's activity is `Shutdown`.
    TripleFault,
    /// A chip has a wish: ask the board for it.
    Wish,
    /// A breakpoint or single step that the host asked for.
    Debug(DebugHit),
    /// The deadline has come, or a chip's next event has moved.
    Deadline,
    /// Another thread asked for a stop through [`crate::Kick`].
    Kicked,
    /// The engine cannot execute the instruction at rip; another engine may.
    Refused(Refusal),
    /// Something this engine has no word for.
    Unknown {
        /// The engine's own number for it.
        code: u64,
        /// What is known.
        detail: String,
    },
}

/// Which host breakpoint was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugHit {
    /// One instruction was executed on request.
    Step,
    /// The breakpoint with this index in the list given to [`crate::Vcpu::set_debug`].
    Breakpoint(usize),
}

/// An instruction that an engine refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The instruction's bytes, as far as the engine gave them.
    pub bytes: [u8; 15],
    /// How many of them are valid.
    pub len: u8,
}
