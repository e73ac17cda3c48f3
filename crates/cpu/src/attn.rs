//! What the run loop has to look at before the next instruction.

use bitflags::bitflags;

bitflags! {
    /// Reasons to leave the block that runs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub(crate) struct Attn: u32 {
        /// Cached code was written: the block may no longer say what memory says.
        const CODE = 1 << 0;
        /// Something that decides whether an event can be taken has changed: IF, NMI mask, shadow, pending events,
        /// activity, TF, debug registers.
        const EVENT = 1 << 1;
        /// Read the interrupt lines.
        const LINES = 1 << 2;
        /// Read the memory map.
        const MAP = 1 << 3;
        /// A chip has a wish.
        const WISH = 1 << 4;
        /// A chip's next event has moved.
        const DEADLINE = 1 << 5;
    }
}
