//! One POSIX timer per vCPU that interrupts KVM_RUN at a point in real time.
//!
//! The timer sends the kick signal to the vCPU's thread (see `kick.rs` for why no wake-up is lost). It is made at the
//! first use and armed only when a nearer point than the armed one is wanted: an alarm that comes too early costs one
//! turn of the run loop, which arms it anew.

use std::mem::MaybeUninit;
use std::ptr;
use std::time::{Duration, Instant};

use hako_engine::EngineError;
use kvm_ioctls::Error;

use crate::error::host;
use crate::kick::signal_number;

/// A one-shot timer that signals one thread.
#[derive(Default)]
pub(crate) struct Alarm {
    timer: Option<Timer>,
    /// When the timer goes off, if it is armed.
    armed: Option<Instant>,
}

struct Timer {
    id: libc::timer_t,
    tid: libc::pid_t,
}

// SAFETY: a timer id is a handle of the process, not of a thread.
unsafe impl Send for Timer {}

impl Timer {
    fn new(tid: libc::pid_t) -> Result<Timer, EngineError> {
        // SAFETY: an all-zero sigevent is a valid value.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal_number();
        event.sigev_notify_thread_id = tid;
        let mut id = MaybeUninit::<libc::timer_t>::uninit();
        // SAFETY: both pointers are valid; on success the call has filled `id`.
        unsafe {
            if libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, id.as_mut_ptr()) != 0 {
                return Err(host("timer_create")(Error::last()));
            }
            Ok(Timer { id: id.assume_init(), tid })
        }
    }

    /// Goes off once after `after`.
    fn set(&self, after: Duration) -> Result<(), EngineError> {
        // SAFETY: an all-zero itimerspec is a valid value.
        let mut spec: libc::itimerspec = unsafe { std::mem::zeroed() };
        // A value of zero would disarm it.
        let after = after.max(Duration::from_nanos(1));
        spec.it_value.tv_sec = libc::time_t::try_from(after.as_secs()).unwrap_or(libc::time_t::MAX);
        spec.it_value.tv_nsec = after.subsec_nanos().into();
        // SAFETY: the id is a live timer of ours and `spec` is valid.
        if unsafe { libc::timer_settime(self.id, 0, &spec, ptr::null_mut()) } != 0 {
            return Err(host("timer_settime")(Error::last()));
        }
        Ok(())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: created in `new`, deleted once. A signal still on its way finds a handler that does nothing.
        unsafe { libc::timer_delete(self.id) };
    }
}

impl Alarm {
    /// Sees that thread `tid` is interrupted at `at` or before.
    pub(crate) fn at(&mut self, tid: libc::pid_t, now: Instant, at: Instant) -> Result<(), EngineError> {
        let timer = match self.timer.take() {
            Some(timer) if timer.tid == tid => {
                let nearer = self.armed.is_some_and(|armed| armed <= at && armed > now);
                if nearer {
                    self.timer = Some(timer);
                    return Ok(());
                }
                timer
            }
            // None yet, or of another thread: dropping it stops it.
            _ => Timer::new(tid)?,
        };
        timer.set(at.saturating_duration_since(now))?;
        self.timer = Some(timer);
        self.armed = Some(at);
        Ok(())
    }
}
