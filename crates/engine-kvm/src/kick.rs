//! Getting a vCPU out of KVM_RUN from other threads and from timers, without lost wake-ups.
//!
//! The protocol. A thread that is inside `run` has put the address of its vCPU's `immediate_exit` into a thread-local
//! variable and its thread id into [`Kicker::tid`]. Whoever wants it out stores the reason first (`requested`, or the
//! time has passed a deadline) and then sends [`signal_number`] to that thread. The handler runs on the vCPU's own
//! thread and sets `immediate_exit`, so it does not matter when it runs: before KVM_RUN the flag makes KVM_RUN return
//! at once, inside KVM_RUN the signal itself does. After EINTR the vCPU clears `immediate_exit` *first* and looks at
//! the reasons *then*: a signal in between sets the flag anew and costs one more turn, never a wake-up.
//!
//! A kick outside `run` sends nothing; `run` stores its thread id *before* it looks at `requested`, the kicker stores
//! `requested` *before* it looks at the thread id (both sequentially consistent), so one of them sees the other. A
//! signal that arrives after `run` has ended finds a null pointer and does nothing.

use std::cell::Cell;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};

use hako_engine::{EngineError, Kick};
use kvm_ioctls::Error;

use crate::error::host;

thread_local! {
    /// `immediate_exit` of the vCPU that runs on this thread, or null.
    static IMMEDIATE_EXIT: Cell<*const AtomicU8> = const { Cell::new(ptr::null()) };
    /// This thread's kernel id, 0 before it is known.
    static THREAD_ID: Cell<libc::pid_t> = const { Cell::new(0) };
}

/// The real-time signal that interrupts KVM_RUN.
pub(crate) fn signal_number() -> libc::c_int {
    libc::SIGRTMIN() + 1
}

/// Sets `immediate_exit` of the vCPU that runs on this thread.
extern "C" fn on_signal(_: libc::c_int) {
    let flag = IMMEDIATE_EXIT.get();
    if !flag.is_null() {
        // SAFETY: a non-null pointer was put there by `Running::enter` on this thread and leads to a live `kvm_run`
        // mapping until `Running` is dropped, which makes it null again.
        unsafe { (*flag).store(1, Ordering::Relaxed) };
    }
}

/// Installs the handler, once in a process.
fn install_handler() -> Result<(), EngineError> {
    static DONE: OnceLock<Result<(), Error>> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        // SAFETY: an all-zero sigaction is a valid value (no flags, empty mask).
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // Only KVM_RUN is to be interrupted; it returns EINTR regardless of SA_RESTART.
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: `action` is valid and the handler does nothing that a signal handler may not do.
        if unsafe { libc::sigaction(signal_number(), &action, ptr::null_mut()) } != 0 {
            return Err(Error::last());
        }
        Ok(())
    });
    (*done).map_err(host("sigaction"))
}

/// The kernel's id of the calling thread, which is made ready to receive the signal.
fn thread_id() -> Result<libc::pid_t, EngineError> {
    let known = THREAD_ID.get();
    if known != 0 {
        return Ok(known);
    }
    install_handler()?;
    // SAFETY: plain calls on a local signal set; a thread may inherit a mask that blocks the signal.
    let tid = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal_number());
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, ptr::null_mut());
        libc::syscall(libc::SYS_gettid) as libc::pid_t
    };
    THREAD_ID.set(tid);
    Ok(tid)
}

/// Interrupts one vCPU. Outlives it harmlessly.
#[derive(Debug, Default)]
pub(crate) struct Kicker {
    requested: AtomicBool,
    /// The thread that is inside `run`, or 0.
    tid: AtomicI32,
}

impl Kicker {
    /// Takes a request, if there is one.
    pub(crate) fn take(&self) -> bool {
        self.requested.load(Ordering::SeqCst) && self.requested.swap(false, Ordering::SeqCst)
    }
}

impl Kick for Kicker {
    fn kick(&self) {
        self.requested.store(true, Ordering::SeqCst);
        let tid = self.tid.load(Ordering::SeqCst);
        if tid != 0 {
            // SAFETY: a plain system call. Should the thread have ended and its id have passed to another thread of
            // this process, the handler finds no vCPU there or causes one turn for nothing.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, signal_number()) };
        }
    }
}

/// The calling thread is inside `run`; ends with the value.
pub(crate) struct Running<'a> {
    kicker: &'a Kicker,
    /// The vCPU's thread.
    pub(crate) tid: libc::pid_t,
    outer: *const AtomicU8,
}

impl<'a> Running<'a> {
    /// Makes the calling thread the one that kicks and timers of this vCPU interrupt.
    ///
    /// # Safety
    /// `immediate_exit` must stay valid as long as the value lives.
    pub(crate) unsafe fn enter(
        kicker: &'a Kicker,
        immediate_exit: *const AtomicU8,
    ) -> Result<Running<'a>, EngineError> {
        let tid = thread_id()?;
        let outer = IMMEDIATE_EXIT.replace(immediate_exit);
        kicker.tid.store(tid, Ordering::SeqCst);
        Ok(Running { kicker, tid, outer })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.kicker.tid.store(0, Ordering::SeqCst);
        IMMEDIATE_EXIT.set(self.outer);
    }
}
