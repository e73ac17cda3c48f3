//! A task's registers as the entry code leaves them: the processor and the stubs push them right into this struct.

use hakoniwa_abi::Message;

/// Registers of an interrupted or calling task, lowest address first, as pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
#[allow(missing_docs)]
pub struct Context {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// The user code segment with its privilege.
pub const USER_CODE: u64 = 0x23;
/// The user stack segment with its privilege.
pub const USER_DATA: u64 = 0x1b;
/// Interrupts on; bit 1 always reads as one.
pub const USER_FLAGS: u64 = 0x202;

/// The initial x87 control word, at offset 0 of a vector image.
pub const X87_CONTROL: u64 = 0x37f;
/// The initial MXCSR, at offset 24: XRSTOR and FXRSTOR read it even from an empty image.
pub const MXCSR: u64 = 0x1f80;

impl Context {
    /// All zero.
    pub const ZERO: Context = Context {
        r15: 0,
        r14: 0,
        r13: 0,
        r12: 0,
        r11: 0,
        r10: 0,
        r9: 0,
        r8: 0,
        rbp: 0,
        rdi: 0,
        rsi: 0,
        rdx: 0,
        rcx: 0,
        rbx: 0,
        rax: 0,
        vector: 0,
        error: 0,
        rip: 0,
        cs: 0,
        rflags: 0,
        rsp: 0,
        ss: 0,
    };

    /// A task about to run its first instruction.
    pub fn start(entry: u64, stack: u64, argument: u64) -> Context {
        Context {
            rip: entry,
            rsp: stack,
            rdi: argument,
            cs: USER_CODE,
            ss: USER_DATA,
            rflags: USER_FLAGS,
            ..Context::ZERO
        }
    }

    /// The message in the registers.
    pub fn message(&self) -> Message {
        Message {
            label: self.rsi,
            words: [self.rdx, self.r8, self.r9, self.r10, self.r12, self.r13, self.r14],
        }
    }

    /// Puts a received message into the registers.
    pub fn set_message(&mut self, sender: u64, message: &Message, grant: u64) {
        self.rax = 0;
        self.rdi = sender;
        self.rsi = message.label;
        [self.rdx, self.r8, self.r9, self.r10, self.r12, self.r13, self.r14] = message.words;
        self.r15 = grant;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_ends_where_the_processor_begins_to_push() {
        assert_eq!(size_of::<Context>() % 16, 0, "an interrupt stack is aligned to 16 before the first push");
        assert_eq!(size_of::<Context>(), 22 * 8);
    }
}
