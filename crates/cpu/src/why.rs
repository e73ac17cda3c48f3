//! Which check failed when an exception was raised: one plain sentence for each.

use core::fmt;

macro_rules! whys {
    ($($(#[$doc:meta])* $name:ident => $text:expr,)*) => {
        /// The architectural check that failed. Its text names the rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Why {
            $(#[doc = $text] $name,)*
        }

        impl fmt::Display for Why {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Why::$name => $text,)* })
            }
        }
    };
}

whys! {
    // Fetch and decode.
    UndefinedOpcode => "the opcode is not defined",
    NotYetImplemented => "the opcode belongs to x87, MMX or SSE, which this CPU does not offer",
    LockNotAllowed => "LOCK stands before an instruction or operand that cannot be locked",
    NeedsMemoryOperand => "the instruction takes a memory operand only",
    NeedsRegisterOperand => "the instruction takes a register operand only",
    NotIn64Bit => "the instruction does not exist in 64-bit mode",
    TooLong => "the instruction is longer than 15 bytes",
    FetchBeyondLimit => "the instruction lies beyond the limit of CS",
    FetchNotCanonical => "the instruction's address is not canonical",
    BadRegister => "the instruction names a register that does not exist",
    // Memory.
    NotCanonical => "the address is not canonical",
    StackNotCanonical => "the stack address is not canonical",
    BeyondLimit => "the access lies beyond the segment's limit",
    NullSegment => "the segment register holds a null selector",
    NotWritable => "the segment is not writable",
    NotReadable => "the segment is execute-only",
    Misaligned => "the address is misaligned while alignment checks are on",
    PageNotPresent => "a paging entry is not present",
    PageReadOnly => "the page is read-only",
    PageSupervisor => "the page belongs to the supervisor",
    PageNoExecute => "the page is marked no-execute",
    PageReservedBit => "a paging entry has a reserved bit set",
    PdpteReservedBit => "a page-directory-pointer entry has a reserved bit set",
    OperandMisaligned => "the 16-byte operand is not aligned",
    // Branches.
    TargetBeyondLimit => "the branch target lies beyond the limit of CS",
    TargetNotCanonical => "the branch target is not canonical",
    // Arithmetic.
    DivideByZero => "the divisor is zero",
    QuotientTooLarge => "the quotient does not fit",
    OutOfBounds => "the array index is out of bounds",
    // FPU.
    FpuUnavailable => "CR0 says that x87 instructions are to be emulated or that the task was switched",
    // Flags.
    IoplTooLow => "CPL is greater than IOPL",
}
