//! One virtual CPU on KVM.

use std::sync::Arc;

use hako_engine::{At, Bus, Deadline, Debug, EngineError, Exit, ExitKind, Kick, Vcpu};
use hako_mem::GuestMemory;
use hako_x86::{Activity, CpuState};
use kvm_bindings::{KVM_SYNC_X86_REGS, KVM_SYNC_X86_VALID_FIELDS, kvm_sync_regs};
use kvm_ioctls::{Cap, VcpuFd};

use crate::alarm::Alarm;
use crate::debug::Debugging;
use crate::error::host;
use crate::kick::Kicker;
use crate::page::Page;
use crate::starved::Waiting;
use crate::state::{Held, Parts};
use crate::vm::{Shared, VmConfig};

/// How often KVM_RUN came back for which reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ExitCounts {
    /// All of them.
    pub all: u64,
    /// Port, MMIO and MSR accesses that the bus answered.
    pub bus: u64,
    /// Signals: kicks, deadlines and the watcher.
    pub interrupted: u64,
    /// Interrupt windows that were asked for.
    pub window: u64,
    /// Instructions that KVM refused.
    pub refused: u64,
}

/// A virtual CPU. Made by [`crate::Vm::vcpu`].
pub struct KvmVcpu {
    // Field order is drop order: the CPU's handle goes before the VM's, that one before the memory.
    pub(crate) fd: VcpuFd,
    pub(crate) shared: Arc<Shared>,
    /// Length of the mapped `kvm_run`.
    page_len: usize,
    pub(crate) at: At,
    pub(crate) irqchip: bool,
    pub(crate) has_xcrs: bool,
    /// KVM queues no #UD of its own when it refuses an instruction.
    pub(crate) clean_refusals: bool,
    pub(crate) kicker: Arc<Kicker>,
    pub(crate) alarm: Alarm,
    /// All of `kvm_sync_regs` is what the CPU holds or is about to get.
    pub(crate) fresh: bool,
    /// Registers that each ordinary KVM_RUN brings along.
    pub(crate) ask: u32,
    /// Registers were set since the last KVM_RUN.
    pub(crate) moved: bool,
    /// The other parts of the state, as far as known.
    pub(crate) held: Held,
    /// What the CPU does where KVM does not keep it: without irqchip, and after a triple fault.
    pub(crate) activity: Activity,
    /// With irqchip: KVM's MP state, while known.
    pub(crate) mp_state: Option<Activity>,
    /// `immediate_exit` was cleared by an entry of our own: a signal may have been missed.
    pub(crate) missed: bool,
    /// The bus's lines have to be looked at before the guest runs on.
    pub(crate) look_at_lines: bool,
    /// An exit that came while an access was being finished for another.
    pub(crate) deferred: Option<Exit>,
    pub(crate) debugging: Debugging,
    /// Where this KVM may never look for an interrupt when one can be taken: those that wait.
    pub(crate) waiting: Option<Waiting>,
    pub(crate) counts: ExitCounts,
}

impl KvmVcpu {
    pub(crate) fn new(
        fd: VcpuFd,
        id: u8,
        shared: Arc<Shared>,
        config: &VmConfig,
        clean_refusals: bool,
    ) -> Result<KvmVcpu, EngineError> {
        let has_xcrs = shared.fd.check_extension(Cap::Xcrs);
        let waits = config.irqchip && id != 0;
        let activity = if waits { Activity::WaitForSipi } else { Activity::Running };
        let mut vcpu = KvmVcpu {
            fd,
            page_len: shared.fd.run_size(),
            shared,
            at: At { cpu: id, count: 0 },
            irqchip: config.irqchip,
            has_xcrs,
            clean_refusals,
            kicker: Arc::default(),
            alarm: Alarm::default(),
            fresh: false,
            ask: KVM_SYNC_X86_REGS,
            moved: false,
            held: Held::reset(),
            activity,
            mp_state: config.irqchip.then_some(activity),
            missed: false,
            look_at_lines: true,
            deferred: None,
            debugging: Debugging::default(),
            waiting: None,
            counts: ExitCounts::default(),
        };
        let ask = vcpu.ask;
        vcpu.page().ask_for(ask);
        Ok(vcpu)
    }

    /// The `kvm_run` page.
    #[inline]
    pub(crate) fn page(&mut self) -> Page<'_> {
        Page::of(&mut self.fd, self.page_len)
    }

    /// How often KVM_RUN came back so far.
    pub fn exits(&self) -> ExitCounts {
        self.counts
    }

    /// After a refusal: has every exit bring all registers along, because guests that execute one refused instruction
    /// execute many, and the exchange then needs no ioctl at all. Where KVM refuses, it emulates, and has them at hand.
    pub(crate) fn expect_refusals(&mut self) {
        if self.ask != KVM_SYNC_X86_VALID_FIELDS {
            self.ask = KVM_SYNC_X86_VALID_FIELDS;
            self.page().ask_for(KVM_SYNC_X86_VALID_FIELDS);
        }
    }

    /// Makes the memory slots follow the bus's map.
    pub(crate) fn follow(&self, memory: &GuestMemory) -> Result<(), EngineError> {
        self.shared.follow(memory)
    }

    /// Hands registers to KVM without a call: the parts `dirty` go with the next KVM_RUN.
    pub(crate) fn give(&mut self, sync: &kvm_sync_regs, dirty: u32) {
        self.page().give(sync, dirty);
    }

    /// An NMI, also in the middle of an access.
    pub(crate) fn raise_nmi(&mut self) -> Result<(), EngineError> {
        // Registers that wait were set at an instruction boundary, so giving them up now disturbs no access; later they
        // would overwrite the NMI.
        self.flush()?;
        self.fd.nmi().map_err(host("KVM_NMI"))?;
        self.fresh = false;
        Ok(())
    }
}

impl Vcpu for KvmVcpu {
    fn run(&mut self, bus: &mut dyn Bus, until: Deadline) -> Result<Exit, EngineError> {
        self.run_until(bus, until)
    }

    fn state(&mut self, _: &mut dyn Bus) -> Result<CpuState, EngineError> {
        // `run` has finished every access, so the bus has nothing to answer.
        self.partial_state(Parts::ALL)
    }

    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError> {
        self.set_partial_state(state, Parts::ALL)
    }

    fn nmi(&mut self) -> Result<(), EngineError> {
        self.look()?;
        let masked = self.page().sync().events.nmi.masked != 0;
        self.raise_nmi()?;
        if !self.irqchip && self.activity == Activity::Halted && !masked {
            self.activity = Activity::Running;
        }
        Ok(())
    }

    fn set_debug(&mut self, debug: &Debug) -> Result<(), EngineError> {
        self.flush()?;
        self.debugging.set(&self.fd, debug)
    }

    fn kicker(&self) -> Arc<dyn Kick> {
        self.kicker.clone()
    }

    fn count(&self) -> Option<u64> {
        None
    }
}

/// An exit at a known place.
pub(crate) fn exit_at(kind: ExitKind, rip: u64) -> Exit {
    Exit { kind, rip: Some(rip) }
}
