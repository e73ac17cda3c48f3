//! One virtual machine: its memory slots and, on request, the kernel's interrupt controllers and timer.

use std::sync::{Arc, Mutex, PoisonError};

use hako_engine::{EngineError, IrqSink};
use hako_mem::GuestMemory;
use kvm_bindings::{
    CpuId, KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM_CAP_X86_USER_SPACE_MSR, KVM_IRQ_ROUTING_IRQCHIP,
    KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_MSR_EXIT_REASON_UNKNOWN,
    KVM_PIT_SPEAKER_DUMMY, KVMIO, KvmIrqRouting, kvm_enable_cap, kvm_irq_routing_entry,
    kvm_irq_routing_entry__bindgen_ty_1, kvm_irq_routing_irqchip, kvm_msi, kvm_pit_config,
    kvm_reinject_control,
};
use kvm_ioctls::{Cap, VmFd};
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_io_nr;

use crate::cpuid::{self, CpuidModel};
use crate::error::{host, host_with};
use crate::outside::{Messages, Outside};
use crate::probe::open;
use crate::slots::Slots;
use crate::starved::Waiting;
use crate::vcpu::KvmVcpu;

ioctl_io_nr!(KVM_REINJECT_CONTROL, KVMIO, 0x71);

/// Three pages that KVM needs on Intel processors without unrestricted guest; below every ROM, above all RAM.
const TSS_ADDRESS: usize = 0xfffb_d000;

/// The input of the first 8259A that the second one has, and of the I/O APIC that the timer therefore has.
const CASCADE: u32 = 2;
/// Inputs of the I/O APIC.
pub(crate) const IOAPIC_PINS: u32 = 24;

/// What a VM is made of.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// PIC, I/O APIC, local APICs and PIT inside the kernel. Ports 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40 to 0x43
    /// and 0x61 and the APICs' pages then never reach the bus.
    pub irqchip: bool,
    /// Whether the kernel's PIT delivers ticks late rather than never, which is KVM's default. Off is right on a slow
    /// KVM; switching it off makes the host wait for 10 to 15 ms (two SRCU grace periods, no CPU time).
    pub pit_reinject: bool,
    /// Number of virtual CPUs. All but the first wait for INIT and SIPI, which the kernel's APICs handle.
    pub cpus: u8,
    /// What CPUID tells the guest. `None` leaves KVM's default, all zeros and no long mode, and saves 0.1 ms: enough
    /// for `--machine bare`.
    pub cpuid: Option<CpuidModel>,
    /// Whether RDMSR and WRMSR of what KVM does not know ask the bus instead of raising #GP.
    pub msr_exits: bool,
}

impl Default for VmConfig {
    /// One CPU and nothing else: `--machine bare`.
    fn default() -> VmConfig {
        VmConfig { irqchip: false, pit_reinject: true, cpus: 1, cpuid: None, msr_exits: false }
    }
}

/// What vCPUs, sinks and the [`Vm`] share. Field order is drop order: KVM's handle goes before the memory.
pub(crate) struct Shared {
    pub(crate) fd: VmFd,
    slots: Mutex<Slots>,
    pub(crate) messages: Mutex<Messages>,
}

impl Shared {
    /// Makes the memory slots show `memory`, whatever they showed before. Nearly free if they show it already.
    pub(crate) fn follow(&self, memory: &GuestMemory) -> Result<(), EngineError> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).follow(&self.fd, memory)
    }
}

/// A virtual machine without CPUs; [`Vm::vcpu`] makes those.
pub struct Vm {
    shared: Arc<Shared>,
    config: VmConfig,
    cpuid: Option<CpuId>,
    /// KVM exits on every instruction it refuses, and queues no #UD of its own.
    clean_refusals: bool,
    /// KVM emulates, with its irqchip: it may never look for an interrupt when one can be taken.
    starves: bool,
}

impl Vm {
    /// A VM that shows `memory`. Takes 0.3 to 0.5 ms here, most of it KVM_CREATE_VM.
    pub fn new(config: VmConfig, memory: &GuestMemory) -> Result<Vm, EngineError> {
        let kvm = open()?;
        let fd = kvm.create_vm().map_err(|errno| {
            host_with("KVM_CREATE_VM", errno, "see `hako doctor`; `--engine soft` needs no KVM")
        })?;
        fd.set_tss_address(TSS_ADDRESS).map_err(host("KVM_SET_TSS_ADDR"))?;
        let shared = Arc::new(Shared { fd, slots: Mutex::default(), messages: Mutex::default() });
        // Before the irqchip: 0.1 ms instead of 4 to 10.
        shared.follow(memory)?;
        let vm = &shared.fd;
        let clean_refusals = enable(vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
        if config.msr_exits {
            enable(vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN.into());
        }
        if config.irqchip {
            create_irqchip(vm, config.pit_reinject)?;
        }
        let cpuid = match &config.cpuid {
            Some(model) => Some(cpuid::of_model(&kvm, model)?),
            None => None,
        };
        let starves = config.irqchip && cpuid::emulates(&kvm);
        Ok(Vm { shared, config, cpuid, clean_refusals, starves })
    }

    /// CPU number `id`, below `VmConfig::cpus`, in KVM's reset state.
    pub fn vcpu(&self, id: u8) -> Result<KvmVcpu, EngineError> {
        if id >= self.config.cpus {
            return Err(EngineError::Host {
                what: "making a virtual CPU",
                why: format!("number {id} of {}", self.config.cpus),
                remedy: String::new(),
            });
        }
        let fd = self.shared.fd.create_vcpu(id.into()).map_err(host("KVM_CREATE_VCPU"))?;
        if let Some(cpuid) = &self.cpuid {
            fd.set_cpuid2(&cpuid::of_cpu(cpuid, id)).map_err(host("KVM_SET_CPUID2"))?;
        }
        let mut vcpu = KvmVcpu::new(fd, id, self.shared.clone(), &self.config, self.clean_refusals)?;
        // The PIC's interrupts go to the first CPU.
        vcpu.waiting = (self.starves && id == 0).then(Waiting::new);
        Ok(vcpu)
    }

    /// Makes the memory slots show `memory`. vCPUs do this themselves when the bus reports a changed map; this is for
    /// changes made while none of them runs.
    pub fn follow(&self, memory: &GuestMemory) -> Result<(), EngineError> {
        self.shared.follow(memory)
    }

    /// The wires into the kernel's interrupt controllers.
    pub fn irq_sink(&self) -> Box<dyn IrqSink> {
        Box::new(KvmIrqSink { shared: self.shared.clone() })
    }

    /// Events in place of exits, for devices that another thread serves. `None` without `VmConfig::irqchip`.
    pub fn outside(&self) -> Option<Outside> {
        if self.config.irqchip { Outside::new(&self.shared) } else { None }
    }

    pub(crate) fn fd(&self) -> &VmFd {
        &self.shared.fd
    }
}

/// Switches on a capability of the VM; `false` where KVM does not have it.
fn enable(vm: &VmFd, cap: u32, arg: u64) -> bool {
    vm.enable_cap(&kvm_enable_cap { cap, args: [arg, 0, 0, 0], ..Default::default() }).is_ok()
}

/// Where each GSI goes: as on every PC IRQ 0 is pin 2 of the I/O APIC, of which KVM knows nothing by itself.
pub(crate) fn routes() -> Vec<kvm_irq_routing_entry> {
    let route = |gsi, irqchip, pin| kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_IRQCHIP,
        u: kvm_irq_routing_entry__bindgen_ty_1 { irqchip: kvm_irq_routing_irqchip { irqchip, pin } },
        ..Default::default()
    };
    let pics = (0..16).filter(|gsi| *gsi != CASCADE).map(|gsi| match gsi {
        0..8 => route(gsi, KVM_IRQCHIP_PIC_MASTER, gsi),
        _ => route(gsi, KVM_IRQCHIP_PIC_SLAVE, gsi - 8),
    });
    let ioapic = (0..IOAPIC_PINS).filter(|gsi| *gsi != CASCADE).map(|gsi| {
        let pin = if gsi == 0 { CASCADE } else { gsi };
        route(gsi, KVM_IRQCHIP_IOAPIC, pin)
    });
    pics.chain(ioapic).collect()
}

fn create_irqchip(vm: &VmFd, pit_reinject: bool) -> Result<(), EngineError> {
    vm.create_irq_chip().map_err(host("KVM_CREATE_IRQCHIP"))?;
    let routes = KvmIrqRouting::from_entries(&routes())
        .map_err(|_| host("GSI routes")(kvm_ioctls::Error::new(libc::E2BIG)))?;
    vm.set_gsi_routing(&routes).map_err(host("KVM_SET_GSI_ROUTING"))?;
    // Channel 2's gate and output are at port 0x61, so that port has to be the kernel's too.
    let pit = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
    vm.create_pit2(pit).map_err(host("KVM_CREATE_PIT2"))?;
    if !pit_reinject && vm.check_extension(Cap::ReinjectControl) {
        let control = kvm_reinject_control { pit_reinject: 0, ..Default::default() };
        // SAFETY: the ioctl reads one kvm_reinject_control, which is what it is given.
        if unsafe { ioctl_with_ref(vm, KVM_REINJECT_CONTROL(), &control) } != 0 {
            return Err(host("KVM_REINJECT_CONTROL")(kvm_ioctls::Error::last()));
        }
    }
    Ok(())
}

/// KVM_IRQ_LINE as a sink of wires.
struct KvmIrqSink {
    shared: Arc<Shared>,
}

impl IrqSink for KvmIrqSink {
    fn set_gsi(&mut self, gsi: u8, level: bool) {
        if let Err(errno) = self.shared.fd.set_irq_line(gsi.into(), level) {
            tracing::warn!(gsi, level, %errno, "KVM_IRQ_LINE failed: the VM has no in-kernel interrupt controllers");
        }
    }

    fn msi(&mut self, address: u64, data: u32) {
        let msi = kvm_msi {
            address_lo: address as u32,
            address_hi: (address >> 32) as u32,
            data,
            ..Default::default()
        };
        // An MSI that no local APIC takes is lost, as on the bus of a real machine.
        if let Err(errno) = self.shared.fd.signal_msi(msi) {
            tracing::debug!(address, data, %errno, "KVM_SIGNAL_MSI: nobody took it");
        }
    }
}
