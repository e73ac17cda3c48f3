//! The system calls: one table, from which the kernel dispatches, the runtime calls, and the documentation is checked.
//!
//! By `syscall`: the number in RAX; arguments in RDI, RSI, RDX, R8, R9, R10. Message calls use RDI for the peer, RSI
//! for the label, RDX, R8, R9, R10, R12, R13, R14 for the words and R15 for the granted page; a received message
//! arrives in the same registers. The status comes back in RAX (0 or an [`Error`](crate::Error)), values in RDI and on.
//! RCX and R11 are lost. No call takes a pointer: what is longer than a message travels in a granted page.

macro_rules! calls {
    ($($number:literal $name:ident ($arguments:literal) -> $values:literal, $does:literal;)*) => {
        /// A system call.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u64)]
        pub enum Call {
            $(#[doc = $does] $name = $number,)*
        }

        impl Call {
            /// The call with this number.
            pub const fn from_number(number: u64) -> Option<Call> {
                match number {
                    $($number => Some(Call::$name),)*
                    _ => None,
                }
            }

            /// The table: number, name, arguments, values, what it does.
            pub const TABLE: &'static [(u64, &'static str, &'static str, &'static str, &'static str)] =
                &[$(($number, stringify!($name), $arguments, $values, $does),)*];
        }
    };
}

calls! {
    0 Call("peer, message, grant") -> "message, grant", "Sends to a peer and waits for its reply.";
    1 Reply("peer, message, grant") -> "", "Answers a task that waits for the caller; never blocks.";
    2 Receive("from (0: anyone), flags (1: don't wait)") -> "sender, message, grant", "Takes the next notification, fault or message.";
    3 ReplyReceive("peer, message, grant") -> "sender, message, grant", "Reply, then Receive from anyone.";
    4 Notify("peer, bits") -> "", "Sets bits in the peer's notification word; never blocks.";
    5 Window("address (0: none)") -> "", "Says where the page of the next message with a grant shall appear.";
    6 Timer("first (ns since boot, 0: off), period (ns, 0: once)") -> "", "Sets the caller's timer; it notifies.";
    7 Yield("") -> "", "Lets others of the same priority run.";
    8 Exit("code") -> "", "Ends the caller; its creator gets a message.";
    9 TaskCreate("pager (0: caller), priority, rights, quota (pages), name (8 bytes)") -> "task", "Creates a task with an empty address space, paid from the caller's quota.";
    10 TaskStart("task, entry, stack, argument") -> "", "Lets a created task run.";
    11 TaskDestroy("task") -> "", "Ends a task that the caller created, and all that it created; frees what they held.";
    12 TaskAllow("task, peer") -> "", "Lets a task that the caller created send to a peer of the caller.";
    13 PageAlloc("address, access, count") -> "", "Maps fresh zeroed pages in the caller, paid from its quota.";
    14 PageMap("task (0: caller), from, to, access, count") -> "", "Maps pages of the caller in a task whose pager it is.";
    15 PageUnmap("task (0: caller), address, count") -> "", "Unmaps pages of the caller or of a task whose pager it is.";
    16 IrqBind("line") -> "", "Gets a notification for each interrupt of a line.";
    17 IrqDone("line") -> "", "Lets the line interrupt again.";
    18 PortRead("port, width") -> "value", "Reads an I/O port.";
    19 PortWrite("port, width, value") -> "", "Writes an I/O port.";
    20 Log("length, up to 48 bytes in 6 words") -> "", "Writes to the kernel's log; a line appears when it is complete.";
    21 Info("what") -> "value", "Asks the kernel for one number.";
    22 GuestCreate("state page, priority, quota (pages), name (8 bytes), policy") -> "task", "Creates a guest task whose pager is the caller; PageMap gives it memory, TaskStart starts it from the state page.";
    23 GuestInject("task, vector (100h: ask, 200h: NMI)") -> "1 if it can take one now", "Has a guest take an external interrupt as soon as it can, one at a time, or an NMI; or has its server told by a message when it can take an interrupt.";
    24 GuestCpu("guest, state page, name (8 bytes)") -> "task", "Adds a processor to a guest of the caller: a task that shares the guest's memory, pager, priority, policy and time, is paid from the guest's quota, and waits for TaskStart as a processor waits for SIPI.";
    25 GuestStop("task") -> "", "Takes a guest's processor off its work, whatever it does, as INIT does; TaskStart starts it from the state page again.";
    26 GuestPorts("guest, first, count") -> "", "Lets a guest that has not begun use ports of the machine without exits: those that the caller may use itself.";
}

/// What [`Call::Info`] can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Info {
    /// The caller's own name.
    Me = 0,
    /// Nanoseconds since boot.
    Now = 1,
    /// Pages of the caller's quota that are still free.
    Quota = 2,
    /// Free pages of the machine.
    FreePages = 3,
    /// Tasks that exist.
    Tasks = 4,
    /// Why there is no VT-x: 0 if there is.
    HvMissing = 5,
    /// Ticks of the time-stamp counter in a second.
    TscHz = 6,
    /// Bytes of the log that the serial port has not got yet.
    LogWaiting = 7,
}

impl Info {
    /// What a number asks for.
    pub const fn from_number(number: u64) -> Option<Info> {
        match number {
            0 => Some(Info::Me),
            1 => Some(Info::Now),
            2 => Some(Info::Quota),
            3 => Some(Info::FreePages),
            4 => Some(Info::Tasks),
            5 => Some(Info::HvMissing),
            6 => Some(Info::TscHz),
            7 => Some(Info::LogWaiting),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn the_documentation_has_the_same_table() {
        let text = include_str!("../../../docs/hakoniwa.md");
        for (number, name, arguments, values, does) in Call::TABLE {
            let row = std::format!("| {number} | `{name}` | {arguments} | {values} | {does} |");
            assert!(text.contains(&row), "docs/hakoniwa.md lacks: {row}");
        }
    }

    #[test]
    fn numbers_are_dense_and_lead_back_to_their_calls() {
        for (index, (number, ..)) in Call::TABLE.iter().enumerate() {
            assert_eq!(index as u64, *number);
            assert_eq!(Call::from_number(*number).map(|c| c as u64), Some(*number));
        }
        assert_eq!(Call::from_number(Call::TABLE.len() as u64), None);
    }
}
