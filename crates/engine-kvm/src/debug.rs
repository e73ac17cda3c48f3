//! Host debugging: KVM_SET_GUEST_DEBUG from [`hako_engine::Debug`], and its exits.
//!
//! A guest that stands on an execute breakpoint has to get past it when it is run again. RFLAGS.RF would do on a
//! processor, but KVM's emulator does not look at it, so one instruction is stepped with that breakpoint off.

use hako_engine::{BreakpointKind, Debug, DebugHit, EngineError};
use kvm_bindings::{
    KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP, kvm_debug_exit_arch,
    kvm_guest_debug,
};
use kvm_ioctls::VcpuFd;

use crate::error::host;

/// DR6.BS: a single step.
const BS: u64 = 1 << 14;

/// What the host debugs on one vCPU.
#[derive(Default)]
pub(crate) struct Debugging {
    wanted: Debug,
    /// Where the guest stands after an execute breakpoint, until it runs on: the breakpoint's number and rip.
    standing: Option<(usize, u64)>,
    /// Breakpoint that is off while one instruction is stepped.
    passing: Option<usize>,
}

/// Meaning of a KVM_EXIT_DEBUG.
pub(crate) enum Meaning {
    /// Something the host asked for.
    Hit(DebugHit),
    /// A step of our own, past a breakpoint.
    Passed,
}

impl Debugging {
    /// Whether KVM steps, on the host's behalf or our own.
    pub(crate) fn steps(&self) -> bool {
        self.wanted.step || self.passing.is_some()
    }

    /// Whether the host debugs.
    pub(crate) fn is_on(&self) -> bool {
        self.steps() || !self.wanted.breakpoints.is_empty()
    }

    /// Replaces what is debugged.
    pub(crate) fn set(&mut self, fd: &VcpuFd, debug: &Debug) -> Result<(), EngineError> {
        let refuse = |why: &str| EngineError::Host {
            what: "a hardware breakpoint",
            why: why.to_owned(),
            remedy: "KVM offers the processor's four debug registers; `--engine soft` has no such limits"
                .to_owned(),
        };
        if debug.breakpoints.len() > 4 {
            return Err(refuse("there are only four"));
        }
        for b in &debug.breakpoints {
            let aligned = b.len != 0 && b.address.is_multiple_of(b.len.into());
            if len_bits(b.len).is_none() || !aligned || (b.kind == BreakpointKind::Execute && b.len != 1) {
                return Err(refuse("its length is not 1, 2, 4 or 8, or its address is not a multiple of it"));
            }
        }
        self.wanted = debug.clone();
        self.passing = None;
        self.apply(fd)
    }

    /// Tells KVM. Has to be repeated after registers were set while stepping, because KVM remembers at which rip the
    /// step began.
    pub(crate) fn apply(&self, fd: &VcpuFd) -> Result<(), EngineError> {
        let mut debug = kvm_guest_debug::default();
        let mut dr7 = 0;
        for (i, b) in self.wanted.breakpoints.iter().enumerate() {
            if self.passing == Some(i) {
                continue;
            }
            let condition = match b.kind {
                BreakpointKind::Execute => 0,
                BreakpointKind::Write => 1,
                BreakpointKind::Access => 3,
            };
            let len = len_bits(b.len).unwrap_or(0);
            debug.arch.debugreg[i] = b.address;
            // SDM Vol. 3B 17.2.4: G bit, and four bits of condition and length from bit 16 on.
            dr7 |= 2 << (2 * i) | (condition | len << 2) << (16 + 4 * i);
        }
        if dr7 != 0 {
            debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
            debug.arch.debugreg[7] = dr7 | 0x400;
        }
        if self.steps() {
            debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
        }
        fd.set_guest_debug(&debug).map_err(host("KVM_SET_GUEST_DEBUG"))
    }

    /// The guest is about to run from `rip`: steps it past a breakpoint that it stands on.
    pub(crate) fn leave(&mut self, fd: &VcpuFd, rip: u64) -> Result<(), EngineError> {
        if let Some((i, at)) = self.standing.take()
            && at == rip
        {
            self.passing = Some(i);
            self.apply(fd)?;
        }
        Ok(())
    }

    /// One instruction was executed without KVM saying so (it does not after some port accesses).
    pub(crate) fn stepped(&mut self, fd: &VcpuFd) -> Result<Meaning, EngineError> {
        let stepped = self.steps();
        self.passing = None;
        if stepped && !self.steps() {
            self.apply(fd)?;
        }
        Ok(if self.wanted.step { Meaning::Hit(DebugHit::Step) } else { Meaning::Passed })
    }

    /// Reads a KVM_EXIT_DEBUG that left the guest at `rip`.
    pub(crate) fn exit(
        &mut self,
        fd: &VcpuFd,
        exit: &kvm_debug_exit_arch,
        rip: u64,
    ) -> Result<Meaning, EngineError> {
        let off = self.passing;
        let hit = (0..self.wanted.breakpoints.len()).find(|&i| exit.dr6 >> i & 1 != 0 && off != Some(i));
        let meaning = if off.is_some() || hit.is_none() || exit.dr6 & BS != 0 {
            self.stepped(fd)?
        } else {
            Meaning::Passed
        };
        let Some(i) = hit else { return Ok(meaning) };
        if self.wanted.breakpoints.get(i).is_some_and(|b| b.kind == BreakpointKind::Execute) {
            self.standing = Some((i, rip));
        }
        Ok(Meaning::Hit(DebugHit::Breakpoint(i)))
    }
}

/// DR7's code for a length.
fn len_bits(len: u8) -> Option<u64> {
    match len {
        1 => Some(0),
        2 => Some(1),
        4 => Some(3),
        8 => Some(2),
        _ => None,
    }
}
