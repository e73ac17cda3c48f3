//! The `kvm_run` page: the only code that reads its unions and the data behind it.

use std::sync::atomic::{AtomicU8, Ordering};

use hako_engine::{At, Attention, Bus, ExitKind, Refusal};
use hako_mem::Gpa;
use hako_x86::Width;
use kvm_bindings::{
    KVM_EXIT_IO, KVM_EXIT_IO_OUT, KVM_EXIT_MMIO, KVM_EXIT_SYSTEM_EVENT, KVM_EXIT_X86_RDMSR,
    KVM_EXIT_X86_WRMSR, KVM_INTERNAL_ERROR_EMULATION, KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES,
    kvm_debug_exit_arch, kvm_run, kvm_sync_regs,
};
use kvm_ioctls::VcpuFd;

/// The mapped `kvm_run` of one vCPU with the I/O data behind it.
pub(crate) struct Page<'a> {
    run: &'a mut kvm_run,
    /// Length of the mapping.
    len: usize,
}

impl<'a> Page<'a> {
    /// `len` is what KVM_GET_VCPU_MMAP_SIZE said.
    pub(crate) fn of(fd: &'a mut VcpuFd, len: usize) -> Page<'a> {
        Page { run: fd.get_kvm_run(), len }
    }

    /// The registers that travel with KVM_RUN.
    pub(crate) fn sync(&mut self) -> &mut kvm_sync_regs {
        // SAFETY: the union holds nothing but these registers and padding, and any bytes are valid values of them.
        unsafe { &mut self.run.s.regs }
    }

    /// KVM's number of the exit.
    pub(crate) fn reason(&self) -> u32 {
        self.run.exit_reason
    }

    /// The flag that makes KVM_RUN return at once, for signal handlers. Valid while the vCPU lives.
    pub(crate) fn immediate_exit(&mut self) -> *const AtomicU8 {
        std::ptr::from_mut(&mut self.run.immediate_exit).cast()
    }

    /// Sets or clears that flag.
    pub(crate) fn set_immediate_exit(&mut self, on: bool) {
        // SAFETY: an aligned, live byte that is otherwise written only by the signal handler of this very thread.
        unsafe { (*self.immediate_exit()).store(on.into(), Ordering::Relaxed) }
    }

    /// Which registers every KVM_RUN is to bring along (KVM_SYNC_X86_*).
    pub(crate) fn ask_for(&mut self, regs: u32) {
        self.run.kvm_valid_regs = regs.into();
    }

    /// Has the next KVM_RUN take over `sync`, of which the parts `dirty` differ from what it has.
    pub(crate) fn give(&mut self, sync: &kvm_sync_regs, dirty: u32) {
        *self.sync() = *sync;
        self.run.kvm_dirty_regs |= u64::from(dirty);
        // Without a local APIC in the kernel KVM_RUN takes CR8 from here, last.
        self.run.cr8 = sync.sregs.cr8;
        // What the last exit said of these is no longer true.
        self.run.ready_for_interrupt_injection = 0;
    }

    /// Whether registers wait for the next KVM_RUN.
    pub(crate) fn dirty(&self) -> bool {
        self.run.kvm_dirty_regs != 0
    }

    /// Takes back what waits for the next KVM_RUN.
    pub(crate) fn clear_dirty(&mut self) {
        self.run.kvm_dirty_regs = 0;
    }

    /// Whether KVM_INTERRUPT would be taken at this boundary.
    pub(crate) fn takes_interrupt(&self) -> bool {
        self.run.ready_for_interrupt_injection != 0 && self.run.if_flag != 0
    }

    /// KVM_INTERRUPT has been used: there is no room for another.
    pub(crate) fn interrupt_queued(&mut self) {
        self.run.ready_for_interrupt_injection = 0;
    }

    /// Asks for an exit as soon as an interrupt can be taken.
    pub(crate) fn want_window(&mut self, on: bool) {
        self.run.request_interrupt_window = on.into();
    }

    /// Lets the bus answer the exit, if it is one that the bus answers.
    pub(crate) fn answer(&mut self, bus: &mut dyn Bus, at: At) -> Option<Attention> {
        match self.run.exit_reason {
            KVM_EXIT_IO => self.port(bus, at),
            KVM_EXIT_MMIO => Some(self.mmio(bus, at)),
            KVM_EXIT_X86_RDMSR | KVM_EXIT_X86_WRMSR => Some(self.msr(bus, at)),
            _ => None,
        }
    }

    fn port(&mut self, bus: &mut dyn Bus, at: At) -> Option<Attention> {
        // SAFETY: the exit reason says that the union holds `io`.
        let io = unsafe { self.run.__bindgen_anon_1.io };
        let width = Width::from_bytes(usize::from(io.size))?;
        let len = usize::from(io.size).checked_mul(io.count as usize)?;
        let offset = usize::try_from(io.data_offset).ok()?;
        if offset < size_of::<kvm_run>() || offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: KVM keeps the data at this offset from the start of `kvm_run`; the range was just checked to lie
        // inside the mapping (which is longer than the struct) and outside the struct, so nothing else refers to it.
        let data = unsafe {
            std::slice::from_raw_parts_mut(std::ptr::from_mut(self.run).cast::<u8>().add(offset), len)
        };
        Some(if u32::from(io.direction) == KVM_EXIT_IO_OUT {
            bus.port_out(at, io.port, width, data)
        } else {
            bus.port_in(at, io.port, width, data)
        })
    }

    fn mmio(&mut self, bus: &mut dyn Bus, at: At) -> Attention {
        // SAFETY: the exit reason says that the union holds `mmio`.
        let mmio = unsafe { &mut self.run.__bindgen_anon_1.mmio };
        let len = mmio.data.len().min(mmio.len as usize);
        let data = &mut mmio.data[..len];
        if mmio.is_write != 0 {
            bus.mmio_write(at, Gpa(mmio.phys_addr), data)
        } else {
            bus.mmio_read(at, Gpa(mmio.phys_addr), data)
        }
    }

    fn msr(&mut self, bus: &mut dyn Bus, at: At) -> Attention {
        let write = self.run.exit_reason == KVM_EXIT_X86_WRMSR;
        // SAFETY: the exit reason says that the union holds `msr`.
        let msr = unsafe { &mut self.run.__bindgen_anon_1.msr };
        let (failed, attention) = if write {
            let attention = bus.msr_write(at, msr.index, msr.data);
            (attention.is_none(), attention.unwrap_or_default())
        } else {
            let value = bus.msr_read(at, msr.index);
            msr.data = value.unwrap_or(0);
            (value.is_none(), Attention::empty())
        };
        msr.error = failed.into();
        attention
    }

    /// What a KVM_EXIT_DEBUG says.
    pub(crate) fn debug(&self) -> kvm_debug_exit_arch {
        // SAFETY: only called after KVM_EXIT_DEBUG; the union holds `debug`, of which any bytes are valid.
        unsafe { self.run.__bindgen_anon_1.debug.arch }
    }

    /// KVM_EXIT_INTERNAL_ERROR in the engine's words.
    pub(crate) fn internal_error(&self) -> ExitKind {
        // SAFETY: the exit reason says that the union holds `internal`.
        let internal = unsafe { self.run.__bindgen_anon_1.internal };
        if internal.suberror != KVM_INTERNAL_ERROR_EMULATION {
            let n = internal.data.len().min(internal.ndata as usize);
            let name = match internal.suberror {
                2 => "simultaneous exceptions",
                3 => "an event was being delivered",
                4 => "unexpected VM exit",
                _ => "unknown suberror",
            };
            return ExitKind::Unknown {
                code: self.run.exit_reason.into(),
                detail: format!(
                    "KVM_EXIT_INTERNAL_ERROR, suberror {} ({name}), data {:#x?}",
                    internal.suberror,
                    &internal.data[..n]
                ),
            };
        }
        // SAFETY: for this suberror the union holds `emulation_failure`.
        let failure = unsafe { self.run.__bindgen_anon_1.emulation_failure };
        let mut refusal = Refusal { bytes: [0; 15], len: 0 };
        let told: u64 = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES.into();
        if failure.ndata >= 3 && failure.flags & told != 0 {
            // SAFETY: the flag says that the inner union holds the instruction.
            let insn = unsafe { failure.__bindgen_anon_1.__bindgen_anon_1 };
            refusal.bytes = insn.insn_bytes;
            refusal.len = insn.insn_size.min(15);
        }
        ExitKind::Refused(refusal)
    }

    /// Any exit that no other method knows.
    pub(crate) fn unknown(&self) -> ExitKind {
        let reason = self.run.exit_reason;
        // SAFETY: plain integers at the start of the union; any bytes are valid, whatever the reason.
        let (words, event) =
            unsafe { (self.run.__bindgen_anon_1.internal, self.run.__bindgen_anon_1.system_event) };
        let first = [words.suberror, words.ndata];
        let detail = match reason {
            kvm_bindings::KVM_EXIT_FAIL_ENTRY => {
                let code = u64::from(first[0]) | u64::from(first[1]) << 32;
                format!("KVM_EXIT_FAIL_ENTRY: the processor refused the guest's state, reason {code:#x}")
            }
            KVM_EXIT_SYSTEM_EVENT => {
                let name = match event.type_ {
                    1 => "shutdown",
                    2 => "reset",
                    3 => "crash",
                    _ => "unknown",
                };
                format!("KVM_EXIT_SYSTEM_EVENT {} ({name})", event.type_)
            }
            _ => format!("{} ({reason})", exit_name(reason)),
        };
        ExitKind::Unknown { code: reason.into(), detail }
    }
}

/// KVM's name of an exit reason.
fn exit_name(reason: u32) -> &'static str {
    const NAMES: [&str; 38] = [
        "KVM_EXIT_UNKNOWN",
        "KVM_EXIT_EXCEPTION",
        "KVM_EXIT_IO",
        "KVM_EXIT_HYPERCALL",
        "KVM_EXIT_DEBUG",
        "KVM_EXIT_HLT",
        "KVM_EXIT_MMIO",
        "KVM_EXIT_IRQ_WINDOW_OPEN",
        "KVM_EXIT_SHUTDOWN",
        "KVM_EXIT_FAIL_ENTRY",
        "KVM_EXIT_INTR",
        "KVM_EXIT_SET_TPR",
        "KVM_EXIT_TPR_ACCESS",
        "KVM_EXIT_S390_SIEIC",
        "KVM_EXIT_S390_RESET",
        "KVM_EXIT_DCR",
        "KVM_EXIT_NMI",
        "KVM_EXIT_INTERNAL_ERROR",
        "KVM_EXIT_OSI",
        "KVM_EXIT_PAPR_HCALL",
        "KVM_EXIT_S390_UCONTROL",
        "KVM_EXIT_WATCHDOG",
        "KVM_EXIT_S390_TSCH",
        "KVM_EXIT_EPR",
        "KVM_EXIT_SYSTEM_EVENT",
        "KVM_EXIT_S390_STSI",
        "KVM_EXIT_IOAPIC_EOI",
        "KVM_EXIT_HYPERV",
        "KVM_EXIT_ARM_NISV",
        "KVM_EXIT_X86_RDMSR",
        "KVM_EXIT_X86_WRMSR",
        "KVM_EXIT_DIRTY_RING_FULL",
        "KVM_EXIT_AP_RESET_HOLD",
        "KVM_EXIT_X86_BUS_LOCK",
        "KVM_EXIT_XEN",
        "KVM_EXIT_RISCV_SBI",
        "KVM_EXIT_RISCV_CSR",
        "KVM_EXIT_NOTIFY",
    ];
    NAMES.get(reason as usize).copied().unwrap_or("an exit without a name here")
}
