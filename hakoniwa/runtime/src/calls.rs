//! The system calls as functions.

use core::arch::asm;
use hakoniwa_abi::message::Grant;
use hakoniwa_abi::{Access, Call, Error, Info, Message, Received, TaskId, label};

/// Registers of a call, before and after.
#[derive(Clone, Copy, Default)]
struct Registers {
    rdi: u64,
    message: Message,
    r15: u64,
}

fn system_call(call: Call, mut r: Registers) -> Result<Registers, Error> {
    let mut rax = call as u64;
    let [rdx, r8, r9, r10, r12, r13, r14] = &mut r.message.words;
    // SAFETY: the kernel changes these registers and nothing else; what it maps or unmaps is the caller's decision.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") rax,
            inlateout("rdi") r.rdi,
            inlateout("rsi") r.message.label,
            inlateout("rdx") *rdx,
            inlateout("r8") *r8,
            inlateout("r9") *r9,
            inlateout("r10") *r10,
            inlateout("r12") *r12,
            inlateout("r13") *r13,
            inlateout("r14") *r14,
            inlateout("r15") r.r15,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    Error::from_status(rax).map(|()| r)
}

/// A call by number with raw arguments, as tests of the kernel need it; returns RDI.
pub fn raw(call: Call, arguments: [u64; 6]) -> Result<u64, Error> {
    let [rdi, label, a, b, c, d] = arguments;
    system_call(call, Registers { rdi, message: Message::new(label, &[a, b, c, d]), r15: 0 }).map(|r| r.rdi)
}

fn exchange(call: Call, peer: TaskId, message: Message, grant: Option<Grant>) -> Result<Received, Error> {
    let registers = Registers { rdi: peer.0.into(), message, r15: Grant::to_word(grant) };
    system_call(call, registers).map(|r| Received {
        sender: TaskId(r.rdi as u32),
        message: r.message,
        grant: Grant::from_word(r.r15).unwrap_or(None),
    })
}

/// Sends to a peer and waits for its reply.
pub fn call(peer: TaskId, message: Message) -> Result<Received, Error> {
    exchange(Call::Call, peer, message, None)
}

/// The same with a page.
pub fn call_with(peer: TaskId, message: Message, grant: Grant) -> Result<Received, Error> {
    exchange(Call::Call, peer, message, Some(grant))
}

/// Answers a task.
pub fn reply(peer: TaskId, message: Message) -> Result<(), Error> {
    exchange(Call::Reply, peer, message, None).map(drop)
}

/// The same with a page.
pub fn reply_with(peer: TaskId, message: Message, grant: Grant) -> Result<(), Error> {
    exchange(Call::Reply, peer, message, Some(grant)).map(drop)
}

/// Waits for a notification, a fault or a message of anyone.
pub fn receive() -> Result<Received, Error> {
    exchange(Call::Receive, TaskId::KERNEL, Message::default(), None)
}

/// Waits for a message of one task.
pub fn receive_from(peer: TaskId) -> Result<Received, Error> {
    exchange(Call::Receive, peer, Message::default(), None)
}

/// What is there already, or [`Error::Empty`].
pub fn poll() -> Result<Received, Error> {
    exchange(Call::Receive, TaskId::KERNEL, Message::new(1, &[]), None)
}

/// Answers a task, then waits for anyone.
pub fn reply_receive(peer: TaskId, message: Message) -> Result<Received, Error> {
    exchange(Call::ReplyReceive, peer, message, None)
}

/// Sets bits in a peer's notification word.
pub fn notify(peer: TaskId, bits: u64) -> Result<(), Error> {
    raw(Call::Notify, [peer.0.into(), bits, 0, 0, 0, 0]).map(drop)
}

/// Waits for notifications only; messages that come meanwhile are refused by an empty reply.
pub fn wait() -> u64 {
    loop {
        match receive() {
            Ok(r) if r.sender == TaskId::KERNEL && r.message.label == label::NOTIFICATION => {
                return r.message.words[0];
            }
            // The sender may be gone by now.
            Ok(r) => drop(reply(r.sender, Message::default())),
            Err(_) => {}
        }
    }
}

/// Says where the page of the next message shall appear.
pub fn window(at: u64) -> Result<(), Error> {
    raw(Call::Window, [at, 0, 0, 0, 0, 0]).map(drop)
}

/// Sets the timer: first (nanoseconds since boot, 0 off) and period (0 once).
pub fn timer(first: u64, period: u64) -> Result<(), Error> {
    raw(Call::Timer, [first, period, 0, 0, 0, 0]).map(drop)
}

/// Lets others run.
pub fn yield_now() {
    // Yielding is never refused.
    let _ = raw(Call::Yield, [0; 6]);
}

/// Ends the task.
pub fn exit(code: u64) -> ! {
    loop {
        // It does not return.
        let _ = raw(Call::Exit, [code, 0, 0, 0, 0, 0]);
    }
}

/// Creates a task. `name` is cut to eight bytes.
pub fn task_create(
    pager: TaskId,
    priority: u64,
    rights: u64,
    quota: u64,
    name: &str,
) -> Result<TaskId, Error> {
    let arguments = [pager.0.into(), priority, rights, quota, name_word(name), 0];
    raw(Call::TaskCreate, arguments).map(|id| TaskId(id as u32))
}

/// A name in a word.
pub fn name_word(name: &str) -> u64 {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    u64::from_le_bytes(bytes)
}

/// Lets a created task run.
pub fn task_start(id: TaskId, entry: u64, stack: u64, argument: u64) -> Result<(), Error> {
    raw(Call::TaskStart, [id.0.into(), entry, stack, argument, 0, 0]).map(drop)
}

/// Ends a task that the caller created.
pub fn task_destroy(id: TaskId) -> Result<(), Error> {
    raw(Call::TaskDestroy, [id.0.into(), 0, 0, 0, 0, 0]).map(drop)
}

/// Lets a task that the caller created send to a peer.
pub fn task_allow(id: TaskId, peer: TaskId) -> Result<(), Error> {
    raw(Call::TaskAllow, [id.0.into(), peer.0.into(), 0, 0, 0, 0]).map(drop)
}

/// Maps fresh zeroed pages.
pub fn page_alloc(at: u64, access: Access, count: u64) -> Result<(), Error> {
    raw(Call::PageAlloc, [at, access.0, count, 0, 0, 0]).map(drop)
}

/// Maps own pages in a task whose pager the caller is.
pub fn page_map(id: TaskId, from: u64, to: u64, access: Access, count: u64) -> Result<(), Error> {
    raw(Call::PageMap, [id.0.into(), from, to, access.0, count, 0]).map(drop)
}

/// Unmaps pages.
pub fn page_unmap(id: TaskId, at: u64, count: u64) -> Result<(), Error> {
    raw(Call::PageUnmap, [id.0.into(), at, count, 0, 0, 0]).map(drop)
}

/// Adds a processor to a guest of the caller, with a state page of its own; [`task_start`] starts it. `name` is cut to
/// eight bytes.
pub fn guest_cpu(guest: TaskId, state: u64, name: &str) -> Result<TaskId, Error> {
    raw(Call::GuestCpu, [guest.0.into(), state, name_word(name), 0, 0, 0]).map(|id| TaskId(id as u32))
}

/// Lets a guest that has not begun use ports of the machine without exits.
pub fn guest_ports(guest: TaskId, first: u16, count: u64) -> Result<(), Error> {
    raw(Call::GuestPorts, [guest.0.into(), first.into(), count, 0, 0, 0]).map(drop)
}

/// Takes a guest's processor off its work, as INIT does.
pub fn guest_stop(id: TaskId) -> Result<(), Error> {
    raw(Call::GuestStop, [id.0.into(), 0, 0, 0, 0, 0]).map(drop)
}

/// Asks for an interrupt line's notifications.
pub fn irq_bind(line: u64) -> Result<(), Error> {
    raw(Call::IrqBind, [line, 0, 0, 0, 0, 0]).map(drop)
}

/// Lets the line interrupt again.
pub fn irq_done(line: u64) -> Result<(), Error> {
    raw(Call::IrqDone, [line, 0, 0, 0, 0, 0]).map(drop)
}

/// Reads a byte from a port.
pub fn port_read(port: u16) -> Result<u8, Error> {
    raw(Call::PortRead, [port.into(), 1, 0, 0, 0, 0]).map(|value| value as u8)
}

/// Writes a port of `width` bytes.
pub fn port_write(port: u16, width: u64, value: u32) -> Result<(), Error> {
    raw(Call::PortWrite, [port.into(), width, value.into(), 0, 0, 0]).map(drop)
}

/// Writes up to 48 bytes to the log.
pub(crate) fn log(bytes: &[u8]) {
    let mut words = [0u64; 6];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
        let mut padded = [0; 8];
        padded.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        *word = u64::from_le_bytes(padded);
    }
    let message =
        Message { label: words[0], words: [words[1], words[2], words[3], words[4], words[5], 0, 0] };
    // The log takes everything.
    let _ = system_call(Call::Log, Registers { rdi: bytes.len().min(48) as u64, message, r15: 0 });
}

/// Asks the kernel for a number; every [`Info`] has one.
pub fn info(what: Info) -> u64 {
    raw(Call::Info, [what as u64, 0, 0, 0, 0, 0]).unwrap_or(0)
}

/// Nanoseconds since boot.
pub fn now() -> u64 {
    info(Info::Now)
}
