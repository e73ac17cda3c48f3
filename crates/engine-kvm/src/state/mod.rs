//! State exchange: which parts there are, and what each costs.
//!
//! An ioctl on a vCPU costs 0.3 to 1 us on hardware KVM and 6 to 15 us on the software KVM that hako was written on, so
//! nothing is exchanged that need not be: registers, segments and events travel with KVM_RUN; the other parts are kept
//! after a read, and written only where they differ from it, as long as the guest has not run in between.

pub(crate) mod core;
pub(crate) mod fpu;
pub(crate) mod msrs;

use hako_engine::EngineError;
use hako_x86::{Activity, CpuState};
use kvm_bindings::{
    KVM_MP_STATE_HALTED, KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED,
    KVM_SYNC_X86_EVENTS, KVM_SYNC_X86_REGS, KVM_SYNC_X86_SREGS, kvm_debugregs, kvm_mp_state, kvm_sync_regs,
};

use self::fpu::Fpu;
use self::msrs::MsrValues;
use crate::error::host;
use crate::vcpu::KvmVcpu;
use hako_x86::StateError;

/// Parts of the CPU state, by what it takes to exchange them. A set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Parts(u8);

impl Parts {
    /// General-purpose registers, rip, flags, segments, descriptor tables, CR0 to CR8, EFER, events, activity: no
    /// ioctl of their own. Enough to execute a refused integer instruction or to answer a firmware call.
    pub const CORE: Parts = Parts(1);
    /// XSAVE image and XCR0: two ioctls.
    pub const FPU: Parts = Parts(2);
    /// DR0 to DR7: one ioctl.
    pub const DEBUG: Parts = Parts(4);
    /// MSRs and the TSC: one ioctl.
    pub const MSRS: Parts = Parts(8);
    /// Everything.
    pub const ALL: Parts = Parts(15);

    /// Whether all of `other` is in the set.
    pub const fn has(self, other: Parts) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    pub const fn and(self, other: Parts) -> Parts {
        Parts(self.0 | other.0)
    }
}

/// What was last read of the parts that do not travel with KVM_RUN, while it is still true. What was written is read
/// again when it is asked for: KVM may have made something else of it.
pub(crate) struct Held {
    pub(crate) fpu: Option<Fpu>,
    pub(crate) debug: Option<kvm_debugregs>,
    pub(crate) msrs: Option<MsrValues>,
    /// The indices to ask KVM_GET_MSRS for.
    msr_indices: Vec<u32>,
}

impl Held {
    /// A new vCPU is in the state after RESET.
    pub(crate) fn reset() -> Held {
        let debug = kvm_debugregs { dr6: 0xffff_0ff0, dr7: 0x400, ..Default::default() };
        Held {
            fpu: Some(Fpu::reset()),
            debug: Some(debug),
            msrs: Some(MsrValues::reset()),
            msr_indices: Vec::new(),
        }
    }

    /// The guest runs: nothing is known any more.
    #[inline]
    pub(crate) fn forget(&mut self) {
        if self.fpu.is_some() || self.debug.is_some() || self.msrs.is_some() {
            (self.fpu, self.debug, self.msrs) = (None, None, None);
        }
    }
}

impl KvmVcpu {
    /// Some parts of the state at the present instruction boundary; fields of other parts hold what RESET gives them.
    pub fn partial_state(&mut self, parts: Parts) -> Result<CpuState, EngineError> {
        let mut state = CpuState::reset();
        if parts.has(Parts::CORE) {
            self.look()?;
            core::load(self.page().sync(), &mut state);
            state.activity = self.activity()?;
        }
        if parts.has(Parts::FPU) {
            let fpu = match self.held.fpu.take() {
                Some(fpu) => fpu,
                None => fpu::read(&self.fd, self.has_xcrs)?,
            };
            (state.xsave, state.xcr0) = (fpu.xsave.clone(), fpu.xcr0);
            self.held.fpu = Some(fpu);
        }
        if parts.has(Parts::DEBUG) {
            let debug = match self.held.debug {
                Some(debug) => debug,
                None => self.fd.get_debug_regs().map_err(host("KVM_GET_DEBUGREGS"))?,
            };
            (state.dr, state.dr6, state.dr7) = (debug.db, debug.dr6, debug.dr7);
            self.held.debug = Some(debug);
        }
        if parts.has(Parts::MSRS) {
            let msrs = match self.held.msrs.take() {
                Some(msrs) => msrs,
                None => msrs::read(&self.fd, &mut self.held.msr_indices)?,
            };
            (state.msrs, state.tsc) = (msrs.list.clone(), msrs.tsc);
            self.held.msrs = Some(msrs);
        }
        Ok(state)
    }

    /// Replaces some parts of the state, as [`hako_engine::Vcpu::set_state`] does with all.
    pub fn set_partial_state(&mut self, state: &CpuState, parts: Parts) -> Result<(), EngineError> {
        if parts.has(Parts::FPU) {
            let new = Fpu { xsave: state.xsave.clone(), xcr0: state.xcr0 };
            let old = self.held.fpu.take();
            fpu::write(&self.fd, self.has_xcrs, old.as_ref(), &new)?;
            self.held.fpu = old.filter(|old| *old == new);
        }
        if parts.has(Parts::DEBUG) {
            let new = kvm_debugregs { db: state.dr, dr6: state.dr6, dr7: state.dr7, ..Default::default() };
            let old = self.held.debug.take();
            if old != Some(new) {
                self.fd.set_debug_regs(&new).map_err(|_| StateError::Unsupported {
                    field: "the debug registers, DR7",
                    value: new.dr7,
                })?;
            }
            self.held.debug = old.filter(|old| *old == new);
        }
        if parts.has(Parts::MSRS) {
            let new = MsrValues { tsc: state.tsc, list: state.msrs.clone() };
            let old = self.held.msrs.take();
            msrs::write(&self.fd, old.as_ref(), &new)?;
            self.held.msrs = old.filter(|old| *old == new);
        }
        if parts.has(Parts::CORE) {
            self.set_core(state)?;
        }
        Ok(())
    }

    fn set_core(&mut self, state: &CpuState) -> Result<(), EngineError> {
        if self.irqchip {
            // KVM takes registers over only for a CPU that is not waiting for INIT.
            self.set_mp_state(Activity::Running)?;
        }
        self.look()?;
        let mut page = self.page();
        let old = *page.sync();
        let mut new = old;
        core::store(state, &mut new);
        let mut dirty = 0;
        for (differs, bit) in [
            (old.regs != new.regs, KVM_SYNC_X86_REGS),
            (old.sregs != new.sregs, KVM_SYNC_X86_SREGS),
            (old.events != new.events, KVM_SYNC_X86_EVENTS),
        ] {
            if differs {
                dirty |= bit;
            }
        }
        self.give(&new, dirty);
        self.moved = true;
        // KVM may refuse a mode, and has to do it here; everything else can wait for the next KVM_RUN.
        if !core::same_mode(&old.sregs, &new.sregs) && self.flush().is_err() {
            self.restore(&old)?;
            return Err(
                StateError::Unsupported { field: "the control registers, CR4", value: state.cr4 }.into()
            );
        }
        self.activity = state.activity;
        if self.irqchip && state.activity != Activity::Shutdown {
            self.flush_before_halt(state.activity)?;
            self.set_mp_state(state.activity)?;
        }
        Ok(())
    }

    /// Registers have to be in KVM before its CPU is told to wait.
    fn flush_before_halt(&mut self, activity: Activity) -> Result<(), EngineError> {
        if activity == Activity::Running { Ok(()) } else { self.flush() }
    }

    /// Puts registers back after KVM has refused others.
    fn restore(&mut self, old: &kvm_sync_regs) -> Result<(), EngineError> {
        self.give(old, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS);
        self.flush()
    }

    /// What the CPU does; asks KVM only where it alone knows.
    pub(crate) fn activity(&mut self) -> Result<Activity, EngineError> {
        if !self.irqchip || self.activity == Activity::Shutdown {
            return Ok(self.activity);
        }
        if let Some(known) = self.mp_state {
            return Ok(known);
        }
        let state = self.fd.get_mp_state().map_err(host("KVM_GET_MP_STATE"))?;
        let activity = match state.mp_state {
            KVM_MP_STATE_HALTED => Activity::Halted,
            KVM_MP_STATE_UNINITIALIZED | KVM_MP_STATE_INIT_RECEIVED => Activity::WaitForSipi,
            _ => Activity::Running,
        };
        self.mp_state = Some(activity);
        Ok(activity)
    }

    pub(crate) fn set_mp_state(&mut self, activity: Activity) -> Result<(), EngineError> {
        if self.mp_state == Some(activity) {
            return Ok(());
        }
        let mp_state = match activity {
            Activity::Halted => KVM_MP_STATE_HALTED,
            Activity::WaitForSipi => KVM_MP_STATE_UNINITIALIZED,
            Activity::Running | Activity::Shutdown => KVM_MP_STATE_RUNNABLE,
        };
        self.fd.set_mp_state(kvm_mp_state { mp_state }).map_err(host("KVM_SET_MP_STATE"))?;
        self.mp_state = Some(activity);
        Ok(())
    }

    /// Whether the guest would take an interrupt (RFLAGS.IF), as of the last exit or the last change of state; free.
    /// After [`hako_engine::ExitKind::Halt`] it says whether anything can wake the guest.
    pub fn interrupts_enabled(&mut self) -> bool {
        self.page().sync().regs.rflags & hako_x86::RFlags::IF.bits() != 0
    }
}
